"""From settings to a Kombu connection to a Redis server, not connected yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kchat.errors import SettingsError
from kchat.transports.connection import Connection
from kchat.transports.tls import check_files

from . import errors as errors  # noqa: PLC0414 - loaded while files can be opened

if TYPE_CHECKING:
    from kchat.transports import protocols
    from kchat.transports.protocols import RoomSettings
    from kchat.transports.url import Broker

_MOST_ANNOUNCED = 64 * 1024
"""Bytes that are kept of an announcement, with Kombu's envelope. What is larger is none, and all would keep it."""


def connect(settings: RoomSettings, broker: Broker, purpose: str, heartbeat: float) -> protocols.Connection:
    """Arguments as of :meth:`kchat.transports.base.Transport.connect`."""
    broker.transport.urls.check(broker)
    if not (broker.path or "0").isdecimal():
        raise SettingsError(
            f"{broker.path!r} is not the number of a Redis database",
            hint="for example: redis://localhost:6379/0",
        )
    connection: protocols.Connection = Connection(
        hostname=broker.host or "localhost",
        port=broker.port,
        userid=broker.account,
        password=broker.password,
        virtual_host=broker.path or "0",
        # By its path: Kombu's own keeps the alias.
        transport=broker.transport.schemes[broker.scheme],
        ssl=_tls(settings, broker) if broker.encrypted else None,
        transport_options={
            "socket_connect_timeout": settings.connect_timeout,
            # The answer to PUBLISH is the confirmation.
            "socket_timeout": settings.confirm_timeout if purpose == "send" else settings.connect_timeout,
            "socket_keepalive": True,
            "health_check_interval": heartbeat,
            **({"max_body": _MOST_ANNOUNCED, "keeps_history": False} if purpose == "presence" else {}),
        },
    )
    return connection


def _tls(settings: RoomSettings, broker: Broker) -> dict[str, Any]:
    """redis-py's ``ssl_*`` options, which may stand in the URL; Kombu would verify nothing."""
    check_files(settings.tls)
    if not broker.options:
        return {"tls": settings.tls}
    if settings.tls:
        raise SettingsError("options for TLS stand in the URL and beside it: use those beside it")
    verify = broker.options.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if verify not in ("none", "optional", "required"):
        raise SettingsError("ssl_cert_reqs is one of none, optional and required")
    return {**broker.options, "ssl_cert_reqs": verify, "ssl_check_hostname": verify == "required"}
