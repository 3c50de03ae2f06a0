"""Options of queues and messages: honoured, or refused where they are declared. Nothing is dropped in silence."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from queue import Empty
from typing import Any

import kombu
import pytest
from amqp.exceptions import PreconditionFailed
from google.pubsub_v1 import types
from kombu.simple import SimpleBuffer, SimpleQueue

from kchat.transports.pubsub import deliveries
from kchat.transports.pubsub.errors import NotSupported
from tests.integration.pubsub.driving import (
    Connect,
    drain,
    drain_for,
    fanout,
    lasting_queue,
    listen,
    send,
    take,
)

Name = Callable[[str], str]
DAY = 86_400


def subscription(connection: kombu.Connection, queue: str) -> Any:
    """The subscription of a queue, as the service has it."""
    clients = connection.connection.clients
    request = types.GetSubscriptionRequest(subscription=clients.subscription(queue))
    return clients.subscriber.get_subscription(request=request)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves this machine's clock on, as far as messages' ages go."""

    def move(seconds: float) -> None:
        monkeypatch.setattr(deliveries, "time", lambda: time.time() + seconds)

    return move


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_priority", 9),
        ("max_length", 10),
        ("max_length_bytes", 1000),
        ("message_ttl", 32 * DAY),
        ("message_ttl", 0),
        ("queue_arguments", {"x-dead-letter-exchange": "dead"}),
        ("queue_arguments", {"x-dead-letter-routing-key": "dead"}),
        ("queue_arguments", {"x-single-active-consumer": True}),
        ("queue_arguments", {"x-delivery-limit": 3}),
        ("queue_arguments", {"x-queue-type": "stream"}),
        ("queue_arguments", {"x-history-last": 0}),
    ],
    ids=str,
)
def test_an_option_that_pubsub_lacks_is_refused_at_the_declaration(
    channel: Any, name: Name, option: str, value: Any
) -> None:
    with pytest.raises(NotSupported, match="Pub/Sub"):
        kombu.Queue(name("queue"), **{option: value})(channel).declare()


def test_a_time_that_is_none_is_refused(channel: Any, name: Name) -> None:
    for argument in ("x-message-ttl", "x-expires"):
        values: list[Any] = ["soon", -1, True, float("nan"), float("inf"), [], 10**40]
        for value in values:
            with pytest.raises(PreconditionFailed, match=argument):
                channel.queue_declare(name("queue"), arguments={argument: value})


def test_options_without_meaning_on_pubsub_are_accepted(channel: Any, name: Name) -> None:
    arguments = {
        "x-queue-type": "quorum",
        "x-queue-mode": "lazy",
        "x-max-priority": 0,
        "x-single-active-consumer": False,
    }
    kombu.Queue(name("queue"), queue_arguments=arguments)(channel).declare()


def test_times_within_the_services_bounds_are_the_subscriptions(connect: Connect, name: Name) -> None:
    connection, queue = connect(), name("queue")
    kombu.Queue(queue, fanout(name("room")), expires=3 * DAY, message_ttl=DAY)(connection.channel()).declare()
    made = subscription(connection, queue)
    assert made.expiration_policy.ttl.total_seconds() == 3 * DAY
    assert made.message_retention_duration.total_seconds() == DAY


def test_a_shorter_expiry_is_rounded_up_to_a_day_and_that_is_said(
    connect: Connect, name: Name, caplog: pytest.LogCaptureFixture
) -> None:
    # As Celery's queues for replies and events are declared.
    connection, queue = connect(), name("queue")
    with caplog.at_level(logging.INFO, "kchat"):
        kombu.Queue(queue, fanout(name("room")), expires=10.0, auto_delete=True)(
            connection.channel()
        ).declare()
    made = subscription(connection, queue)
    assert made.expiration_policy.ttl.total_seconds() == DAY
    assert made.message_retention_duration.total_seconds() <= DAY
    assert "expires after a day" in caplog.text


def test_a_queue_that_exists_with_other_times_is_refused(connect: Connect, name: Name) -> None:
    exchange, queue = fanout(name("room")), name("queue")
    kombu.Queue(queue, exchange, message_ttl=60)(connect().channel()).declare()
    kombu.Queue(queue, exchange, message_ttl=60)(connect().channel()).declare()
    for times in ({"message_ttl": 61}, {}, {"message_ttl": 60, "expires": 60}):
        with pytest.raises(PreconditionFailed, match="inequivalent arg 'x-"):
            kombu.Queue(queue, exchange, **times)(connect().channel()).declare()
    default = name("queue")
    channel = connect().channel()
    kombu.Queue(default, message_ttl=60)(channel).declare()
    channel.queue_declare(default, passive=True)
    other = connect().channel()
    kombu.Queue(default)(other).declare()
    with pytest.raises(PreconditionFailed, match="inequivalent"):
        other.basic_consume(default)


def test_messages_older_than_their_queue_keeps_them_are_dropped_whoever_consumes(
    connect: Connect, name: Name, later: Callable[[float], None]
) -> None:
    exchange, queue = fanout(name("room")), name("queue")
    declaring = connect()
    kombu.Queue(queue, exchange, message_ttl=60)(declaring.channel()).declare()
    send(declaring.channel(), exchange.name, b"old")
    later(61)
    consuming = connect()  # it has not declared the queue
    arrived = listen(consuming.channel(), queue)
    drain_for(consuming, 0.5)
    assert arrived == []
    later(0)
    send(declaring.channel(), exchange.name, b"new")
    assert take(consuming, arrived, 1) == [b"new"]


def test_a_message_is_dropped_when_its_own_time_is_over(
    connect: Connect, name: Name, later: Callable[[float], None]
) -> None:
    connection = connect()
    with SimpleQueue(connection, name("jobs")) as jobs:
        jobs.put("expired", expiration=30)
        jobs.put("not yet", expiration=90)
        jobs.put("never")
        later(60)
        assert [jobs.get(timeout=30).payload for _ in range(2)] == ["not yet", "never"]
        with pytest.raises(Empty):
            jobs.get(timeout=0.3)


def test_a_message_that_needs_no_acknowledgement_may_be_acknowledged(connect: Connect, name: Name) -> None:
    connection = connect()
    with SimpleBuffer(connection, name("buffer")) as buffer:
        buffer.put("x")
        buffer.get(timeout=30).ack()
    channel, exchange = connection.channel(), fanout(name("room"))
    queue = lasting_queue(channel, exchange, name("queue"))
    arrived = listen(channel, queue, no_ack=True)
    send(channel, exchange.name, b"1", b"2")
    drain(connection, lambda: len(arrived) == 2)
    for message in arrived:
        channel.basic_ack(message.delivery_tag)
        channel.basic_reject(message.delivery_tag, requeue=True)
    send(channel, exchange.name, b"3")
    drain(connection, lambda: len(arrived) == 3)
    channel.basic_ack(3, multiple=True)
    with pytest.raises(PreconditionFailed, match="unknown delivery tag"):
        channel.basic_ack(4)


def test_a_header_longer_than_an_attribute_arrives(connect: Connect, name: Name) -> None:
    connection = connect()
    headers = {"argsrepr": "(" + "é" * 5000 + ")", "stamps": {"list": ["x" * 900] * 3}, "task": "add"}
    with SimpleQueue(connection, name("jobs")) as jobs:
        jobs.put({}, headers=headers)
        message = jobs.get(timeout=30)
        assert message.headers == headers
        message.ack()
        with pytest.raises(PreconditionFailed, match="100 attributes"):
            jobs.put({}, headers={"huge": "x" * 200_000})
