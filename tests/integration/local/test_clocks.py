"""Senders' clocks may be wrong, and be set back and forth: nobody's messages are hidden or deleted for it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kchat import Message, Sender, Settings
from kchat.hosting import history
from kchat.transports.local import clock, definitions
from kchat.transports.local.clock import Reading
from tests.integration.local.conftest import Connect
from tests.integration.local.drive import change_limits, get_all, listen, own_queue, rest, send

DAY = 86400.0


class Clocks:
    """The machine's clocks: time that passes is set by the test, and so is an error of the clock on the wall."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed = self.error = 0.0
        self.boot = "one"
        wall, kernel = time.time, clock._kernel
        monkeypatch.setattr(time, "time", lambda: wall() + self.passed + self.error)
        monkeypatch.setattr(clock, "_kernel", lambda: kernel() + self.passed)
        monkeypatch.setattr(clock, "_boot", lambda: self.boot)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


@pytest.fixture
def say(connect: Connect, clocks: Clocks) -> Any:
    """Send texts as a separate program would whose clock is wrong by a number of seconds."""
    connect().channel().exchange_declare("chat", "fanout")

    def send_with(error: float, *texts: str) -> None:
        clocks.error = error
        sender = connect()
        send(sender.channel(), *texts, exchange="chat")
        sender.connection.publisher._prune()
        sender.release()
        clocks.error = 0.0

    return send_with


def shown(connect: Connect, **arguments: Any) -> list[str]:
    connection = connect()
    channel = connection.channel()
    own = rest(connection, listen(channel, own_queue(channel, "chat", **arguments)))
    # A queue that several may share begins with the same.
    channel.queue_declare(
        "shared", arguments={name.replace("_", "-"): each for name, each in arguments.items()}
    )
    channel.queue_bind("shared", "chat")
    assert get_all(channel, "shared") == own
    channel.queue_delete("shared")
    connection.release()
    return own


HOUR = 3600.0
YEAR = 365 * DAY

STEPS = {
    "right all the time": [(0, 0, "a b c"), (1, 0, "d"), (1.5, 0, "e f")],
    "a year back for a while": [(0, 0, "a b c"), (1, -YEAR, "d"), (2, 0, "e")],
    "a year back for longer": [(0, 0, "a b c"), (1, -YEAR, "d e f g"), (5, 0, "h")],
    "an hour back": [(0, 0, "a b"), (1, 0, "c"), (1.5, -HOUR, "d e"), (2.5, 0, "f")],
    "far ahead once": [(0, 0, "a b c"), (1, 30 * DAY, "d"), (2, 0, "e f")],
    "in 2090": [(0, 64 * YEAR, "a"), (1, 0, "b c"), (2, 0, "d")],
    "in 1970 at first": [(0, -1.7e9, "a b"), (1, 0, "c"), (2, -1.7e9, "d"), (3, 0, "e")],
    "a year back to the end": [(0, 0, "a"), (20, -YEAR, "b"), (40, -YEAR, "c"), (41, -YEAR, "d e")],
    "back and forth with every message": [(n, 10 * DAY * (-1) ** n, f"m{n}") for n in range(8)],
}
"""What is said: after how many hours, by a clock that is wrong by how many seconds."""


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_last_shows_all_and_since_all_that_came_since_whatever_the_clocks_were(
    connect: Connect, say: Any, clocks: Clocks, steps: list[tuple[float, float, str]]
) -> None:
    everything = []
    for hours, error, texts in steps:
        clocks.passed = hours * HOUR
        say(error, *texts.split())
        everything += [(text, hours) for text in texts.split()]
    clocks.passed += 600
    assert shown(connect, x_history_last=100) == [text for text, _ in everything]
    assert shown(connect, x_history_last=2) == [text for text, _ in everything][-2:]
    now = time.time()
    for age in (0.25, 0.75, 1.25, 3.25, 30, 400 * 24):
        recent = [text for text, hours in everything if clocks.passed / HOUR - hours <= age]
        assert shown(connect, x_history_since=now - age * HOUR) == recent, age
        assert shown(connect, x_history_since=now - age * HOUR, x_history_last=2) == recent[-2:]


def test_since_tells_messages_of_one_minute_apart_by_their_times(
    connect: Connect, say: Any, clocks: Clocks
) -> None:
    say(0, "a day before")
    clocks.passed = DAY
    for text in ("a", "b", "c"):
        say(0, text)
        clocks.passed += 5
    say(-YEAR, "by a wrong clock")
    assert shown(connect, x_history_since=time.time() - 12) == ["b", "c", "by a wrong clock"]


