"""From :class:`~kchat.config.settings.Settings` to a connected Kombu connection, and how one is let go of.

Drivers' errors become kchat's in :mod:`kchat.client.driver_errors`.
"""

from __future__ import annotations

import logging
import math
import random
import socket
from contextlib import suppress
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import kombu
import kombu.exceptions

from kchat import errors, events, transports
from kchat.client.driver_errors import broker_errors as broker_errors  # noqa: PLC0414 - to be had from here as well
from kchat.config import url_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.config.settings import Broker, Settings

logger = logging.getLogger(__name__)

_USER_TIMEOUT_MS = 60_000
"""Milliseconds after which TCP drops a connection whose peer takes nothing; a sender waits less for a blocked broker."""

_STOP_LOOK = 0.02
"""Seconds between looks whether to stop, while it waits for the next attempt."""

CLOSE_TIMEOUT = 1.0
"""Seconds that a polite goodbye may take; after that the socket is dropped."""


class _Connection(kombu.Connection):  # type: ignore[misc]  # Kombu has no types
    """Kombu's, but once lost it stays lost: Kombu's connects again by itself when it is next used, and tells nobody."""

    @property
    def connection(self) -> Any:
        """The driver's connection; ``None`` before it is made."""
        return self._connection


def connect(
    settings: Settings,
    *,
    purpose: str,
    heartbeat: float = 0,
    on_blocked: Callable[[str], None] | None = None,
    on_unblocked: Callable[[], None] | None = None,
) -> tuple[kombu.Connection, Broker]:
    """Connect to the first broker that answers.

    Arguments:
        settings: whom to connect to; each broker is tried once, in order.
        purpose: what the connection is for; stands in RabbitMQ's dashboard as part of the connection's name.
        heartbeat: seconds between heartbeats, 0 for none.
        on_blocked: called with the broker's reason when it stops taking messages.
        on_unblocked: called when it takes them again.

    Returns:
        The connected connection and the broker it leads to.

    Raises:
        kchat.errors.BrokerError: what went wrong; of several brokers, what the first one said that answered at all, or
            else the last one.
        kchat.errors.MissingExtra: the transport's driver is not installed.
    """
    settings.transport.require()
    failure: errors.KchatError | None = None
    for broker in settings.brokers:
        connection = kombu_connection(settings, broker, purpose, heartbeat, on_blocked, on_unblocked)
        try:
            with broker_errors(broker, "connect"):
                # Kombu's connect() would try a second time, 2 s later.
                connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        except errors.BrokerError as error:
            drop(connection)
            logger.debug("%s", error)
            if not isinstance(failure, errors.Refused):
                failure = error
        except BaseException:
            drop(connection)
            raise
        else:
            return connection, broker
    assert failure is not None
    raise failure


def kombu_connection(
    settings: Settings,
    broker: Broker,
    purpose: str,
    heartbeat: float = 0,
    on_blocked: Callable[[str], None] | None = None,
    on_unblocked: Callable[[], None] | None = None,
) -> kombu.Connection:
    """A Kombu connection to one broker, not connected yet. Arguments as of :func:`connect`."""
    transports.register()
    if broker.encrypted:
        settings.tls.check_files()
    name = broker.transport.name
    if name == "redis":
        return _redis_connection(settings, broker, purpose, heartbeat)
    if name != "amqp":
        return _Connection(
            broker.url() + (f"?{urlencode(broker.options)}" if broker.options and name == "local" else ""),
            connect_timeout=settings.connect_timeout,
            heartbeat=heartbeat,
            transport_options={
                **({} if name == "local" else broker.options),
                "confirm_timeout": settings.confirm_timeout,
                "connect_timeout": settings.connect_timeout,
                "drain_batch": 250,
            },
        )
    return _Connection(
        hostname=broker.host or "localhost",
        port=broker.port,
        userid=broker.username,
        password=broker.password,
        virtual_host=broker.vhost,
        transport=broker.transport.schemes[broker.scheme],
        ssl=broker.encrypted,
        login_method="EXTERNAL" if _by_certificate(settings, broker) else None,
        connect_timeout=settings.connect_timeout,
        # It travels in whole seconds, and 0 would switch it off.
        heartbeat=math.ceil(heartbeat),
        transport_options={
            "client_properties": {
                "connection_name": f"kchat {purpose} {settings.room}",
                "product": "kchat",
                "capabilities": {"connection.blocked": True, "consumer_cancel_notify": True},
            },
            "tls": settings.tls if broker.encrypted else None,
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
        },
    )


def _redis_connection(settings: Settings, broker: Broker, purpose: str, heartbeat: float) -> kombu.Connection:
    if not (broker.path or "0").isdecimal():
        raise errors.SettingsError(
            f"{broker.path!r} is not the number of a Redis database",
            hint="for example: redis://localhost:6379/0",
        )
    return _Connection(
        hostname=broker.host or "localhost",
        port=broker.port,
        userid=broker.username,
        password=broker.password,
        virtual_host=broker.path or "0",
        # By its path: Kombu's own keeps the alias.
        transport=broker.transport.schemes[broker.scheme],
        ssl=_redis_tls(settings, broker),
        transport_options={
            "socket_connect_timeout": settings.connect_timeout,
            # The answer to PUBLISH is the confirmation.
            "socket_timeout": settings.confirm_timeout if purpose == "send" else settings.connect_timeout,
            "socket_keepalive": True,
            "health_check_interval": heartbeat,
        },
    )


