"""Every error that kchat raises on purpose.

::

    KchatError
    ├── SettingsError         what was asked for makes no sense
    │   └── MissingExtra      the driver of this transport is not installed
    ├── DecodeError           a body is no kchat message
    ├── BrokerError           something between here and the room
    │   ├── Unreachable       nothing answers there
    │   │   ├── Unavailable     ... or what answers has no room for us now: a limit, a start, a failover
    │   │   └── Untrusted       ... or what answers cannot prove to be the broker
    │   ├── Refused           the broker answered: no
    │   │   ├── NotAuthorised   ... to this account
    │   │   └── NotFound        ... there is no such room, queue or virtual host
    │   ├── Closed            the connection was lost, or closed by the broker
    │   └── Blocked           the broker takes no messages for now (memory or disk alarm)
    └── SendError             a message that is not, or may not be, with the broker
        ├── NotConfirmed      the broker did not confirm it in time
        ├── Rejected          the broker gave it back (``basic.nack``)
        ├── Returned          nobody was listening, and the sender insisted on somebody
        └── TooLarge          over what the broker takes

Each carries a ``hint``: what the reader can do about it, in half a line, or nothing.
Exit codes are the command line's affair (:mod:`kchat.cli`).
"""

from __future__ import annotations


class KchatError(Exception):
    """The base of all: ``except KchatError`` catches what kchat can raise on purpose.

    Arguments:
        text: what failed and where, one line, without secrets.
        hint: what to do about it; shown on a second line. Default none.
    """

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class SettingsError(KchatError, ValueError):
    """An option, environment variable or URL that makes no sense; nothing was contacted."""


class MissingExtra(SettingsError):
    """The transport needs a driver that is not installed; the hint is the command to install it."""


class DecodeError(KchatError, ValueError):
    """A body that is no kchat message. ``raw`` holds it as it came."""

    def __init__(self, text: str, raw: bytes) -> None:
        super().__init__(text)
        self.raw = raw


class BrokerError(KchatError):
    """Something between here and the room is wrong."""


class Unreachable(BrokerError):
    """Nothing answers there: no such host, a closed port, a firewall, a failed TLS handshake."""


class Unavailable(Unreachable):
    """The broker is there and cannot do it now: a limit is reached, a node is down, it is starting. It can pass."""


class Untrusted(Unreachable):
    """The server's certificate is not valid here, or is not the pinned one. No password was sent."""


class Refused(BrokerError):
    """The broker answered, and the answer is no."""


class NotAuthorised(Refused):
    """The account is unknown, its password is wrong, or it may not do this (AMQP 403)."""


class NotFound(Refused):
    """The room, queue or virtual host does not exist (AMQP 404), and is not ours to make."""


class Closed(BrokerError):
    """The connection was lost, or the broker closed it."""


class Blocked(BrokerError):
    """The broker takes no messages for now: ``connection.blocked``, a memory or disk alarm."""


class SendError(KchatError):
    """A message that is not with the broker, or of which that is not known."""


class NotConfirmed(SendError):
    """The broker did not confirm in time. The message may or may not be there."""


class Rejected(SendError):
    """The broker gave the message back: AMQP ``basic.nack``."""


class Returned(SendError):
    """Nobody was listening (AMQP ``basic.return``), and the sender insisted on somebody."""


class TooLarge(SendError):
    """The message is larger than the broker takes. Nothing was sent."""
