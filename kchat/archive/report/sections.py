"""A section of the page."""

from __future__ import annotations

from collections.abc import Sequence

from kchat.archive.report.markup import Child, Element, element


def section(key: str, heading: str, says: Sequence[Child], *shown: Child) -> Element:
    """A heading, what the figures say in a sentence, and beside it or under it charts and tables.

    Arguments:
        key: of the heading, once in a page.
        heading: its text.
        says: texts and names.
        shown: the rest.
    """
    return element(
        "section",
        element("div", element("h2", heading, id=key), element("p", *says), class_="says"),
        element("div", *shown, class_="shows"),
        aria_labelledby=key,
    )
