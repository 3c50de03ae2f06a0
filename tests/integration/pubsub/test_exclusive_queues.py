"""An exclusive queue is one connection's: nobody else's refusal ends it, and its owner's death frees its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kombu
import pytest
from amqp.exceptions import NotFound, PreconditionFailed, ResourceLocked

from kchat import Settings, Subscriber, events
from kchat.transports.pubsub import ownership_labels
from tests.brokers.processes import Commands
from tests.brokers.pubsub import Emulator
from tests.integration.pubsub.driving import (
    Connect,
    fanout,
    lasting_queue,
    listen,
    own_queue,
    send,
    take,
)

Name = Callable[[str], str]

DECLARE = """
import sys, time, kombu
from kchat import transports
transports.register()
url, queue, exchange = sys.argv[1:]
exchange = kombu.Exchange(exchange, type="fanout", durable=False) if exchange else None
channel = kombu.Connection(url).channel()
kombu.Queue(queue, exchange, exclusive=True, auto_delete=True, durable=False)(channel).declare()
channel.basic_consume(queue, callback=print)
print("declared", flush=True)
time.sleep(60)
"""


def exclusive(channel: Any, name: str, exchange: kombu.Exchange | None) -> None:
    """Declares an exclusive queue of an exchange, or of the default exchange, and uses it."""
    kombu.Queue(name, exchange, exclusive=True, durable=False)(channel).declare()
    channel.basic_consume(name)


def shared(channel: Any, name: str, exchange: kombu.Exchange | None) -> None:
    """Declares a queue that is not exclusive, and uses it."""
    kombu.Queue(name, exchange, durable=True)(channel).declare()
    channel.basic_consume(name)


@pytest.mark.parametrize("bound", [True, False], ids=["of a room", "of the default exchange"])
def test_a_refused_declaration_leaves_the_owner_its_queue(connect: Connect, name: Name, bound: bool) -> None:
    owner, queue = connect(), name("queue")
    exchange = fanout(name("room")) if bound else None
    kombu.Queue(queue, exchange, exclusive=True, durable=False)(owner.channel()).declare()
    arrived = listen(owner.channel(), queue)
    refused = connect()
    channel = refused.channel()
    with pytest.raises(ResourceLocked, match="another connection"):
        exclusive(channel, queue, exchange)
    with pytest.raises(ResourceLocked):
        shared(channel, queue, exchange)
    with pytest.raises(ResourceLocked):
        channel.queue_delete(queue)
    with pytest.raises(ResourceLocked):
        channel.queue_purge(queue)
    channel.close()
    refused.release()
    send(owner.channel(), exchange.name if exchange else "", b"still here", routing_key=queue)
    assert take(owner, arrived, 1) == [b"still here"]


def test_a_shared_queue_is_not_made_exclusive_nor_deleted_by_who_tries(connect: Connect, name: Name) -> None:
    connection, exchange, queue = connect(), fanout(name("room")), name("queue")
    lasting_queue(connection.channel(), exchange, queue)
    other = connect()
    with pytest.raises(ResourceLocked, match="shared"):
        exclusive(other.channel(), queue, exchange)
    with pytest.raises(PreconditionFailed, match="bound to something else"):
        lasting_queue(other.channel(), fanout(name("room")), queue)
    other.release()
    send(connection.channel(), exchange.name, b"x")
    assert take(connection, listen(connection.channel(), queue), 1) == [b"x"]


@pytest.mark.parametrize("bound", [True, False], ids=["of a room", "of the default exchange"])
def test_a_killed_owners_queue_is_taken_over_at_once(
    connect: Connect, name: Name, project: str, commands: Commands, pubsub_emulator: Emulator, bound: bool
) -> None:
    queue, room = name("queue"), name("room") if bound else ""
    process = commands.python(DECLARE, f"pubsub://{project}", queue, room, env=pubsub_emulator.environment)
    process.wait_for("declared", "stdout")
    connection = connect()
    channel = connection.channel()
    exchange = fanout(room) if bound else None
    with pytest.raises(ResourceLocked):
        exclusive(channel, queue, exchange)
    process.kill()
    kombu.Queue(queue, exchange, exclusive=True, durable=False)(channel).declare()
    arrived = listen(channel, queue)
    send(channel, room, b"to the heir", routing_key=queue)
    assert take(connection, arrived, 1) == [b"to the heir"]
    connection.release()
    with pytest.raises(NotFound):
        connect().channel().queue_declare(queue, passive=True)


def test_a_lost_connections_queue_is_taken_over_by_the_next_one(connect: Connect, name: Name) -> None:
    # As a Celery worker does that connects again after a lost link: the same names, in the same process.
    exchange, queue = fanout(name("room")), name("queue")
    lost = connect()
    own_queue(lost.channel(), exchange, queue)
    lost.collect()
    connection = connect()
    arrived = listen(connection.channel(), own_queue(connection.channel(), exchange, queue))
    send(connection.channel(), exchange.name, b"x")
    assert take(connection, arrived, 1) == [b"x"]


def test_an_owner_on_another_host_is_left_alone_whatever_an_older_kchats_lease_says(
    connect: Connect, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange, queue = fanout(name("room")), name("queue")
    own_labels = ownership_labels.own_labels
    with monkeypatch.context() as elsewhere:
        # The labels are all that tells hosts apart.
        elsewhere.setattr(ownership_labels, "host", lambda: "elsewhere")
        elsewhere.setattr(
            ownership_labels, "own_labels", lambda owner=None: {**own_labels(owner), "kchat-lease": "1"}
        )
        own_queue(connect().channel(), exchange, queue)
    with pytest.raises(ResourceLocked):
        own_queue(connect().channel(), exchange, queue)


def test_a_queue_can_be_consumed_from_when_its_owner_has_left_and_it_was_declared_anew(
    connect: Connect, name: Name
) -> None:
    exchange, queue = fanout(name("room")), name("queue")
    owner = connect()
    own_queue(owner.channel(), exchange, queue)
    other = connect()
    with pytest.raises(ResourceLocked):
        other.channel().basic_consume(queue)
    owner.release()
    lasting_queue(connect().channel(), exchange, queue)
    arrived = listen(other.channel(), queue)
    send(other.channel(), exchange.name, b"x")
    assert take(other, arrived, 1) == [b"x"]


def test_a_reader_on_another_machine_is_told_of_and_keeps_nobody_out(
    pubsub_emulator: Emulator, project: str, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of such a one nobody knows whether it has ended, and it may be this one, in the container before."""
    settings = Settings.resolve(url=f"pubsub://{project}", room=room)
    told: list[events.Event] = []
    with monkeypatch.context() as there:
        there.setattr(ownership_labels, "host", lambda: "another")
        first = Subscriber(settings, durable="archive")
        first.open()
    try:
        with Subscriber(settings, durable="archive", on_event=told.append):
            pass
    finally:
        first.close()
    assert ["was read on another machine" in str(each) for each in told] == [True]
