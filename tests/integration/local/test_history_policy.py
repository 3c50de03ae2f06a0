"""The host's side of a room's history in a file: its limits, what it holds, and that it can be forgotten."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from amqp.exceptions import NotFound

from kchat import Refused, Sender, Settings, Subscriber, events
from kchat.client.connection import connect
from kchat.transports.history import HistoryPolicy, HistoryStatus
from tests.contract.people import drain


@pytest.fixture
def settings(local_url: str) -> Settings:
    return Settings.resolve(url=local_url, room="chat")


@pytest.fixture
def connection(settings: Settings) -> Iterator[Any]:
    found, _ = connect(settings, purpose="history")
    with closing(found):  # type: ignore[type-var]  # Kombu's
        yield found


@pytest.fixture
def policy(settings: Settings) -> HistoryPolicy:
    return settings.transport.history("chat")


def status(policy: HistoryPolicy, connection: Any) -> HistoryStatus:
    found = policy.status(connection)
    assert found is not None
    return found


def last(settings: Settings, count: int, wanted: int) -> list[str]:
    with Subscriber(settings, "bob", last=count) as subscriber:
        return [message.text for message in drain(subscriber, wanted)] if wanted else _now(subscriber)


def _now(subscriber: Subscriber) -> list[str]:
    return [message.text for message in subscriber.receive(timeout=0.5)]


def test_the_status_tells_what_the_room_holds(
    settings: Settings, policy: HistoryPolicy, connection: Any
) -> None:
    assert status(policy, connection) == (0, None, 0, 7 * 86400.0, 256 * 1024 * 1024)
    began = time.time()
    with Sender(settings, "ada") as sender:
        sender.send("a")
        sender.send("b" * 10_000)
        found = status(policy, connection)
    assert found.messages == 2
    assert found.since is not None
    assert began <= found.since <= time.time()
    assert found.size is not None
    assert 10_000 < found.size < 20_000
    assert (found.keep, found.max_size) == (7 * 86400.0, 256 * 1024 * 1024)
    assert status(policy, connection) == found


def test_the_host_makes_the_limits_smaller_and_larger_and_they_hold(
    settings: Settings, policy: HistoryPolicy, connection: Any
) -> None:
    policy.switch_on(connection.channel(), keep=3600.0, max_size=100_000)
    assert status(policy, connection)[3:] == (3600.0, 100_000)
    with Sender(settings, "ada") as sender:
        list(sender.send_many(["x" * 1000] * 2000))
        sender.send("the last one")
    held = status(policy, connection).messages
    assert held is not None
    assert held < 1500
    policy.switch_on(connection.channel(), keep=86400.0, max_size=64_000_000)
    assert status(policy, connection)[3:] == (86400.0, 64_000_000)


def test_a_room_in_a_file_cannot_be_without_a_history(policy: HistoryPolicy, connection: Any) -> None:
    with pytest.raises(Refused, match="always has a history"):
        policy.switch_off(connection.channel())


def test_what_is_cleared_is_shown_to_nobody_and_the_room_goes_on(
    settings: Settings, policy: HistoryPolicy, connection: Any
) -> None:
    told: list[events.Event] = []
    with pytest.raises(NotFound):
        policy.clear(connection.channel())
    with Sender(settings, "ada") as sender, Subscriber(settings, "slow", on_event=told.append) as slow:
        list(sender.send_many(map(str, range(3000))))
        policy.clear(connection.channel())
        assert status(policy, connection)[:3] == (0, None, 0)
        assert last(settings, 100, 0) == []
        sender.send("after")
        assert last(settings, 100, 1) == ["after"]
        texts: list[str] = []
        while "after" not in texts:
            texts += [message.text for message in slow.receive(timeout=20)]
            slow.acknowledge()
        policy.clear(connection.channel())
        policy.clear(connection.channel())
        sender.send("again")
        assert last(settings, 100, 1) == ["again"]
        assert status(policy, connection).messages == 1
    assert texts == ["after"]
    assert told == [events.Dropped(3000, pruned=True)]


def test_a_durable_queue_keeps_what_is_cleared(
    settings: Settings, policy: HistoryPolicy, connection: Any
) -> None:
    with Subscriber(settings, "bob", durable="desk"):
        pass
    with Sender(settings, "ada") as sender:
        sender.send("a")
        sender.send("b")
    policy.clear(connection.channel())
    with Subscriber(settings, "bob", durable="desk") as subscriber:
        assert [message.text for message in drain(subscriber, 2)] == ["a", "b"]
