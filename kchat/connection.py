"""From :class:`~kchat.settings.Settings` to a connected Kombu connection, and from driver errors to ours.

This is the one place where exceptions of py-amqp, redis-py, the sockets and our own transports become those of
:mod:`kchat.errors`. All transports speak AMQP's reply codes (AMQP 0-9-1 section 1.2), so there is one table.
"""

from __future__ import annotations

import errno
import logging
import math
import random
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import amqp.exceptions
import kombu
import kombu.exceptions

from kchat import errors, events, tls, transports

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.settings import Broker, Settings

logger = logging.getLogger(__name__)

_USER_TIMEOUT_MS = 60_000
"""TCP drops a connection whose peer takes nothing for so long; over the time that a sender waits for a blocked broker."""

CLOSE_TIMEOUT = 1.0
"""Seconds that a polite goodbye may take; after that the socket is dropped."""


_REDIS_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")


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
            else with the last one.
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
        return kombu.Connection(
            broker.url()
            + ("?" + "&".join(f"{k}={v}" for k, v in broker.options.items()) if broker.options else ""),
            connect_timeout=settings.connect_timeout,
            transport_options={
                "confirm_timeout": settings.confirm_timeout,
                "connect_timeout": settings.connect_timeout,
                "drain_batch": 250,
            },
        )
    return kombu.Connection(
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
            # Kombu connects to 127.0.0.1 when it is told localhost; the certificate is for the name.
            "server_hostname": broker.host or "localhost",
            "on_blocked": on_blocked,
            "on_unblocked": on_unblocked,
            # py-amqp's default of 1 s drops the connection whenever the broker holds the sender back for that long.
            "socket_settings": {socket.TCP_USER_TIMEOUT: _USER_TIMEOUT_MS}
            if hasattr(socket, "TCP_USER_TIMEOUT")
            else {},
            # A write that gets nowhere for so long is stuck: the link is dead, or the broker does not read.
            "write_timeout": settings.confirm_timeout,
            # py-amqp would wait for ever for the answer to a declaration.
            "answer_timeout": max(settings.connect_timeout, settings.confirm_timeout),
        },
    )


