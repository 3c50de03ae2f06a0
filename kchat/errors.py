"""Every error that kchat raises on purpose.

::

    KchatError
    ├── SettingsError         an option or argument is not valid
    │   └── MissingExtra      the driver of this transport is not installed
    ├── DecodeError           a body is not a kchat message
    ├── BrokerError           something between here and the room
    │   ├── Unreachable       nothing answers there
    │   │   ├── Unavailable     ... or the broker cannot serve us now: a limit, a start, a failover
    │   │   └── Untrusted       ... or the server cannot prove that it is the broker
    │   ├── Refused           the broker refused
    │   │   ├── NotAuthorised   ... to this account
    │   │   └── NotFound        ... there is no such room, queue or virtual host
    │   ├── Closed            the connection was lost, or closed by the broker
    │   └── Blocked           the broker accepts no messages for now (memory or disk alarm)
    ├── SendError             a message that the broker does not have, or may not have
    │   ├── NotConfirmed      the broker did not confirm it in time
    │   ├── Rejected          the broker rejected it (``basic.nack``)
    │   ├── Returned          nobody was listening, and the message was mandatory
    │   └── TooLarge          larger than the broker's limit
    └── ArchiveError          an archive that cannot be read or written, or a question that it refuses
        └── ArchiveUnavailable  ... now: its server is away, its disk is full

Each carries a ``hint``: what to do about it, in half a line; may be empty. A hint that an option helps names it as the
argument of :func:`kchat.connect` and the like (``room=``); the command line shows the flag (:meth:`Hint.shown`).
Exit codes belong to the command line (:mod:`kchat.cli`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Self

_NAMES = (
    *("account", "durable", "expires", "host", "last", "management_url", "mandatory", "max_size", "password"),
    *("profile", "project", "port", "renew", "room", "shared", "since", "tls", "transport", "until", "url"),
    *("apply", "behind_proxy", "public_url", "store", "username", "vhost"),
)
ARGUMENTS = {
    **{name: f"{name}=" for name in _NAMES},
    **{f"tls_{name}": f"TlsOptions({name}=)" for name in ("ca", "cert", "key", "pin", "insecure")},
    **{name: f"Options({name}=)" for name in ("only", "send_test")},
}
"""The options that a hint may name, ``{room}``, and what each is called in a program."""

_OPTION = "{(" + "|".join(ARGUMENTS) + ")}"  # compiled when there is an error


class Hint(str):
    """What to do about an error. Its text names options as arguments, ``choose another room with room=``.

    Arguments:
        template: the text, with placeholders for options: ``choose another room with {room}``.
    """

    __slots__ = ("_template",)

    _template: str

    def __new__(cls, template: str) -> Self:
        """Keep a hint that is one, with its placeholders."""
        if isinstance(template, cls):
            return template
        hint = super().__new__(cls, re.sub(_OPTION, lambda found: ARGUMENTS[found[1]], template))
        hint._template = template
        return hint

    def shown(self, option: Callable[[str], str]) -> str:
        """The text with the options in other words.

        Arguments:
            option: from an option's name in :data:`ARGUMENTS` to what is shown for it.
        """
        return re.sub(_OPTION, lambda found: option(found[1]), self._template)


class KchatError(Exception):
    """The base of all: ``except KchatError`` catches what kchat can raise on purpose.

    Arguments:
        text: what failed and where, one line, without secrets.
        hint: what to do about it; shown on a second line. Default none. Options in it are written as :class:`Hint` has them.
    """

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint: str = Hint(hint)


class SettingsError(KchatError, ValueError):
    """An option, environment variable or URL that is not valid. Nothing was contacted."""


class MissingExtra(SettingsError):
    """The transport needs a driver that is not installed; the hint is the command to install it."""


class DecodeError(KchatError, ValueError):
    """A body that is not a kchat message. ``raw`` holds it as it came."""

    def __init__(self, text: str, raw: bytes) -> None:
        super().__init__(text)
        self.raw = raw


class BrokerError(KchatError):
    """Something between here and the room is wrong."""


class Unreachable(BrokerError):
    """Nothing answers there: no such host, a closed port, a firewall, a failed TLS handshake."""


class Unavailable(Unreachable):
    """The broker is there but cannot do it now: a limit is reached, a node is down, it is starting. Retrying can help."""


class Untrusted(Unreachable):
    """The server's certificate is not valid here, or is not the pinned one. No password was sent."""


class Refused(BrokerError):
    """The broker answered and refused."""


class NotAuthorised(Refused):
    """The account is unknown, its password is wrong, or it may not do this (AMQP 403)."""


class NotFound(Refused):
    """The room, queue or virtual host does not exist (AMQP 404), and this account cannot create it."""


class Closed(BrokerError):
    """The connection was lost, or the broker closed it."""


class Blocked(BrokerError):
    """The broker accepts no messages for now: ``connection.blocked``, a memory or disk alarm."""


class SendError(KchatError):
    """A message that the broker does not have, or may not have."""


class NotConfirmed(SendError):
    """The broker did not confirm in time. The message may or may not have been delivered."""


class Rejected(SendError):
    """The broker rejected the message: AMQP ``basic.nack``."""


class Returned(SendError):
    """Nobody was listening (AMQP ``basic.return``), and the message was mandatory."""


class TooLarge(SendError):
    """The message is larger than the broker's limit. Nothing was sent."""


class ArchiveError(KchatError):
    """An archive that cannot be read or written, or a question that it refuses."""


class ArchiveUnavailable(ArchiveError):
    """The archive cannot be reached or written now: its server is away, its disk is full. Trying again can help."""


def no_home() -> SettingsError:
    """The error for a file that is looked for in the home folder, where none is known."""
    return SettingsError(
        "no home folder is known: HOME is not set to one, and this account is not in the password database",
        hint="set HOME to an absolute path, or name the broker with {url}",
    )
