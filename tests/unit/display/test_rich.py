"""The live table, in a terminal emulator: what it shows, that it fits, and that nothing of it is left behind."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from kchat.display.backlog import KEPT
from kchat.display.rich import REDRAW, Rich
from kchat.message import Message
from tests.cases import check_each
from tests.hostile.corpus import TEXTS
from tests.unit.display.terminal import Terminal

NOON = datetime(2026, 5, 1, 12, 4, 5, tzinfo=UTC)
NewTerminal = Callable[[int, int], Terminal]
SIZES = [(80, 24), (200, 50), (40, 10), (20, 5), (9, 3), (2, 2), (1, 1)]


def say(text: str, username: str = "ada") -> Message:
    return Message.compose(username, text, sent_at=NOON)


class Clock:
    """Stands still until a test moves it on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return NOON.timestamp() + self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the displays."""
    clock = Clock()
    monkeypatch.setattr("kchat.display.rich.time", clock)
    return clock


def draw(display: Rich) -> None:
    """Flush, as if the table had last been drawn long enough ago to be drawn again."""
    drawn_at = display._drawn_at = display._drawn_at - 60
    display.flush()
    assert display._drawn_at != drawn_at


def table(tty: Terminal, *messages: Message) -> list[str]:
    display = Rich(tty.stream)
    display.open("chat on local://")
    for message in messages:
        display.show(message)
    draw(display)
    rows = tty.rows()
    display.suspend()
    display.close()
    return rows


def test_the_newest_message_is_at_the_bottom(terminal: NewTerminal) -> None:
    rows = table(terminal(80, 24), say("one"), say("two", "bob"))
    assert rows[0] == "chat on local://"
    assert re.fullmatch(r"Username +Date / time +Message", rows[1])
    assert re.fullmatch(r"ada +2026-05-01 12:04:05 +one", rows[3])
    assert re.fullmatch(r"bob +2026-05-01 12:04:05 +two", rows[4])
    assert rows[5:23] == [""] * 18
    assert rows[23].startswith("2 messages")


def test_an_empty_table_says_what_it_was_given_to_say(terminal: NewTerminal, clock: Clock) -> None:
    for size in ((80, 24), (40, 12), (200, 50)):
        tty = terminal(*size)
        display = Rich(tty.stream)
        display.empty = "Nothing yet.\n\nkchat send --room \x1b[31m 'Hello'"
        display.open("chat")
        assert "Nothing yet." not in tty.rows()
        clock.now += 1
        display.flush()
        assert "Nothing yet." in tty.rows()
        assert r"kchat send --room \x1b[31m 'Hello'" in tty.rows()
        display.show(say("hello"))
        clock.now += 1
        display.flush()
        assert "hello" in "".join(tty.rows())
        assert "Nothing yet." not in tty.rows()
        display.close()


def test_a_remark_stands_beside_the_title_which_is_cut_for_it(terminal: NewTerminal) -> None:
    for columns, title in ((80, "chat at amqp://rmq@broker.example.org:5672/"), (40, "chat at amqp://r…")):
        tty = terminal(columns, 24)
        display = Rich(tty.stream)
        display.remark = "names are not checked"
        display.open("chat at amqp://rmq@broker.example.org:5672/")
        assert tty.rows()[0] == title + display.remark.rjust(columns - len(title))
        display.close()


def test_names_have_the_marks_that_are_asked_for(terminal: NewTerminal) -> None:
    said = [
        say("hello", name)._replace(account=account) for name, account in (("ada", None), ("bob", "guest"))
    ]
    for options, names in (
        ({}, ["ada", "bob (via guest)"]),
        ({"mark_unverified": True}, ["ada ?", "bob (via guest)"]),
        ({"own": "guest"}, ["ada", "bob"]),
    ):
        tty = terminal(80, 24)
        display = Rich(tty.stream, **options)
        display.open("chat")
        for message in said:
            display.show(message)
        draw(display)
        assert [re.split(" {2,}", row)[0] for row in tty.rows()[3:5]] == names
        display.close()


def test_the_table_holds_the_rows_that_fit(terminal: NewTerminal) -> None:
    rows = table(terminal(80, 24), *(say(f"number {n}") for n in range(1000)))
    assert [row.split()[-1] for row in rows[3:23]] == [str(n) for n in range(980, 1000)]
    assert rows[23].startswith("1,000 messages")


def test_a_long_message_is_wrapped_and_one_longer_than_half_of_the_screen_is_cut(
    terminal: NewTerminal,
) -> None:
    rows = table(terminal(80, 24), say("before"), say("word " * 1000))
    assert rows[3].endswith("before")
    assert rows[4].endswith("word word word word")
    assert rows[5].startswith(" " * 30)
    assert rows[13].endswith("… [cut: 4.9 KiB in all]")


def test_a_message_scrolls_off_line_by_line(terminal: NewTerminal) -> None:
    said = [say("one\ntwo\nthree"), *(say(f"number {n}") for n in range(18))]
    rows = table(terminal(80, 24), *said)
    assert [row.strip() for row in rows[3:5]] == ["two", "three"]
    assert rows[3].index("two") == rows[5].index("number 0")


def test_a_message_of_16_mib_says_so(terminal: NewTerminal) -> None:
    rows = table(terminal(80, 24), Message.from_body(b"x" * (16 << 20)))
    assert rows[12].endswith("x… [cut: 16.0 MiB in all]")


def test_further_lines_of_a_message_stay_in_their_column(terminal: NewTerminal) -> None:
    rows = table(terminal(80, 24), say("one\n2026-05-01 12:04:05  root  two"))
    assert rows[4] == " " * rows[3].index("one") + "2026-05-01 12:04:05  root  two"


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_table_is_never_taller_than_the_screen(size: tuple[int, int], terminal: NewTerminal) -> None:
    def fits(text: str) -> None:
        tty = terminal(*size)
        rows = table(tty, *(say(f"{n}{text[n * 10 :]}", text[:n]) for n in range(60)))
        assert rows[-1].startswith("60 messages"[: size[0] - 1]) or (
            size[0] == 20 and "Ctrl+C ends" in rows[-1]
        )
        raw = tty.raw().decode()
        lines = {int(line) for line, _ in re.findall(r"\x1b\[(\d+);(\d+)H", raw)}
        assert lines == set(range(1, size[1] + 1))
        assert "\n" not in raw
        assert "\r" not in raw

    check_each(["漢字" * 300, "\U0001f600" * 300, "e\u0301" * 900, "x" * 3000, "a b " * 900], fits)


@pytest.mark.parametrize("size", [(80, 24), (200, 50), (40, 10)], ids=str)
def test_wide_characters_fit_their_columns(size: tuple[int, int], terminal: NewTerminal) -> None:
    tty = terminal(*size)
    table(tty, say("字" * 60, "王小明"), say("hello"))
    # pyte leaves an empty cell behind each wide character: a row's columns are its cells.
    rows = [[tty.screen.buffer[y][x].data for x in range(size[0])] for y in range(size[1])]
    wide = [row for row in rows if "字" in row]
    assert sum(row.count("字") for row in wide) == 60 or any("…" in row for row in wide)
    assert len({row.index("字") for row in wide}) == 1
    assert wide[0].index("字") == next(row for row in rows if "h" in "".join(row[20:])).index("h", 20)


def test_the_table_follows_a_resize(terminal: NewTerminal) -> None:
    tty = terminal(80, 24)
    display = Rich(tty.stream)
    display.open("chat")
    for number in range(100):
        display.show(say(f"number {number}"))
    draw(display)
    for columns, lines in ((200, 50), (40, 8), (80, 24)):
        tty.resize(columns, lines)
        draw(display)  # without a new message
        rows = tty.rows()
        assert rows[-1].startswith("100 messages")
        newest = [row for row in rows if "number" in row][-1]
        assert newest.endswith("number 99")
        assert sum("number" in row for row in rows) == lines - (4 if lines >= 10 else 3)
    display.close()


def test_the_table_is_drawn_at_most_ten_times_a_second(terminal: NewTerminal, clock: Clock) -> None:
    tty = terminal(80, 24)
    display = Rich(tty.stream)
    display.open("chat")
    for _ in range(1000):
        clock.now += REDRAW / 100
        display.show(say("hello"))
        display.flush()
    # Once when it was opened, and then once in each tenth of a second, as far as floating point goes.
    assert 10 <= tty.raw().count(b"\x1b[1;1H") <= 11
    display.close()


def test_an_unchanged_table_is_not_drawn_again(terminal: NewTerminal, clock: Clock) -> None:
    tty = terminal(80, 24)
    display = Rich(tty.stream)
    display.open("chat")
    clock.now += 1
    display.flush()
    before = tty.raw().count(b"\x1b[1;1H")
    for _ in range(100):
        clock.now += REDRAW
        display.flush()
    assert tty.raw().count(b"\x1b[1;1H") == before
    display.close()


def test_the_table_keeps_a_bounded_number_of_messages() -> None:
    display = Rich(io.StringIO())
    display.live = True
    huge = say("x" * 1_000_000, "y" * 1_000_000)
    for _ in range(10_000):
        display.show(huge)
    kept = display._backlog.between(display._backlog.first, display._backlog.end)
    assert sum(sys.getsizeof(row.text) + sys.getsizeof(row.username) for row in kept) < 10_000_000
    for _ in range(10_000):
        display.show(say("short"))
    assert display._backlog.end - display._backlog.first == KEPT


def test_a_status_is_shown_below_for_ten_seconds_and_gives_way_to_a_message(
    terminal: NewTerminal, clock: Clock
) -> None:
    tty = terminal(80, 24)
    display = Rich(tty.stream)
    display.open("chat")
    display.status("connection lost: \x1b[31mreset\nby peer")
    draw(display)
    assert r"connection lost: \x1b[31mreset\nby peer" in tty.rows()[23]
    clock.now += 60
    display.flush()
    assert "connection lost" in tty.rows()[23]
    display.status("connection lost")
    display.show(say("hello"))
    clock.now += 9
    display.flush()
    assert "connection lost" in tty.rows()[23]
    clock.now += 2
    display.flush()
    assert "connection lost" not in tty.rows()[23]
    assert tty.rows()[23].startswith("1 message")
    display.close()


def test_text_is_never_more_than_text(terminal: NewTerminal) -> None:
    def is_only_text(text: str) -> None:
        tty = terminal(80, 24)
        display = Rich(tty.stream)
        display.open(text)
        display.status(text)
        display.show(say("the message before"))
        display.show(Message.from_body(say(text, text).body))
        draw(display)
        rows = tty.rows()
        drawn = len(tty.raw())
        display.close()
        assert tty.raw()[drawn:].count(b"\n") <= 23
        # Our own sequences and no other: modes, positions, erased lines, styles.
        rest = re.sub(r"\x1b\[(\?(1049|25|7)[hl]|2J|\d+;1H|2K|[\d;]*m)", "", tty.raw().decode())
        rest = re.sub(r"\x1b\]999;\d+\x07|\r\n", "", rest)
        assert "\x1b" not in rest
        assert rest.isprintable() or all(c.isprintable() or c in "\u200c\u200d" for c in rest)
        assert re.fullmatch(r"Username +Date / time +Message", rows[1])
        assert sum(bool(re.search(r"2026-05-01 12:04:05( |$)", row[:50])) for row in rows) == 2
        assert rows[23].endswith("Ctrl+C ends")
        assert display._backlog.messages == 2
        tty.close()

    check_each(TEXTS, is_only_text)


def test_the_terminal_is_as_before_when_it_ends(terminal: NewTerminal) -> None:
    tty = terminal(80, 24)
    tty.stream.write("$ kchat subscribe --mode rich\n")
    tty.stream.flush()
    before = tty.raw()
    display = Rich(tty.stream)
    display.open("chat")
    for _ in range(100):
        display.show(say("hello"))
    draw(display)
    display.close()
    display.close()
    after = tty.raw()[len(before) :].decode()
    for mode in (1049, 25, 7):
        switches = re.findall(rf"\x1b\[\?{mode}([hl])", after)
        assert switches == (["h", "l"] if mode == 1049 else ["l", "h"])
    assert after.rstrip("\x07").split("\x1b]999")[0].endswith("\x1b[?7h\x1b[?25h")


def test_the_last_table_stays_behind_also_where_nothing_of_it_was_drawn_yet(terminal: NewTerminal) -> None:
    for size in ((80, 24), (40, 12), (200, 50)):
        tty = terminal(*size)
        display = Rich(tty.stream)
        display.open("chat")
        for number in range(100):
            display.show(say(f"number {number}"))
        display.close()
        rows = tty.raw().decode().rpartition("\x1b[?1049l")[2].split("\r\n")
        shown = [int(row.split()[-1]) for row in rows if "number" in row]
        assert shown == list(range(100))


def test_a_message_stays_behind_also_on_a_screen_that_is_too_small_to_draw_it(terminal: NewTerminal) -> None:
    for size in ((20, 3), (20, 2), (20, 1)):
        tty = terminal(*size)
        display = Rich(tty.stream)
        display.open("chat")
        display.show(say("hello"))
        draw(display)
        display.close()
        assert "hello" in tty.raw().decode().rpartition("\x1b[?1049l")[2]


def test_the_table_leaves_nothing_behind_without_messages_or_while_suspended(terminal: NewTerminal) -> None:
    tty = terminal(80, 24)
    display = Rich(tty.stream)
    display.open("chat")
    display.close()
    display.open("chat")
    display.show(say("hello"))
    display.suspend()
    assert "Username" not in tty.raw().decode().rpartition("\x1b[?1049l")[2]
    display.open("chat")
    assert "hello" in "".join(tty.rows())
    display.close()


def test_flush_tells_whether_all_messages_are_drawn(terminal: NewTerminal) -> None:
    tty = terminal(80, 24)
    display = Rich(tty.stream)
    display.open("chat")
    display.show(say("hello"))
    assert display.flush() is False
    assert "hello" not in "".join(tty.rows())
    draw(display)
    assert "hello" in "".join(tty.rows())
    display.close()


def test_in_a_hurry_the_table_is_drawn_at_once(terminal: NewTerminal, clock: Clock) -> None:
    tty = terminal(80, 12)
    display = Rich(tty.stream)
    display.open("lunch")
    clock.now += REDRAW / 2
    display.show(say("the last one"))
    assert display.flush() is False
    display.hurry()
    assert display.flush() is True
    assert "the last one" in "".join(tty.rows())
    display.close()


def test_without_colour_there_is_none(terminal: NewTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    tty = terminal(80, 24)
    table(tty, say("hello"))
    assert not re.search(r"\x1b\[[\d;]*(3[0-7]|9[0-7])m", tty.raw().decode())
    monkeypatch.delenv("NO_COLOR")
    tty = terminal(80, 24)
    table(tty, say("hello"))
    assert re.search(r"\x1b\[[\d;]*(3[0-7]|9[0-7])m", tty.raw().decode())


def test_into_a_pipe_it_writes_rows_as_they_come() -> None:
    stream = io.StringIO()
    display = Rich(stream)
    display.open("chat")
    display.show(say("one\ntwo"))
    display.show(Message.from_body(b"\x1b[31m", sent_at=NOON))
    display.flush()
    display.close()
    assert stream.getvalue().split("\n") == [
        "Username          Date / time          Message",
        "ada               2026-05-01 12:04:05  one",
        " " * 37 + "| two",
        r"?                 2026-05-01 12:04:05  \x1b[31m",
        "",
    ]


def test_rows_in_a_file_keep_the_columns_of_the_header_behind_every_mark() -> None:
    stream = io.StringIO()
    display = Rich(stream, mark_unverified=True)
    display.open("chat")
    for name, account in (
        ("ada", "ada"),
        ("ada", None),
        ("ada", "guest"),
        ("a" * 16, None),
        ("a" * 17, None),
    ):
        display.show(Message.compose(name, "hello")._replace(account=account, sent_at=NOON))
    display.flush()
    display.close()
    header, *rows = stream.getvalue().splitlines()
    assert {row.index("hello") for row in rows} == {header.index("Message")}
    assert [row[:18].rstrip() for row in rows] == [
        "ada",
        "ada ?",
        "ada (via guest)",
        "a" * 13 + "… ?",
        "a" * 13 + "… ?",
    ]


def test_a_dumb_terminal_gets_rows_too(terminal: NewTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    tty = terminal(80, 24)
    display = Rich(tty.stream)
    display.open("chat")
    display.show(say("hello"))
    display.flush()
    assert tty.rows()[1] == "ada               2026-05-01 12:04:05  hello"
    assert b"\x1b[" not in tty.raw()
