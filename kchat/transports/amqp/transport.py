"""AMQP 0-9-1: Kombu's pyamqp transport, with what a client that stays needs beyond it.

- The reason that a broker gives for refusing messages (``connection.blocked``,
  https://www.rabbitmq.com/docs/connection-blocked), which py-amqp drops.
- Publishing that only publishes, and reading that reads all there is: :mod:`.framing`. py-amqp's publishing looks for
  events each time, which takes as long as the publishing; kchat's sender looks for them when it needs to.
- TLS by the object in the transport option ``tls``: the socket is wrapped, and the server known to be the right one,
  before a byte of AMQP is written. Without that option the system's CAs are trusted.
- What answers is looked at before it is taken for AMQP: a TLS port addressed without TLS, a web server.
- Heartbeats, and waits for answers that end: :mod:`.connection`.
- Bounds of what a broker may send and say, and replies whose texts are not UTF-8: :mod:`.bounds`.
- Messages of which no more is read than is asked for: :mod:`.delivery`.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections import deque
from typing import TYPE_CHECKING, Any

import amqp.transport
from amqp import spec
from amqp.exceptions import UnexpectedFrame
from kombu.transport import pyamqp

from kchat.transports import addresses
from kchat.transports.tls import TlsOptions, wrap
from kchat.transports.waker import Waker

from .bounds import BoundedConnection, CheckedMethods
from .connection import AliveConnection, TimedAnswers
from .delivery import QuickDelivery, incoming_frames
from .framing import BufferedReads, QuickWriting, deadline, drain_arrived, left

if TYPE_CHECKING:
    from collections.abc import Callable

_GREETING = 7
"""Bytes of a frame's header (AMQP 0-9-1 section 4.2.3): type, channel, size."""

_AT_ONCE = 0.001
"""Seconds; a timeout of 0 would mean a socket that does not wait at all, which is not a timeout to TLS."""

_RECORD = 0.02
"""Seconds to wait for the rest of a TLS record where the wait may be ended; after that both are waited for again."""

_CONNECTION_START = b"\x01\x00\x00"
"""A method frame on channel 0: what a broker begins with."""


class NotAmqp(UnexpectedFrame):
    """What answers does not begin as AMQP 0-9-1 does. ``greeting`` has its first bytes."""

    def __init__(self, greeting: bytes) -> None:
        super().__init__(f"it begins with {greeting!r}")
        self.greeting = greeting


class _Beginning(BufferedReads):
    """How a connection begins, with TLS and without. One of py-amqp's transports is the other base."""

    host_name: str | None = None
    """The host to connect to, where it is not the one that py-amqp was told."""
    connect_timeout: float | None
    _ends: float | None = None
    """When the connection has to be there; ``connect_timeout`` holds for all of it."""

    def connect(self) -> None:
        """Connect, and look at the broker's first bytes.

        Raises:
            NotAmqp: it is not an AMQP 0-9-1 broker.
        """
        if self.connected:
            return
        self._ends = deadline(self.connect_timeout)
        super().connect()  # type: ignore[misc]  # py-amqp's
        try:
            while len(self._data) < _GREETING:
                self.fill(left(self._ends))
            if not self._data.startswith(_CONNECTION_START):
                raise NotAmqp(self._data[:_GREETING])
        except BaseException:
            # Not close(): that would wait for a goodbye.
            self.sock.close()
            self.sock, self.connected = None, False
            raise

    def _connect(self, host: str, port: int, timeout: float | None) -> None:
        self.sock = addresses.connect(self.host_name or host, port, timeout)

    def _get_tcp_socket_defaults(self, sock: socket.socket) -> dict[int, int]:
        # py-amqp sets options to what they are. The segment size of a loopback connection is one that Linux refuses to set.
        options: dict[int, int] = super()._get_tcp_socket_defaults(sock)  # type: ignore[misc]  # py-amqp's
        options.pop(getattr(socket, "TCP_MAXSEG", -1), None)
        return options


class PlainTransport(_Beginning, amqp.transport.TCPTransport):
    """py-amqp's transport without TLS."""


