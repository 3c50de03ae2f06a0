"""HTTP answers that come in time or not at all: :mod:`http.client` counts its timeout anew with each byte that comes."""

from __future__ import annotations

import http.client
import io
import socket
from time import monotonic
from typing import TYPE_CHECKING, Any

from kchat.transports.tls import wrap

if TYPE_CHECKING:
    from kchat.transports.tls import TlsOptions


class _TimedReader(io.RawIOBase):
    """What a socket brings until a moment.

    Arguments:
        raw: the socket's own, unbuffered.
        sock: whose timeout is set.
        ends: the moment.
    """

    def __init__(self, raw: Any, sock: socket.socket, ends: float) -> None:
        self._raw = raw
        self._sock = sock
        self._ends = ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends - monotonic()
        if left <= 0:
            raise TimeoutError("no whole answer in time")
        self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """What :class:`http.client.HTTPResponse` wants of a socket."""

    def __init__(self, sock: socket.socket, ends: float) -> None:
        self._sock = sock
        self._ends = ends

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock.makefile("rb", buffering=0), self._sock, self._ends))


class TimedConnection(http.client.HTTPConnection):
    """A connection whose ``timeout`` is for all of it: connecting, the handshake, the request, and the answer's last byte.

    Arguments:
        host: as of :class:`http.client.HTTPConnection`.
        tls: for ``https``, kchat's own handshake, so that pins and CAs hold here as they do for AMQP. Default: none.
        timeout: in seconds.
        more: as of :class:`http.client.HTTPConnection`.
    """

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        tls: TlsOptions | None = None,
        timeout: float,
        **more: Any,
    ) -> None:
        if tls is not None:
            self.default_port = http.client.HTTPS_PORT
        super().__init__(host, port, timeout=timeout, **more)
        self._tls = tls
        self._ends = monotonic() + timeout
        self.response_class = self._response  # type: ignore[assignment]  # called, and no more

    def _left(self) -> float:
        return max(0.001, self._ends - monotonic())

    def connect(self) -> None:
        """Connect; http.client calls it.

        Raises:
            OSError: it cannot; :exc:`TimeoutError` if not in time.
        """
        self.timeout = self._left()
        super().connect()
        if self._tls is not None:
            self.sock = wrap(self._tls, self.sock, self.host, self._left())
        self.sock.settimeout(self._left())

    def _response(self, sock: socket.socket, **more: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_TimedSocket(sock, self._ends), **more)  # type: ignore[arg-type]  # enough of one
