"""The modes that write lines: plain, print and simple."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kchat.display.escaping import cautious_cells, width
from kchat.display.lines import wrap
from kchat.message import Message
from kchat.message.unprintable import escape_unprintable
from tests.displays import row_of
from tests.hostile.corpus import TEXTS
from tests.hostile.safe import why_unsafe
from tests.unit.display.terminal import Terminal
from tests.unit.display.times import NOON, create

FORGED = "12:04:06 ada: I agree to pay"
NASTY = st.text(st.sampled_from(sorted(set("".join(text[:200] for text in TEXTS.values())))))


def shown(mode: str, *messages: Message, **options: Any) -> str:
    stream = io.StringIO()
    display = create(mode, stream, **options)
    display.open("chat on local://")
    for message in messages:
        display.show(message)
    display.flush()
    display.close()
    return stream.getvalue()


def at_terminal(mode: str, columns: int, **options: Any) -> tuple[Any, io.StringIO]:
    """A display that takes its stream for a terminal with this number of columns."""
    stream = io.StringIO()
    display: Any = create(mode, stream, **options)
    display._output.is_terminal = True
    display._output.size = lambda: (columns, 24)
    display.flush()
    return display, stream


def say(text: str, username: str = "ada") -> Message:
    return Message.compose(username, text, sent_at=NOON)


# plain


def test_plain_is_time_name_and_message() -> None:
    assert shown("plain", say("hello")) == "12:04:05 ada: hello\n"


def test_plain_shows_the_time_where_the_reader_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for zone, there in (("Asia/Kolkata", "17:34:05"), ("Pacific/Marquesas", "02:34:05")):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert shown("plain", say("hello")) == f"{there} ada: hello\n"


def test_plain_shows_the_time_of_arrival_when_none_was_sent() -> None:
    before = int(time.time())
    unknown = Message.from_body(b'{"username":"ada","message":"hello"}')
    line = shown("plain", unknown, clock=time.time, date=True, utc=True)
    assert line.endswith("Z ada: hello\n")
    assert before <= datetime.fromisoformat(line.partition(" ada")[0]).timestamp() <= time.time()


def test_plain_shows_the_day_that_begins_between_two_messages_without_a_time() -> None:
    clock = iter([NOON.timestamp() + hours * 3600 for hours in (0, 1, 11, 13, 14)])
    unknown = Message.from_body(b'{"username":"ada","message":"hello"}')
    assert shown("plain", *[unknown] * 4, clock=lambda: next(clock)).splitlines() == [
        "13:04:05 ada: hello",
        "23:04:05 ada: hello",
        "-- Sat 2 May 2026 --",
        "01:04:05 ada: hello",
        "02:04:05 ada: hello",
    ]


def test_plain_shows_messages_of_different_seconds_with_their_own_times() -> None:
    messages = [Message.compose("ada", "x", sent_at=NOON.replace(second=second)) for second in (1, 1, 2, 1)]
    assert [line[:8] for line in shown("plain", *messages).splitlines()] == [
        "12:04:01",
        "12:04:01",
        "12:04:02",
        "12:04:01",
    ]


def test_plain_shows_nobody_as_a_question_mark_and_no_other_name_so() -> None:
    assert shown("plain", Message.from_body(b"hello", sent_at=NOON)) == "12:04:05 ?: hello\n"
    assert shown("plain", say("hello", "?")) == "12:04:05 \\x3f: hello\n"


def test_plain_marks_the_further_lines_of_a_message() -> None:
    assert shown("plain", say("one\n12:04:05 root: two\n")) == (
        "12:04:05 ada: one\n         | 12:04:05 root: two\n"
    )


def test_plain_colours_the_name_and_dims_the_time() -> None:
    line = shown("plain", say("hello"), color=True)
    assert re.fullmatch(r"\x1b\[2m12:04:05\x1b\[0m \x1b\[[39][0-7]mada\x1b\[0m: hello\n", line)
    names = {shown("plain", say("", f"user{n}"), color=True).split()[1][:5] for n in range(40)}
    assert len(names) > 4
    assert "\x1b[31m" not in names


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_plain_has_colour_on_a_terminal_unless_told_otherwise(
    variable: str, value: str, terminal: Callable[[int, int], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    for expected in (True, False):
        tty = terminal(80, 24)
        display = create("plain", tty.stream)
        display.show(say("hello"))
        display.flush()
        assert (b"\x1b[2m" in tty.raw()) is expected
        assert tty.rows()[0] == "12:04:05 ada: hello"
        monkeypatch.setenv(variable, value)


def test_plain_remembers_a_bounded_number_of_names() -> None:
    display = create("plain", io.StringIO())
    for number in range(5000):
        display.show(say("x", f"user{number}"))
        display.show(say("x", "y" * 1000 + str(number)))
    assert len(display._names) <= 1024  # type: ignore[attr-defined]  # what the test is about


# print


def test_print_shows_the_body_as_it_came() -> None:
    body = b'{"username": "ada",  "message": "gr\\u00fc\xc3\x9fe"}'
    assert (
        shown("print", Message.from_body(body)) == 'Received {"username": "ada",  "message": "gr\\u00fcße"}\n'
    )


def test_print_shows_what_is_no_text_escaped_and_further_lines_marked() -> None:
    assert shown("print", Message.from_body(b"\xff\x1b[31m\nReceived x")) == (
        "Received \\xff\\x1b[31m\n         | Received x\n"
    )


def test_print_names_the_account_unless_the_body_begins_with_its_name_and_has_no_other() -> None:
    for body in (
        '{"username":"guest","message":"hello"}',
        '{"username": "guest", "message": "hello \\u0041 \\"username\\":\\"ada\\""}',
        '{"username":"guest","message":"hello","more":{"username":"ada"}}',
        '{"username":"guest","message":"hello","username ":"ada"}',
    ):
        assert shown("print", Message.from_body(body.encode(), account="guest")) == f"Received {body}\n"
    for body in (
        '{"username":"ada","username":"guest","message":"hello"}',
        '{"username":"guest","username":"ada","username":"guest","message":"hello"}',
        '{"username":"guest","user\\u006eame":"ada","\\u0075sername":"guest","message":"hello"}',
        '{"username":"\\u0067uest","message":"hello"}',
        '{"user\\u006eame":"guest","message":"hello","Username":"ada"}',
        '{"message":"hello, said \\"username\\":\\"ada\\"","username":"guest"}',
        ' {"username":"guest","message":"hello"}',
        '{"username":"guest","message":"hello","username":"ada"}',
    ):
        line = shown("print", Message.from_body(body.encode(), account="guest"))
        assert line == f"Received {body} (via guest)\n"
    hidden = '{"message":"' + "x" * 70_000 + '","username":"guest"}'
    message = Message.from_body(hidden.encode(), account="guest")
    assert shown("print", message) == f"Received {hidden} (via guest)\n"
    display, stream = at_terminal("print", 80, color=False)
    display.show(message)
    display.flush()
    assert stream.getvalue().endswith("(via guest)\n")


def test_print_knows_whose_a_body_is_in_any_order_of_keys_where_the_looker_shares_the_account() -> None:
    body = '{"message":"hello","username":"guest"}'
    stream = io.StringIO()
    display = create("print", stream, own="guest", mark_unverified=True)
    display.show(Message.from_body(body.encode(), account="guest"))
    display.flush()
    assert stream.getvalue() == f"Received {body}\n"


@pytest.mark.parametrize("mode", ["plain", "print"])
def test_a_terminal_gets_64_kib_of_a_message_and_its_size(mode: str) -> None:
    display, stream = at_terminal(mode, 80, color=False)
    for message, mark in (
        (Message.from_body(b"x" * (3 << 20), sent_at=NOON), "xxx… [cut: 3.0 MiB in all]\n"),
        (say("ä" * 40_000), "ä… [cut: 78."),
    ):
        stream.seek(0)
        stream.truncate()
        display.show(message)
        display.flush()
        drawn = re.sub(r"[\n |]|\x1b\[\?7[lh]", "", stream.getvalue())
        assert re.sub(r"[\n |]", "", mark) in drawn
        assert len(drawn.encode()) < 65536 + 200


@pytest.mark.parametrize("mode", ["plain", "print"])
def test_a_file_or_pipe_gets_a_message_of_2_mib_whole_and_64_kib_of_a_longer_one(mode: str) -> None:
    text = "ä\t<end>" * 100_000
    assert text in shown(mode, Message.from_body(text.encode(), sent_at=NOON))
    raw = "\x01" * (1 << 20)
    assert r"\x01" * (1 << 20) in shown(mode, Message.from_body(raw.encode(), sent_at=NOON))
    line = shown(mode, Message.from_body(b"x" * (3 << 20), sent_at=NOON))
    assert line.endswith("xxx… [cut: 3.0 MiB in all]\n")
    assert len(line.encode()) < 65536 + 100


# tabs


@pytest.mark.parametrize("mode", ["plain", "print"])
def test_a_tab_is_a_tab_in_a_file_or_pipe(mode: str) -> None:
    output = shown(mode, Message.from_body(b"name\tcount\n\tada\t1", sent_at=NOON))
    assert output.endswith("name\tcount\n         | \tada\t1\n")
    assert shown("plain", say("x", "a\tb")).endswith(" a\\tb: x\n"), "in a name it is none"


def test_on_a_terminal_the_columns_of_tabs_are_where_the_terminals_own_would_be(
    terminal: Callable[[int, int], Terminal],
) -> None:
    tty = terminal(80, 24)
    display = create("plain", tty.stream, color=False)
    display.show(say("name\tcount\nada\t1\n漢字\t22\n\tlast"))
    display.flush()
    assert b"\t" not in tty.raw()
    drawn = tty.rows()[:4]
    tty.stream.write("\x1b[2J\x1b[H" + shown("plain", say("name\tcount\nada\t1\n漢字\t22\n\tlast")))
    tty.stream.flush()
    assert tty.rows()[:4] == drawn
    assert drawn[1:] == [
        "         | ada  1",
        "         | 漢字 22",
        "         |      last",
    ]


@pytest.mark.parametrize("columns", [24, 40, 80])
def test_a_row_of_tabs_is_as_wide_as_it_is_taken_to_be(columns: int) -> None:
    texts = ["\t" * 200 + FORGED, "a\t" * 40 + FORGED, "漢\t" * 20 + FORGED, FORGED.replace(" ", "\t") * 4]
    display, stream = at_terminal("plain", columns, color=False)
    for text in texts:
        display.show(say(text, "mallory"))
    display.flush()
    rows = stream.getvalue().splitlines()
    assert sum(row.startswith("12:04:0") for row in rows) == len(texts)
    assert all(width(re.sub(r"\x1b\[\?7[lh]", "", row)) <= columns for row in rows)


# days


def test_a_line_comes_where_the_day_changes_and_none_before_messages_of_today() -> None:
    days = [NOON - timedelta(days=2), NOON - timedelta(days=2), NOON - timedelta(days=1), NOON]
    output = shown("plain", *(Message.compose("ada", "hello", sent_at=day) for day in days))
    names = [f"{day:%a} {day.day} {day:%b} {day.year}" for day in days]
    row = "12:04:05 ada: hello\n"
    assert output == f"-- {names[0]} --\n{row}{row}-- {names[2]} --\n{row}-- {names[3]} --\n{row}"


def test_the_day_is_that_of_the_reader_or_of_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")  # 14 hours ahead
    time.tzset()
    late = Message.compose("ada", "hello", sent_at=datetime(2020, 2, 28, 23, 0, 0, tzinfo=UTC))
    assert shown("plain", late) == "-- Sat 29 Feb 2020 --\n13:00:00 ada: hello\n"
    assert shown("plain", late, utc=True) == "-- Fri 28 Feb 2020 UTC --\n23:00:00Z ada: hello\n"
    dated = "2020-02-29 13:00:00 ada: hello\n"
    assert shown("plain", late, date=True) == dated
    assert shown("plain", late, date=True, utc=True) == "2020-02-28 23:00:00Z ada: hello\n"
    assert shown("rich", late).endswith("ada               2020-02-29 13:00:00  hello\n")
    assert shown("rich", late, utc=True).endswith("ada               2020-02-28 23:00:00  hello\n")


def test_further_lines_stand_below_the_text_with_a_date_too() -> None:
    message = Message.compose("ada", "one\ntwo", sent_at=datetime(2020, 2, 29, 13, tzinfo=UTC))
    assert shown("plain", message, date=True, utc=True) == (
        f"2020-02-29 13:00:00Z ada: one\n{' ' * 21}| two\n"
    )


def test_a_day_is_one_row_on_a_narrow_terminal_and_no_message_begins_like_it() -> None:
    old = datetime(2020, 2, 29, 13, tzinfo=UTC)
    for columns in (9, 14, 24, 80):
        display, stream = at_terminal("plain", columns, color=False)
        for username in ("── Sat 29 Feb 2020 ──", "-- Sat 29 Feb 2020 --"):
            display.show(Message.compose(username, f"x\n{username}", sent_at=old))
        display.flush()
        rows = stream.getvalue().splitlines()
        assert [row for row in rows if row.startswith(("─", "-"))] == ["── Sat 29 Feb 2020 ──"[:columns]]
        assert rows[0].startswith("── Sat")


def test_the_first_and_the_last_day_that_a_message_may_have_are_shown() -> None:
    for year in (1970, 2999):
        moment = datetime(year, 1, 1, 12, tzinfo=UTC)
        assert " ada: x\n" in shown("plain", Message.compose("ada", "x", sent_at=moment))


# colour


@pytest.mark.parametrize("variable", ["NO_COLOR", "FORCE_COLOR"])
def test_an_option_is_stronger_than_either_variable(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    assert "\x1b[2m" in shown("plain", say("hello"), color=True)
    assert "\x1b" not in shown("plain", say("hello"), color=False)


def test_of_both_variables_the_one_that_forces_counts_and_an_empty_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for no_color, force_color, colored in (
        ("", "", False),
        ("1", "", False),
        ("", "1", True),
        ("", "0", True),  # whatever its value
        ("1", "1", True),
    ):
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setenv("FORCE_COLOR", force_color)
        assert ("\x1b[2m" in shown("plain", say("hello"))) is colored, (no_color, force_color)


# What no message may do.


def rows_of(mode: str, output: str) -> int:
    """How many lines a reader would take for the beginning of a message; the others must be marked."""
    begins = row_of(mode)
    lines = output.split("\n")
    assert lines.pop() == ""
    assert all(begins.match(line) or line.startswith("         | ") for line in lines)
    return sum(bool(begins.match(line)) for line in lines)


@pytest.mark.parametrize("mode", ["plain", "print"])
@given(st.lists(st.tuples(NASTY, NASTY | st.text(st.characters())), max_size=3))
def test_messages_are_as_many_rows_as_there_are(mode: str, said: list[tuple[str, str]]) -> None:
    output = shown(mode, *(say(text, username) for username, text in said))
    assert rows_of(mode, output) == len(said)
    assert not why_unsafe(output, tabs=True)


@pytest.mark.parametrize("mode", ["plain", "print"])
@pytest.mark.parametrize("columns", [80, 20, 9])
def test_on_a_terminal_a_long_line_cannot_look_like_two_messages(
    mode: str, columns: int, terminal: Callable[[int, int], Terminal]
) -> None:
    tty = terminal(columns, 200)
    display = create(mode, tty.stream, color=False)
    texts = [
        TEXTS["another row by wrapping"],
        TEXTS["another row by filling"],
        "漢" * 36 + TEXTS["wide"][:40],
    ]
    for text in texts:
        display.show(say(text, "mallory") if mode == "plain" else Message.from_body(text.encode()))
    display.flush()
    first = "12:04:0" if mode == "plain" else "Receive"
    screen = [row for row in tty.rows() if row]
    assert len(screen) > len(texts)
    assert sum(row.startswith(first) for row in screen) == len(texts)
    assert all(row.startswith((first, "         | " if columns == 80 else "| ")) for row in screen)


def test_a_terminal_that_is_resized_wraps_anew(terminal: Callable[[int, int], Terminal]) -> None:
    tty = terminal(80, 24)
    display = create("plain", tty.stream, color=False)
    display.show(say("word " * 12))
    display.flush()
    assert tty.rows()[1] == ""
    tty.resize(40, 24)
    display.flush()
    display.show(say("word " * 12))
    display.flush()
    assert tty.rows()[2] == "         | word word word word word word"


@given(NASTY.map(escape_unprintable), st.integers(1, 30), st.integers(0, 30), st.sampled_from(["", "  "]))
def test_wrapping_loses_nothing_but_spaces_and_keeps_to_the_columns(
    text: str, columns: int, start: int, indent: str
) -> None:
    wrapped = wrap(text, columns, start, indent)
    assert re.sub(r"[ \n]", "", wrapped) == re.sub(r"[ \n]", "", text)
    for number, line in enumerate(wrapped.split("\n")):
        room = columns - (start if number == 0 else 0)
        # One character has to go on each line, however narrow, but on one that begins with something else.
        assert width(line, cautious_cells) <= max(room, width(indent) + 2 if number or not start else 0)


@pytest.mark.timeout(60)  # it takes half a second; more than linear time would be minutes
def test_wrapping_a_very_long_message_does_not_take_long() -> None:
    wrap("漢" * 100_000 + "e\u0301" * 100_000, 80, 20, "  ")
    wrap("x" * 300_000, 20, 2, "  ")
