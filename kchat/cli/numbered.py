"""``kchat send --count N --template 'ping {n}'``: numbered messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import Formatter

from kchat.errors import SettingsError

FIELDS = ("n", "count")
"""What a template can have in it: the number of the message, from 1 on, and that of all."""

_FORM = re.compile("[0-9]{0,2}|,")


def numbered(template: str, count: int) -> Iterator[str]:
    """The texts of that number of messages.

    Arguments:
        template: a text with ``{n}`` and ``{count}`` in it, as often as wanted. Behind a colon may follow a width, ``{n:4}``
            or ``{n:04}``, or a comma, ``{n:,}``. A brace is written twice.
        count: the number of messages.

    Raises:
        kchat.errors.SettingsError: the template is not valid, before there is any text.
    """
    parts: list[tuple[str, str | None, str]] = []
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise _wrong(f"{error} (write a brace twice to send one)") from None
    for literal, field, form, conversion in parsed:
        form = form or ""  # noqa: PLW2901 - None where there is no field
        if field is not None and (field not in FIELDS or conversion is not None or not _FORM.fullmatch(form)):
            raise _wrong(f"{{{field}{'!' + conversion if conversion else ''}{':' + form if form else ''}}}")
        parts.append((literal, field, form))
    return (
        "".join(
            literal + ("" if field is None else format(n if field == "n" else count, form))
            for literal, field, form in parts
        )
        for n in range(1, count + 1)
    )


def _wrong(why: str) -> SettingsError:
    return SettingsError(
        f"the template is not valid: {why}", hint="its fields are {n} and {count}, or {n:04}"
    )
