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
    """What a socket brings until a moment; stands for the socket where :class:`http.client.HTTPResponse` wants one."""

    _raw: io.RawIOBase | None = None
    """Nothing yet: Ctrl+C may come before it is set, and Python closes a file that it throws away."""

    def __init__(self, sock: socket.socket, ends: float) -> None:
        self._sock = sock
        self._ends = ends
        self._raw = sock.makefile("rb", buffering=0)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends - monotonic()
        if left <= 0:
            raise TimeoutError("no whole answer in time")
        self._sock.settimeout(left)
        return None if self._raw is None else self._raw.readinto(buffer)

    def close(self) -> None:
        if self._raw is not None:
            self._raw.close()
        super().close()


class TimedConnection(http.client.HTTPConnection):
    """A connection whose ``timeout`` is for all of it: connecting, the handshake, the request, and the answer's last byte.

    Arguments:
        host: as of :class:`http.client.HTTPConnection`.
        port: likewise.
        tls: for ``https``, kchat's own handshake, so that pins and CAs hold here as they do for AMQP. Default: none.
        timeout: in seconds.
    """

    def __init__(self, host: str, port: int | None, *, tls: TlsOptions | None, timeout: float) -> None:
        if tls is not None:
            self.default_port = http.client.HTTPS_PORT
        super().__init__(host, port, timeout=timeout)
        self._tls = tls
        self._ends = monotonic() + timeout

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

    def response_class(self, sock: socket.socket, **more: Any) -> http.client.HTTPResponse:  # type: ignore[override]  # called, and no more
        """The answer; http.client calls it."""
        return http.client.HTTPResponse(_TimedReader(sock, self._ends), **more)  # type: ignore[arg-type]  # enough of one
