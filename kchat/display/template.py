r"""Lines as somebody wants them: ``{time:%H:%M} {username}: {text}``, a line for each message.

A template looks like one of ``str.format``, and is not given to it: that would let it reach into the program. It has the
fields of :data:`FIELDS`, and behind their names nothing but how wide they are, or the form of the time. What a message holds
is shown as in other modes, newlines and tabs as ``\n`` and ``\t``: no message can make a line of its own, or a column.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from string import Formatter
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

from kchat.display.escaping import cells, display_name, take_columns, width
from kchat.display.lines import WHOLE, Lines
from kchat.errors import SettingsError
from kchat.message.truncation import LONGEST, truncate
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from kchat.message import Message

FIELDS = ("account", "id", "name", "room", "text", "time", "username", "verified")
"""What a template can show of a message."""

_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}
_ESCAPE = re.compile(r"\\.?")
_WIDTH = re.compile(r"(?:(.)??([<>^]))?([0-9]{1,4})?(?:\.([0-9]{1,6}))?")
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_DIRECTIVES = frozenset("aAbBcdDeFfGHIjmMpRSTuUVwWxXyYzZ%")
"""Of strftime(3): those that every platform has, and none that ends a line."""

_LONGEST_NAME = 1024  # columns

Show = Callable[["Message"], str]


class Template(Lines):
    r"""Shows messages by a template.

    Arguments:
        stream: where to write.
        template: a text with fields in braces. A brace is written twice, and ``\n``, ``\t`` and ``\\`` are a newline, a tab
            and a backslash. Behind a field's name comes, after a colon, the form of the ``time``, as ``strftime`` has it, or
            of the others the alignment (``<``, ``>``, ``^``, with a fill character before it if wanted), the least number of
            columns, and after a full stop the largest.
        room: the name of the room where a message does not know it.
        options: as of :class:`kchat.display.Factory`.

    Raises:
        kchat.errors.SettingsError: the template is not valid.
    """

    LONGEST: ClassVar[int] = 10 * WHOLE

    def __init__(self, stream: TextIO, template: str, room: str, **options: Any) -> None:
        super().__init__(stream, **options)
        self._room = room
        self._form = ("%Y-%m-%d " if self._date else "") + "%H:%M:%S" + ("Z" if self._utc else "")
        self._parts = [part for each in _parse(template) for part in self._compile(*each)]

    def show(self, message: Message) -> None:
        """Add the message's line, or the lines of the template."""
        self._names_shown.meet(message.account)
        self._write("", 0, "".join(part if isinstance(part, str) else part(message) for part in self._parts))

    def _compile(self, literal: str, field: str | None, form: str) -> list[str | Show]:
        parts: list[str | Show] = [_literal(literal)] if literal else []
        if field is None:
            return parts
        if field == "time":
            _check_time(form)
            return [*parts, lambda message: self._time(message, form or self._form)]
        show: Show = getattr(self, f"_show_{field}")
        return [*parts, _fitted(show, form) if form else show]

    def _time(self, message: Message, form: str) -> str:
        moment = datetime.fromtimestamp(self._clock(), UTC) if message.sent_at is None else message.sent_at
        if not self._utc:
            with suppress(ValueError, OverflowError, OSError):  # the platform cannot show it
                moment = moment.astimezone()
        return moment.strftime(form)

    def _show_account(self, message: Message) -> str:
        return "" if message.account is None else display_name(message.account, _LONGEST_NAME)

    def _show_id(self, message: Message) -> str:
        return escape_unprintable(message.id or "", keep_newlines=False)

    def _show_name(self, message: Message) -> str:
        return "".join(self._names_shown.sign(message.username, message.account))

    def _show_room(self, message: Message) -> str:
        return display_name(self._room if message.room is None else message.room, _LONGEST_NAME)

    def _show_text(self, message: Message) -> str:
        text, size = message.text, len(message.body)
        if self._output.is_terminal or size > WHOLE:
            text = truncate(text, LONGEST, total=size if message.problem else None)
        return escape_unprintable(text.rstrip("\r\n"), keep_newlines=False)

    def _show_username(self, message: Message) -> str:
        return display_name(message.username, _LONGEST_NAME)

    def _show_verified(self, message: Message) -> str:
        return "true" if message.verified else "false"


def _wrong(why: str) -> SettingsError:
    return SettingsError(f"the format is not valid: {why}", hint=f"its fields are: {', '.join(FIELDS)}")


def _parse(template: str) -> list[tuple[str, str | None, str]]:
    """The template's literal texts, each with the field behind it and that field's form."""
    parts: list[tuple[str, str | None, str]] = []
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise _wrong(f"{error} (write a brace twice to show one)") from None
    for literal, field, form, conversion in parsed:
        if field is not None and field not in FIELDS:
            raise _wrong(f"{{{field}}} is not a field")
        if conversion is not None:
            raise _wrong(f"{{{field}!{conversion}}} has a conversion, which no field takes")
        parts.append((literal, field, form or ""))
    return parts


def _literal(text: str) -> str:
    """What stands between the fields, with its escapes."""

    def escaped(found: re.Match[str]) -> str:
        if found[0] not in _ESCAPES:
            raise _wrong(rf"{found[0]!s} is not one of \n, \t and \\")
        return _ESCAPES[found[0]]

    shown = _ESCAPE.sub(escaped, text)
    if escape_unprintable(shown, keep_tabs=True) != shown:
        raise _wrong("there are control characters, or invisible ones, in it")
    return shown


def _check_time(form: str) -> None:
    for found in _DIRECTIVE.finditer(form):
        if found[1] not in _DIRECTIVES:
            raise _wrong(f"%{found[1]} is not a part of a time")
    if not form.isprintable():
        raise _wrong("there are control characters in the form of a time")


def _fitted(show: Show, form: str) -> Show:
    found = _WIDTH.fullmatch(form)
    if found is None:
        raise _wrong(f"{form!r} is not a width, such as 16, >8, or 16.16")
    fill, align = found[1] or " ", found[2] or "<"
    if not fill.isprintable() or cells(fill) != 1:
        raise _wrong(f"{fill!a} cannot fill a width: that takes a character of one column")
    least, most = int(found[3] or 0), None if found[4] is None else int(found[4])

    def fit(message: Message) -> str:
        text = show(message)
        if most is not None:
            text = take_columns(text, most)
        room = max(0, least - width(text))
        before = {"<": 0, ">": room, "^": room // 2}[align]
        return f"{fill * before}{text}{fill * (room - before)}"

    return fit
