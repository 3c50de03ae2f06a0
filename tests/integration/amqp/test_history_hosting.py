"""A room's history on a real RabbitMQ: its host switches it on and off and limits it, and members can only read it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import kombu
import pika
import pika.exceptions
import pytest

from kchat import (
    Message,
    NotAuthorised,
    Refused,
    Returned,
    Sender,
    Settings,
    SettingsError,
    Subscriber,
    events,
)
from kchat.hosting import history
from kchat.transports.amqp import history_age
from kchat.transports.amqp.accounts import Accounts
from kchat.transports.amqp.history import HistoryPolicy
from kchat.transports.amqp.history_limits import Limits
from kchat.transports.amqp.rights import of_guest
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon, wait_until
from tests.integration.amqp.guests import channel_of, invite, refused, spoil

STREAM = "kchat-history.chat"
LIMITS = "kchat-history.chat.limits"
DAY = 86_400.0
MIB = 1 << 20


@pytest.fixture
def switch_on(settings: Settings, rabbitmq: RabbitMQ) -> Any:
    """Switches the history on, or over, through the management API."""
    return partial(history.switch_on, settings, management_url=rabbitmq.management_url)


@pytest.fixture
def lone(rabbitmq: RabbitMQ, vhost: str) -> Iterator[Settings]:
    """A host with all rights on the virtual host, and none in the management API."""
    with rabbitmq.new_account(vhost, configure=".*", write=".*", read=".*") as account:
        yield Settings.resolve(url=account.url)


def say(settings: Settings, *texts: str) -> None:
    with Sender(settings, "ada") as sender:
        for text in texts:
            sender.send(text)


def held(settings: Settings, **more: Any) -> list[str]:
    """The texts in the history."""
    return [message.text for message in history.read(settings, **more)]


# ---- the host


def test_what_is_sent_is_kept_from_when_the_host_switches_it_on_until_it_is_switched_off(
    settings: Settings, rabbitmq: RabbitMQ, switch_on: Any
) -> None:
    look = partial(history.status, settings, management_url=rabbitmq.management_url)
    assert look() is None
    with pytest.raises(SettingsError, match="has no history"):
        held(settings)
    assert history.switch_off(settings) is False
    assert history.clear(settings) is False
    began = time.time()
    switch_on(keep=DAY, max_size=MIB)
    empty = look()
    assert empty is not None
    assert (empty.messages, empty.since, empty.keep, empty.max_size) == (0, None, DAY, MIB)
    say(settings, "one", "two")
    switch_on(keep=DAY, max_size=MIB)  # again, and nothing is lost
    found = look()
    assert found is not None
    assert found.messages == 2
    assert found.since is not None
    assert began - 2 <= found.since <= time.time() + 1
    assert held(settings) == ["one", "two"]
    assert history.clear(settings, management_url=rabbitmq.management_url)
    say(settings, "three")
    assert held(settings) == ["three"]
    found = look()
    assert found is not None
    assert (found.messages, found.keep, found.max_size) == (1, DAY, MIB)
    assert history.switch_off(settings, management_url=rabbitmq.management_url)
    assert look() is None
    assert rabbitmq.management.get("policies", settings.broker.vhost) == []
    for name in (STREAM, LIMITS):
        assert rabbitmq.management.queue(settings.broker.vhost, name) is None


def test_the_time_of_the_oldest_message_is_the_brokers_and_not_its_senders(
    settings: Settings, switch_on: Any
) -> None:
    switch_on()
    for away in (timedelta(), timedelta(days=-400), timedelta(days=3), timedelta(days=400_000)):
        assert history.clear(settings)
        message = Message.compose("ada", "hello")
        with Sender(settings, "ada") as sender:
            before = time.time()
            sender.send(message._replace(sent_at=datetime.now(UTC) + away))
            after = time.time()
        found = history.status(settings)
        assert found is not None
        assert found.since is not None
        assert before - 2 <= found.since <= after + 1, away


@pytest.mark.parametrize("answers", [1, 2, 5, 12])
def test_an_answer_that_comes_too_late_does_not_change_the_time_of_the_oldest_message(
    settings: Settings, switch_on: Any, answers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a busy broker: what was asked for a time brings nothing at once."""
    switch_on()
    message = Message.compose("ada", "hello", sent_at=datetime.now(UTC) - timedelta(days=400))
    with Sender(settings, "ada") as sender:
        before = time.time()
        sender.send(message)  # by whose clock the search takes many questions
        after = time.time()
    edge = HistoryPolicy._edge
    came = []

    def late(policy: HistoryPolicy, connection: Any, where: Any, *, patient: bool | None = None) -> Any:
        found = edge(policy, connection, where, patient=patient)
        if found is None or patient or not isinstance(where, datetime):
            return found
        came.append(found)
        return None if len(came) == answers else found

    monkeypatch.setattr(HistoryPolicy, "_edge", late)
    found = history.status(settings)
    assert found is not None
    assert found.since is not None
    assert before - 2 <= found.since <= after + 1
    assert came


