"""The room's file and the two that SQLite has beside it while it is in use: may they be opened, and are they still the same.

The write-ahead log (``-wal``) and its index (``-shm``) are found by the file's name. So the name is resolved once, a file
with several names is refused, and what stands at the three names is compared with what is open.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amqp.exceptions import AccessRefused, AMQPError, NotAllowed

from . import schema
from .process_locks import open_file
from .untrusted import not_a_room

#: What SQLite adds to the file's name.
LOG, INDEX, JOURNAL = "-wal", "-shm", "-journal"

#: How a write-ahead log begins (https://www.sqlite.org/fileformat2.html#walformat), and an index without its byte order.
_LOG_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")

#: How an SQLite file begins, and the size of the smallest that is not empty.
_MAGIC, _SMALLEST = b"SQLite format 3\0", 512

#: The index grows by this many bytes.
_INDEX_BYTES = 32 * 1024

#: Seconds to wait for the folder while others make the file.
_FOLDER_SECONDS = 5.0


def resolve(path: str) -> str:
    """The file that a path leads to: SQLite has its log beside that, not beside a symbolic link.

    Raises:
        amqp.exceptions.NotAllowed: symbolic links that lead in a circle.
    """
    try:
        return os.path.realpath(path)
    except (OSError, ValueError) as exc:
        raise NotAllowed(f"{path}: {exc}") from exc


# -- making the file


def make(path: str) -> None:
    """Create the file and its folder if they do not exist. What a deleted file has left beside it is removed first.

    Raises:
        OSError: it cannot be created.
        amqp.exceptions.NotAllowed: something else is at its name, or at that of its log.
    """
    folder = Path(path).parent
    if not folder.is_dir():
        folder.mkdir(0o700, parents=True, exist_ok=True)
    if os.path.lexists(path):
        return
    # Processes that create it at the same time take turns: else one removes another's log as an old one.
    with _locked(folder):
        if os.path.lexists(path):
            return
        for suffix in (LOG, INDEX, JOURNAL):
            _remove_leftover(path + suffix, suffix)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # one that may be written to but not be read: without a lock
        yield
        return
    try:
        deadline = time.monotonic() + _FOLDER_SECONDS
        while time.monotonic() < deadline:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(0.002)
        yield
    finally:
        os.close(fd)


def _remove_leftover(path: str, suffix: str) -> None:
    """Remove the log of a file that is gone; SQLite would take it for the new one's.

    Raises:
        amqp.exceptions.NotAllowed: it is something else, which only its owner can judge.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    ours = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    if ours and status.st_size:
        # The index is not opened: that would end SQLite's locks on it, where this process has it in use.
        ours = status.st_size % _INDEX_BYTES == 0 if suffix == INDEX else suffix == LOG and _is_log(path)
    if not ours:
        raise NotAllowed(f"{path}: this file is in the way; move it, since SQLite would take it for its own")
    Path(path).unlink()


def _is_log(path: str) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.read(fd, 4) in (*_LOG_MAGIC, b"")
    finally:
        os.close(fd)


# -- may it be opened


def check(path: str) -> None:
    """Look at the file before anything opens it, and whether this account may use those beside it.

    Raises:
        OSError: the file is not there.
        amqp.exceptions.NotAllowed: it is not a regular file, or has several names.
        amqp.exceptions.AccessRefused: this account may not use one of them.
    """
    check_kind(path)
    refused = refusal(path)
    if refused is not None:
        raise refused


def check_kind(path: str) -> None:
    """Look at the file before anything opens it. Raises as :func:`check`."""
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise NotAllowed(f"{path}: not a regular file")
    if status.st_nlink > 1:
        raise NotAllowed(
            f"{path}: this file has {status.st_nlink} names (hard links), and SQLite's log belongs to one name: "
            f"remove the others (find -samefile), or make a copy"
        )
    if 0 < status.st_size < _SMALLEST:  # SQLite would write over it
        raise NotAllowed(f"{path}: this is not an SQLite file")