def _redis_tls(settings: Settings, broker: Broker) -> dict[str, Any] | None:
    """redis-py's ``ssl_*`` options, which may stand in the URL; Kombu would verify nothing."""
    url_options.check(broker)
    if broker.scheme != "rediss":
        return None
    if not broker.options:
        return {"tls": settings.tls}
    if settings.tls:
        raise errors.SettingsError("options for TLS stand in the URL and beside it: use those beside it")
    verify = broker.options.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if verify not in ("none", "optional", "required"):
        raise errors.SettingsError("ssl_cert_reqs is one of none, optional and required")
    return {**broker.options, "ssl_cert_reqs": verify, "ssl_check_hostname": verify == "required"}


def _by_certificate(settings: Settings, broker: Broker) -> bool:
    """Whether a client's certificate is the account (SASL's EXTERNAL mechanism, RFC 4422 appendix A)."""
    return broker.encrypted and settings.tls.cert is not None and broker.username is None


def drainer(connection: kombu.Connection) -> Callable[..., None]:
    """The connection's ``drain_events``, without Kombu's looks, each time, whether there is a connection.

    Arguments:
        connection: connected, of :func:`connect`. With it the result is of no use any more.
    """
    return partial(connection.transport.drain_events, connection.connection)


def account(connection: kombu.Connection) -> str | None:
    """The account that the broker checks ``user_id`` against, where this side knows it.

    With a client's certificate it does not: the broker derives it from the certificate by its own rules.

    Arguments:
        connection: connected, of :func:`connect`.
    """
    if connection.transport.driver_type != "amqp" or connection.login_method == "EXTERNAL":
        return None
    return str(connection.userid)


def close(connection: kombu.Connection) -> None:
    """Say goodbye, but not for longer than :data:`CLOSE_TIMEOUT`."""
    sock = getattr(connection.connection, "sock", None) if connection.connected else None
    if sock is not None:
        # Without a limit, release() waits for ever for the close-ok of a broker that is gone.
        with suppress(OSError):
            sock.settimeout(CLOSE_TIMEOUT)
        if hasattr(connection.connection, "answer_timeout"):
            connection.connection.answer_timeout = CLOSE_TIMEOUT
    try:
        connection.release()
    except (*connection.connection_errors, *connection.channel_errors) as error:
        logger.debug("while closing: %s", error)
        drop(connection)


def drop(connection: kombu.Connection) -> None:
    """Drop a dead connection without sending ``connection.close``; ``release()`` would wait for the answer."""
    if connection._transport is None:  # noqa: SLF001 - to ask for it would import it
        return  # the import of its driver failed or was interrupted
    try:
        if hasattr(connection.transport, "_collect"):
            connection.collect()
        else:
            # Here collect() would close it too, and change the default timeout of all sockets of all threads for that.
            connection.release()
    except (OSError, AttributeError, *connection.connection_errors, *connection.channel_errors) as error:
        logger.debug("while dropping: %s", error)


def keep_trying(
    attempt: Callable[[], object], on_event: events.OnEvent, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Do it until the broker can be reached, with pauses in between.

    Arguments:
        attempt: connects, or raises.
        on_event: told of each pause.
        stopped: asked fifty times a second; true ends it. Default: never.

    Raises:
        kchat.errors.KchatError: what ``attempt`` raised that waiting does not mend.
    """
    backoff = Backoff()
    while not stopped():
        try:
            attempt()
        except (errors.Unreachable, errors.Closed) as error:
            if isinstance(error, errors.Untrusted):
                raise
            pause = backoff.fail()
            on_event(events.Reconnecting(error, pause, backoff.attempt))
            ends = monotonic() + pause
            while not stopped() and (left := ends - monotonic()) > 0:
                sleep(min(left, _STOP_LOOK))
        else:
            return


class Backoff:
    """Pauses between attempts to connect: doubling, with full jitter, so that a room does not come back in step.

    Arguments:
        first: upper bound of the first pause, in seconds.
        most: upper bound of all.
    """

    def __init__(self, first: float = 0.25, most: float = 5.0) -> None:
        self._first = first
        self._most = most
        self.reset()

    def reset(self) -> None:
        """Start over, after a success."""
        self.attempt = 0
        self.due = monotonic()

    def fail(self) -> float:
        """Note a failed attempt; returns the seconds until the next one is due."""
        bound = min(self._most, self._first * 2.0**self.attempt)
        self.attempt += 1
        pause = bound / 2 + random.uniform(0, bound / 2)  # noqa: S311 - spreads load, guards nothing
        self.due = monotonic() + pause
        return pause

    def remaining(self) -> float:
        """Seconds until the next attempt is due; 0 when it is."""
        return max(0.0, self.due - monotonic())