def test_limits_are_changed_by_a_policy_and_act_at_once(
    settings: Settings, rabbitmq: RabbitMQ, switch_on: Any
) -> None:
    body = "x" * 100_000
    switch_on(max_size=64 * MIB)  # whose segments have 8 MiB each
    with Sender(settings, "ada") as sender:
        assert all(receipt.confirmed for receipt in sender.send_many(f"{n} {body}" for n in range(400)))
    texts = held(settings)
    assert [text.split()[0] for text in texts] == [str(n) for n in range(400)], (
        "also over the ends of segments"
    )
    assert len(held(settings, last=123)) == 123
    switch_on(max_size=8 * MIB)
    wait_until(lambda: len(held(settings)) < 200, 30)
    kept = held(settings)
    assert kept == texts[-len(kept) :], "the oldest have gone"
    switch_on(keep=30 * DAY, max_size=64 * MIB)
    found = history.status(settings, management_url=rabbitmq.management_url)
    assert found is not None
    assert (found.keep, found.max_size) == (30 * DAY, 64 * MIB)
    say(settings, "and more")
    assert held(settings)[-1] == "and more"


def test_another_policy_that_holds_instead_is_told(
    settings: Settings, rabbitmq: RabbitMQ, switch_on: Any
) -> None:
    other = {"pattern": ".*", "definition": {"max-length": 1}, "apply-to": "all", "priority": 5_000}
    rabbitmq.management.request("PUT", ("policies", settings.broker.vhost, "other"), other)
    with pytest.raises(Refused, match="another policy"):
        switch_on()


def test_without_the_management_api_its_limits_are_the_streams_own_and_stay(
    lone: Settings, rabbitmq: RabbitMQ
) -> None:
    history.switch_on(lone, keep=DAY, max_size=MIB)
    say(lone, "one")
    history.switch_on(lone, keep=DAY, max_size=MIB)
    for keep, max_size in ((2 * DAY, MIB), (DAY, 2 * MIB)):
        with pytest.raises(Refused, match="limits of its own, 1d and 1MiB") as caught:
            history.switch_on(lone, keep=keep, max_size=max_size)
        assert "history off" in caught.value.hint
    assert held(lone) == ["one"]
    arguments = rabbitmq.management.queue(lone.broker.vhost, STREAM)
    assert history.clear(lone)
    say(lone, "two")
    assert held(lone) == ["two"]
    again = rabbitmq.management.queue(lone.broker.vhost, STREAM)
    assert arguments is not None
    assert again is not None
    assert (
        arguments["arguments"]
        == again["arguments"]
        == {
            "x-queue-type": "stream",
            "x-max-age": "86400s",
            "x-max-length-bytes": MIB,
            "x-stream-max-segment-size-bytes": MIB,
        }
    )
    found = history.status(lone)
    assert found is not None
    assert (found.messages, found.keep, found.max_size) == (1, DAY, MIB), "as the host has written them down"


