"""A room's history: the same messages everywhere, also after a lost connection; and it can be seen and ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from time import time
from typing import Any

import pytest

from kchat import Refused, Sender, SettingsError, Subscriber, events
from kchat.client.catching_up import CatchUp
from kchat.client.connection import connect
from kchat.hosting import history
from kchat.transports.history import HistoryStatus
from tests.brokers.wait import Deadline, soon, wait_until
from tests.contract.conftest import Can
from tests.contract.people import SECONDS, Heard, People, drain
from tests.contract.places import Place

HOUR = 3600.0
"""Seconds that rooms keep messages here."""


class Host:
    """Whoever switches a room's history on and off."""

    def __init__(self, place: Place, room: str, connection: Any) -> None:
        self.policy = place.info.history(room)
        self._connection = connection

    def switch_on(self, keep: float = HOUR) -> None:
        self.policy.switch_on(self._connection.channel(), keep=keep)

    @property
    def status(self) -> HistoryStatus | None:
        return self.policy.status(self._connection)

    def switch_off(self) -> None:
        self.policy.switch_off(self._connection.channel())

    def clear(self) -> None:
        self.policy.clear(self._connection.channel())


@contextmanager
def host_of(place: Place, room: str) -> Iterator[Host]:
    connection, _ = connect(place.settings(room), purpose="history")
    with closing(connection):  # type: ignore[type-var]  # Kombu's
        yield Host(place, room, connection)


@pytest.fixture
def host(place: Place, room: str) -> Iterator[Host]:
    """The room's host."""
    with host_of(place, room) as host:
        yield host


def read(place: Place, room: str, count: int, **begin: Any) -> list[str]:
    """What a subscriber gets, up to a number of messages."""
    with Subscriber(place.settings(room), "late", **begin) as subscriber:
        return [message.text for message in drain(subscriber, count)]


# ---- promise 9: --last, --since (and --until) give the same messages on every transport that can


@pytest.mark.promise("the room's history where it can have one")
def test_a_room_without_a_history_is_one_clear_error(
    people: People, place: Place, room: str, host: Host, can: Can
) -> None:
    options = ("--last", "10")
    if not can("history"):
        with pytest.raises(SettingsError, match="no history"):
            Subscriber(place.settings(room), "bob", last=10)
    elif place.info.always_keeps_history:
        return
    elif not host.policy.by_number:
        options = ("--since", "10m")
    people.say(room, "the room is there")
    refused = people.run("subscribe", "--url", place.way.url, "--room", room, *options, "--idle-timeout", "5")
    assert refused.wait() in (1, 2)
    assert "no history" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.promise("--last N: the last N, in order, then live")
def test_last_begins_with_that_many(people: People, place: Place, room: str, host: Host, can: Can) -> None:
    if not can("history"):
        return
    if not can("last"):
        with pytest.raises(SettingsError, match="only by time") as refused:
            Subscriber(place.settings(room), "bob", last=10)
        assert "--since 1h" in str(refused.value.hint)
        ended = people.run("subscribe", "--url", place.way.url, "--room", room, "--last", "10")
        assert ended.wait() == 2
        assert "only by time" in ended.stderr
        return
    host.switch_on()
    people.say_here(room, *map(str, range(1, 6)))
    listener = people.process_listener(room, "--last", "3")
    people.say(room, "live")
    assert listener.hear(4) == [Heard("ada", text) for text in ("3", "4", "5", "live")]
    for last, count in ((1, 1), (6, 6), (1000, 6)):
        assert read(place, room, count, last=last) == ["1", "2", "3", "4", "5", "live"][-count:]


