"""What the tests do again and again with a channel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kchat.transports.local import limits
from tests.brokers.wait import Deadline, soon


def send(channel: Any, *bodies: str, exchange: str = "", routing_key: str = "", **properties: Any) -> None:
    """Publish texts."""
    for body in bodies:
        message = channel.prepare_message(body, properties=dict(properties))
        channel.basic_publish(message, exchange=exchange, routing_key=routing_key)


def listen(channel: Any, queue: str, **options: Any) -> list[Any]:
    """Consume from a queue; returns the list that deliveries will be added to."""
    arrived: list[Any] = []
    channel.basic_consume(queue, callback=arrived.append, **options)
    return arrived


def own_queue(channel: Any, *exchanges: str, routing_key: str = "", **arguments: Any) -> str:
    """Declare an exclusive queue and bind it; arguments by name, with ``_`` for ``-``."""
    given = {name.replace("_", "-"): value for name, value in arguments.items()}
    name: str = channel.queue_declare(exclusive=True, auto_delete=True, arguments=given).queue
    for exchange in exchanges:
        channel.queue_bind(name, exchange, routing_key)
    return name


def drain(connection: Any, arrived: list[Any], count: int, seconds: float = 10.0) -> list[str]:
    """Wait for a number of deliveries; returns all their bodies."""
    deadline = Deadline(soon(seconds))
    while len(arrived) < count:
        connection.drain_events(timeout=deadline.left)
    return bodies(arrived)


def rest(connection: Any, arrived: list[Any]) -> list[str]:
    """Deliver what there is right now; returns the bodies of all deliveries."""
    while True:
        try:
            connection.drain_events(timeout=0)
        except TimeoutError:
            return bodies(arrived)


def bodies(arrived: list[Any]) -> list[str]:
    """The texts of deliveries."""
    return [delivery.body.decode() for delivery in arrived]


def get_all(channel: Any, queue: str) -> list[str]:
    """Take everything out of a queue by ``basic.get``."""
    texts = []
    while message := channel.basic_get(queue, no_ack=True):
        texts.append(message.body.decode())
    return texts


def change_limits(store: Any, **wanted: Any) -> None:
    """Set some of a room's limits, larger or smaller, as no URL can."""
    store.limits = replace(store.limits, **wanted)
    store.write(lambda db: limits.store(db, store.limits))
