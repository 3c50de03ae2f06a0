"""Publishing to Pub/Sub: each message is with the service when that is said, and each failure says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from amqp.exceptions import ContentTooLarge, NotFound, PreconditionFailed

from tests.brokers.processes import Commands
from tests.brokers.pubsub import Emulator
from tests.brokers.wait import Deadline, soon
from tests.integration.pubsub.driving import (
    Connect,
    bodies,
    drain,
    fanout,
    lasting_queue,
    listen,
    own_queue,
    send,
    take,
)

Name = Callable[[str], str]

ONE_SHOT = """
import sys, kombu
from kchat import transports
transports.register()
url, exchange, body = sys.argv[1:]
with kombu.Connection(url) as connection:
    channel = connection.channel()
    channel.basic_publish(channel.prepare_message(body.encode()), exchange=exchange, routing_key="ada")
"""


def confirm(channel: Any) -> list[tuple[int, bool]]:
    """Puts a channel into confirm mode; returns the list that its confirms come into."""
    acks: list[tuple[int, bool]] = []
    channel.confirm_select()
    channel.events["basic_ack"].add(lambda tag, multiple: acks.append((tag, multiple)))
    return acks


def test_a_message_arrives_with_its_properties_and_headers(connect: Connect, name: Name) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    properties = {
        "message_id": "0192",
        "timestamp": 1732380000,
        "app_id": "kchat",
        "user_id": "ada",
        "delivery_mode": 1,
    }
    headers = {"text": "word", "number": 5, "list": [1, None, "x"], "content_type": "mine", "googly": "eyes"}
    message = channel.prepare_message(
        b'{"a": 1}',
        content_type="application/json",
        content_encoding="utf-8",
        headers=headers,
        properties=properties,
    )
    channel.basic_publish(message, exchange=exchange.name, routing_key="ada")
    drain(connection, lambda: bool(arrived))
    (got,) = arrived
    assert got.body == b'{"a": 1}'
    assert got.headers == headers
    expected = {"content_type": "application/json", "content_encoding": "utf-8", **properties}
    assert {key: got.properties[key] for key in expected} == expected
    assert got.delivery_info["exchange"] == exchange.name
    assert got.delivery_info["routing_key"] == "ada"


@pytest.mark.parametrize("body", [b"", b"\x00\xff", "\U0001f600 é 漢".encode(), b"x" * (1 << 20)], ids=len)
def test_bodies_arrive_byte_for_byte(connect: Connect, name: Name, body: bytes) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    send(channel, exchange.name, body, routing_key="")
    assert take(connection, arrived, 1) == [body]


def test_a_stream_is_confirmed_in_order_and_arrives_in_order(connect: Connect, name: Name) -> None:
    connection, sender = connect(), connect()
    channel, publishing = connection.channel(), sender.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    acks = confirm(publishing)
    sent = [b"%d" % number for number in range(2500)]
    send(publishing, exchange.name, *sent)
    drain(sender, lambda: bool(acks) and acks[-1][0] == len(sent))
    assert acks == sorted(acks)
    assert all(multiple for _, multiple in acks)
    # The emulator delivers some 2,000 messages a second.
    assert take(connection, arrived, len(sent), seconds=30) == sent


@pytest.mark.slow
def test_processes_that_send_one_message_and_exit_lose_none(
    connect: Connect, commands: Commands, project: str, pubsub_emulator: Emulator, name: Name
) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    for number in range(5):  # twenty of them are in tests/contract
        process = commands.python(
            ONE_SHOT, f"pubsub://{project}", exchange.name, str(number), env=pubsub_emulator.environment
        )
        assert process.wait() == 0, process.stderr
    assert take(connection, arrived, 5) == [b"%d" % number for number in range(5)]


def test_a_missing_topic_is_not_found_and_is_not_created(channel: Any, name: Name) -> None:
    room = name("room")
    for _ in range(2):
        with pytest.raises(NotFound, match=room):
            send(channel, room, b"x")


def test_a_stream_into_a_missing_topic_raises_and_goes_on_once_it_is_there(
    connect: Connect, name: Name
) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    acks = confirm(channel)
    send(channel, exchange.name, b"1", b"2", b"3")
    with pytest.raises(NotFound, match=exchange.name):
        drain(connection, lambda: False)
    assert acks == []
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    # The count begins anew, and the ordering key that failed is not held back.
    send(channel, exchange.name, b"1", b"2", b"3")
    drain(connection, lambda: acks[-1:] == [(3, True)])
    assert take(connection, arrived, 3) == [b"1", b"2", b"3"]


def test_confirmations_before_a_failure_are_told_first(connect: Connect, name: Name) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    lasting_queue(channel, exchange, name("queue"))
    acks = confirm(channel)
    send(channel, exchange.name, *[b"x"] * 10)
    send(channel, name("missing"), b"y")
    send(channel, exchange.name, b"never sent")
    with pytest.raises(NotFound):
        drain(connection, lambda: False)
    assert acks[-1] == (10, True)


def test_a_message_over_the_limit_is_refused_before_it_is_sent(connect: Connect, name: Name) -> None:
    # The emulator itself takes 10.4 MB, so it is not the one that refuses here; the service's limit is 10 MB.
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    for _ in range(2):  # the second time in confirm mode
        with pytest.raises(ContentTooLarge, match=r"10,000,0\d\d"):
            send(channel, exchange.name, b"x" * 10_000_000)
        confirm(channel)
    send(channel, exchange.name, b"x" * 9_990_000)
    drain(connection, lambda: bool(arrived), seconds=30)
    assert [len(body) for body in bodies(arrived)] == [9_990_000]


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({f"h{number}": "x" for number in range(101)}, "101 properties and headers"),
        ({"h": "x" * 102_401}, "102,401 bytes"),
        ({"h": "é" * 60_000}, "120,000 bytes"),
        ({"x" * 257: "v"}, "names of 1 to 256 bytes"),
        ({"": "v"}, "names of 1 to 256 bytes"),
        ({"h": b"bytes"}, "cannot be an attribute"),
    ],
    ids=["too many", "too long", "too long in bytes", "long name", "no name", "not JSON"],
)
def test_headers_that_no_attribute_can_hold_are_refused(
    channel: Any, headers: dict[str, Any], says: str
) -> None:
    with pytest.raises(PreconditionFailed, match=says):
        channel.prepare_message(b"x", headers=headers)


def test_a_routing_key_that_no_ordering_key_can_be_is_refused(channel: Any, name: Name) -> None:
    with pytest.raises(PreconditionFailed, match="1024 bytes"):
        send(channel, name("room"), b"x", routing_key="é" * 513)


def test_a_closed_connection_has_sent_what_it_took(connect: Connect, name: Name) -> None:
    exchange = fanout(name("room"))
    listener, sender = connect(), connect()
    arrived = listen(channel := listener.channel(), own_queue(channel, exchange, name("queue")))
    publishing = sender.channel()
    confirm(publishing)
    send(publishing, exchange.name, *[b"x"] * 500)
    sender.release()
    assert len(take(listener, arrived, 500)) == 500


def test_a_process_that_closes_nothing_exits(
    commands: Commands, project: str, pubsub_emulator: Emulator, name: Name
) -> None:
    script = """
import sys, kombu
from kchat import transports
transports.register()
channel = kombu.Connection(sys.argv[1]).channel()
kombu.Queue(sys.argv[2], kombu.Exchange(sys.argv[2], type="fanout"), exclusive=True)(channel).declare()
channel.basic_consume(sys.argv[2], callback=print)
channel.confirm_select()
channel.basic_publish(channel.prepare_message(b"x"), exchange=sys.argv[2], routing_key="ada")
"""
    deadline = Deadline(soon(30))
    for _ in range(3):
        process = commands.python(
            script, f"pubsub://{project}", name("room"), env=pubsub_emulator.environment
        )
        assert process.wait(deadline.left) == 0, process.stderr
