"""AMQP frames in fewer steps than py-amqp takes, for :mod:`kchat.transports.amqp.transport`.

py-amqp reads a frame by three ``recv`` calls, each between two that set a timeout, and writes a message's properties anew
for each message. Here what has arrived is read at once and taken apart in memory, and properties that stay the same are
written once. What a frame means is left to py-amqp. ``docs/performance.md`` has the figures.

It holds on to names that py-amqp documents no promise for: ``tests/unit/test_frames.py`` says which, and when they change.
"""

from __future__ import annotations

import math
import select
import struct
from collections.abc import Iterator, Mapping
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

import amqp
from amqp import spec
from amqp.exceptions import FrameError, RecoverableConnectionError, UnexpectedFrame
from amqp.serialization import dumps

from kchat.transports.poller import new_poller

from .bounds import FRAME_MAX

if TYPE_CHECKING:
    from kchat.transports.waker import Waker

_CHUNK = 64 * 1024
"""Bytes to ask the system for at once. A frame of RabbitMQ's has 128 KiB at most."""

_BURST = 500
"""Maximum number of frames that are dispatched before the caller gets to look."""

_AROUND = 8
"""Bytes of a frame around its payload: seven in front, one behind (AMQP 0-9-1 section 4.2.3)."""

_FRAME_END = 0xCE

Frame = tuple[int, int, bytes]
"""Type, channel and payload."""

_METHOD = 1
_ACK_SIZE = 13

_header = struct.Struct(">BHI").unpack_from
_ack = struct.Struct(">BHIHHQ?B").pack


class BufferedReads:
    """For a py-amqp transport: reads all that has arrived at once. Without TLS it waits without changing the socket."""

    sock: Any
    connected: bool
    _data = b""
    _start = 0
    _wanted = 0
    frame_max = FRAME_MAX
    """Bytes of the largest frame; the connection sets what is agreed on."""
    _patience: float | None = None
    waker: Waker | None = None
    """Ends the waits of :func:`drain_arrived`, and no other: the answer to a method is still waited for."""

    def _setup_transport(self) -> None:
        super()._setup_transport()  # type: ignore[misc]  # py-amqp's transport is the other base
        self._poll = new_poller()
        self._poll.register(self.sock, select.POLLIN)

    def having_timeout(self, timeout: float | None) -> BufferedReads:
        """A context that limits how long reads wait, in seconds; ``None`` for as long as the socket does."""
        self._patience = timeout
        return self

    def __enter__(self) -> Any:
        return self.sock

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._patience = None

    def read_frame(self, unpack: object = None) -> Frame:  # noqa: ARG002 - py-amqp's signature
        """The next frame.

        Raises:
            TimeoutError: it did not come in time. What came of it is kept.
            amqp.exceptions.FrameError: it is larger than was agreed.
            amqp.exceptions.UnexpectedFrame: it does not end as a frame does.
            OSError: the connection is gone.
        """
        ends = deadline(self._patience)
        while True:
            for frame in self.arrived_frames():
                return frame
            self.fill(left(ends))

    def arrived_frames(self) -> Iterator[Frame]:
        """The frames of which all has arrived, each taken when it is asked for; the system is not asked.

        Raises:
            amqp.exceptions.FrameError: one is larger than was agreed.
            amqp.exceptions.UnexpectedFrame: one does not end as a frame does.
        """
        while len(self._data) - self._start >= _AROUND:
            data, start = self._data, self._start
            kind, channel, size = _header(data, start)
            end = start + _AROUND + size
            if size + _AROUND > self.frame_max:
                raise FrameError(f"a frame of {size:,} bytes; agreed are {self.frame_max:,} at most")
            if end > len(data):
                self._wanted = end - start
                return
            self._start = end
            if data[end - 1] != _FRAME_END:
                raise UnexpectedFrame(f"a frame ends with {data[end - 1]:#04x}, not {_FRAME_END:#04x}")
            yield kind, channel, data[start + 7 : end - 1]

    def fill(self, timeout: float | None, waker: Waker | None = None) -> None:
        """Wait for more to arrive, and read what there is; a waker may end that. Raises as :meth:`read_frame`."""
        try:
            came = self._wait_and_receive(max(_CHUNK, self._wanted), timeout, waker)
            if not came:
                raise ConnectionResetError("the broker closed the connection")
        except (TimeoutError, BlockingIOError):
            raise
        except OSError:
            self.connected = False
            raise
        self._data, self._start = self._data[self._start :] + came, 0
        self._wanted = 0

    def _wait_and_receive(self, most: int, timeout: float | None, waker: Waker | None) -> bytes:
        """What has arrived, up to this many bytes; nothing at the end. Raises TimeoutError if nothing came in time."""
        if timeout is not None:
            milliseconds = math.ceil(timeout * 1000)
            if waker is None or not milliseconds:
                ready = bool(self._poll.poll(milliseconds))
            else:
                ready = self.sock.fileno() in waker.wait(timeout, self.sock)
            if not ready:
                raise TimeoutError("timed out")
        came: bytes = self.sock.recv(most)
        return came


