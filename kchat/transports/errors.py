"""Errors of sockets, of TLS and of AMQP's reply codes, as those of :mod:`kchat.errors`; what all transports share.

All transports speak AMQP's reply codes (AMQP 0-9-1 section 1.2), so there is one table. What only one of them says is in
its own ``errors``.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING

import amqp.exceptions
import kombu.exceptions

from kchat import errors
from kchat.transports import tls_errors

if TYPE_CHECKING:
    from kchat.transports.url import Broker

CLOSE_OTHERS = (
    "close another connection, or have the limit raised; one that was cut counts until the broker notices"
)
"""What to do about too many connections."""

NO_PASSWORD = "no password is given: give it with {password}"  # noqa: S105 - a hint
"""What to do where the login is refused without one."""

STARTING = "the broker may still be starting: try again in a moment"
"""What to do first about one that was cut at its beginning: a container's port is open before the broker in it listens."""


def explain(error: Exception, broker: Broker, doing: str) -> errors.KchatError | None:
    """The error of ours that a driver's error is, or ``None`` for one that is a fault in the program.

    Arguments as of :meth:`kchat.transports.base.Transport.explain`.
    """
    where = str(broker)
    # Most specific first.
    if isinstance(error, amqp.exceptions.AMQPError):
        return _from_reply(error, where, doing)
    if isinstance(error, ssl.SSLError | tls_errors.PinMismatch | tls_errors.NoHandshake):
        return tls_errors.as_kchat_error(error, where, broker.host, doing)
    if isinstance(error, socket.gaierror) or (isinstance(error, UnicodeError) and doing == "connect"):
        # UnicodeError: a name with an empty or overlong part, which cannot be looked up.
        return errors.Unreachable(f"{where}: no such host: {broker.host}")
    if isinstance(error, ConnectionRefusedError):
        return errors.Unreachable(
            f"{where}: nothing listens on that port (connection refused)",
            hint="it is not running, is still starting, or is at another port",
        )
    if isinstance(error, TimeoutError):
        return errors.Unreachable(
            f"{where}: no answer in time", hint="a wrong port, or a firewall in between?"
        )
    if isinstance(error, OSError):
        lost = error.errno in (None, errno.ECONNRESET, errno.EPIPE)
        hint = f"{STARTING}; or it is not that kind of broker, or only one side has TLS"
        hint = hint if doing == "connect" and lost else ""
        return unreachable_or_closed(doing)(f"{where}: {error.strerror or error}", hint=hint)
    if isinstance(error, kombu.exceptions.OperationalError):
        return errors.Closed(f"{where}: {error}")
    return None


def _from_reply(error: amqp.exceptions.AMQPError, where: str, doing: str) -> errors.KchatError:
    """By AMQP 0-9-1 section 1.2's reply codes, which all transports use."""
    code, text = error.code, reply_text(error)
    if isinstance(error, amqp.exceptions.ConsumerCancelled):
        return errors.Closed(f"{where}: the queue was deleted, or its consumer cancelled by the broker")
    if code == 403:
        if doing == "connect":
            return login_refused(where)
        return not_authorised(where, doing, text)
    if code == 404:
        return errors.NotFound(f"{where}: {text}")
    if code == 530:
        return errors.NotAuthorised(f"{where}: {text}")
    if code == 311 or (code == 406 and "larger than" in text):
        return errors.TooLarge(f"{where}: too large for the broker: {text}")
    if isinstance(error, amqp.exceptions.ChannelError) or code in (540, 541):
        return errors.Refused(f"{where}: {text}")
    return unreachable_or_closed(doing)(f"{where}: {text}")


def unreachable_or_closed(doing: str) -> type[errors.Unreachable | errors.Closed]:
    """What the end of a connection is: it was never made, or it is lost."""
    return errors.Unreachable if doing == "connect" else errors.Closed


def not_authorised(where: str, doing: str, reason: str) -> errors.NotAuthorised:
    """The account lacks a right. The reason, in the broker's words, may be empty."""
    text = f"{where}: not authorised: this account may not {doing} here"
    return errors.NotAuthorised(f"{text}: {reason}" if reason else text)


def login_refused(where: str, hint: str = "") -> errors.NotAuthorised:
    """The broker does not take this account."""
    return errors.NotAuthorised(
        f"{where}: not authorised: login refused", hint=hint or "check the account and its password"
    )


def reply_text(error: amqp.exceptions.AMQPError) -> str:
    """The text of an AMQP reply, as the broker has sent it."""
    return str(getattr(error, "reply_text", "") or error).strip()
