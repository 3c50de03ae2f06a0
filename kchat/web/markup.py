"""HTML from templates: every value that is put into one is escaped, by one function."""

from __future__ import annotations

import html
from collections.abc import Iterable
from string import Template

from kchat.display.links import find_links, is_honest


class Markup(str):
    """HTML that is put into other HTML as it is. Only this module makes any."""

    __slots__ = ()


def markup(template: str, **values: object) -> Markup:
    """HTML with values in it.

    Arguments:
        template: HTML with ``$name`` where a value belongs: between tags, or in a quoted attribute that is no script, style
            or (:func:`text_with_links` excepted) address of somebody else's. It is in the source: a test looks for that.
        values: by name; text is escaped, :class:`Markup` is not.

    Raises:
        KeyError: the template names a value that is not given.
    """
    return Markup(Template(template).substitute({name: _escaped(value) for name, value in values.items()}))


def joined(pieces: Iterable[Markup]) -> Markup:
    """Pieces of HTML, one after the other."""
    return Markup("".join(map(_escaped, pieces)))


def text_with_links(text: str) -> Markup:
    """A safe text, in which links can be followed, by the rules of the page with JavaScript: ``static/text.js``."""
    pieces, at = [], 0
    for start, end in find_links(text):
        link, goes_on = text[start:end], text[end : end + 1]
        if goes_on == "_" or goes_on.isalnum() or not is_honest(link):
            continue
        pieces.append(markup("$text", text=text[at:start]))
        pieces.append(
            markup('<a href="$link" target="_blank" rel="noopener noreferrer nofollow">$link</a>', link=link)
        )
        at = end
    return joined([*pieces, markup("$text", text=text[at:])])


def _escaped(value: object) -> str:
    return value if isinstance(value, Markup) else html.escape(str(value), quote=True)