def deadline(timeout: float | None) -> float | None:
    """The moment at which a timeout is over; ``None`` for never."""
    return None if timeout is None else monotonic() + timeout


def left(ends: float | None) -> float | None:
    """Seconds until a deadline; ``None`` where there is none. Of one that has passed 0, which only looks."""
    return None if ends is None else max(0.0, ends - monotonic())


def drain_arrived(connection: Any, timeout: float | None) -> None:
    """Wait for an event, and dispatch with it what else has arrived: a burst costs one wait and one read.

    Arguments:
        connection: of :class:`.connection.AliveConnection`, its transport of :class:`BufferedReads`.
        timeout: in seconds; ``None`` for as long as an answer may take.

    Raises:
        TimeoutError: none came in time.
    """
    transport = connection.transport
    dispatch = connection.on_inbound_frame
    ends = deadline(connection.answer_timeout if timeout is None else timeout)
    more, seen, looked = _BURST, False, False
    while True:
        for frame in transport.arrived_frames():
            seen = dispatch(frame) or seen
            more -= 1
            if not more:
                return
        if seen:
            return
        # Heartbeats and parts of a frame are not events, and postpone nothing.
        if looked and ends is not None and monotonic() >= ends:
            raise TimeoutError("timed out")
        transport.fill(left(ends), transport.waker)
        looked = True
        connection.heard_at = monotonic()


_PLACE_DIGITS = 12

NUMBER_HEADER = "kchat-number"
"""The header with a message's place in what its sender has sent: ``<stream>.<place>``."""


def number_table(stream: str, more: Mapping[str, str] | None = None) -> bytes:
    """What a message's headers are made of, once for all messages of a stream: ``number_table(stream) % place``.

    AMQP 0-9-1 section 4.2.5.5; a long string of 12 digits and the stream's name in front of them.

    Arguments:
        stream: its name.
        more: other headers that all of these messages have. Default: none.
    """
    headers = {NUMBER_HEADER: stream + "." + _PLACE_DIGITS * "0", **(more or {})}
    fields = [
        struct.pack(">B", len(name)) + name + b"S" + struct.pack(">I", len(text)) + text
        for name, text in ((name.encode(), text.encode()) for name, text in headers.items())
    ]
    table = struct.pack(">I", sum(map(len, fields))) + b"".join(fields)
    at = 4 + len(fields[0]) - _PLACE_DIGITS
    # A percent sign elsewhere would be taken for a place.
    before, after = (part.replace(b"%", b"%%") for part in (table[:at], table[at + _PLACE_DIGITS :]))
    return before + b"%%0%dd" % _PLACE_DIGITS + after


class Outgoing:
    """A message to publish, instead of :class:`amqp.Message`, which costs as much to make as to write.

    Attributes:
        body: its bytes.
        properties: AMQP's basic properties by py-amqp's names; those that are ``None`` are not written.
        table: the headers, written already, instead of those among the properties. Default none.
        writer: writes them.
    """

    __slots__ = ("body", "properties", "table", "writer")

    def __init__(self, body: bytes, properties: dict[str, Any], writer: PropertyWriter) -> None:
        self.body = body
        self.properties = properties
        self.writer = writer
        self.table = b""

    def _serialize_properties(self) -> bytes:
        """py-amqp calls it while it writes the frames."""
        return self.writer.write(self.properties, self.table)


