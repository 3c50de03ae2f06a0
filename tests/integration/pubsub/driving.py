"""What tests of the transport do with a channel, again and again."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

import kombu

from tests.brokers.wait import Deadline, soon

Connect = Callable[..., kombu.Connection]

SECONDS = 60.0
"""How long a test waits for messages unless it says otherwise."""


def fanout(name: str) -> kombu.Exchange:
    """A room, as kchat declares it."""
    return kombu.Exchange(name, type="fanout", durable=False)


def own_queue(channel: Any, exchange: kombu.Exchange, name: str) -> str:
    """Declares a subscriber's own queue on an exchange; returns its name."""
    kombu.Queue(name, exchange, durable=False, exclusive=True, auto_delete=True)(channel).declare()
    return name


def lasting_queue(channel: Any, exchange: kombu.Exchange, name: str, routing_key: str = "") -> str:
    """Declares a queue that lasts; returns its name."""
    kombu.Queue(name, exchange, routing_key=routing_key, durable=True)(channel).declare()
    return name


def listen(channel: Any, queue: str, **arguments: Any) -> list[Any]:
    """Consumes from a queue into a list, which is returned at once."""
    arrived: list[Any] = []
    channel.basic_consume(queue, callback=arrived.append, **arguments)
    return arrived


def send(channel: Any, exchange: str, *bodies: bytes, routing_key: str = "ada") -> None:
    """Publishes bodies, one after the other."""
    for body in bodies:
        channel.basic_publish(channel.prepare_message(body), exchange=exchange, routing_key=routing_key)


def drain(connection: kombu.Connection, done: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Drains events until something is so.

    Raises:
        TimeoutError: it is not within that time.
    """
    deadline = Deadline(soon(seconds))
    while not done():
        connection.drain_events(timeout=deadline.left)


def drain_for(connection: kombu.Connection, seconds: float) -> None:
    """Drains events for a while: for what must not come."""
    deadline = Deadline(seconds)
    while not deadline.passed:
        try:
            connection.drain_events(timeout=deadline.left)
        except socket.timeout:  # noqa: UP041 - it is what the contract names
            return


def take(
    connection: kombu.Connection, arrived: list[Any], count: int, seconds: float = SECONDS
) -> list[bytes]:
    """Waits for a number of messages, acknowledges them all, and returns their bodies."""
    drain(connection, lambda: len(arrived) >= count, seconds)
    for message in arrived:
        message.channel.basic_ack(message.delivery_tag)
    return bodies(arrived)


def bodies(messages: Sequence[Any]) -> list[bytes]:
    """The bodies of deliveries."""
    return [message.body for message in messages]
