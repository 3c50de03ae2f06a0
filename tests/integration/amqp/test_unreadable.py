"""Routing keys, properties and replies that py-amqp cannot read: they end no subscriber and no sender."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pika
import pika.spec
import pytest

from kchat import BrokerError, Message, NotFound, Refused, Settings, Subscriber
from kchat.client.connection import broker_errors, connect
from kchat.transports.amqp.bounds import readable
from tests.brokers.rabbitmq import RabbitMQ

Channel = Any


@pytest.fixture
def settings(amqp_url: str) -> Settings:
    """A room of the test's own."""
    return Settings.resolve(url=amqp_url)


@pytest.fixture
def stranger(amqp_url: str) -> Iterator[Channel]:
    """Another client's channel."""
    with closing(pika.BlockingConnection(pika.URLParameters(amqp_url))) as connection:
        yield connection.channel()


def deep(levels: int) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for _ in range(levels):
        table = {"x": table}
    return table


@pytest.mark.parametrize(
    "properties",
    [
        {"app_id": b"\xff\xfe"},
        {"message_id": b"\xc3"},
        {"content_type": b"\x80" * 255},
        {"correlation_id": b"\xff", "user_id": None},
        {"headers": {"a": b"\xff\xfe"}},
        {"headers": {"a": [b"\xff", {"b": b"\xc3"}]}},
        {"headers": deep(50)},
        {"timestamp": 2**63},
    ],
)
@pytest.mark.parametrize("body", [b"", b'{"username":"ada","message":"hello"}'])
def test_a_message_with_properties_that_cannot_be_read_is_a_message(
    settings: Settings, stranger: Channel, properties: dict[str, Any], body: bytes
) -> None:
    with Subscriber(settings, "bob") as subscriber:
        stranger.basic_publish("chat", "", body, pika.BasicProperties(**properties))
        stranger.basic_publish("chat", "", b"after it")
        messages: list[Message] = []
        while len(messages) < 2:
            batch = subscriber.receive(timeout=30)
            assert batch, "it did not arrive"
            messages += batch
            subscriber.acknowledge()
    assert [message.body for message in messages] == [body, b"after it"]
    assert messages[0].account is None


def test_the_account_that_the_broker_has_checked_is_told_beside_properties_that_cannot_be_read(
    settings: Settings, stranger: Channel
) -> None:
    properties = pika.BasicProperties(
        headers={"a": b"\xff"}, correlation_id=b"\xff", user_id=settings.broker.account
    )
    with Subscriber(settings, "bob") as subscriber:
        stranger.basic_publish("chat", "", b'{"username":"ada","message":"hello"}', properties)
        (message,) = subscriber.receive(timeout=30)
    assert message.account == settings.broker.account


def test_a_routing_key_that_is_no_text_does_no_harm(
    settings: Settings, stranger: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Subscriber(settings, "bob") as subscriber:
        encode = pika.spec.Basic.Publish.encode

        def with_a_bad_key(publish: pika.spec.Basic.Publish) -> Any:
            pieces = encode(publish)
            # The routing key is the last short string: its length, its bytes, and then the flags.
            whole = b"".join(pieces)
            assert b"\x04key?" in whole
            return [whole.replace(b"\x04key?", b"\x04k\xff\xfe?")]

        monkeypatch.setattr(pika.spec.Basic.Publish, "encode", with_a_bad_key)
        stranger.basic_publish("chat", "key?", b"hello")
        (message,) = subscriber.receive(timeout=30)
    assert message.text == "hello"


@pytest.mark.parametrize("name", ["é" * 127, "x" + "é" * 127, "xx" + "部" * 84, "xxx" + "🚀" * 63], ids=len)
def test_a_reply_that_rabbitmq_cut_within_a_character_is_read(
    rabbitmq: RabbitMQ, settings: Settings, name: str
) -> None:
    there = Settings.resolve(url=settings.broker.url(), room=name)
    connection, broker = connect(there, purpose="test")
    try:
        with pytest.raises(BrokerError) as caught, broker_errors(broker, "look"):
            there.transport.room(there.room).exchange(connection.channel()).declare(passive=True)
    finally:
        broker.transport.close(connection)
    if rabbitmq.version < (4,):  # newer ones do not cut it, and close the connection over it without a word
        assert isinstance(caught.value, NotFound)
        assert "no exchange" in str(caught.value)


def test_a_connection_that_is_closed_with_a_cut_reply_says_why(rabbitmq: RabbitMQ) -> None:
    nowhere = Settings.resolve(url=rabbitmq.url_for("é" * 120))
    with pytest.raises(BrokerError) as caught:
        Subscriber(nowhere).open()
    if rabbitmq.version < (4,):
        assert isinstance(caught.value, Refused)
        assert "vhost" in str(caught.value)


def test_readable_properties_stay_as_they_are() -> None:
    def short(data: bytes) -> bytes:
        return bytes((len(data),)) + data

    tag = struct.pack(">Q", 2**64 - 1)
    ids = b"\x00\x3c\x00\x3c"
    good = ids + short(b"tag") + tag + b"\x01" + short("é".encode()) + short(b"key")
    assert readable("sLbss", good) == good
    bad = ids + short(b"tag") + tag + b"\x01" + short(b"\xff") + short(b"k\xc3y")
    assert readable("sLbss", bad) == ids + short(b"tag") + tag + b"\x01" + short(b"?") + short(b"k?y")
    close_method = b"\x00\x14\x00\x28" + b"\x01\x94" + short(b"not there: \xc3") + b"\x00\x3c\x00\x28"
    assert readable("BsBB", close_method) == close_method.replace(b"\xc3", b"?")
    bits = b"\x00\x3c\x00\x28" + short(b"\xff") + b"\x03" + short(b"\xfe")
    assert readable("sbbs", bits) == b"\x00\x3c\x00\x28" + short(b"?") + b"\x03" + short(b"?")