def _redis_connection(settings: Settings, broker: Broker, purpose: str, heartbeat: float) -> kombu.Connection:
    if not (broker.path or "0").isdecimal():
        raise errors.SettingsError(
            f"{broker.path!r} is no number of a Redis database", hint="for example: redis://localhost:6379/0"
        )
    return kombu.Connection(
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
    known = _REDIS_TLS_OPTIONS if broker.scheme == "rediss" else ()
    if unknown := broker.options.keys() - set(known):
        raise errors.SettingsError(f"no option {', '.join(sorted(unknown))} in {broker.scheme} URLs")
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


def account(connection: kombu.Connection) -> str | None:
    """The account that the broker checks ``user_id`` against, where this side knows it.

    With a client's certificate it does not: the broker derives it from the certificate by rules of its own.

    Arguments:
        connection: connected, of :func:`connect`.
    """
    if connection.transport.driver_type != "amqp" or connection.login_method == "EXTERNAL":
        return None
    return str(connection.userid)


@contextmanager
def broker_errors(broker: Broker, doing: str) -> Iterator[None]:
    """Turn what a driver raises into kchat's errors. ``doing`` is a verb: ``connect``, ``send``, ``listen``."""
    try:
        yield
    except errors.KchatError:
        raise
    except Exception as error:
        mapped = as_kchat_error(error, broker, doing)
        if mapped is None:
            raise
        raise mapped from error


def as_kchat_error(error: Exception, broker: Broker, doing: str) -> errors.KchatError | None:
    """The error of ours that a driver's error is, or ``None`` for one that is a fault in the program."""
    where = str(broker)
    # Most specific first.
    if isinstance(error, amqp.exceptions.AMQPError):
        return _from_reply(error, where, doing)
    if isinstance(error, ssl.SSLError | tls.PinMismatch | tls.NoHandshake):
        return tls.as_kchat_error(error, where, broker.host, doing)
    if isinstance(error, socket.gaierror) or (isinstance(error, UnicodeError) and doing == "connect"):
        # UnicodeError: a name with an empty or overlong part, which cannot be looked up.
        return errors.Unreachable(f"{where}: no such host: {broker.host}")
    if isinstance(error, ConnectionRefusedError):
        return errors.Unreachable(f"{where}: nothing listens on that port (connection refused)")
    if isinstance(error, TimeoutError):
        # socket.timeout is TimeoutError since Python 3.10.
        return errors.Unreachable(
            f"{where}: no answer in time", hint="a wrong port, or a firewall in between?"
        )
    if isinstance(error, OSError):
        kind = errors.Unreachable if doing == "connect" else errors.Closed
        lost = error.errno in (None, errno.ECONNRESET, errno.EPIPE)
        hint = "is it that kind of broker, and TLS or not?" if doing == "connect" and lost else ""
        return kind(f"{where}: {error.strerror or error}", hint=hint)
    if isinstance(error, kombu.exceptions.OperationalError):
        return errors.Closed(f"{where}: {error}")
    if type(error).__module__.partition(".")[0] == "redis":
        return _from_redis(error, broker, doing)
    return None


def _from_reply(error: amqp.exceptions.AMQPError, where: str, doing: str) -> errors.KchatError:
    """By AMQP 0-9-1 section 1.2's reply codes, which all transports use."""
    code, text = error.code, _reply_text(error)
    if code == 403:
        if doing == "connect":
            return _login_refused(where, by_certificate="EXTERNAL" in text)
        return errors.NotAuthorised(f"{where}: not authorised: this account may not {doing} here: {text}")
    passing = _passing(error, where)
    if passing is not None:
        return passing
    if code == 404:
        return errors.NotFound(f"{where}: {text}")
    if code == 530 and "not found" in text and where.startswith("amqp"):
        return errors.NotFound(
            f"{where}: no such virtual host", hint="name it with --vhost; the default is /"
        )
    if code == 530 and where.startswith("local:"):
        return errors.SettingsError(text)
    if code == 530:
        return errors.NotAuthorised(f"{where}: {text}")
    if code == 311 or (code == 406 and "larger than" in text):
        return errors.TooLarge(f"{where}: too large for the broker: {text}")
    if isinstance(error, amqp.exceptions.ChannelError) or code in (540, 541):
        return errors.Refused(f"{where}: {text}")
    return _from_handshake(error, where, text) if doing == "connect" else errors.Closed(f"{where}: {text}")


def _passing(error: amqp.exceptions.AMQPError, where: str) -> errors.KchatError | None:
    """What answers not to what was asked, but tells of a state that something is in: it can pass."""
    code, text = error.code, _reply_text(error)
    if isinstance(error, amqp.exceptions.ConsumerCancelled):
        return errors.Closed(f"{where}: the queue was deleted, or its consumer cancelled by the broker")
    if code == 506 and where.startswith("local:"):
        return errors.Blocked(f"{where}: {text}", hint="free some space there")
    if code == 541 and "is down" in text:
        # A virtual host that is not there yet, or not any more, while RabbitMQ starts or stops.
        return errors.Unreachable(f"{where}: {text}")
    if code == 406 and "timed out" in text:
        # https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout
        return errors.Closed(f"{where}: {text}")
    return None


def _from_handshake(error: amqp.exceptions.AMQPError, where: str, text: str) -> errors.KchatError:
    """What ends a connection before it is one; without a reply code."""
    if "auth mechanism" in text:
        offers = text.partition("available: ")[2].rstrip(")")
        hint = "name an account with --rmq-username" if "offer: EXTERNAL" in text else ""
        return errors.NotAuthorised(
            f"{where}: no common way to log in; the broker offers {offers}", hint=hint
        )
    if not isinstance(error, amqp.exceptions.UnexpectedFrame):
        return errors.Closed(f"{where}: {text}")
    greeting = getattr(error, "greeting", b"")
    if greeting.startswith(b"\x15\x03"):  # an alert: RFC 8446 section 6
        return errors.Unreachable(
            f"{where}: TLS is on at that port", hint="name it with an amqps:// URL, or --tls"
        )
    if greeting.startswith(b"AMQP"):  # AMQP 0-9-1 section 2.2.4: the version that it would speak
        version = "-".join(map(str, greeting[4:]))
        return errors.Unreachable(f"{where}: a broker that speaks another AMQP than 0-9-1 ({version})")
    if greeting.startswith(b"HTTP/"):
        return errors.Unreachable(
            f"{where}: a web server, not a broker",
            hint="15672 is the dashboard's port; AMQP is usually at 5672",
        )
    return errors.Unreachable(
        f"{where}: what answers there does not speak AMQP", hint="is it that kind of broker?"
    )


def _login_refused(where: str, *, by_certificate: bool = False) -> errors.NotAuthorised:
    hint = "check the account and its password"
    if by_certificate:
        hint = "the broker has no account of the client certificate's name"
    return errors.NotAuthorised(f"{where}: not authorised: login refused", hint=hint)


def _reply_text(error: amqp.exceptions.AMQPError) -> str:
    text = str(getattr(error, "reply_text", "") or error)
    return text.strip()


def _from_redis(error: Exception, broker: Broker, doing: str) -> errors.KchatError | None:
    from redis import exceptions

    where = str(broker)
    if isinstance(error, exceptions.NoPermissionError):
        return errors.NotAuthorised(f"{where}: not authorised: this account may not {doing} here: {error}")
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthenticationWrongNumberOfArgsError):
        return _login_refused(where)
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
        # redis-py raises its own from within the handling of the system's, which says more.
        cause = error.__cause__ or error.__context__
        if isinstance(cause, OSError) and doing == "connect":
            return as_kchat_error(cause, broker, doing)
        kind = errors.Unreachable if doing == "connect" else errors.Closed
        return kind(f"{where}: {error}")
    if isinstance(error, exceptions.ResponseError):
        return errors.Refused(f"{where}: {error}")
    if isinstance(error, exceptions.RedisError):
        return errors.Unreachable(
            f"{where}: what answers there does not speak Redis: {error}", hint="is it that kind of broker?"
        )
    return None


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
    """Let go of a dead connection without a word to the broker; ``release()`` would wait for its answer."""
    try:
        connection.collect(socket_timeout=0.1)
    except (OSError, AttributeError, *connection.connection_errors, *connection.channel_errors) as error:
        logger.debug("while dropping: %s", error)


def keep_trying(attempt: Callable[[], object], on_event: events.OnEvent) -> None:
    """Do it until the broker can be reached, with pauses in between.

    Arguments:
        attempt: connects, or raises.
        on_event: told of each pause.

    Raises:
        kchat.errors.KchatError: what ``attempt`` raised that waiting does not mend.
    """
    backoff = Backoff()
    while True:
        try:
            attempt()
        except (errors.Unreachable, errors.Closed) as error:
            if isinstance(error, errors.Untrusted):
                raise
            pause = backoff.fail()
            on_event(events.Waiting(error, pause, backoff.attempt))
            sleep(pause)
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
