"""From settings to a Kombu connection to an AMQP broker, not connected yet."""

from __future__ import annotations

import math
import socket
from typing import TYPE_CHECKING

from kchat.transports.connection import Connection
from kchat.transports.protocols import FOR_GUESTS
from kchat.transports.tls import check_files

from .errors import EXTERNAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.transports import protocols
    from kchat.transports.protocols import RoomSettings
    from kchat.transports.url import Broker

SMALL_FRAMES = 8192
"""Bytes of a frame on a connection for guests. py-amqp keeps a buffer of that size for each connection, 128 KiB by default;
longer messages go out in several frames (AMQP 0-9-1 section 4.2.6)."""

_USER_TIMEOUT_MS = 60_000
"""Milliseconds after which TCP drops a connection whose peer takes nothing; a sender waits less for a blocked broker."""


def connect(
    settings: RoomSettings,
    broker: Broker,
    purpose: str,
    heartbeat: float,
    on_blocked: Callable[[str], None] | None,
    on_unblocked: Callable[[], None] | None,
) -> protocols.Connection:
    """Arguments as of :meth:`kchat.transports.base.Transport.connect`; the purpose is part of the connection's name."""
    tls = settings.tls if broker.encrypted else None
    if tls is not None:
        check_files(tls)
    by_certificate = tls is not None and tls.cert is not None and broker.account is None
    connection: protocols.Connection = Connection(
        hostname=broker.host or "localhost",
        port=broker.port,
        userid=broker.account,
        password=broker.password,
        virtual_host=broker.vhost,
        transport=broker.transport.schemes[broker.scheme],
        ssl=broker.encrypted,
        login_method=EXTERNAL if by_certificate else None,
        connect_timeout=settings.connect_timeout,
        # It travels in whole seconds, and 0 would switch it off.
        heartbeat=math.ceil(heartbeat),
        transport_options={
            "client_properties": {
                "connection_name": f"kchat {purpose} {settings.room}",
                "product": "kchat",
                "capabilities": {"connection.blocked": True, "consumer_cancel_notify": True},
            },
            "tls": tls,
            # Kombu would connect to 127.0.0.1 when it is told localhost, whatever that is here.
            "server_hostname": broker.host or "localhost",
            "on_blocked": on_blocked,
            "on_unblocked": on_unblocked,
            # py-amqp's default of 1 s drops the connection whenever the broker holds the sender back for that long.
            "socket_settings": {socket.TCP_USER_TIMEOUT: _USER_TIMEOUT_MS}
            if hasattr(socket, "TCP_USER_TIMEOUT")
            else {},
            # A write without progress for this time is stuck: the link is dead, or the broker does not read.
            "write_timeout": settings.confirm_timeout,
            # py-amqp would wait for ever for the answer to a declaration.
            "answer_timeout": max(settings.connect_timeout, settings.confirm_timeout),
            **({"frame_max": SMALL_FRAMES} if purpose == FOR_GUESTS else {}),
        },
    )
    return connection
