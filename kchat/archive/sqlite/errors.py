"""SQLite's errors as kchat's: :func:`translated`, the one place where that happens."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kchat.errors import ArchiveError, ArchiveUnavailable, KchatError, SettingsError

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raises kchat's errors for those of SQLite within the block, and for values that kchat does not write."""
    try:
        yield
    except KchatError:  # also a SettingsError, which is a ValueError
        raise
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except (struct.error, TypeError, ValueError, OverflowError, LookupError) as error:
        raise damaged(path, str(error)) from error


@contextmanager
def told_apart(path: Path) -> Iterator[None]:
    """Raises SettingsError for a file that is none of SQLite's: another one was meant, and nothing is damaged."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_NOTADB:
            raise
        raise SettingsError(f"{path} is not an archive of kchat", hint="name another file") from error


def explain(error: sqlite3.Error, path: Path) -> ArchiveError:
    """What to raise for an error of SQLite's (https://sqlite.org/rescode.html)."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    text = str(error)
    if code in _BUSY:
        return ArchiveUnavailable(
            f"the archive {path} is locked by another process",
            hint="try again; fuser shows which process it is",
        )
    if code == sqlite3.SQLITE_FULL:
        return ArchiveUnavailable(
            f"no space left for the archive {path}", hint="free some space on that disk"
        )
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM):
        return ArchiveUnavailable(
            f"the disk does not take or give the archive's data: {path} ({text})",
            hint="check the disk, its quota, and the limit of a file's size (ulimit -f)",
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return ArchiveUnavailable(
            f"the archive {path} cannot be opened or written ({text})",
            hint="this account needs the right to write its folder, where SQLite keeps the log beside it",
        )
    if code in _DAMAGED:
        return damaged(path, text)
    return ArchiveError(f"the archive {path}: {text}")


def damaged(path: Path, why: str) -> ArchiveError:
    """The error for a file that is not as kchat writes it."""
    return ArchiveError(
        f"the archive {path} is damaged ({why})", hint=f"sqlite3 {path} .recover gets out what can be read"
    )


def moved(path: Path) -> ArchiveUnavailable:
    """The error for a file that is no longer at its name."""
    return ArchiveUnavailable(
        f"the archive {path} was deleted or replaced while it was in use",
        hint=f"put it back; or, for a new one, delete {path.name}-wal as well, and start again",
    )