class TlsTransport(_Beginning, amqp.transport.SSLTransport):
    """py-amqp's transport with TLS as ``tls`` says; the certificate has to bear the name ``server_hostname``."""

    def __init__(self, host: str, *, tls: TlsOptions, server_hostname: str, **more: Any) -> None:
        super().__init__(host, ssl=True, **more)
        self._tls = tls
        self._server_hostname = server_hostname

    def _setup_transport(self) -> None:
        wait = left(self._ends)
        self.sock = wrap(
            self._tls, self.sock, self._server_hostname, None if wait is None else max(_AT_ONCE, wait)
        )
        self.sock.settimeout(None)

    def _shutdown_transport(self) -> None:
        # py-amqp would wait for the server's close_notify. AMQP has its own goodbye, connection.close.
        pass

    def _wait_and_receive(self, most: int, timeout: float | None, waker: Waker | None) -> bytes:
        ends = deadline(timeout)
        while waker is not None and timeout and not self.sock.pending():
            if self.sock.fileno() not in waker.wait(timeout, self.sock):
                raise TimeoutError("timed out")
            try:
                return self._wait_and_decrypt(most, min(timeout, _RECORD))
            except TimeoutError:
                timeout = left(ends)
        return self._wait_and_decrypt(most, timeout)

    def _wait_and_decrypt(self, most: int, timeout: float | None) -> bytes:
        # Bytes on the wire may be no more than half a record, or none of AMQP's: only the decryption knows whether
        # something has come, so it is what waits.
        before = self.sock.gettimeout()
        try:
            if timeout is not None:
                self.sock.settimeout(timeout)
            came: bytes = self.sock.recv(most)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise TimeoutError("timed out") from error
        finally:
            self.sock.settimeout(before)
        return came

    def _write(self, s: bytes) -> None:
        # On an encrypted socket SO_SNDTIMEO, which py-amqp sets, is without effect.
        before = self.sock.gettimeout()
        self.sock.settimeout(self.write_timeout)
        try:
            self.sock.sendall(s)
        except TimeoutError as error:
            # As it comes from a socket without TLS.
            raise BlockingIOError(errno.EAGAIN, "the broker takes nothing") from error
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            self._raise_alert()
            raise
        finally:
            self.sock.settimeout(before)

    def _raise_alert(self) -> None:
        """With TLS 1.3 a server refuses the client's certificate after the handshake, by an alert that waits to be read."""
        try:
            self.sock.settimeout(0)
            self.sock.read(1)
        except OSError as error:  # SSLError is one
            if "ALERT" in str(getattr(error, "reason", "")):
                raise


class Channel(QuickWriting, QuickDelivery, CheckedMethods, TimedAnswers, pyamqp.Channel):
    """A channel whose publishing does nothing else, and whose messages are read when somebody asks."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._asked: deque[Callable[[int], None]] = deque()

    def _answered(self, _queue: str, messages: int, _consumers: int) -> None:
        self._asked.popleft()(messages)

    def ask_length(self, queue: str, answer: Callable[[int], None]) -> None:
        """See :class:`kchat.transports.protocols.AsksLength`. From then on nothing else is declared on this channel.

        A passive declaration tells (AMQP 0-9-1 section 1.7.2.1, ``queue.declare-ok``). A channel's methods are handled in
        order: what is asked before an acknowledgement is answered as it was before that.
        """
        if not self._asked:
            self._callbacks[spec.Queue.DeclareOk] = self._answered
        self._asked.append(answer)
        self.send_method(spec.Queue.Declare, "BsbbbbbF", (0, queue, True, False, False, False, False, {}))


class Connection(BoundedConnection, AliveConnection):
    """A connection that passes on why it is blocked.

    Arguments:
        tls: what to trust, where it is to be encrypted (py-amqp's ``ssl``). Default the system's CAs.
        server_hostname: the host to connect to, where Kombu says another (127.0.0.1 for ``localhost``); also goes to
            ``tls``. Default the host that Kombu says.
        more: as of :class:`.connection.AliveConnection`.
    """

    Channel = Channel

    def __init__(
        self, *args: Any, tls: TlsOptions | None = None, server_hostname: str | None = None, **more: Any
    ) -> None:
        super().__init__(*args, **{"frame_handler": incoming_frames, **more})
        self._tls = tls
        self._server_hostname = server_hostname

    def Transport(self, host: str, connect_timeout: float, ssl: Any, *args: Any, **more: Any) -> Any:  # noqa: N802 - py-amqp's
        """The connection's transport; py-amqp calls it."""
        options = dict(zip(("read_timeout", "write_timeout"), args, strict=True), **more)
        transport: _Beginning
        if ssl:
            name = self._server_hostname or amqp.transport.to_host_port(host)[0]
            transport = TlsTransport(
                host,
                tls=self._tls or TlsOptions(),
                server_hostname=name,
                connect_timeout=connect_timeout,
                **options,
            )
        else:
            transport = PlainTransport(host, connect_timeout, **options)
        transport.host_name = self._server_hostname
        return transport

    _METHODS = {  # noqa: RUF012 - py-amqp's; never changed
        **pyamqp.Connection._METHODS,  # noqa: SLF001 - the table that py-amqp's subclasses supply
        spec.Connection.Blocked: spec.method(spec.Connection.Blocked, "s"),
    }

    def _on_blocked(self, reason: str) -> None:
        if self.on_blocked:
            self.on_blocked(reason)

    @property
    def verifies_accounts(self) -> bool:
        """Whether this broker checks that a message's ``user_id`` is its sender's account; AMQP leaves it to the broker.

        RabbitMQ does: https://www.rabbitmq.com/docs/validated-user-id.
        """
        return bool((self.server_properties or {}).get("product") == "RabbitMQ")

    @property
    def counts_properties(self) -> bool:
        """Whether quorum queues count a message's properties towards ``x-max-length-bytes``.

        RabbitMQ 4.3 does, by their bytes as they are sent; 4.0 counts bodies alone.
        """
        version = str((self.server_properties or {}).get("version"))
        found = re.match(r"(\d{1,4})\.(\d{1,4})", version)
        return self.verifies_accounts and found is not None and (int(found[1]), int(found[2])) >= (4, 3)


class Transport(pyamqp.Transport):
    """Kombu's AMQP transport on the connection above."""

    Connection = Connection

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """See :func:`.framing.drain_arrived`; Kombu calls it."""
        drain_arrived(connection, timeout)

    def waker(self, connection: Any) -> Waker:
        """What ends :meth:`drain_events` early, from any thread. Close it with the connection."""
        waker = connection.transport.waker = Waker()
        return waker
