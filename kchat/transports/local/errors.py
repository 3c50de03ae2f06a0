"""The one place where errors of SQLite and the file system become AMQP errors.

==================================  ====================================  ==========================
what happened                       raised                                can it pass by itself?
==================================  ====================================  ==========================
others keep the file locked         ``RecoverableConnectionError``        yes
the file went away, was replaced    ``ConnectionForced`` 320              yes: connect again
no space left, over a quota         ``ResourceError`` 506                 yes
no permission, a read-only file     ``AccessRefused`` 403                 no
not a room: not a database, ...     ``NotAllowed`` 530                    no
a damaged file                      ``InternalError`` 541                 no
anything else                       ``RecoverableConnectionError``        perhaps
==================================  ====================================  ==========================

Where the room could not even be opened, it is a ``RecoverableConnectionError`` besides: Kombu goes on to the next of
several URLs for these only.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from amqp.exceptions import (
    AccessRefused,
    AMQPError,
    ConnectionForced,
    ConsumerCancelled,
    InternalError,
    NotAllowed,
    RecoverableConnectionError,
    ResourceError,
)

from kchat import errors
from kchat.transports import errors as common

from . import files

if TYPE_CHECKING:
    from kchat.transports.url import Broker


class NotOpened(RecoverableConnectionError):
    """The room could not be opened; the next one may work."""


class OpeningRefused(AccessRefused, NotOpened):
    """The file system does not let this account open it."""


class OpeningNotAllowed(NotAllowed, NotOpened):
    """The path cannot be a room."""


class OpeningFailed(InternalError, NotOpened):
    """The file is damaged."""


_NOT_OPENED: dict[type[AMQPError], type[NotOpened]] = {
    AccessRefused: OpeningRefused,
    NotAllowed: OpeningNotAllowed,
    InternalError: OpeningFailed,
}

#: SQLite's primary result codes while another connection has the file locked.
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)

#: What SQLite says, and what that is in AMQP's words.
_TEXTS: tuple[tuple[str, type[AMQPError], str], ...] = (
    ("database or disk is full", ResourceError, "no space left"),
    ("attempt to write a readonly database", AccessRefused, "this account may not write to it"),
    ("unable to open database file", AccessRefused, "it, or a file beside it, cannot be opened"),
    ("file is not a database", NotAllowed, "this is not an SQLite file"),
    ("file is encrypted or is not a database", NotAllowed, "this is not an SQLite file"),
    ("database disk image is malformed", InternalError, "the file is damaged"),
    ("no such table", InternalError, "the file is damaged"),
    ("malformed database schema", InternalError, "the file is damaged"),
    ("Could not decode to UTF-8", InternalError, "the file is damaged"),
    ("string or blob too big", InternalError, "a value in it is too large"),
    ("interrupted", InternalError, "its content keeps SQLite busy for too long"),
)

#: What SQLite says where the file system refuses.
_REFUSED = ("attempt to write a readonly database", "unable to open database file", "disk I/O error")

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def not_opened(exc: AMQPError) -> AMQPError:
    """An error that was raised while opening a room, as one that Kombu's failover recognises."""
    kind = _NOT_OPENED.get(type(exc))
    return exc if kind is None else kind(exc.reply_text)


def is_busy(exc: BaseException) -> bool:
    """Whether SQLite only says that another connection has the file locked: try again."""
    return isinstance(exc, sqlite3.OperationalError) and getattr(exc, "sqlite_errorcode", 0) & 0xFF in _BUSY


def locked(path: str, seconds: float) -> AMQPError:
    """The error for a file that others had locked for ``seconds``."""
    return RecoverableConnectionError(f"{path}: others have kept it locked for {seconds:g} s")


def _about(kind: type[AMQPError], text: str) -> Callable[[str], AMQPError]:
    """The error for a connection that is over, by the path of its file."""
    return lambda path: kind(f"{path}: {text.format(path)}")


gone = _about(ConnectionForced, "the file was deleted or replaced")
log_lost = _about(
    ConnectionForced, "its log ({}-wal) was removed or replaced while in use: the last messages may be lost"
)
forked = _about(RecoverableConnectionError, "opened before a fork, by another process; connect again")
closed = _about(RecoverableConnectionError, "the connection is closed")


def log_in_use(path: str, seconds: float) -> AMQPError:
    """The error for a room that another process uses with a log that was removed."""
    return RecoverableConnectionError(
        f"{path}: others have kept it locked for {seconds:g} s: "
        f"a process uses a log of it that was removed, and does not go on; which one: fuser {path}"
    )


def translate(exc: sqlite3.Error | OSError, path: str) -> AMQPError:
    """An SQLite or file system error as the AMQP error that a caller can act on; its text begins with the path."""
    if isinstance(exc, OSError):
        reason = exc.strerror or str(exc)
        if exc.errno in _NO_SPACE:
            return ResourceError(f"{path}: no space left ({reason})")
        if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return files.refusal(path) or AccessRefused(f"{path}: {reason}")
        return NotAllowed(f"{path}: {reason}")
    text = str(exc)
    if text.startswith(_REFUSED) and (refused := files.refusal(path)) is not None:
        return refused  # it says which file
    if text == "disk I/O error":
        # Beyond a file size limit (EFBIG) SQLite reports an I/O error; a removed directory looks the same.
        if not Path(path).exists():
            return gone(path)
        return ResourceError(f"{path}: the disk does not take or give the data ({text})")
    for beginning, error, meaning in _TEXTS:
        if text.startswith(beginning):
            return error(f"{path}: {meaning} ({text})")
    return RecoverableConnectionError(f"{path}: {text}")


def explain(error: Exception, broker: Broker, doing: str) -> errors.KchatError | None:
    """The error of ours that a driver's error is; see :meth:`kchat.transports.base.Transport.explain`."""
    special = _from_file(error) if isinstance(error, AMQPError) else None
    return special or common.explain(error, broker, doing)


def _from_file(error: AMQPError) -> errors.KchatError | None:
    """What is special about a file: no accounts and no virtual hosts, but a disk that is full and others that write."""
    text = common.reply_text(error)
    if error.code == 403:
        return errors.NotAuthorised(text)
    if error.code == 530:
        # The options of the URL name themselves; the rest is about the file that was found.
        return errors.SettingsError(text) if text.startswith("local:") else errors.Refused(text)
    if error.code == 506:
        return errors.Blocked(text, hint="free some space there")
    if "kept it locked" in text:
        return errors.Blocked(text, hint="another process is writing there and does not finish")
    if isinstance(error, ConsumerCancelled):
        return errors.Closed(f"{text}: the queue was deleted")
    return None