def test_limits_of_a_streams_own_can_be_lowered_by_a_policy_and_not_raised(
    lone: Settings, settings: Settings, rabbitmq: RabbitMQ, switch_on: Any
) -> None:
    history.switch_on(lone, keep=DAY, max_size=8 * MIB)
    with pytest.raises(Refused, match="cannot be raised: 1d and 8MiB"):
        switch_on(keep=2 * DAY, max_size=8 * MIB)
    switch_on(keep=DAY / 2, max_size=8 * MIB)
    found = history.status(settings, management_url=rabbitmq.management_url)
    assert found is not None
    assert (found.keep, found.max_size) == (DAY / 2, 8 * MIB)
    with pytest.raises(Refused, match="cannot be changed"):
        history.switch_on(lone, keep=DAY, max_size=4 * MIB)


def test_a_part_of_it_can_be_read_by_time_and_by_number(settings: Settings, switch_on: Any) -> None:
    switch_on()
    say(settings, "one", "two")
    # Times of a stream are in whole seconds here.
    between = float(int(time.time())) + 2
    wait_until(lambda: time.time() > between, 10)
    say(settings, "three", "four")
    assert held(settings, since=between) == ["three", "four"]
    assert held(settings, until=between) == ["one", "two"]
    assert held(settings, since=between, until=time.time() + 60, last=1) == ["four"]
    assert held(settings, last=1, until=between) == ["two"]
    assert held(settings, last=3, since=between) == ["three", "four"]
    for later in (time.time() + 3_600, 1e18, float("inf")):
        assert held(settings, since=later) == []
    assert held(settings, until=between - 3_600) == []


# ---- a quiet room: RabbitMQ deletes nothing before a segment is full


def too_old(settings: Settings) -> None:
    """Wait until all that is held is older than it is kept."""
    wait_until(lambda: held(settings) == [], 30)


