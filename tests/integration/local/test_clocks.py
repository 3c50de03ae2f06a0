"""Senders' clocks may be wrong, and be set back and forth: nobody's messages are hidden or deleted for it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kchat.transports.local import clock, definitions
from kchat.transports.local.clock import Reading
from tests.integration.local.conftest import Connect
from tests.integration.local.drive import change_limits, get_all, listen, own_queue, rest, send

DAY = 86400.0


class Wall:
    """The clock on the wall, which the test sets."""

    def __init__(self) -> None:
        self.shift = 0.0
        self._time = time.time

    def time(self) -> float:
        return self._time() + self.shift


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(time, "time", wall.time)
    return wall


@pytest.fixture
def say(connect: Connect, wall: Wall) -> Any:
    """Send texts as a separate program would whose clock is wrong by a number of seconds."""
    connect().channel().exchange_declare("chat", "fanout")

    def send_with(shift: float, *texts: str) -> None:
        wall.shift = shift
        sender = connect()
        send(sender.channel(), *texts, exchange="chat")
        sender.connection.publisher._prune()
        sender.release()
        wall.shift = 0.0

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


STEPS = {
    "right all the time": [(-120, "a b c"), (-60, "d"), (-5, "e f")],
    "a year back for a while": [(-120, "a b c"), (-365 * DAY, "d"), (-5, "e")],
    "a year back for longer": [(-120, "a b c"), (-365 * DAY, "d e f g"), (-5, "h")],
    "an hour back": [(-60, "a b"), (-3600, "c d"), (-5, "e")],
    "far ahead once": [(-120, "a b c"), (30 * DAY, "d"), (-5, "e f")],
    "in 2090": [(64 * 365 * DAY, "a"), (-120, "b c"), (-5, "d")],
    "in 1970 at first": [(-1.7e9, "a b"), (-5, "c"), (-1.7e9, "d"), (-4, "e")],
    "back and forth with every message": [(10 * DAY * (-1) ** n, f"m{n}") for n in range(8)],
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_last_shows_all_and_since_all_that_is_not_older_whatever_the_clocks_were(
    connect: Connect, say: Any, steps: list[tuple[float, str]]
) -> None:
    for shift, texts in steps:
        say(shift, *texts.split())
    everything = [(text, shift) for shift, texts in steps for text in texts.split()]
    assert shown(connect, x_history_last=100) == [text for text, _ in everything]
    assert shown(connect, x_history_last=2) == [text for text, _ in everything][-2:]
    now = time.time()
    for age in (30, 600, 8 * DAY, 400 * DAY):
        recent = [text for text, shift in everything if shift >= -age]
        assert shown(connect, x_history_since=now - age) == recent
        assert shown(connect, x_history_since=now - age, x_history_last=2) == recent[-2:]


def test_live_messages_are_delivered_whatever_their_time(connect: Connect, say: Any) -> None:
    say(-5, "before")
    connection = connect()
    channel = connection.channel()
    arrived = listen(channel, own_queue(channel, "chat", x_history_since=time.time() - 60))
    say(-365 * DAY, "now")
    assert rest(connection, arrived) == ["before", "now"]


def test_since_finds_one_right_time_among_many_wrong_ones_beyond_a_mark(connect: Connect, say: Any) -> None:
    say(-365 * DAY, *("x" * 1000 for _ in range(1500)))
    say(-5, "right")
    say(-365 * DAY, *("x" * 1000 for _ in range(1500)))
    say(-4, "right too")
    assert shown(connect, x_history_since=time.time() - 60) == ["right", "right too"]


def test_a_sender_whose_clock_is_ahead_deletes_nothing_and_one_in_2090_stops_no_pruning(
    connect: Connect, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(64 * 365 * DAY, "from 2090")
    say(0, "a", "b")
    say(10 * DAY, "from a sender ahead")
    assert shown(connect, x_history_last=9) == ["from 2090", "a", "b", "from a sender ahead"]
    # Eight days pass, by the kernel's clock.
    kernel = clock._kernel
    monkeypatch.setattr(clock, "_kernel", lambda: kernel() + 8 * DAY)
    say(0, "c")
    say(0, "d")
    assert shown(connect, x_history_last=9) == ["c", "d"]


def test_history_goes_after_its_time_has_passed_and_not_before(
    connect: Connect, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_limits(connect().connection.store, history_max_age=100.0)
    kernel = clock._kernel
    for seconds, texts in ((0, "a"), (40, "b"), (80, "c"), (120, "d"), (160, "e")):
        monkeypatch.setattr(clock, "_kernel", lambda seconds=seconds: kernel() + seconds)
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


def test_a_clock_that_is_a_year_ahead_lets_no_durable_queue_expire(
    connect: Connect, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect()
    channel = connection.channel()
    channel.queue_declare("archive", durable=True, arguments={"x-expires": int(30 * DAY * 1000)})

    def is_there() -> bool:
        definitions.sweep(connection.connection.store)
        return bool(connection.connection.store.value("SELECT count(*) FROM queue WHERE name = 'archive'"))

    wall.shift = 365 * DAY
    assert is_there()
    wall.shift = 0.0
    now = clock.read()
    for days, left in ((29, True), (31, False)):
        wall.shift = days * DAY
        passed = Reading(now.wall + wall.shift, now.kernel + wall.shift, now.boot)
        monkeypatch.setattr(clock, "read", lambda passed=passed: passed)
        assert is_there() is left
