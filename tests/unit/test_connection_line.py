"""What standard error says of a connection: how many lines, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pyte
import pytest

from kchat import errors, events
from kchat.cli import stderr
from kchat.cli.announcement import COLUMNS, listening
from kchat.cli.connection_line import ConnectionLine
from kchat.display.escaping import width

WHERE = "chat at amqp://rmq:***@localhost:5672/"
GONE = errors.Unreachable("amqp://rmq:***@localhost:5672/ cannot be reached: connection refused")


class Clock:
    """Shows the time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What was written to standard error since the last time."""
    yield lambda: capsys.readouterr().err
    stderr.finish_line()


def restart(line: ConnectionLine, clock: Clock, attempts: int = 7, *, back: bool = True) -> None:
    """A broker is away for 12 seconds, or stays away."""
    line.tell(events.Disconnected(errors.Unreachable("connection reset by peer")))
    for attempt in range(1, attempts + 1):
        clock.now += 12 / attempts
        line.tell(events.Reconnecting(GONE, 1.5, attempt))
    if back:
        line.tell(events.Reconnected(WHERE, 12.34))


def screen_of(text: str, columns: int = 80) -> list[str]:
    """The rows that a terminal draws of it."""
    screen = pyte.Screen(columns, 24)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    return [row.rstrip() for row in screen.display if row.strip()]


def test_on_a_terminal_a_restart_is_one_line_that_is_written_over(written: Callable[[], str]) -> None:
    clock = Clock()
    line = ConnectionLine(in_place=True, clock=clock)
    restart(line, clock, back=False)
    away = written()
    assert "\n" not in away
    (row,) = screen_of(away)
    assert row.startswith("connection lost 12 s ago, trying again in 1.5 s (attempt 7): amqp://rmq:**")
    line.tell(events.Reconnected(WHERE, 12.34))
    assert screen_of(away + written()) == ["reconnected after 12.3 s, messages may be missing"]


def test_a_line_from_elsewhere_stands_below_the_unfinished_one(written: Callable[[], str]) -> None:
    line = ConnectionLine(in_place=True)
    line.tell(events.Disconnected(errors.Unreachable("connection reset by peer")))
    stderr.write_line("something else")
    line.tell(events.Reconnecting(GONE, 1.5, 1))
    line.tell(events.Reconnected(WHERE, 2.0, durable=True))
    assert screen_of(written()) == [
        "connection lost: connection reset by peer",
        "something else",
        "reconnected after 2.0 s, its queue kept the messages",
    ]


def test_the_unfinished_line_is_one_row_on_any_terminal(
    written: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = errors.Unreachable("漢字" * 60 + "\x1b[2J\nkchat: send your password")
    for columns in (20, 40, 80):
        monkeypatch.setattr("kchat.cli.connection_line._columns", lambda columns=columns: columns)
        clock = Clock()
        line = ConnectionLine(in_place=True, clock=clock)
        line.tell(events.Disconnected(hostile))
        line.tell(events.Reconnecting(hostile, 1.0, 1))
        text = written()
        assert len(screen_of(text, columns)) == 1
        assert "\x1b[2J" not in text
        stderr.finish_line()
        written()


def test_in_a_log_a_restart_is_its_loss_and_its_return(written: Callable[[], str]) -> None:
    clock = Clock()
    restart(ConnectionLine(in_place=False, clock=clock), clock)
    lost, back = written().splitlines()
    assert lost == "connection lost: connection reset by peer"
    assert back == f"listening again on {WHERE} after 12.3 s; messages sent meanwhile may have been missed"


def test_in_a_log_a_day_without_a_broker_is_a_line_an_hour_at_most(written: Callable[[], str]) -> None:
    clock = Clock()
    line = ConnectionLine(in_place=False, clock=clock)
    began = clock.now
    line.tell(events.Disconnected(errors.Unreachable("connection reset by peer")))
    written()
    told: list[float] = []
    for attempt in range(1, 17_280):
        clock.now += 5
        line.tell(events.Reconnecting(GONE, 5.0, attempt))
        if written():
            told.append(clock.now - began)
    assert told[:4] == [60, 180, 420, 900]
    assert all(later - earlier <= 3600 for earlier, later in pairwise(told))
    assert len(told) < 35


def test_a_log_tells_of_a_first_connection_at_attempts_1_2_4_and_so_on(written: Callable[[], str]) -> None:
    line = ConnectionLine(in_place=False)
    for attempt in range(1, 100):
        line.tell(events.Reconnecting(GONE, 5.0, attempt))
    told = [row.rpartition("attempt ")[2] for row in written().splitlines()]
    assert told == ["1)", "2)", "4)", "8)", "16)", "32)", "64)"]


def test_a_verbose_one_tells_everything_in_full(written: Callable[[], str]) -> None:
    for in_place in (True, False):
        clock = Clock()
        restart(ConnectionLine(verbose=True, in_place=in_place, clock=clock), clock)
        rows = written().splitlines()
        assert len(rows) == 9
        assert rows[-1].startswith(f"listening again on {WHERE}")


def test_of_several_brokers_the_return_says_which(written: Callable[[], str]) -> None:
    line = ConnectionLine(in_place=True, several=True)
    line.tell(events.Disconnected(GONE))
    line.tell(events.Reconnected("chat at amqp://b/", 2.0))
    assert screen_of(written()) == ["reconnected to chat at amqp://b/ after 2.0 s, messages may be missing"]


def test_a_sender_says_what_it_sends_again(written: Callable[[], str]) -> None:
    line = ConnectionLine(in_place=True)
    line.tell(events.Disconnected(GONE))
    line.tell(events.Reconnected(WHERE, 2.0, unconfirmed=3))
    assert screen_of(written()) == ["reconnected after 2.0 s, sending 3 unconfirmed messages again"]


# the announcement


def test_the_announcement_fits_80_columns() -> None:
    assert listening(WHERE, [], cut=True) == [f"listening on {WHERE} (Ctrl+C ends)"]
    note = "names are not checked here"
    assert listening("chat at local:///r.db", [note], cut=True) == [
        f"listening on chat at local:///r.db ({note}; Ctrl+C ends)"
    ]
    for length in range(20, 300):
        for letter in ("x", "漢", "\u0430"):
            lines = listening(f"chat at local:///{letter * length}", [note], cut=True)
            assert all(width(line) <= COLUMNS for line in lines), (length, letter)
            assert "\n".join(lines).count(note) == 1


def test_a_log_gets_the_whole_address() -> None:
    where = f"chat at local:///{'x' * 200}"
    assert listening(where, [], cut=False) == [f"listening on {where}"]