def test_nobody_is_shown_what_is_too_old_whatever_the_clocks_of_sender_and_reader_say(
    management: Accounts, settings: Settings, name: str, switch_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_on(keep=DAY)
    member = invite(management, settings, name)
    year = timedelta(days=365)
    for away in (-year, timedelta(), year):
        with Sender(member, "ada") as sender:
            sender.send(Message.compose("ada", f"{away}")._replace(sent_at=datetime.now(UTC) + away))
    everything = [f"{away}" for away in (-year, timedelta(), year)]

    def shown(clock_error: float) -> tuple[list[str], list[str], int | None]:
        """What a reader is shown whose clock is wrong by these seconds."""
        with monkeypatch.context() as patched:
            wall = time.time
            patched.setattr(time, "time", lambda: wall() + clock_error)
            found = history.status(member)
            assert found is not None
            return held(member), held(member, last=3), found.messages

    for error in (-365 * DAY, 0.0, 365 * DAY):
        assert shown(error) == (everything, everything, 3)
    switch_on(keep=1)
    too_old(member)
    for error in (-365 * DAY, 0.0, 365 * DAY):
        assert shown(error) == ([], [], 0)
    assert held(member, since=time.time() - 60) == []
    switch_on(keep=DAY)
    assert held(member, last=2) == everything[-2:], "nothing was deleted yet"
    found = history.status(member)
    assert found is not None
    assert (found.messages, found.keep, found.max_size) == (3, DAY, 64 * MIB), (
        "also for an account that sees no policies"
    )


def test_the_time_of_the_oldest_message_is_of_those_that_are_not_too_old(
    settings: Settings, switch_on: Any
) -> None:
    switch_on(keep=DAY)
    say(settings, "old")
    began = time.time()
    wait_until(lambda: time.time() > began + 3, 10)
    say(settings, "new", "newer")
    for keep in (2, 10, DAY):
        switch_on(keep=keep)
        found = history.status(settings)
        assert found is not None
        if keep == DAY:
            assert found.messages == 3
        assert found.messages in (0, 2, 3)
        if found.messages == 2:
            assert found.since is not None
            assert began + 1 <= found.since <= time.time() + 1


def test_what_was_missed_and_is_too_old_by_now_is_told_and_not_shown(
    settings: Settings, switch_on: Any
) -> None:
    switch_on(keep=DAY)
    told: list[events.Event] = []
    with Proxy(settings.broker.port or 0) as proxy:
        through = Settings.resolve(url=replace(settings.broker, port=proxy.port).url())
        with Subscriber(through, "bob", on_event=told.append) as subscriber:
            say(settings, "one", "two")
            assert [message.text for message in _until(subscriber, 2)] == ["one", "two"]
            proxy.refuse()
            proxy.cut()
            say(settings, "three", "four", "five")
            switch_on(keep=1)
            too_old(settings)
            proxy.restore()
            wait_until(lambda: not subscriber.receive(0.1) and _has(told, events.Reconnected), 30)
            switch_on(keep=DAY)
            say(settings, "six")
            assert [message.text for message in _until(subscriber, 1)] == ["six"]
    (back,) = (event for event in told if isinstance(event, events.Reconnected))
    assert (back.caught_up, back.missing) == (0, 3), "of a sender of whom nothing else has come"


def _has(told: list[events.Event], kind: type[events.Event]) -> bool:
    return any(isinstance(event, kind) for event in told)


def test_a_history_whose_limits_nobody_wrote_down_is_shown_as_it_is(
    lone: Settings, rabbitmq: RabbitMQ, switch_on: Any
) -> None:
    history.switch_on(lone, keep=1)
    say(lone, "hello")
    too_old(lone)
    rabbitmq.management.request("DELETE", ("queues", lone.broker.vhost, LIMITS))
    assert held(lone) == ["hello"]
    with channel_of(lone) as channel:  # nonsense counts as no limit, either
        channel.queue_declare(LIMITS, durable=True, arguments={"x-queue-type": "stream"})
        channel.confirm_delivery()
        huge = b'{"keep": %s}' % (b"9" * 400)
        for body in (
            b"",
            b"{",
            b"[]",
            b'{"keep": "1"}',
            b'{"keep": -1}',
            b'{"keep": 1e999}',
            huge,
            b"[" * 9_000,
        ):
            channel.basic_publish("", LIMITS, body)
            assert held(lone) == ["hello"], body
    history.switch_on(lone, keep=1)
    assert held(lone) == [], "the last ones count"


def test_a_host_whose_rights_end_at_the_history_switches_it_on_unless_readers_were_told_other_limits(
    rabbitmq: RabbitMQ, settings: Settings, vhost: str
) -> None:
    own = r"^chat$|^kchat\.chat\.durable$|^kchat-history\.chat$"
    with rabbitmq.new_account(vhost, configure=own, write=own, read=own) as account:
        host = Settings.resolve(url=account.url)
        history.switch_on(host, keep=DAY)
        say(host, "hello")
        assert held(host) == ["hello"]
        assert history.switch_off(host)
        history.switch_on(settings, keep=DAY, management_url=rabbitmq.management_url)
        with pytest.raises((NotAuthorised, Refused)):
            history.switch_on(host, keep=2 * DAY)
        say(settings, "still there")
        with pytest.raises(NotAuthorised):
            history.switch_off(host)
        assert held(settings) == ["still there"]


class _Overtaken:
    """A host's channel: when it binds for the first time, another host has just deleted the exchange."""

    def __init__(self, channel: Any, other: Any) -> None:
        self._channel, self._others = channel, [other]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def queue_bind(self, queue: str, exchange: str) -> None:
        if self._others:
            self._others.pop().exchange_delete(exchange)
        self._channel.queue_bind(queue, exchange)


def test_two_hosts_that_write_the_limits_down_at_the_same_moment_both_do(
    settings: Settings, switch_on: Any
) -> None:
    switch_on(keep=DAY)
    with kombu.Connection(settings.broker.url()) as connection, connection.channel() as other:
        channel: Any = _Overtaken(connection.default_channel, other)
        history_age.write(channel, LIMITS, Limits(7.0))
        assert history_age.Age(STREAM, LIMITS).limits(connection.connection) == Limits(7.0)


# ---- others' clients


def test_the_courses_clients_notice_nothing_and_their_messages_are_kept(
    settings: Settings, switch_on: Any
) -> None:
    switch_on()
    parameters = pika.URLParameters(settings.broker.url())
    connection = pika.BlockingConnection(parameters)
    with connection:
        channel = connection.channel()
        channel.exchange_declare("chat", exchange_type="fanout")
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "chat")
        channel.confirm_delivery()
        channel.basic_publish("chat", "", b'{"username": "pika", "message": "hello"}', mandatory=True)
        channel.basic_publish("chat", "", b"no JSON")
        came = [body for _, _, body in _take(channel, queue, 2)]
    assert came == [b'{"username": "pika", "message": "hello"}', b"no JSON"]
    kept = list(history.read(settings))
    assert [(message.username, message.text) for message in kept] == [("pika", "hello"), (None, "no JSON")]


