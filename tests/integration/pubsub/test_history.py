"""A room's history on Pub/Sub: its topic's retention, read by time, and caught up from after a lost connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import pytest
from google.pubsub_v1 import types

from kchat import NotAuthorised, Refused, Sender, Settings, SettingsError, Subscriber, events
from kchat.client.connection import connect as kchat_connect
from kchat.transports import TRANSPORTS
from kchat.transports.history import HistoryPolicy, HistoryStatus
from kchat.transports.pubsub import history
from tests.brokers.proxy import Proxy
from tests.brokers.pubsub import Emulator
from tests.brokers.wait import Deadline, soon, wait_until
from tests.contract.people import drain
from tests.integration.pubsub.answering import Answer, Service, answering

ROOM = "chat"


@pytest.fixture
def settings(project: str) -> Settings:
    return Settings.resolve(url=f"pubsub://{project}", room=ROOM)


@pytest.fixture
def connection(settings: Settings) -> Iterator[Any]:
    found, _ = kchat_connect(settings, purpose="history")
    with closing(found):  # type: ignore[type-var]  # Kombu's
        yield found


@pytest.fixture
def policy() -> HistoryPolicy:
    return TRANSPORTS["pubsub"].history(ROOM)


def test_the_host_switches_it_on_and_changes_how_long_it_keeps(
    settings: Settings, policy: HistoryPolicy, connection: Any
) -> None:
    with Sender(settings, "ada") as sender:
        sender.send("the room is there")
    assert policy.status(connection) is None
    for keep in (3600.0, 86400.0, 600.0):
        policy.switch_on(connection.channel(), keep=keep)
        assert policy.status(connection) == HistoryStatus(None, keep=keep)
    for keep in (599.0, 32 * 86400.0):
        with pytest.raises(SettingsError, match="10 minutes to 31 days"):
            policy.switch_on(connection.channel(), keep=keep)
    with pytest.raises(Refused, match="deletes no messages") as refused:
        policy.clear(connection.channel())
    assert "kchat history off" in str(refused.value.hint)
    with pytest.raises(Refused, match="emulator"):
        policy.switch_off(connection.channel())


def test_switching_it_on_makes_the_room(policy: HistoryPolicy, connection: Any) -> None:
    policy.switch_on(connection.channel(), keep=600.0)
    assert policy.status(connection) == HistoryStatus(None, keep=600.0)


class Elsewhere:
    """A connection to a server that answers as the test says, and its notes."""

    def __init__(self, connection: Any, notes: Service) -> None:
        self.connection = connection
        self.notes = notes
        connection.connection.clients.emulator = ""  # it is to be the service


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Elsewhere]]:
    with ExitStack() as stack:

        def make(**answers: Answer) -> Elsewhere:
            address, notes = stack.enter_context(answering(**answers))
            monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
            settings = Settings.resolve(url="pubsub://project", room=ROOM)
            found, _ = kchat_connect(settings, purpose="history")
            stack.callback(found.release)
            return Elsewhere(found, notes)

        yield make


def test_an_account_that_may_not_change_the_topic_gets_the_command_for_one_that_may(
    policy: HistoryPolicy, elsewhere: Callable[..., Elsewhere]
) -> None:
    there = elsewhere()
    for do, words in (
        (lambda channel: policy.switch_on(channel, keep=3600.0), "--message-retention-duration=3600s"),
        (policy.switch_off, "--clear-message-retention-duration"),
    ):
        with pytest.raises(NotAuthorised) as refused:
            do(there.connection.channel())
        command = f"gcloud pubsub topics update chat --project project {words}"
        assert str(refused.value.hint).endswith(command)


def test_off_clears_the_retention_and_nothing_else(
    policy: HistoryPolicy, elsewhere: Callable[..., Elsewhere]
) -> None:
    there = elsewhere(UpdateTopic=lambda request: request.topic)
    policy.switch_off(there.connection.channel())
    request = types.UpdateTopicRequest.pb(there.notes.wait_for("UpdateTopic"))
    assert list(request.update_mask.paths) == ["message_retention_duration"]
    assert request.topic.name == "projects/project/topics/chat"
    assert not request.topic.HasField("message_retention_duration")


def test_a_reader_of_the_service_seeks_back_by_a_margin(elsewhere: Callable[..., Elsewhere]) -> None:
    there = elsewhere(
        GetTopic=lambda _: types.Topic(
            name="t", message_retention_duration={"seconds": 600}, labels={"kchat-type": "fanout"}
        ),
        CreateTopic=lambda request: request,
        CreateSubscription=lambda request: request,
        Seek=lambda _: types.SeekResponse(),
        StreamingPull=lambda _: types.StreamingPullResponse(),
    )
    room = TRANSPORTS["pubsub"].room(ROOM)
    place = room.take_place(there.connection.channel(), "bob", after=history.After(1e9 + 0.25))
    cursor = history.Cursor()
    assert cursor.join(there.connection, place.queue.name, history.After(1e9 + 0.25))
    assert there.notes.wait_for("Seek").time.timestamp() == 1e9 + 0.25


def test_last_is_refused_with_what_helps(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="only by time") as refused:
        Subscriber(settings, "bob", last=5)
    assert "--since 1h" in str(refused.value.hint)


def test_since_in_a_room_without_a_history_is_one_clear_error(settings: Settings) -> None:
    with pytest.raises(Refused, match="chat has no history: its host has not switched it on"):
        Subscriber(settings, "bob", since=time.time() - 60).open()


def test_since_begins_with_what_came_since_and_goes_on_live(
    settings: Settings, policy: HistoryPolicy, connection: Any
) -> None:
    policy.switch_on(connection.channel(), keep=600.0)
    with Sender(settings, "ada") as sender:
        for text in ("a", "b", "c"):
            sender.send(text)
        with Subscriber(settings, "bob", since=time.time() - 300) as subscriber:
            sender.send("live")
            assert [message.text for message in drain(subscriber, 4)] == ["a", "b", "c", "live"]
        with Subscriber(settings, "bob") as subscriber:
            sender.send("live, too")
            assert [message.text for message in drain(subscriber, 1)] == ["live, too"]


@pytest.fixture
def link(pubsub_emulator: Emulator) -> Iterator[Proxy]:
    with Proxy(pubsub_emulator.port, pubsub_emulator.host) as proxy:
        yield proxy


def read_until(
    subscriber: Subscriber, texts: list[str], done: Callable[[], object], seconds: float = 60.0
) -> None:
    deadline = Deadline(soon(seconds))
    while not done():
        assert not deadline.passed, texts
        texts += [message.text for message in subscriber.receive(timeout=0.2)]
        subscriber.acknowledge()


@pytest.mark.parametrize("foreign", [False, True])
def test_a_reader_that_was_cut_off_misses_nothing_and_gets_nothing_twice(
    settings: Settings,
    policy: HistoryPolicy,
    connection: Any,
    link: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    foreign: bool,
) -> None:
    policy.switch_on(connection.channel(), keep=600.0)
    channel = connection.channel()
    told: list[events.Event] = []
    texts: list[str] = []
    sent: list[str] = []

    def say(text: str) -> None:
        sent.append(text)
        if foreign:  # all alike, and without an id
            channel.basic_publish(channel.prepare_message(text[:4]), exchange=ROOM, routing_key="ada")
        else:
            sender.send(text)

    def back() -> list[events.Reconnected]:
        return [event for event in told if isinstance(event, events.Reconnected)]

    def came_back(times: int) -> bool:
        return len(back()) > times

    with Sender(settings, "ada") as sender:
        sender.send("before anybody came")
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"{link.host}:{link.port}")
        with Subscriber(settings, "bob", on_event=told.append) as subscriber:
            for number in range(3):
                for each in range(10):
                    say(f"live {number} {each}")
                read_until(subscriber, texts, lambda: len(texts) >= len(sent))
                link.refuse()
                for each in range(20):
                    say(f"away {number} {each}")
                read_until(
                    subscriber, texts, lambda: any(isinstance(each, events.Disconnected) for each in told)
                )
                told[:] = [event for event in told if isinstance(event, events.Reconnected)]
                link.restore()
                read_until(subscriber, texts, partial(came_back, number))
                read_until(subscriber, texts, lambda: len(texts) >= len(sent))
            say("the end")
            read_until(subscriber, texts, lambda: len(texts) >= len(sent))
    assert texts == [text[:4] if foreign else text for text in sent]
    assert [event.caught_up for event in back()] == [20, 20, 20]
    assert "20 messages caught up" in str(back()[-1])


def test_a_reader_in_a_room_without_a_history_is_told_that_it_may_have_missed_some(
    settings: Settings, link: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[events.Event] = []
    texts: list[str] = []
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"{link.host}:{link.port}")
    with Subscriber(settings, "bob", on_event=told.append) as subscriber, Sender(settings, "ada") as sender:
        sender.send("before")
        read_until(subscriber, texts, lambda: texts)
        link.refuse()
        read_until(subscriber, texts, lambda: told)
        link.restore()
        read_until(subscriber, texts, lambda: any(isinstance(each, events.Reconnected) for each in told))
    (event,) = (each for each in told if isinstance(each, events.Reconnected))
    assert event.caught_up is None
    assert "may have been missed" in str(event)


class Info:
    """A delivery, as far as a cursor looks at it."""

    def __init__(self, key: str, published: float) -> None:
        self.delivery_info = {"message_id": key, "publish_time": published}


class Declared:
    """A connection with one queue, as far as a cursor looks at it."""

    def __init__(self, begins_at: float | None) -> None:
        self.begins_at = begins_at
        self.connection = self.definitions = self

    def declared(self, _: str) -> Declared:
        return self


def test_a_cursor_remembers_what_came_within_its_margin_and_never_goes_behind_what_it_forgot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cursor: Any = history.Cursor()
    assert cursor.after(1.0) is None
    assert not cursor.join(Declared(1000.0), "queue", None)
    assert cursor.after(1.0).since == 1000.0  # it has asked for what came since then
    for number in range(200):
        assert cursor.take(Info(f"{number}", 2000.0 + number))
    assert cursor.after(1.0).since == 2199.0 - history.MARGIN
    again = [number for number in range(200) if 2000.0 + number >= 2199.0 - history.MARGIN]
    assert not any(cursor.take(Info(f"{number}", 2000.0 + number)) for number in again)
    monkeypatch.setattr(history, "_MOST", 10)
    assert all(cursor.take(Info(f"many {number}", 2200.0 + number / 100)) for number in range(1000))
    since = cursor.after(1.0).since
    for number in range(1000):
        if 2200.0 + number / 100 > since:
            assert not cursor.take(Info(f"many {number}", 2200.0 + number / 100))


def test_what_is_caught_up_ends_with_what_is_newer_or_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    cursor: Any = history.Cursor()
    now = time.time()
    cursor.join(Declared(None), "queue", None)
    assert cursor.join(Declared(now - 60), "queue", cursor.after(1.0))
    assert cursor.is_behind
    assert cursor.take(Info("a", now - 10))
    assert cursor.is_behind
    assert cursor.take(Info("live", now + 3600))
    assert not cursor.is_behind
    assert cursor.take_count() == 1
    monkeypatch.setattr(history, "_STARTING", 0.0)
    assert cursor.join(Declared(now - 60), "queue", cursor.after(1.0))
    wait_until(lambda: not cursor.is_behind, 5)
    assert not cursor.join(Declared(None), "queue", cursor.after(1.0))