def check_beside(path: str) -> None:
    """Look at the files beside it.

    Raises:
        amqp.exceptions.NotAllowed: one of them is not a regular file, or has several names, or is a rollback journal.
    """
    for suffix in (LOG, INDEX, JOURNAL):
        _check_one_beside(path + suffix, suffix)


def _check_one_beside(path: str, suffix: str) -> None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        what = "a file with several names" if stat.S_ISREG(status.st_mode) else "not a regular file"
        raise NotAllowed(f"{path}: {what}; a room's log never is")
    if suffix == JOURNAL and status.st_size:
        # SQLite would play it back, and delete the file that a name in it leads to.
        raise NotAllowed(
            f"{path}: a rollback journal, which a room never has; remove it if you know where it is from"
        )


def check_mount(path: str) -> None:
    """Make sure that the file is not mounted by itself: its log would be in another folder than everybody else's.

    Raises:
        amqp.exceptions.NotAllowed: it is.
    """
    if not hasattr(os, "O_PATH"):  # closing another descriptor would end SQLite's locks
        return
    try:
        mounts = {_mount_of(path), _mount_of(str(Path(path).parent))}
    except OSError:
        return
    if len(mounts) > 1 and "" not in mounts:
        raise NotAllowed(
            f"{path}: this file is mounted by itself, without its folder, where SQLite's log is: mount the folder"
        )


def _mount_of(path: str) -> str:
    """The number of the mount that a file is on, where the system tells (Linux)."""
    fd = os.open(path, os.O_PATH)
    try:
        for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "mnt_id":
                return value.strip()
    finally:
        os.close(fd)
    return ""


def check_header(path: str, fd: int) -> None:
    """Make sure that it is an SQLite file, or empty, without SQLite.

    Raises:
        amqp.exceptions.NotAllowed: it is not.
    """
    beginning = os.pread(fd, len(_MAGIC), 0)
    if beginning and beginning != _MAGIC:
        raise NotAllowed(f"{path}: this is not an SQLite file")


def is_room(path: str) -> bool:
    """Whether it says of itself that it is a room, or may do so in its log. Nothing is known of its content then."""
    file = open_file(path)
    try:
        beginning = os.pread(file.fd, 72, 0)
    finally:
        file.release()
    return not beginning or has_log(path) or beginning[68:] == schema.APPLICATION_ID.to_bytes(4, "big")


def has_log(path: str) -> bool:
    """Whether there is a log with something in it."""
    try:
        return os.lstat(path + LOG).st_size > 0
    except OSError:
        return False


def refusal(path: str) -> AMQPError | None:
    """Why this account may not use the room, by the modes of the files; None if it may.

    SQLite says no more than that it cannot open something.
    """
    folder = str(Path(path).parent)
    beside = [path + suffix for suffix in (LOG, INDEX)]
    for each in (path, *beside):
        if os.path.lexists(each) and not _may(each, os.R_OK | os.W_OK):
            return _no_access(each, "read and write")
    if not _may(folder, os.X_OK):
        return _no_access(folder, "enter")
    if not all(os.path.lexists(each) for each in (path, *beside)) and not _may(folder, os.W_OK):
        return _no_access(folder, "make SQLite's log in")
    return None


def _may(path: str, how: int) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, how, effective_ids=effective)


def _no_access(path: str, what: str) -> AMQPError:
    try:
        status = Path(path).stat()
    except OSError as exc:
        return AccessRefused(f"{path}: this account (uid {os.geteuid()}) may not {what} it: {exc.strerror}")
    if hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY:
        return AccessRefused(f"{path}: the file system is mounted read-only")
    return AccessRefused(
        f"{path}: this account (uid {os.geteuid()}) may not {what} it: "
        f"{stat.filemode(status.st_mode)}, of uid {status.st_uid} and gid {status.st_gid}"
    )


def not_opened(path: str, why: str) -> AMQPError:
    """The error for what SQLite cannot open although the content is not known yet."""
    return refusal(path) or not_a_room(path, why)
