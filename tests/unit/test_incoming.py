"""Messages that arrive over AMQP: put together as py-amqp puts them together, and read only as far as somebody asks."""

from __future__ import annotations

import inspect
import struct
from typing import Any

import amqp
import pytest
from amqp import spec
from amqp.exceptions import UnexpectedFrame
from amqp.method_framing import frame_handler
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st
from kombu.transport import pyamqp

from kchat.transports.amqp.delivery import Incoming, QuickDelivery, incoming_frames
from tests.unit.test_frames import PROPERTIES

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
SHORT = st.text(max_size=60)

Frame = tuple[int, int, bytes]


class Connection:
    """What putting frames together needs of a connection; keeps what comes out."""

    def __init__(self, make: Any) -> None:
        self.bytes_recv = 0
        self.channels = dict.fromkeys(range(16))
        self.came: list[tuple[Any, ...]] = []
        self.take = make(self, lambda *method: self.came.append(method))


def method(sig: tuple[int, int], arguments: bytes = b"", channel: int = 1) -> Frame:
    return METHOD, channel, struct.pack(">HH", *sig) + arguments


def header(size: int, properties: bytes = b"\0\0", channel: int = 1) -> Frame:
    return HEADER, channel, struct.pack(">HHQ", 60, 0, size) + properties


def body(piece: bytes, channel: int = 1) -> Frame:
    return BODY, channel, piece


def deliver(
    tag: str = "c", number: int = 1, *, redelivered: bool = False, exchange: str = "chat", key: str = ""
) -> bytes:
    written: bytes = dumps("sLbss", (tag, number, redelivered, exchange, key))
    return written


def arrived(*frames: Frame) -> Incoming:
    """The one message that frames make, by both ways the same."""
    ours, theirs = Connection(incoming_frames), Connection(frame_handler)
    for each in frames:
        assert ours.take(each) == theirs.take(each)
    assert ours.bytes_recv == theirs.bytes_recv
    ((channel, sig, arguments, message),) = ours.came
    ((their_channel, their_sig, their_arguments, other),) = theirs.came
    assert (channel, sig, arguments) == (their_channel, their_sig, their_arguments)
    assert message.body == (other.body or b"")
    assert message.properties == other.properties
    assert isinstance(message, Incoming)
    return message


# ---- what is relied on


def test_py_amqp_takes_another_frame_handler() -> None:
    assert "frame_handler" in inspect.signature(amqp.Connection.__init__).parameters
    names = list(inspect.signature(amqp.Channel._on_basic_deliver).parameters)
    assert names == ["self", "consumer_tag", "delivery_tag", "redelivered", "exchange", "routing_key", "msg"]


def test_a_message_is_one_of_py_amqps() -> None:
    message = arrived(method(spec.Basic.Deliver, deliver()), header(0))
    assert isinstance(message, amqp.Message)
    with pytest.raises(AttributeError):
        _ = message.nothing_of_that_name


# ---- putting together


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), PROPERTIES)
def test_a_message_comes_out_however_its_body_is_cut(pieces: list[bytes], properties: dict[str, Any]) -> None:
    written = amqp.Message(**properties)._serialize_properties()
    frames = [
        method(spec.Basic.Deliver, deliver()),
        header(sum(map(len, pieces)), written),
        *map(body, pieces),
    ]
    message = arrived(*frames)
    assert message.body == b"".join(pieces)
    assert message.user_id == properties.get("user_id")
    if "message_id" in properties:
        assert message.message_id == properties["message_id"]


def test_messages_on_two_channels_may_come_at_the_same_time() -> None:
    connection = Connection(incoming_frames)
    for each in (
        method(spec.Basic.Deliver, deliver()),
        method(spec.Basic.Deliver, deliver(), channel=2),
        header(2),
        header(1, channel=2),
        body(b"a"),
        (HEARTBEAT, 0, b""),
        body(b"x", channel=2),
        body(b"b"),
    ):
        connection.take(each)
    assert [(channel, message.body) for channel, _, _, message in connection.came] == [(2, b"x"), (1, b"ab")]


def test_a_method_without_content_is_handed_over_at_once() -> None:
    connection = Connection(incoming_frames)
    assert connection.take(method(spec.Channel.OpenOk))
    assert [(sig, content) for _, sig, _, content in connection.came] == [(spec.Channel.OpenOk, None)]


@pytest.mark.parametrize(
    "frames",
    [
        [header(0)],
        [body(b"x")],
        [(4, 1, b"")],
        [method(spec.Basic.Deliver), body(b"x")],
        [method(spec.Basic.Deliver), method(spec.Basic.Deliver)],
        [method(spec.Basic.Deliver), header(3), header(3)],
        [method(spec.Basic.Deliver), header(3), method(spec.Channel.Close)],
        [method(spec.Basic.Deliver), (HEADER, 1, b"\0" * 13)],
    ],
    ids=len,
)
def test_a_frame_out_of_turn_ends_the_connection(frames: list[Frame]) -> None:
    connection = Connection(incoming_frames)
    for each in frames[:-1]:
        assert not connection.take(each)
    with pytest.raises(UnexpectedFrame):
        connection.take(frames[-1])
    assert connection.came == []


# ---- properties


@given(PROPERTIES)
def test_an_account_is_found_without_reading_what_stands_in_front_of_it(properties: dict[str, Any]) -> None:
    message = Incoming(spec.Basic.Deliver, b"")
    message.take(*header(0, amqp.Message(**properties)._serialize_properties())[::2])
    assert message.user_id == properties.get("user_id")
    assert message._properties is None, "they were read"


