"""The last line of the live table: which words it has room for, and that the important ones are never cut."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from kchat import errors, events
from kchat.display.escaping import width
from kchat.display.rich import Rich
from kchat.display.status_line import Part, compose, duration, happened
from kchat.message import Message
from tests.cases import check_each
from tests.unit.display.terminal import Terminal

URL = "amqps://rmq:***@a-broker-with-a-long-name.example.org:5671/production"
NOON = datetime(2026, 5, 1, 12, 4, 5, tzinfo=UTC)
NewTerminal = Callable[[int, int], Terminal]
GONE = events.Disconnected(errors.Closed(f"{URL} closed the connection"))
TRYING = events.Reconnecting(errors.Unreachable(f"{URL} cannot be reached: connection refused"), 1.5, 3)
BACK = events.Reconnected(f"chat at {URL}", 12.3)


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
    clock = Clock()
    monkeypatch.setattr("kchat.display.rich.time", clock)
    return clock


@pytest.mark.parametrize(
    ("columns", "back", "trying"),
    [
        (200, "reconnected after 12 s, messages may be missing", "connection lost, reconnecting (3 s)"),
        (80, "reconnected after 12 s, messages may be missing", "connection lost, reconnecting (3 s)"),
        (40, "reconnected, messages may be missing", "connection lost, reconnecting (3 s)"),
        (24, "messages may be missing", "reconnecting"),
    ],
)
def test_a_restart_is_said_first_and_without_the_url(
    terminal: NewTerminal, clock: Clock, columns: int, back: str, trying: str
) -> None:
    tty = terminal(columns, 12)
    display = Rich(tty.stream)
    display.open(f"chat at {URL}")
    for number in range(50):
        display.show(Message.compose("ada", f"number {number}", sent_at=NOON))
    display.note(GONE)
    clock.now += 1
    display.flush()
    display.note(TRYING)
    clock.now += 2
    display.flush()
    assert tty.rows()[-1].startswith(trying)
    assert "://" not in tty.rows()[-1]
    display.press("pageup")
    display.flush()
    if columns >= 40:
        assert "connecting" in tty.rows()[-1]
        assert "End" in tty.rows()[-1]
    display.press("end")
    display.note(BACK)
    clock.now += 1
    display.flush()
    assert tty.rows()[-1].startswith(back)
    assert "://" not in tty.rows()[-1]
    display.close()


def test_a_lost_connection_is_drawn_at_once_however_soon_after_the_last_time(
    terminal: NewTerminal, clock: Clock
) -> None:
    tty = terminal(80, 12)
    display = Rich(tty.stream)
    display.open("chat")
    for event, words in ((GONE, "connection lost"), (BACK, "reconnected"), (GONE, "connection lost")):
        display.note(event)
        assert display.flush()
        assert tty.rows()[-1].startswith(words)
    assert clock.now == 1000
    display.close()


def test_a_row_of_the_table_marks_the_place_where_messages_may_be_missing(
    terminal: NewTerminal, clock: Clock
) -> None:
    tty = terminal(90, 12)
    display = Rich(tty.stream)
    display.open("chat")
    display.show(Message.compose("ada", "before", sent_at=NOON))
    for event in (GONE, BACK, events.Dropped(12)):
        display.note(event)
    display.show(Message.compose("", "reconnected after 12 s, messages may be missing", sent_at=NOON))
    display.show(Message.from_body(b"reconnected after 12 s, messages may be missing")._replace(sent_at=NOON))
    clock.now += 1
    display.flush()
    rows = [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", row) for row in tty.rows()[3:-1]]
    assert [re.sub(" +", " ", row) for row in rows if row][:2] == [
        "ada TIME before",
        " TIME reconnected after 12 s, messages may be missing",
    ]
    # No message can look like that: it has a name, or a mark in its place.
    assert [row.split()[0] for row in rows if "missing" in row] == ["TIME", '""', "?"]
    assert tty.rows()[-1].startswith("12 messages were dropped")
    display.close()
    assert "messages may be missing" in tty.raw().decode().rpartition("\x1b[?1049l")[2]


def test_an_event_in_few_words_is_never_longer_than_in_many() -> None:
    def gets_shorter(event: events.Event) -> None:
        forms = happened(event)
        assert forms
        assert [*forms] == sorted(forms, key=len, reverse=True)
        assert "://" not in "".join(forms)
        assert len(forms[-1]) <= 38

    said: list[events.Event] = [
        BACK,
        BACK._replace(durable=True),
        BACK._replace(unconfirmed=3),
        events.Dropped(None),
        events.Dropped(1_234_567, at_least=True),
        events.Dropped(1, pruned=True),
        events.Dropped(12, queue="kchat.mine"),
    ]
    check_each(said, gets_shorter)


def test_times_are_told_as_people_do() -> None:
    told = [duration(seconds) for seconds in (0.2, 1.4, 12.3, 119, 120, 3000, 7200, 7500, 90_000)]
    assert told == ["1 s", "1 s", "12 s", "119 s", "2 min", "50 min", "2 h 0 min", "2 h 5 min", "25 h 0 min"]


def test_no_line_is_wider_than_the_screen_and_what_must_be_there_is() -> None:
    wide = "連線中斷" * 5

    def fits(columns: int) -> None:
        for first in (("connection lost, reconnecting (3 s)", "reconnecting"), (wide, wide[:4])):
            parts = [
                Part(first, "7", optional=False),
                Part(("looking back, 5 new below · End returns", "5 new · End"), "1", optional=False),
                Part(("q ends",), "2", at_right=True),
                Part(("1 to 20 of 105",)),
            ]
            plain = re.sub(r"\x1b\[[\d;]*m", "", compose(columns, parts))
            assert width(plain) <= columns
            assert columns < 26 or (plain.startswith(tuple(each[:4] for each in first)) and "5 new" in plain)
            assert columns < 110 or (plain.startswith(f"{first[0]} · looking") and plain.endswith("q ends"))

    check_each([*range(1, 130)], fits)


def test_of_several_rooms_each_is_named() -> None:
    dropped = events.Dropped(3, room="ops")
    assert str(dropped).startswith("ops: 3 messages were dropped: ")
    assert happened(dropped)[1:] == ("ops: 3 messages were dropped", "ops: 3 dropped")
    assert happened(BACK._replace(room="ops"))[-1] == "ops: messages may be missing"
    assert "room" not in events.as_object(BACK)
    assert events.as_object(dropped)["room"] == "ops"
