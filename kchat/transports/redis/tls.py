"""TLS for redis-py by the object in Kombu's ``ssl={"tls": ...}``, as for AMQP: :mod:`kchat.transports.amqp.transport`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.connection import Connection, SSLConnection

from kchat.transports.tls import wrap

from .replies import Bounded

if TYPE_CHECKING:
    from kchat.transports.tls import TlsOptions


class PlainConnection(Bounded, Connection):
    """redis-py's connection without TLS."""


class TlsConnection(Bounded, SSLConnection):
    """redis-py's connection with TLS, the TLS itself left to ``tls`` where that is given.

    Arguments:
        tls: the CAs to trust and the client certificate. Default:
            redis-py's own ``ssl_...`` options.
        more: as of :class:`redis.connection.SSLConnection`.
    """

    def __init__(self, *, tls: TlsOptions | None = None, **more: Any) -> None:
        super().__init__(**more)
        self._tls = tls

    def _connect(self) -> Any:
        if self._tls is None:
            return super()._connect()  # type: ignore[no-untyped-call]  # redis-py's
        sock = Connection._connect(self)  # type: ignore[no-untyped-call]  # noqa: SLF001 - the one without TLS
        timeout = sock.gettimeout()
        wait = self._parser.left(self.socket_connect_timeout)
        encrypted = wrap(self._tls, sock, self.host, wait)
        encrypted.settimeout(timeout)
        return encrypted