def _take(channel: Any, queue: str, number: int) -> Iterator[Any]:
    for _, each in zip(range(number), channel.consume(queue, inactivity_timeout=soon(20)), strict=False):
        assert each[2] is not None
        yield each


# ---- members


def test_a_member_reads_the_history_and_a_sender_does_not_and_neither_can_do_more(
    management: Accounts, settings: Settings, name: str, switch_on: Any
) -> None:
    switch_on()
    member = invite(management, settings, name)
    speaker = invite(management, settings, f"{name}-sender", send_only=True)
    say(member, "from a member")
    with Sender(speaker, "logger") as sender:
        assert sender.send("from a sender").confirmed
    both = ["from a member", "from a sender"]
    assert held(member) == both
    assert [message.account for message in history.read(member)] == [name, f"{name}-sender"]
    with Subscriber(member, last=2) as subscriber:
        assert [message.text for message in _until(subscriber, 2)] == both
    found = history.status(member)
    assert found is not None
    assert found.messages == 2
    with pytest.raises(NotAuthorised):
        held(speaker)
    ways = {
        "delete": lambda channel: channel.queue_delete(STREAM),
        "publish": lambda channel: channel.basic_publish("", STREAM, b"into the stream alone"),
        "unbind": lambda channel: channel.queue_unbind(STREAM, "kchat.chat.durable"),
        "bind": lambda channel: channel.queue_bind(STREAM, "chat"),
        "declare": lambda channel: channel.queue_declare(
            STREAM, durable=True, arguments={"x-queue-type": "stream"}
        ),
        "unbind the exchange": lambda channel: channel.exchange_unbind("kchat.chat.durable", "chat"),
        "bind another room": lambda channel: channel.exchange_bind("kchat.chat.durable", "amq.fanout"),
    }
    ways |= {
        f"{name} of its limits": partial(_on_limits, name)
        for name in ("delete", "publish", "unbind", "bind", "declare", "declare exchange")
    }
    for do in ways.values():
        refused(member, do)
        refused(speaker, do)
    # A member may read both. RabbitMQ purges no streams, and lets nobody get from one.
    for stream in (STREAM, LIMITS):
        refused(speaker, lambda channel, stream=stream: channel.basic_consume(stream, print))
        refused(speaker, lambda channel, stream=stream: channel.queue_purge(stream))
        with _broken(member) as channel:
            channel.queue_purge(stream)
        with _broken(member) as channel:
            channel.basic_get(stream)
    for act in (
        lambda who: history.switch_on(who, keep=DAY),
        history.switch_off,
        history.clear,
    ):
        with pytest.raises(NotAuthorised) as caught:
            act(member)
        assert "host" in caught.value.hint
    assert held(settings) == both


def _on_limits(way: str, channel: Any) -> None:
    """What nobody but the host may do to the stream of limits."""
    do = {
        "delete": lambda: channel.queue_delete(LIMITS),
        "publish": lambda: channel.basic_publish("", LIMITS, b'{"keep": 1}'),
        "unbind": lambda: channel.queue_unbind(LIMITS, "chat"),
        "bind": lambda: channel.queue_bind(LIMITS, "chat"),
        "declare": lambda: channel.queue_declare(LIMITS, durable=True, arguments={"x-queue-type": "stream"}),
        "declare exchange": lambda: channel.exchange_declare(LIMITS, "fanout"),
    }
    do[way]()


def _until(subscriber: Subscriber, number: int) -> list[Any]:
    came: list[Any] = []

    def all_there() -> bool:
        came.extend(subscriber.receive(timeout=1))
        return len(came) >= number

    wait_until(all_there, 30)
    return came


@contextmanager
def _broken(settings: Settings) -> Iterator[Any]:
    with channel_of(settings) as channel:
        with pytest.raises(pika.exceptions.AMQPError) as caught:
            yield channel
        assert "540" in str(caught.value), caught.value