@pytest.mark.promise("--last N: the last N, in order, then live")
def test_what_is_said_while_one_joins_comes_once_and_in_order(
    people: People, place: Place, room: str, host: Host, can: Can, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (can("history") and can("last")):
        return
    host.switch_on()
    people.say_here(room, "1", "2", "3")
    join = CatchUp.join

    def late(self: CatchUp, *link: Any) -> None:  # its queue is bound, and it has not read yet
        people.say_here(room, "4", "5", "6")
        join(self, *link)

    monkeypatch.setattr(CatchUp, "join", late)
    with Subscriber(place.settings(room), "late", last=2) as subscriber:
        people.say_here(room, "7")
        heard = [message.text for message in drain(subscriber, 6 if place.info.history(room).beside else 2)]
    assert heard == list("1234567")[-len(heard) :]
    assert heard[-1] == "7"


@pytest.mark.promise("--last N: the last N, in order, then live")
@pytest.mark.parametrize("option", ["last", "since"])
def test_a_durable_queue_begins_so_only_where_it_is_new(
    people: People, place: Place, room: str, host: Host, can: Can, option: str
) -> None:
    if not (can("history") and can("durable") and (option == "since" or can("last"))):
        return
    host.switch_on()
    begin = {option: 3 if option == "last" else time() - HOUR}
    people.say_here(room, "1", "2", "3")
    assert read(place, room, 3, durable="keeper", **begin) == ["1", "2", "3"]
    people.say_here(room, "4")
    assert read(place, room, 1, durable="keeper", **begin) == ["4"]


@pytest.mark.promise("--since T: what came since then, in order, then live")
def test_since_begins_with_what_came_since(
    people: People, place: Place, room: str, host: Host, can: Can
) -> None:
    if not can("history"):
        return
    host.switch_on()
    people.say_here(room, *map(str, range(1, 6)))
    listener = people.process_listener(room, "--since", "30m")
    # Nothing has come since a moment that is still to come; some brokers count in whole seconds.
    with Subscriber(place.settings(room), "later", since=time() + 10) as later:
        people.say(room, "live")
        assert listener.hear(6) == [Heard("ada", text) for text in ("1", "2", "3", "4", "5", "live")]
        assert [message.text for message in drain(later, 1)] == ["live"]


@pytest.mark.promise("a quiet room shows nothing that is too old")
def test_a_quiet_room_shows_nothing_that_is_older_than_it_keeps(
    request: pytest.FixtureRequest, people: People, place: Place, room: str, host: Host, can: Can
) -> None:
    if not can("history"):
        return
    if place.least_keep > 2:
        request.node.user_properties.append(("not here", f"it keeps {place.least_keep:.0f} s at least"))
        return
    host.switch_on(keep=2)
    begins: list[dict[str, Any]] = [{"since": time() - HOUR}, {}, *([{"last": 9}] if can("last") else [])]

    def held(begin: dict[str, Any]) -> list[str]:
        return [message.text for message in history.read(place.settings(room), **begin)]

    def is_shown(begin: dict[str, Any]) -> bool:
        people.say_here(room, "said")
        return "said" in held(begin)

    for begin in begins:
        wait_until(partial(is_shown, begin), SECONDS)  # a busy machine may be slower than it keeps
    for begin in begins:
        wait_until(lambda: held(begin) == [], SECONDS)  # noqa: B023 - called at once
    status = host.status
    assert status is not None
    assert (status.messages, status.since, status.keep) == (0, None, 2)
    begin = begins[-1]
    with Subscriber(place.settings(room), "late", **(begin or {"since": 0.0})) as subscriber:
        people.say_here(room, "live")
        assert [message.text for message in drain(subscriber, 1)] == ["live"]


@pytest.mark.promise("history holds what foreign programs sent")
def test_what_foreign_programs_publish_is_kept(
    request: pytest.FixtureRequest, people: People, place: Place, room: str, host: Host, can: Can
) -> None:
    if not can("history"):
        return
    host.switch_on()
    if not place.keeps_foreign:
        request.node.user_properties.append(("cannot", "foreign history"))
        place.publish(room, b"foreign")
        people.say_here(room, "ours")
        assert read(place, room, 1, since=time() - HOUR) == ["ours"]
        return
    for body in (b"foreign", b"alike", b"alike"):
        place.publish(room, body)
        # Pub/Sub promises no order to what has no ordering key.
    assert sorted(read(place, room, 3, since=time() - HOUR)) == ["alike", "alike", "foreign"]


# ---- promise 8: nobody misses a message without being told, and what is in the history is caught up


@pytest.mark.promise("a lost connection is caught up, or said")
@pytest.mark.parametrize("kept", [True, False], ids=["with history", "without"])
def test_a_reader_that_was_cut_off_catches_up_or_is_told(
    request: pytest.FixtureRequest, people: People, place: Place, room: str, host: Host, can: Can, kept: bool
) -> None:
    if not can("processes"):
        return
    if kept:
        if not can("history"):
            return
        host.switch_on()
    elif place.info.always_keeps_history:
        return
    people.say_here(room, "before anybody came")
    with place.link() as link:
        if link is None:
            request.node.user_properties.append(("not here", "the way there cannot be cut"))
            return
        listener = people.listener_by(link.way, room)
        people.say_here(room, "1", "2")
        assert listener.texts(2) == ["1", "2"]
        link.cut()
        missed = [f"missed {number}" for number in range(20)]
        people.say_here(room, *missed)
        listener.process.wait_for("connection lost", seconds=SECONDS)
        link.mend()
        listener.process.wait_for("listening again", seconds=2 * SECONDS)
        if kept:
            wait_until(lambda: "20 messages caught up" in listener.process.stderr, SECONDS)
            people.say_here(room, "after")
            assert listener.texts(23) == ["1", "2", *missed, "after"]
        else:
            people.say_here(room, "after")
            wait_until(lambda: listener.texts(3)[-1] == "after", SECONDS)
            texts = listener.texts(3)
            assert len(texts) == len(set(texts))
            assert texts == ["1", "2", *missed[len(missed) - len(texts) + 3 :], "after"]
            assert "messages sent meanwhile may have been missed" in listener.process.stderr


@pytest.mark.promise("a slow reader gets all, or the number of those it missed")
@pytest.mark.parametrize("kept", [True, False], ids=["with history", "without"])
def test_a_slow_reader_gets_all_or_is_told_how_many_it_missed(
    place: Place, room: str, host: Host, can: Can, kept: bool
) -> None:
    if kept:
        if not can("history"):
            return
        host.switch_on()
    many = 4 * place.sends
    told: list[events.Event] = []
    with (
        Sender(place.settings(room), "ada") as sender,
        Subscriber(
            place.settings(room), "slow", prefetch=5, queue_length=many // 8, on_event=told.append
        ) as subscriber,
    ):
        for receipt in sender.send_many(map(str, range(many))):
            assert receipt.confirmed
        texts: list[str] = []
        deadline = Deadline(soon(2 * SECONDS))
        while not texts or texts[-1] != "the end":
            assert not deadline.passed, texts[-1:]
            texts += [message.text for message in subscriber.receive(timeout=0.5)]
            subscriber.acknowledge()
            if texts[-1:] == [str(many - 1)]:
                sender.send("the end")
    missed = sum(event.count or 0 for event in told if isinstance(event, events.Dropped))
    assert texts == [str(number) for number in range(many) if str(number) in set(texts)] + ["the end"]
    assert len(texts) - 1 + missed == many
    if kept:
        assert missed == 0


# ---- promise 10: what outlives its process can be listed and ended, and is bounded


@pytest.mark.promise("history can be listed and ended")
def test_a_history_can_be_seen_and_ended(
    request: pytest.FixtureRequest, people: People, place: Place, room: str, host: Host, can: Can
) -> None:
    if not can("history"):
        return
    people.say_here(room, "the room is there")
    assert place.info.always_keeps_history or host.status is None
    host.switch_on()
    people.say_here(room, "1", "2")
    status = host.status
    assert status is not None
    assert status.messages in (None, 2 + place.info.always_keeps_history)
    if place.info.always_keeps_history:
        assert host.policy.limits_by_host
        with pytest.raises(Refused, match="always has a history"):
            host.switch_off()
        host.clear()
        assert host.status is not None
        assert host.status.messages == 0
        return
    if place.no_history_off:
        request.node.user_properties.append(("not here", place.no_history_off))
        with pytest.raises(Refused):
            host.switch_off()
        return
    host.switch_off()
    assert host.status is None
    with (
        pytest.raises((Refused, SettingsError), match="no history"),
        closing(Subscriber(place.settings(room), "bob", since=time() - HOUR)) as subscriber,
    ):
        subscriber.open()
