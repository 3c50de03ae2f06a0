"""AMQP frames: written as py-amqp writes them, read however they are cut. What of py-amqp is relied on is named here."""

from __future__ import annotations

import inspect
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic
from typing import Any

import amqp
import amqp.method_framing
import amqp.transport
import pytest
from amqp.exceptions import FrameError, RecoverableConnectionError, UnexpectedFrame
from hypothesis import given
from hypothesis import strategies as st
from kombu.transport import pyamqp

from kchat.transports.amqp.framing import BufferedReads, Outgoing, PropertyWriter, QuickWriting, drain_arrived
from kchat.transports.amqp.transport import TlsTransport
from kchat.transports.tls import TlsOptions
from tests.brokers.tls_server import Authority
from tests.brokers.wait import soon

BODY = st.binary(max_size=300)
SHORT = st.text(max_size=60)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "content_type": SHORT,
        "content_encoding": SHORT,
        "application_headers": st.dictionaries(SHORT, SHORT | st.booleans(), max_size=3),
        "delivery_mode": st.integers(1, 2),
        "priority": st.none() | st.integers(0, 9),
        "correlation_id": SHORT,
        "expiration": SHORT,
        "message_id": SHORT,
        "timestamp": st.integers(0, 2**40),
        "type": SHORT,
        "user_id": st.none() | SHORT,
        "app_id": SHORT,
    },
)


class Plain(BufferedReads, amqp.transport.TCPTransport):
    """As kchat.transports.amqp.transport uses it."""


class Ends:
    """A transport on one end of a real pair of sockets, the other end in the test's hand.

    Arguments:
        authority: with it, the pair is encrypted.
    """

    broker: socket.socket
    transport: Plain | TlsTransport

    def __init__(self, authority: Authority | None = None) -> None:
        self.broker, ours = socket.socketpair()
        if authority is None:
            self.transport = Plain("localhost")
            self.transport.sock = ours
            self.transport._setup_transport()
        else:
            tls = TlsOptions(ca=str(authority.file))
            self.transport = TlsTransport(
                "localhost", tls=tls, server_hostname="localhost", connect_timeout=10
            )
            self.transport.sock = ours
            with ThreadPoolExecutor() as threads:  # it takes two to shake hands
                handshake = threads.submit(self.transport._setup_transport)
                self.broker = authority.context("localhost").wrap_socket(self.broker, server_side=True)
                handshake.result(30)
        self.transport.connected = True

    def read(self, timeout: float | None = 5) -> tuple[int, int, bytes]:
        with self.transport.having_timeout(timeout):
            return self.transport.read_frame()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(params=["plain", "tls"])
def ends(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Ends]:
    both = Ends(authority if request.param == "tls" else None)
    try:
        yield both
    finally:
        both.broker.close()
        both.transport.sock.close()


def frame(payload: bytes, kind: int = 1, channel: int = 1, end: int = 0xCE) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([end])


# ---- what is relied on


def test_py_amqp_has_what_is_overridden() -> None:
    transport = amqp.transport.TCPTransport
    for name in ("_setup_transport", "having_timeout", "read_frame"):
        assert inspect.isfunction(getattr(transport, name)), name
    assert list(inspect.signature(transport.having_timeout).parameters) == ["self", "timeout"]


def test_py_amqp_reads_frames_by_the_transport_alone() -> None:
    source = inspect.getsource(amqp.Connection.blocking_read)
    assert "having_timeout(timeout)" in source
    assert "self.transport.read_frame()" in source
    assert "on_inbound_frame(frame)" in source


def test_py_amqp_writes_a_message_by_its_body_and_its_serialised_properties() -> None:
    source = inspect.getsource(amqp.method_framing.frame_writer)
    assert "content._serialize_properties()" in source
    assert "content.body" in source
    assert "write_frame(type_, channel, method_sig, args, content)" in source


def test_the_order_of_properties_is_that_of_the_specification() -> None:
    names = [name for name, _ in amqp.Message.PROPERTIES]
    assert names.index("message_id") == 8
    assert names.index("timestamp") == 9
    assert len(names) == 14