class PropertyWriter:
    """Writes basic properties (AMQP 0-9-1 section 4.2.6.1), and remembers those that all messages have in common."""

    _HEADERS, _MESSAGE_ID, _TIMESTAMP = 0x2000, 0x0080, 0x0040
    _FIRST = [name for name, _ in amqp.Message.PROPERTIES[:2]]  # noqa: RUF012 - never changed
    _BEFORE = [name for name, _ in amqp.Message.PROPERTIES[2:8]]  # noqa: RUF012 - never changed

    def __init__(self) -> None:
        self._common: dict[str, Any] | None = None
        self._flags = 0
        self._first = self._before = self._after = b""

    def write(self, properties: dict[str, Any], table: bytes = b"") -> bytes:
        """The flags and the properties that they stand for; ``table`` is that of the headers, if it is written already."""
        common = dict(properties)
        message_id, timestamp = common.pop("message_id", None), common.pop("timestamp", None)
        if common != self._common:
            self._remember(common)
        flags, middle = self._flags, b""
        if table:
            flags |= self._HEADERS
        if message_id is not None:
            flags |= self._MESSAGE_ID
            text = message_id.encode()
            middle = struct.pack(">B", len(text)) + text
        if timestamp is not None:
            flags |= self._TIMESTAMP
            middle += struct.pack(">Q", timestamp)
        return flags.to_bytes(2, "big") + self._first + table + self._before + middle + self._after

    def _remember(self, common: dict[str, Any]) -> None:
        first = {name: common[name] for name in self._FIRST if name in common}
        before = {name: common[name] for name in self._BEFORE if name in common}
        after = {name: value for name, value in common.items() if name not in first | before}
        # What is replaced by this.
        written = [amqp.Message(**part)._serialize_properties() for part in (first, before, after)]  # noqa: SLF001
        self._first, self._before, self._after = (part[2:] for part in written)
        self._flags = sum(int.from_bytes(part[:2], "big") for part in written)
        # Headers are somebody else's dict, which may change.
        self._common = common if common.get("application_headers") is None else None


class QuickWriting:
    """For a py-amqp channel: publishing that only publishes, and writes what stays the same once; acknowledging likewise."""

    number_table = staticmethod(number_table)

    connection: Any
    channel_id: int
    _writer: PropertyWriter
    _target: tuple[Any, ...] = ()
    _arguments = b""

    def prepare_message(
        self,
        body: bytes | str,
        priority: int | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: dict[str, Any] | None = None,
        properties: dict[str, Any] | None = None,
    ) -> Outgoing:
        """A message to publish; Kombu's signature."""
        try:
            writer = self._writer
        except AttributeError:
            writer = self._writer = PropertyWriter()
        known = {
            "priority": priority,
            "content_type": content_type,
            "content_encoding": content_encoding,
            "application_headers": headers,
            **(properties or {}),
        }
        return Outgoing(body.encode() if isinstance(body, str) else body, known, writer)

    def basic_publish(
        self,
        msg: Any,
        exchange: str = "",
        routing_key: str = "",
        mandatory: bool = False,  # noqa: FBT001, FBT002 - py-amqp's signature
        immediate: bool = False,  # noqa: FBT001, FBT002 - py-amqp's signature
        **_: Any,
    ) -> None:
        """Write the message to the socket; AMQP 0-9-1 section 1.8.3.7, ``basic.publish``.

        Raises:
            amqp.exceptions.RecoverableConnectionError: the connection is closed.
        """
        if self.connection is None:
            raise RecoverableConnectionError("the connection is closed")
        target = (exchange, routing_key, mandatory, immediate)
        if target != self._target:
            self._arguments = dumps("Bssbb", (0, *target))
            self._target = target
        self.connection.frame_writer(1, self.channel_id, spec.Basic.Publish, self._arguments, msg)

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:  # noqa: FBT001, FBT002 - py-amqp's signature
        """Write an acknowledgement to the socket; AMQP 0-9-1 section 1.8.3.13, ``basic.ack``. Raises as above."""
        if self.connection is None:
            raise RecoverableConnectionError("the connection is closed")
        self.connection.transport.write(
            _ack(_METHOD, self.channel_id, _ACK_SIZE, *spec.Basic.Ack, delivery_tag, multiple, _FRAME_END)
        )
