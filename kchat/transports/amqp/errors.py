"""What an AMQP broker says, as errors of kchat's.

Some replies tell of a state and not of a right: the broker is there, and what it says now can be otherwise in a minute.
Limits are of that kind: after a cut link a broker goes on counting the old connection until it misses its heartbeats, so
that the new one is one too many. A reconnecting client tries again; a new one is told which limit it has reached.

RabbitMQ's texts are those of its ``rabbit_reader``, ``rabbit_channel`` and ``rabbit_amqqueue``, from 3.10 to 4.1
(https://www.rabbitmq.com/docs/connections#limiting, https://www.rabbitmq.com/docs/limits); reply codes are those of AMQP
0-9-1 section 1.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import amqp.exceptions

from kchat import errors
from kchat.transports import errors as common
from kchat.transports.errors import CLOSE_OTHERS, NO_PASSWORD, login_refused, reply_text

if TYPE_CHECKING:
    from kchat.transports.url import Broker

EXTERNAL = "EXTERNAL"
"""The SASL mechanism of those whose account is their certificate (RFC 4422 appendix A)."""

_LOOK_THERE = "look at the broker's log, or try again later"

_STATES: tuple[tuple[int, str, str], ...] = (
    # Reply code, words of the text, and what to do about it. The first that fits counts.
    (530, "connection limit", CLOSE_OTHERS),  # of a virtual host, a user or a node
    (530, "number of channels opened", "close other connections of this account, or have the limit raised"),
    (530, "reached maximum", "close other consumers, or have the limit raised"),  # consumers in a channel
    (
        406,
        "queue limit",
        "delete queues that nobody needs, or have the limit raised",
    ),  # of a virtual host, a cluster
    (406, "exchange limit", "delete exchanges that nobody needs, or have the limit raised"),
    (403, "in exclusive use", "another connection consumes from it alone, or did until it was cut"),
    (404, "down or inaccessible", "the queue's node is down: start it, or wait for it"),
    (404, "stopped by supervisor", _LOOK_THERE),
    (405, "", "another connection has it for itself, or had it until it was cut"),
    (506, "", "the broker is short of something: look at its log"),
    (541, "", _LOOK_THERE),  # also a virtual host that is down, and operations on a queue that timed out
)


def explain(error: Exception, broker: Broker, doing: str) -> errors.KchatError | None:
    """The error of ours that a driver's error is; see :meth:`kchat.transports.base.Transport.explain`."""
    special = _from_reply(error, str(broker), doing) if isinstance(error, amqp.exceptions.AMQPError) else None
    if special is None and doing == "connect" and getattr(error, "code", None) == 403:
        special = login_refused(str(broker), what_is_missing(broker))
    return special or common.explain(error, broker, doing)


def what_is_missing(broker: Broker) -> str:
    """What to do about a login without an account, for which drivers take ``guest``, or without a password."""
    if broker.lacks:
        return broker.lacks
    if broker.account is None:
        return "no account is given, so guest was tried: name one with {account}"
    return "" if broker.password or broker.secret else NO_PASSWORD


def _from_reply(error: amqp.exceptions.AMQPError, where: str, doing: str) -> errors.KchatError | None:
    code, text = error.code, reply_text(error)
    hint = next((hint for known, words, hint in _STATES if known == code and words in text), None)
    if hint is not None:
        return errors.Unavailable(f"{where}: {text}", hint=hint)
    if code == 406 and "timed out" in text:
        # https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout
        return errors.Closed(f"{where}: {text}")
    if code == 403 and doing == "connect" and EXTERNAL in text:
        return login_refused(where, hint="the broker has no account of the client certificate's name")
    if code == 530 and "not found" in text:
        return errors.NotFound(
            f"{where}: no such virtual host", hint="name it with {vhost}; the default is /"
        )
    return _from_handshake(error, where, text) if doing == "connect" else None


def _from_handshake(error: amqp.exceptions.AMQPError, where: str, text: str) -> errors.KchatError | None:
    """What ends a connection before it is one; without a reply code."""
    if "auth mechanism" in text:
        offers = text.partition("available: ")[2].rstrip(")")
        hint = "name an account with {account}" if "offer: EXTERNAL" in text else ""
        return errors.NotAuthorised(
            f"{where}: no common way to log in; the broker offers {offers}", hint=hint
        )
    if isinstance(error, amqp.exceptions.FrameError | amqp.exceptions.FrameSyntaxError):
        return errors.Unreachable(f"{where}: the server does not keep to AMQP: {text}")
    if not isinstance(error, amqp.exceptions.UnexpectedFrame):
        return None
    greeting = getattr(error, "greeting", b"")
    if greeting.startswith(b"\x15\x03"):  # an alert: RFC 8446 section 6
        return errors.Unreachable(
            f"{where}: TLS is on at that port", hint="name it with an amqps:// URL, or {tls}"
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
