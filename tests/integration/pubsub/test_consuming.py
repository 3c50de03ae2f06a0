"""Receiving from Pub/Sub: in order, acknowledged or given back, bounded, and told when it is over."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from amqp.exceptions import NotFound, PreconditionFailed, RecoverableConnectionError, ResourceLocked

from tests.brokers.wait import Deadline, soon
from tests.integration.pubsub.driving import (
    Connect,
    bodies,
    drain,
    drain_for,
    fanout,
    lasting_queue,
    listen,
    own_queue,
    send,
    take,
)

Name = Callable[[str], str]


def test_everyone_present_gets_every_message_once(connect: Connect, name: Name) -> None:
    exchange = fanout(name("room"))
    listeners = [connect() for _ in range(3)]
    lists = []
    for connection in listeners:
        channel = connection.channel()
        lists.append(listen(channel, own_queue(channel, exchange, name("queue"))))
    sent = [b"%d" % number for number in range(20)]
    send(connect().channel(), exchange.name, *sent)
    for connection, arrived in zip(listeners, lists, strict=True):
        assert take(connection, arrived, 20) == sent
        drain_for(connection, 0.2)
        assert len(arrived) == 20


def test_two_queues_on_one_channel_get_the_same(connect: Connect, name: Name) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    first = listen(channel, own_queue(channel, exchange, name("queue")))
    second = listen(channel, own_queue(channel, exchange, name("queue")))
    send(channel, exchange.name, b"1", b"2")
    drain(connection, lambda: len(first) == len(second) == 2)
    assert bodies(first) == bodies(second) == [b"1", b"2"]


def test_each_senders_messages_keep_their_order(connect: Connect, name: Name) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    sender = connect().channel()
    for number in range(200):
        for username in ("ada", "bob", "cyd"):
            send(sender, exchange.name, b"%d" % number, routing_key=username)
    drain(connection, lambda: len(arrived) == 600)
    for username in ("ada", "bob", "cyd"):
        of_one = [message for message in arrived if message.delivery_info["routing_key"] == username]
        assert bodies(of_one) == [b"%d" % number for number in range(200)]


@pytest.mark.parametrize("seconds", [0, 0.2, 1.0])
def test_drain_events_times_out_on_time(connect: Connect, name: Name, seconds: float) -> None:
    connection = connect()
    channel = connection.channel()
    listen(channel, own_queue(channel, fanout(name("room")), name("queue")))
    began = time.monotonic()
    with pytest.raises(socket.timeout):
        connection.drain_events(timeout=seconds)
    assert seconds <= time.monotonic() - began < soon(seconds + 0.25)


def test_a_prefetch_limit_holds_until_something_is_acknowledged(connect: Connect, name: Name) -> None:
    connection = connect()
    channel = connection.channel()
    channel.basic_qos(0, 3, False)
    exchange = fanout(name("room"))
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    send(channel, exchange.name, *[b"%d" % number for number in range(8)])
    drain(connection, lambda: len(arrived) == 3)
    drain_for(connection, 0.5)
    assert len(arrived) == 3
    channel.basic_ack(arrived[1].delivery_tag, multiple=True)
    drain(connection, lambda: len(arrived) == 5)
    channel.basic_ack(0, multiple=True)  # all of them
    drain(connection, lambda: len(arrived) == 8)
    assert bodies(arrived) == [b"%d" % number for number in range(8)]


def test_a_rejected_message_comes_again_and_says_so(connect: Connect, name: Name) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, lasting_queue(channel, exchange, name("queue")))
    send(channel, exchange.name, b"x")
    drain(connection, lambda: len(arrived) == 1)
    assert not arrived[0].delivery_info["redelivered"]
    channel.basic_reject(arrived[0].delivery_tag, requeue=True)
    drain(connection, lambda: len(arrived) == 2)
    assert arrived[1].body == b"x"
    assert arrived[1].delivery_info["redelivered"]
    channel.basic_reject(arrived[1].delivery_tag, requeue=False)
    drain_for(connection, 0.5)
    assert len(arrived) == 2


def test_recover_gives_back_everything(connect: Connect, name: Name) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, lasting_queue(channel, exchange, name("queue")))
    send(channel, exchange.name, b"1", b"2", b"3")
    drain(connection, lambda: len(arrived) == 3)
    channel.basic_recover(requeue=True)
    drain(connection, lambda: len(arrived) == 6)
    assert sorted(bodies(arrived[3:])) == [b"1", b"2", b"3"]


def test_an_unknown_delivery_tag_is_refused(channel: Any) -> None:
    with pytest.raises(PreconditionFailed, match="unknown delivery tag 7"):
        channel.basic_ack(7)


def test_a_lasting_queue_keeps_messages_for_another_process(connect: Connect, name: Name) -> None:
    exchange, queue = fanout(name("room")), name("queue")
    declaring = connect()
    lasting_queue(declaring.channel(), exchange, queue)
    declaring.release()
    send(connect().channel(), exchange.name, b"1", b"2")
    # Neither declared nor bound there.
    connection = connect()
    arrived = listen(connection.channel(), queue)
    assert take(connection, arrived, 2) == [b"1", b"2"]
    assert arrived[0].delivery_info["exchange"] == exchange.name


def test_acknowledged_messages_do_not_come_again_after_a_clean_end(connect: Connect, name: Name) -> None:
    exchange, queue = fanout(name("room")), name("queue")
    first = connect()
    channel = first.channel()
    arrived = listen(channel, lasting_queue(channel, exchange, queue))
    send(channel, exchange.name, *[b"%d" % number for number in range(300)])
    drain(first, lambda: len(arrived) >= 150)
    channel.basic_ack(arrived[149].delivery_tag, multiple=True)
    first.release()  # at once: the acknowledgements are still on their way
    second = connect()
    rest = listen(second.channel(), queue)
    drain(second, lambda: len({message.body for message in rest}) == 150)
    drain_for(second, 0.5)
    # In which order, the emulator does not keep; the service does.
    assert {message.body for message in rest} == {b"%d" % number for number in range(150, 300)}


@pytest.mark.slow
def test_held_messages_are_not_given_to_another_consumer(connect: Connect, name: Name) -> None:
    # The shortest deadline there is, and longer than that until it is acknowledged.
    connection = connect(ack_deadline=10)
    channel = connection.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, lasting_queue(channel, exchange, name("queue")))
    send(channel, exchange.name, b"x")
    drain(connection, lambda: bool(arrived))
    drain_for(connection, 14)
    assert len(arrived) == 1


def test_consumers_of_one_queue_share_its_messages(connect: Connect, name: Name) -> None:
    exchange, queue = fanout(name("room")), name("queue")
    workers = [connect() for _ in range(2)]
    lists = []
    for connection in workers:
        channel = connection.channel()
        lists.append(listen(channel, lasting_queue(channel, exchange, queue), no_ack=True))
    sender = connect().channel()
    deadline = Deadline(soon(30))
    sent: list[bytes] = []
    # The emulator hands a batch to one of them: one at a time, until both have had their turn.
    while not all(lists) or len(sent) < 20:
        assert not deadline.passed, f"all went to one: {[len(each) for each in lists]}"
        sent.append(secrets.token_bytes(8))
        send(sender, exchange.name, sent[-1], routing_key="")
        while sum(map(len, lists)) < len(sent):
            assert not deadline.passed, "a message is missing"
            for connection in workers:
                drain_for(connection, 0.01)
    assert sorted(bodies(lists[0]) + bodies(lists[1])) == sorted(sent)


def test_get_takes_one_message_and_says_when_there_is_none(connect: Connect, name: Name) -> None:
    connection = connect(get_timeout=0.3)
    channel = connection.channel()
    exchange = fanout(name("room"))
    queue = lasting_queue(channel, exchange, name("queue"))
    assert channel.basic_get(queue) is None
    send(channel, exchange.name, b"1", b"2")
    got = channel.basic_get(queue)
    assert got.body == b"1"
    channel.basic_ack(got.delivery_tag)
    assert channel.basic_get(queue, no_ack=True).body == b"2"
    assert channel.basic_get(queue) is None


def test_purge_throws_away_what_waits(connect: Connect, name: Name) -> None:
    connection = connect(get_timeout=0.3)
    channel = connection.channel()
    exchange = fanout(name("room"))
    queue = lasting_queue(channel, exchange, name("queue"))
    send(channel, exchange.name, *[b"x"] * 7)
    assert channel.queue_purge(queue) == 7
    assert channel.basic_get(queue) is None


def test_a_consumer_is_told_when_its_queue_is_deleted_by_somebody_else(connect: Connect, name: Name) -> None:
    connection, operator = connect(), connect()
    channel = connection.channel()
    queue = lasting_queue(channel, fanout(name("room")), name("queue"))
    cancelled: list[str] = []
    listen(channel, queue, consumer_tag="mine", on_cancel=cancelled.append)
    operator.channel().queue_delete(queue)
    drain(connection, lambda: cancelled == ["mine"])
    # And it can begin again.
    exchange = fanout(name("room"))
    arrived = listen(channel, lasting_queue(channel, exchange, queue + "2"), consumer_tag="mine")
    send(channel, exchange.name, b"x")
    assert take(connection, arrived, 1) == [b"x"]


def test_without_a_callback_for_that_it_is_an_error(connect: Connect, name: Name) -> None:
    connection, operator = connect(), connect()
    channel = connection.channel()
    queue = lasting_queue(channel, fanout(name("room")), name("queue"))
    listen(channel, queue)
    operator.channel().queue_delete(queue)
    with pytest.raises(NotFound, match=queue):
        drain(connection, lambda: False)


def test_a_queue_that_is_not_there_is_not_found(channel: Any, name: Name) -> None:
    for ask in (channel.basic_consume, channel.basic_get, partial(channel.queue_declare, passive=True)):
        with pytest.raises(NotFound):
            ask(name("queue"))


def test_a_cancelled_consumer_gets_nothing_more_and_its_messages_go_back(
    connect: Connect, name: Name
) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    queue = lasting_queue(channel, exchange, name("queue"))
    arrived = listen(channel, queue, consumer_tag="one")
    send(channel, exchange.name, b"1")
    drain(connection, lambda: len(arrived) == 1)
    channel.basic_cancel("one")
    send(channel, exchange.name, b"2")
    drain_for(connection, 0.3)
    assert len(arrived) == 1
    channel.basic_ack(arrived[0].delivery_tag)  # what it had, can still be acknowledged
    again = listen(channel, queue)
    assert take(connection, again, 1) == [b"2"]


def test_two_connections_of_one_process_do_not_disturb_each_other(connect: Connect, name: Name) -> None:
    exchange = fanout(name("room"))
    staying, leaving = connect(), connect()
    channels = staying.channel(), leaving.channel()
    arrived = listen(channels[0], own_queue(channels[0], exchange, name("queue")))
    other = own_queue(channels[1], exchange, name("queue"))
    listen(channels[1], other)
    leaving.release()
    send(channels[0], exchange.name, b"x")
    assert take(staying, arrived, 1) == [b"x"]
    with pytest.raises(NotFound):
        channels[0].queue_declare(other, passive=True)


def test_an_own_queue_goes_with_its_consumer_and_with_its_connection(connect: Connect, name: Name) -> None:
    observer = connect().channel()
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    with_consumer, with_connection = name("queue"), name("queue")
    own_queue(channel, exchange, with_consumer)
    own_queue(channel, exchange, with_connection)
    listen(channel, with_consumer, consumer_tag="one")
    channel.basic_cancel("one")
    with pytest.raises(NotFound):
        observer.queue_declare(with_consumer, passive=True)
    connection.release()
    with pytest.raises(NotFound):
        observer.queue_declare(with_connection, passive=True)


def test_a_closed_connection_refuses_every_operation(connect: Connect) -> None:
    connection = connect()
    channel = connection.channel()
    real = connection.connection
    connection.release()
    with pytest.raises(RecoverableConnectionError):
        channel.basic_ack(1)
    with pytest.raises(RecoverableConnectionError):
        real.drain_events(timeout=1)


def test_another_process_may_not_have_an_exclusive_queue(
    connect: Connect, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kchat.transports.pubsub import ownership_labels

    queue = own_queue(connect().channel(), exchange := fanout(name("room")), name("queue"))
    other = connect().channel()
    # The labels are all that tells processes apart.
    monkeypatch.setattr(ownership_labels, "host", lambda: "elsewhere")
    with pytest.raises(ResourceLocked, match="a process on another machine"):
        own_queue(other, exchange, queue)
    with pytest.raises(ResourceLocked, match="a process on another machine"):
        other.basic_consume(queue)


@pytest.mark.slow
def test_messages_beyond_the_prefetch_count_are_held_and_come_once(connect: Connect, name: Name) -> None:
    # It does not count. What nobody had read lost its deadline, and was delivered a second time.
    connection = connect()
    channel, exchange, queue = connection.channel(), fanout(name("room")), name("queue")
    lasting_queue(channel, exchange, queue)
    send(channel, exchange.name, *(b"%d" % number for number in range(150)), routing_key="")
    channel.basic_qos(0, 1, False)
    arrived = listen(channel, queue)
    drain(connection, lambda: bool(arrived))
    drain_for(connection, 13.0)  # longer than a deadline
    while len(arrived) < 150:
        channel.basic_ack(arrived[-1].delivery_tag)
        connection.drain_events(timeout=30)
    channel.basic_ack(arrived[-1].delivery_tag)
    drain_for(connection, 0.3)
    assert sorted(map(int, bodies(arrived))) == list(range(150))
