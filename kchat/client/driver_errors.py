"""Errors of py-amqp, redis-py, the sockets and our own transports, as those of :mod:`kchat.errors`: the one place for it.

All transports speak AMQP's reply codes (AMQP 0-9-1 section 1.2), so there is one table.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING

import amqp.exceptions
import kombu.exceptions

from kchat import errors
from kchat.config import tls
from kchat.transports.passing import amqp_state, redis_state, redis_words

if TYPE_CHECKING:
    from types import TracebackType

    from kchat.config.settings import Broker


class broker_errors:  # noqa: N801 - a context, used as contextlib's are
    """A context that turns what a driver raises into kchat's errors. It holds no state: one will do for many times.

    Arguments:
        broker: whom the driver talks to.
        doing: a verb: ``connect``, ``send``, ``listen``.
    """

    __slots__ = ("_broker", "_doing")

    def __init__(self, broker: Broker, doing: str) -> None:
        self._broker = broker
        self._doing = doing

    def __enter__(self) -> None:
        """Nothing: a class costs a subscriber's single message less than a generator does."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raise the error of ours that a driver's error is."""
        if isinstance(error, Exception) and not isinstance(error, errors.KchatError):
            mapped = as_kchat_error(error, self._broker, self._doing)
            if mapped is not None:
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
    special = _from_file(error, text) if where.startswith("local:") else _passing(error, where)
    if special is not None:
        return special
    if code == 403:
        if doing == "connect":
            return _login_refused(where, by_certificate="EXTERNAL" in text)
        return errors.NotAuthorised(f"{where}: not authorised: this account may not {doing} here: {text}")
    if code == 404:
        return errors.NotFound(f"{where}: {text}")
    if code == 530 and "not found" in text and where.startswith("amqp"):
        return errors.NotFound(
            f"{where}: no such virtual host", hint="name it with --vhost; the default is /"
        )
    if code == 530:
        return errors.NotAuthorised(f"{where}: {text}")
    if code == 311 or (code == 406 and "larger than" in text):
        return errors.TooLarge(f"{where}: too large for the broker: {text}")
    if isinstance(error, amqp.exceptions.ChannelError) or code in (540, 541):
        return errors.Refused(f"{where}: {text}")
    return _from_handshake(error, where, text) if doing == "connect" else errors.Closed(f"{where}: {text}")


def _from_file(error: amqp.exceptions.AMQPError, text: str) -> errors.KchatError | None:
    """What is special about a file: no accounts and no virtual hosts, but a disk that is full and others that write."""
    if error.code == 403:
        return errors.NotAuthorised(text)
    if error.code == 530:
        # The options of the URL name themselves; the rest is about the file that was found.
        return errors.SettingsError(text) if text.startswith("local:") else errors.Refused(text)
    if error.code == 506:
        return errors.Blocked(text, hint="free some space there")
    if "kept it locked" in text:
        return errors.Blocked(text, hint="another process is writing there and does not finish")
    if isinstance(error, amqp.exceptions.ConsumerCancelled):
        return errors.Closed(f"{text}: the queue was deleted")
    return None


def _passing(error: amqp.exceptions.AMQPError, where: str) -> errors.KchatError | None:
    """What answers not to what was asked, but tells of a state that something is in: it can pass."""
    code, text = error.code, _reply_text(error)
    if isinstance(error, amqp.exceptions.ConsumerCancelled):
        return errors.Closed(f"{where}: the queue was deleted, or its consumer cancelled by the broker")
    hint = amqp_state(code, text) if where.startswith("amqp") else None
    if hint is not None:
        return errors.Unavailable(f"{where}: {text}", hint=hint)
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
    if isinstance(error, amqp.exceptions.FrameError | amqp.exceptions.FrameSyntaxError):
        return errors.Unreachable(f"{where}: the server does not keep to AMQP: {text}")
    if not isinstance(error, amqp.exceptions.UnexpectedFrame):
        return errors.Unreachable(f"{where}: {text}")
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
    return errors.Unreachable(f"{where}: the server does not speak AMQP", hint="is it that kind of broker?")


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
    word, text = redis_words(error)
    hint = redis_state(word, text)
    if hint is not None:
        return errors.Unavailable(f"{where}: {text}", hint=hint)
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
            f"{where}: the server does not speak Redis: {error}", hint="is it that kind of broker?"
        )
    return None