@pytest.mark.parametrize("off", [0.5 * DAY, 3 * DAY, 40 * DAY])
def test_what_came_before_the_machine_was_off_is_as_old_as_it_says(
    connect: Connect, say: Any, clocks: Clocks, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    say(0, "before")
    clocks.passed = HOUR
    say(0, "an hour later")
    clocks.boot = "two"
    clocks.passed += off
    started = clocks.passed
    monkeypatch.setattr(clock, "_kernel", lambda: 5.0 + clocks.passed - started)
    assert shown(connect, x_history_since=time.time() - off - 60) == ["an hour later"]
    say(0, "after")
    clocks.passed += HOUR
    say(-YEAR, "by a wrong clock")
    clocks.passed += HOUR
    say(0, "the last one")
    new = ["after", "by a wrong clock", "the last one"]
    assert shown(connect, x_history_since=time.time() - off) == new
    assert shown(connect, x_history_since=time.time() - 1.5 * HOUR) == new[1:]
    assert shown(connect, x_history_since=time.time() - off - 2.5 * HOUR) == ["an hour later", *new]
    assert shown(connect, x_history_since=time.time() - 2 * off - DAY) == ["before", "an hour later", *new]


def test_when_a_message_came_is_by_the_rooms_clock(connect: Connect, say: Any, clocks: Clocks) -> None:
    for error in (0, 365 * DAY, -365 * DAY, 0):
        say(error, "x")
        clocks.passed += HOUR
    connection = connect()
    channel = connection.channel()
    arrived = listen(channel, own_queue(channel, "chat", x_history_since=0.0))
    rest(connection, arrived)
    assert [time.time() - each.came_at for each in arrived] == pytest.approx(
        [4 * HOUR, 3 * HOUR, 2 * HOUR, HOUR], abs=90
    )
    channel.queue_declare("shared", arguments={"x-history-since": 0.0})
    channel.queue_bind("shared", "chat")
    shared = listen(channel, "shared")
    rest(connection, shared)
    assert [each.came_at for each in shared] == [None] * 4, (
        "a row of a queue's own has no place in the history"
    )


def test_until_goes_by_the_rooms_clock(local_url: str) -> None:
    settings = Settings.resolve(url=local_url)
    ahead = datetime.now(UTC) + timedelta(days=365)
    with Sender(settings, "ada") as sender:
        sender.send(Message.compose("ada", "ahead", sent_at=ahead))
    time.sleep(1.1)
    now = time.time()
    for until, texts in ((now - 1, ["ahead"]), (now - HOUR, [])):
        found = history.read(settings, since=now - 2 * HOUR, until=until)
        assert [message.text for message in found] == texts


def test_live_messages_are_delivered_whatever_their_time(connect: Connect, say: Any) -> None:
    say(0, "before")
    connection = connect()
    channel = connection.channel()
    arrived = listen(channel, own_queue(channel, "chat", x_history_since=time.time() - 60))
    say(-365 * DAY, "now")
    assert rest(connection, arrived) == ["before", "now"]


def test_since_finds_wrong_times_among_many_beyond_a_mark(connect: Connect, say: Any, clocks: Clocks) -> None:
    for text in ("first", "second"):
        say(-365 * DAY, *("x" * 1000 for _ in range(1500)))
        clocks.passed += HOUR
        say(-365 * DAY, text)
    assert shown(connect, x_history_since=time.time() - 60) == ["second"]
    assert shown(connect, x_history_since=time.time() - 1.5 * HOUR)[::1501] == ["first", "second"]


def test_a_sender_whose_clock_is_ahead_deletes_nothing_and_one_in_2090_stops_no_pruning(
    connect: Connect, say: Any, clocks: Clocks
) -> None:
    say(64 * 365 * DAY, "from 2090")
    say(0, "a", "b")
    say(10 * DAY, "from a sender ahead")
    assert shown(connect, x_history_last=9) == ["from 2090", "a", "b", "from a sender ahead"]
    # Eight days pass, by the kernel's clock.
    clocks.passed = 8 * DAY
    say(0, "c")
    say(0, "d")
    assert shown(connect, x_history_last=9) == ["c", "d"]


def test_history_goes_after_its_time_has_passed_and_not_before(
    connect: Connect, say: Any, clocks: Clocks
) -> None:
    change_limits(connect().connection.store, history_max_age=100.0)
    for seconds, texts in ((0, "a"), (40, "b"), (80, "c"), (120, "d"), (160, "e")):
        clocks.passed = seconds
        say(0, texts)
    assert shown(connect, x_history_last=9) == ["c", "d", "e"]


def test_time_that_passes_is_the_kernels_and_between_starts_the_walls_up_to_a_day() -> None:
    then = Reading(wall=1000.0, kernel=50.0, boot="one")
    for now, passed in (
        (Reading(1010.0, 60.0, "one"), 10.0),
        (Reading(1000.0 + 10 * DAY, 60.0, "one"), 10.0),  # set forward
        (Reading(5.0, 60.0, "one"), 10.0),  # set back
        (Reading(1010.0, 5.0, "two"), 10.0),  # started anew
        (Reading(1000.0 + 10 * DAY, 5.0, "two"), DAY),
        (Reading(5.0, 5.0, "two"), 0.0),
        (Reading(1010.0, 90 * DAY, "another machine"), 10.0),
    ):
        assert now.since(then) == passed, now
    assert Reading(1010.0, 999.0, "").since(Reading(1000.0, 1.0, "")) == 10.0


def test_a_clock_that_is_a_year_ahead_lets_no_durable_queue_expire(connect: Connect, clocks: Clocks) -> None:
    connection = connect()
    channel = connection.channel()
    channel.queue_declare("archive", durable=True, arguments={"x-expires": int(30 * DAY * 1000)})

    def is_there() -> bool:
        definitions.sweep(connection.connection.store)
        return bool(connection.connection.store.value("SELECT count(*) FROM queue WHERE name = 'archive'"))

    clocks.error = 365 * DAY
    assert is_there()
    clocks.error = 0.0
    for days, left in ((29, True), (31, False)):
        clocks.passed = days * DAY
        assert is_there() is left