# ---- properties


@given(st.lists(PROPERTIES, min_size=1, max_size=4))
def test_properties_are_written_as_py_amqp_writes_them(each: list[dict[str, Any]]) -> None:
    writer = PropertyWriter()
    for properties in each:
        expected = amqp.Message(**properties)._serialize_properties()
        assert writer.write(properties) == expected
        assert writer.write(properties) == expected


def test_headers_that_were_changed_meanwhile_are_written_as_they_are_now() -> None:
    writer, headers = PropertyWriter(), {"a": "1"}
    before = writer.write({"application_headers": headers})
    headers["a"] = "2"
    assert writer.write({"application_headers": headers}) == before.replace(b"1", b"2")


# ---- publishing


class Channel(QuickWriting, pyamqp.Channel):
    """As kchat.transports.amqp.transport uses it."""


def test_text_is_published_as_utf_8() -> None:
    message = QuickWriting().prepare_message("ä", content_type="text/plain")
    assert isinstance(message, Outgoing)
    assert message.body == "ä".encode()
    assert message.properties["content_type"] == "text/plain"


def test_publishing_on_a_closed_channel_is_a_lost_connection() -> None:
    channel = Channel.__new__(Channel)
    channel.connection = None
    with pytest.raises(RecoverableConnectionError):
        channel.basic_publish(channel.prepare_message(b"x"))


@given(st.integers(0, 2**64 - 1), st.booleans())
def test_an_acknowledgement_is_written_as_py_amqp_writes_it(tag: int, multiple: bool) -> None:
    class Transport:
        def __init__(self) -> None:
            self.wrote = b""

        def write(self, data: bytes | memoryview) -> None:
            self.wrote += bytes(data)

    wrote = []
    for kind in (Channel, pyamqp.Channel):
        connection = pyamqp.Connection("localhost")
        connection._transport = transport = Transport()
        connection._frame_writer = amqp.method_framing.frame_writer(connection, transport)
        kind(connection, 7).basic_ack(tag, multiple=multiple)
        wrote.append(transport.wrote)
    assert wrote[0] == wrote[1]


def test_acknowledging_on_a_closed_channel_is_a_lost_connection() -> None:
    channel = Channel.__new__(Channel)
    channel.connection = None
    with pytest.raises(RecoverableConnectionError):
        channel.basic_ack(1)


# ---- reading


@given(st.lists(BODY, min_size=1, max_size=8), st.lists(st.integers(1, 400), max_size=20))
def test_frames_come_out_however_they_are_cut(payloads: list[bytes], cuts: list[int]) -> None:
    ends, data = Ends(), b"".join(map(frame, payloads))
    try:
        came: list[tuple[int, int, bytes]] = []
        for cut in [*cuts, len(data)]:
            ends.broker.sendall(data[:cut])
            data = data[cut:]
            while len(came) < len(payloads):
                try:
                    came.append(ends.read(timeout=0))
                except TimeoutError:
                    break
        assert came == [(1, 1, payload) for payload in payloads]
    finally:
        ends.broker.close()
        ends.transport.sock.close()


def test_a_frame_larger_than_a_read_is_put_together(ends: Ends) -> None:
    body = bytes(range(256)) * 512
    body = body[: ends.transport.frame_max - 8]
    ends.broker.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    ends.broker.sendall(frame(body, kind=3))
    assert ends.read() == (3, 1, body)


def test_a_frame_larger_than_agreed_is_refused_by_its_header(ends: Ends) -> None:
    for agreed, size in ((128 * 1024, 0xFFFFFFFF), (128 * 1024, 128 * 1024 - 7), (4096, 4089)):
        ends.transport.frame_max = agreed
        ends.broker.sendall(struct.pack(">BHIx", 1, 0, size))
        with pytest.raises(FrameError, match="bytes"):
            ends.read()
        ends.transport._data, ends.transport._start = b"", 0