def test_members_that_were_invited_before_rooms_had_a_history_may_read_it_from_when_it_is_switched_on(
    management: Accounts, settings: Settings, name: str, switch_on: Any
) -> None:
    vhost = settings.broker.vhost
    member = invite(management, settings, name)
    by_hand = invite(management, settings, f"{name}-hand")
    other = invite(management, Settings.resolve(url=settings.broker.url(), room="lunch"), f"{name}-lunch")

    def age(account: str, room: str, ages: int, **more: str) -> None:
        rights = of_guest(room, account, send_only=False)
        old = rights._replace(read=rights.read.rsplit("|", ages)[0])
        management.put_permissions(vhost, account, **{**old._asdict(), **more})

    def read_of(account: str) -> str:
        return management.permissions(account)[0]["read"]

    repair = partial(management.repair_room, settings, management.all_accounts())
    # Before members could read its limits, and before there were histories.
    for make, ages in ((switch_on, 1), (repair, 1), (switch_on, 2), (repair, 2)):
        age(name, "chat", ages)
        age(f"{name}-hand", "chat", 2, write=".*")
        age(f"{name}-lunch", "lunch", 2)
        make()
        assert read_of(name) == of_guest("chat", name, send_only=False).read
        assert "history" not in read_of(f"{name}-hand"), "rights that were set by hand stay"
        assert "history" not in read_of(f"{name}-lunch")
    say(settings, "hello")
    assert held(member) == ["hello"]
    for each in (by_hand, other):
        with pytest.raises((NotAuthorised, SettingsError)):
            held(each)


def test_a_room_that_would_share_names_with_histories_is_not_shared(
    management: Accounts, settings: Settings
) -> None:
    odd = Settings.resolve(url=settings.broker.url(), room=STREAM)
    with pytest.raises(SettingsError, match="cannot be shared"):
        management.create(odd, "nobody")


def test_the_history_goes_on_when_members_leave_and_when_its_exchange_is_repaired(
    rabbitmq: RabbitMQ, management: Accounts, settings: Settings, name: str, switch_on: Any
) -> None:
    switch_on()
    member = invite(management, settings, name)
    say(member, "one")
    spoil(settings)
    say(member, "nobody keeps this")
    assert management.repair_room(settings, management.all_accounts())
    say(member, "two")
    management.revoke(name)
    say(settings, "three")
    assert held(settings) == ["one", "two", "three"]
    # As a restart does: the room goes, and with it its bindings.
    rabbitmq.management.delete_exchange(settings.broker.vhost, "chat")
    say(settings, "four")
    assert held(settings) == ["one", "two", "three", "four"]


def test_a_subscriber_that_was_away_while_the_history_was_cleared_gets_what_came_since(
    management: Accounts, settings: Settings, name: str, switch_on: Any
) -> None:
    switch_on()
    member = invite(management, settings, name)
    say(settings, "one", "two", "three")
    with Subscriber(member) as subscriber:
        say(settings, "four")
        assert [message.text for message in _until(subscriber, 1)] == ["four"]
        subscriber.acknowledge()
        assert history.clear(settings)
        management.close_connections(name, "a test")
        wait_until(lambda: not management.connections(name), 20)
        say(settings, "five", "six")
        assert [message.text for message in _until(subscriber, 2)] == ["five", "six"]


# ---- mandatory


def test_a_mandatory_sender_is_refused_where_the_history_takes_every_message(
    settings: Settings, switch_on: Any
) -> None:
    with Sender(settings, "ada", mandatory=True) as sender, pytest.raises(Returned):
        sender.send("nobody is here")
    with Sender(settings, "ada") as sender:
        assert sender.send("nobody is here").routed is False
        assert sender.keeps_unrouted() is False
    switch_on()
    with pytest.raises(SettingsError, match="the broker cannot tell") as caught:
        Sender(settings, "ada", mandatory=True).open()
    assert "mandatory=" in caught.value.hint
    with pytest.raises(SettingsError, match="the broker cannot tell"):
        Sender(settings, "ada", mandatory=True).send("never sent")
    assert held(settings) == []
