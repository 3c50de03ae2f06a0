"""Terminals disagree about how wide characters are: in none of them can a message look like two, or a mark get lost."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import get_character_cell_size

from kchat.display.escaping import cautious_cells, cells, most_cells
from kchat.message import Message
from kchat.message.unprintable import escape_unprintable
from tests.hostile.corpus import TEXTS
from tests.hostile.safe import characters
from tests.unit.display.drawn import WIDTHS, rows_drawn
from tests.unit.display.terminal import Terminal
from tests.unit.display.times import NOON, create

FORGED = "12:04:06 ada: I agree to pay"
STARTS = {
    "plain": re.compile(r"12:04:05 "),
    "print": re.compile(r"Received "),
}
INDENT = re.compile(r"( {9})?\| ")

# Wide in Unicode 16 and narrow in the tables of Python 3.10 to 3.13, or wide without Unicode saying so.
NEWLY_WIDE = [
    *map(chr, (*range(0x2630, 0x2638), *range(0x268A, 0x2690), *range(0x4DC0, 0x4E00))),
    *map(chr, (*range(0x1D300, 0x1D357), *range(0x1D360, 0x1D377), *range(0x1F1E6, 0x1F200))),
]


@cache
def of_each_kind() -> list[str]:
    """A visible character of each category and East Asian width."""
    seen: dict[tuple[str, str], str] = {}
    for character in characters():
        kind = unicodedata.category(character), unicodedata.east_asian_width(character)
        if (
            not character.isascii()
            and kind not in seen
            and escape_unprintable(f"a{character}") == f"a{character}"
        ):
            seen[kind] = character
    return list(seen.values())


def at_terminal(mode: str, columns: int, **options: Any) -> tuple[Any, io.StringIO]:
    """A display that takes its stream for a terminal with this number of columns."""
    stream = io.StringIO()
    display: Any = create(mode, stream, **options)
    display._output.is_terminal = True
    display._output.size = lambda: (columns, 24)
    display.flush()
    return display, stream


def forged(mode: str, columns: int, messages: list[Message], **options: Any) -> list[str]:
    """What is wrong with the rows that terminals draw: each row begins a message, or with the indent."""
    display, stream = at_terminal(mode, columns, **options)
    wrong = []
    for message in messages:
        display.show(message)
        display.flush()
        output = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        for terminal, width in WIDTHS.items():
            first, *further = rows_drawn(output, columns, width)[:-1]
            if not STARTS[mode].match(first) or not all(map(INDENT.match, further)):
                wrong.append(f"{terminal}, {columns} columns: {message.username!a} {message.text!a}")
    return wrong


def said(username: str, text: str, account: str | None = None) -> Message:
    body = Message.compose(username, text, sent_at=NOON).body
    return Message.from_body(body, account=account)


@pytest.mark.parametrize("mode", STARTS)
@pytest.mark.parametrize("columns", [24, 80])
def test_no_character_makes_a_terminal_wrap_a_message_into_a_forged_line(mode: str, columns: int) -> None:
    room = columns - len("12:04:05 mallory: ")
    messages = []
    for character in dict.fromkeys([*NEWLY_WIDE[::5], *of_each_kind()]):
        # It fills the row, as narrow or as wide characters, exactly and nearly.
        for times in (room // 2, room - room // 3, room):
            text = f"a{character}" * (times // 2) if cells(character) == 0 else character * times
            messages.append(said("mallory", text + FORGED))
    assert not forged(mode, columns, messages)


def test_the_line_of_the_report_does_not_wrap() -> None:
    for character in NEWLY_WIDE:
        assert not forged("plain", 80, [said("mallory", character * 31 + FORGED)], color=False), hex(
            ord(character)
        )


@pytest.mark.parametrize("mode", STARTS)
@given(
    st.text(st.sampled_from([*NEWLY_WIDE[::20], *" aя…é漢\u0301\ufe0f\u200d☺👩│ק\n:"]), max_size=60),
    st.text(st.sampled_from([*NEWLY_WIDE[::20], *" aя…é漢\u0301"]), min_size=1, max_size=40),
    st.sampled_from([None, "guest", "гость-из-далёкой-страны-на-севере", "mallory"]),
    st.integers(14, 90),
    st.booleans(),
)
def test_no_message_looks_like_two(
    mode: str, text: str, username: str, account: str | None, columns: int, color: bool
) -> None:
    messages = [said(username + FORGED, text + FORGED, account), said(username, text + FORGED, account)]
    assert not forged(mode, columns, messages, color=color, mark_unverified=True)


@pytest.mark.parametrize("columns", [1, 2, 5, 9, 13])
def test_on_a_terminal_too_narrow_for_a_name_nothing_wraps_either(columns: int) -> None:
    display, stream = at_terminal("plain", columns, color=False, mark_unverified=True)
    display.show(said("漢" * 9 + FORGED, "漢" * 9 + FORGED))
    display.flush()
    for width in WIDTHS.values():
        _, *further = rows_drawn(stream.getvalue(), columns, width)[:-1]
        assert all(row.startswith("| "[:columns]) for row in further)


def test_the_further_rows_of_a_message_all_begin_with_the_mark() -> None:
    display, stream = at_terminal("plain", 40, color=False)
    display.show(
        said("ada", "a message that has to be broken, and\nwhose second line is long enough to be broken too")
    )
    display.flush()
    assert stream.getvalue().split("\n") == [
        "12:04:05 ada: a message that has to be ",
        "         | broken, and",
        "         | whose second line is long ",
        "         | enough to be broken too",
        "",
    ]


@pytest.mark.parametrize(
    "text",
    ["Поздравляю с днём рождения, дорогая Ада!", "Χρόνια πολλά, αγαπητή Άντα", "─" * 60],  # noqa: RUF001
)
def test_letters_and_boxes_are_not_broken_early(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    display, stream = at_terminal("plain", 80, color=False)
    display.show(said("ada", text))
    display.flush()
    assert rows_drawn(stream.getvalue(), 80, WIDTHS["Unicode 17"])[0] == f"12:04:05 ada: {text}"


def test_in_a_locale_where_letters_may_be_wide_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    display, stream = at_terminal("plain", 40, color=False)
    text = "Поздравляю с днём рождения, дорогая Ада!"  # noqa: RUF001
    display.show(said("ada", text))
    display.flush()
    rows = rows_drawn(stream.getvalue(), 40, WIDTHS["ambiguous characters are wide"])
    shown = "".join(row.removeprefix("12:04:05 ada: ").removeprefix("         | ") for row in rows)
    assert shown.replace(" ", "") == text.replace(" ", "")


def test_a_dumb_terminal_is_sent_no_sequences_and_wraps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    display, stream = at_terminal("plain", 40)
    display.show(said("mallory", "䷀я" * 31 + FORGED))
    display.flush()
    assert "\x1b" not in stream.getvalue()
    assert not forged("plain", 40, [said("mallory", "䷀я" * 31 + FORGED)])


@pytest.mark.parametrize("mode", STARTS)
@pytest.mark.parametrize("columns", [24, 40, 80])
def test_the_mark_behind_a_name_is_always_on_the_screen(mode: str, columns: int) -> None:
    for character in (*NEWLY_WIDE[::10], "漢", "я", "a", "é", "…", "\u0e01\u0e34"):
        for account, mark in ((None, " ?"), ("guest", "(via guest)")):
            display, stream = at_terminal(mode, columns, color=False, mark_unverified=True)
            display.show(said(character * 40, "hello", account))
            display.flush()
            for terminal, width in WIDTHS.items():
                rows = rows_drawn(stream.getvalue(), columns, width)
                found = " ".join(row.removeprefix("         ").removeprefix("| ") for row in rows)
                place = rows[0] if mode == "plain" else found
                assert mark in place or (account and " ?" in rows[0]), (terminal, character, rows)


@pytest.mark.parametrize("size", [(24, 10), (40, 12), (80, 24)], ids=str)
@pytest.mark.parametrize("terminal_kind", WIDTHS)
def test_the_mark_behind_a_name_is_always_in_the_table(
    size: tuple[int, int],
    terminal_kind: str,
    terminal: Callable[[int, int], Terminal],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pyte.screens.wcwidth", WIDTHS[terminal_kind])
    tty = terminal(*size)
    for character in ("䷀", "\U0001f1e6", "漢", "я", "☰", "a", "e\u0301"):
        display = create("rich", tty.stream, mark_unverified=True)
        display.show(said(character * 40, "hello"))
        display.open("chat")
        row = next(row for row in tty.rows() if "12:04" in row)
        display.close()
        assert re.search(r"… \?", row), row


def test_no_character_is_wider_for_others_than_for_us() -> None:
    wrong = []
    for character in characters():
        if (
            character.isascii()
            or not character.isprintable()
            or escape_unprintable(f"a{character}") != f"a{character}"
        ):
            continue
        sizes = get_character_cell_size(character), cells(character), cautious_cells(character)
        if not WIDTHS["Unicode 17"](character) <= cells(character) <= cautious_cells(character) or (
            max(sizes) > max(cautious_cells(character), 1)
            or cautious_cells(character) > most_cells(character)
        ):
            wrong.append(f"{ord(character):x}")
    assert not wrong


def test_the_corpus_looks_like_as_many_messages_as_there_are() -> None:
    for mode in STARTS:
        messages = [said("mallory", text[:500]) for text in TEXTS.values()]
        messages += [said(text[:500], "hello", "guest") for text in TEXTS.values()]
        for columns in (24, 40, 80):
            assert not forged(mode, columns, messages, mark_unverified=True)