def test_a_byte_now_and_then_does_not_put_off_the_deadline(ends: Ends) -> None:
    began, stop = monotonic(), Event()

    def trickle() -> None:
        for byte in frame(b"x" * 100):
            if stop.wait(0.02):
                return
            ends.broker.sendall(bytes((byte,)))

    with ThreadPoolExecutor() as threads:
        threads.submit(trickle)
        with pytest.raises(TimeoutError):
            ends.read(0.2)
        stop.set()
    assert monotonic() - began < soon(3)


def test_a_timeout_leaves_what_came_of_a_frame(ends: Ends) -> None:
    data = frame(b"hello")
    ends.broker.sendall(data[:9])
    with pytest.raises(TimeoutError):
        ends.read(timeout=0.01)
    ends.broker.sendall(data[9:])
    assert ends.read() == (1, 1, b"hello")


def test_without_a_timeout_the_sockets_own_holds(ends: Ends) -> None:
    ends.transport.sock.settimeout(0.01)
    with pytest.raises(TimeoutError):
        ends.read(timeout=None)
    assert ends.transport.connected


def test_a_frame_with_another_end_is_no_frame(ends: Ends) -> None:
    ends.broker.sendall(frame(b"hello", end=0))
    with pytest.raises(UnexpectedFrame):
        ends.read()


def test_a_connection_that_is_closed_says_so(ends: Ends) -> None:
    ends.broker.close()
    with pytest.raises(ConnectionResetError):
        ends.read()
    assert not ends.transport.connected


class Connection:
    """What draining needs of a connection. Every frame but a ``b"-"`` is an event."""

    answer_timeout = 0.01
    heard_at = 0.0

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.came: list[bytes] = []

    def on_inbound_frame(self, frame: tuple[int, int, bytes]) -> bool:
        self.came.append(frame[2])
        return frame[2] != b"-"


def test_frames_that_have_arrived_are_dispatched_without_waiting_for_more(ends: Ends) -> None:
    connection = Connection(ends.transport)
    ends.broker.sendall(frame(b"1") + frame(b"2") + frame(b"3") + frame(b"4")[:5])
    drain_arrived(connection, 5)
    assert connection.came == [b"1", b"2", b"3"]
    assert connection.heard_at > 0
    with pytest.raises(TimeoutError):
        drain_arrived(connection, 0)
    ends.broker.sendall(frame(b"4")[5:])
    drain_arrived(connection, 5)
    assert connection.came[3:] == [b"4"]


def test_frames_that_are_no_event_are_waited_behind(ends: Ends) -> None:
    connection = Connection(ends.transport)
    ends.broker.sendall(frame(b"-") + frame(b"-"))
    with pytest.raises(TimeoutError):
        drain_arrived(connection, 0.01)
    ends.broker.sendall(frame(b"-") + frame(b"1"))
    drain_arrived(connection, 5)
    assert connection.came == [b"-", b"-", b"-", b"1"]


def test_without_a_timeout_it_is_as_long_as_an_answer_may_take(ends: Ends) -> None:
    with pytest.raises(TimeoutError):
        drain_arrived(Connection(ends.transport), None)


def test_a_flood_is_interrupted_so_that_somebody_can_look(ends: Ends) -> None:
    connection, many = Connection(ends.transport), 700
    ends.broker.sendall(frame(b"x") * many)
    drain_arrived(connection, 5)
    assert 0 < len(connection.came) < many
    before = len(connection.came)
    drain_arrived(connection, 5)
    assert before < len(connection.came) <= many


def test_an_error_in_one_event_leaves_the_next_to_be_read(ends: Ends) -> None:
    class Failing(Connection):
        def on_inbound_frame(self, frame: tuple[int, int, bytes]) -> bool:
            super().on_inbound_frame(frame)
            if frame[2] == b"2":
                raise UnexpectedFrame("this one")
            return True

    connection = Failing(ends.transport)
    ends.broker.sendall(frame(b"1") + frame(b"2") + frame(b"3"))
    with pytest.raises(UnexpectedFrame):
        drain_arrived(connection, 5)
    drain_arrived(connection, 5)
    assert connection.came == [b"1", b"2", b"3"]