def test_a_header_about_a_stream_gives_no_position() -> None:
    written = amqp.Message(application_headers={"x-stream-offset": 7})._serialize_properties()
    message = Incoming(spec.Basic.Deliver, b"")
    message.take(*header(0, written)[::2])
    assert message.position is None
    assert message._properties is None, "they were read"


@given(st.binary(max_size=60))
def test_properties_of_any_bytes_can_be_asked_for(properties: bytes) -> None:
    message = Incoming(spec.Basic.Deliver, b"")
    message.take(HEADER, struct.pack(">HHQ", 60, 0, 0) + b"\0\0"[len(properties) :] + properties)
    assert isinstance(message.properties, dict)
    assert message.user_id is None or isinstance(message.user_id, str)


def test_an_account_is_found_behind_a_property_that_cannot_be_read() -> None:
    # correlation_id and user_id: RabbitMQ has looked at the second, and nobody at the first.
    message = Incoming(spec.Basic.Deliver, b"")
    message.take(*header(0, b"\x04\x10" + b"\x01\xff" + b"\x03ada")[::2])
    assert message.properties == {}
    assert message.user_id == "ada"


@pytest.mark.parametrize(
    "properties", [b"\x00\x10", b"\x00\x10\x04ada", b"\x00\x10\x01\xff", b"\x20\x10\xff\xff\xff\xff\x03ada"]
)
def test_an_account_that_cannot_be_read_is_none(properties: bytes) -> None:
    message = Incoming(spec.Basic.Deliver, b"")
    message.take(*header(0, properties)[::2])
    assert message.user_id is None


def delivered(properties: dict[str, Any] | bytes, exchange: str = "chat") -> Incoming:
    """A message as a callback gets it."""
    written = (
        properties if isinstance(properties, bytes) else amqp.Message(**properties)._serialize_properties()
    )
    message = Incoming(spec.Basic.Deliver, b"")
    message.take(*header(0, written)[::2])
    message.delivery_info = {"exchange": exchange}
    return message


def test_a_message_that_the_broker_published_again_has_no_account() -> None:
    again: list[dict[str, Any]] = [
        {"x-death": [{"count": 1}]},
        {"x-death": 1},
        {"x-first-death-queue": "q"},
        {"x-last-death-reason": "expired"},
        {"x-received-from": [{"uri": "amqp://there"}]},
        {"x-shovelled": [{"shovelled-by": "a node"}]},
        {"x-opt-shovelled-by": "a node"},
        {"x-opt-deaths": [{}]},
        {"x-delay": -1000},
        {"deep": {"x-death": 1}},
        {"first": 1, "x-death": []},
    ]
    for headers in again:
        assert delivered({"application_headers": headers, "user_id": "ada"}).account("chat") is None, headers
    for headers in (
        {},
        {"x-delivery-count": 3},
        {"a": "b"},
        {"X-Death": 1},
        {"CC": ["x"], "x-stream-offset": 1},
    ):
        assert delivered({"application_headers": headers, "user_id": "ada"}).account("chat") == "ada", headers


def test_a_message_that_came_by_another_exchange_has_no_account() -> None:
    assert delivered({"user_id": "ada"}).account("chat") == "ada"
    for exchange in ("", "lunch", "kchat.chat.durable", "chat ", "CHAT"):
        assert delivered({"user_id": "ada"}, exchange).account("chat") is None
    assert delivered({}).account("chat") is None


def test_flags_that_go_on_are_not_read_as_an_account() -> None:
    assert delivered(b"\x00\x11\x00\x00\x03ada").account("chat") is None


def test_a_message_without_a_header_has_no_account() -> None:
    message = Incoming(spec.Basic.Deliver, b"")
    assert message.account("chat") is None


# ---- deliveries


class Channel(QuickDelivery, pyamqp.Channel):
    """As kchat.transports.amqp.transport uses it."""


def channel_of(kind: Any, *, decode: bool = False) -> Any:
    """A channel of a connection that nobody has connected."""
    return kind(pyamqp.Connection("localhost"), 1, auto_decode=decode)


@given(SHORT, st.integers(0, 2**64 - 1), st.booleans(), SHORT, SHORT, st.booleans())
def test_a_delivery_says_what_it_says_by_py_amqp(
    tag: str,
    number: int,
    redelivered: bool,
    exchange: str,
    key: str,
    decode: bool,
) -> None:
    payload = method(
        spec.Basic.Deliver, deliver(tag, number, redelivered=redelivered, exchange=exchange, key=key)
    )[2]
    told = []
    for kind in (Channel, pyamqp.Channel):
        channel = channel_of(kind, decode=decode)
        message = Incoming(spec.Basic.Deliver, payload)
        came: list[Any] = []
        channel.callbacks[tag] = came.append
        channel.dispatch_method(spec.Basic.Deliver, payload, message)
        assert came == [message]
        assert message.channel is channel
        assert message.delivery_tag == number
        told.append(message.delivery_info)
    assert told[0] == told[1]


def test_a_routing_key_that_is_no_text_is_shown_with_a_mark() -> None:
    channel = channel_of(Channel)
    payload = method(spec.Basic.Deliver, deliver(key="k?y"))[2].replace(b"k?y", b"k\xffy")
    message = Incoming(spec.Basic.Deliver, payload)
    channel.callbacks["c"] = lambda _: None
    channel.dispatch_method(spec.Basic.Deliver, payload, message)
    assert message.delivery_info is not None
    assert message.delivery_info["routing_key"] == "k\ufffdy"
