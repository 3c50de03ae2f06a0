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
from contextlib import contextmanager, suppress
from pathlib import Path

from amqp.exceptions import AccessRefused, AMQPError, NotAllowed

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
    """The file that a path leads to: SQLite has its log beside that. Raises NotAllowed: links that lead in a circle."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError) as exc:
        raise NotAllowed(f"{path}: {exc}") from exc


# -- making the file


def make(path: str) -> None:
    """Create the file and its folder if they do not exist. What a deleted file has left beside it is removed first.

    Raises OSError: it cannot be created; NotAllowed: something else is at its name, or at that of its log.
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
    """Remove the log of a file that is gone. Raises NotAllowed: it is something else, which only its owner can judge."""
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
    """Look at the file before anything opens it.

    Raises OSError: it is not there; NotAllowed: it is not a regular file, or has several names.
    """
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
    """Look at the files beside it. Raises NotAllowed: one is no regular file, or has several names, or is a journal."""
    for suffix in (LOG, INDEX, JOURNAL):
        name = path + suffix
        try:
            status = os.lstat(name)
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            what = "a file with several names" if stat.S_ISREG(status.st_mode) else "not a regular file"
            raise NotAllowed(f"{name}: {what}; a room's log never is")
        if suffix == JOURNAL and status.st_size:
            # SQLite would play it back, and delete the file that a name in it leads to.
            raise NotAllowed(
                f"{name}: a rollback journal, which a room never has; remove it if you know where it is from"
            )


def check_mount(path: str) -> None:
    """Raise NotAllowed if the file is mounted by itself: its log would be in another folder than everybody else's."""
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
    """Make sure that it is an SQLite file, or empty, without SQLite. Raises NotAllowed: it is not."""
    beginning = os.pread(fd, len(_MAGIC), 0)
    if beginning and beginning != _MAGIC:
        raise NotAllowed(f"{path}: this is not an SQLite file")


def has_log(path: str) -> bool:
    """Whether there is a log with something in it."""
    try:
        return os.lstat(path + LOG).st_size > 0
    except OSError:
        return False


def refusal(path: str) -> AMQPError | None:
    """Why this account may not use the room, by the files' modes; None if it may. SQLite does not say."""
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


# -- are they still the same

#: Device and inode of the file, its log and its index.
Identity = tuple[int, int, int, int, int, int]


class FileSet:
    """The three files by their names; ``given`` may be a symbolic link, which may lead elsewhere later."""

    def __init__(self, given: str, path: str) -> None:
        self._given = given
        self.path = path
        self.log = path + LOG
        self.index = path + INDEX
        #: Bytes in the log when it was last looked at.
        self.log_bytes = 0
        self._aligned: tuple[int, ...] = ()

    def now(self) -> Identity:
        """What is at the three names now. Raises OSError: one of them does not exist."""
        # A Path costs more, and this is called for each commit.
        file, log, index = os.stat(self._given), os.stat(self.log), os.stat(self.index)  # noqa: PTH116
        self.log_bytes = log.st_size
        if file.st_mode != log.st_mode or file.st_gid != log.st_gid or file.st_gid != index.st_gid:
            self._align(file, {self.log: log, self.index: index})
        return file.st_dev, file.st_ino, log.st_dev, log.st_ino, index.st_dev, index.st_ino

    def leads_to(self, identity: Identity) -> bool:
        """Whether the path as it was given still leads to that file."""
        try:
            status = os.stat(self._given)  # noqa: PTH116
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == identity[:2]

    def _align(self, file: os.stat_result, beside: dict[str, os.stat_result]) -> None:
        """Give the log and its index the group and the mode of the file: SQLite sets only the mode.

        Root leaves them alone: SQLite gives them the file's owner when root creates them.
        """
        wanted = (file.st_mode, file.st_gid, *(status.st_ino for status in beside.values()))
        if wanted == self._aligned:
            return  # already tried
        self._aligned = wanted
        for path, status in beside.items():
            if status.st_uid == os.geteuid() != 0:
                with suppress(OSError):
                    _give(path, status, file)

    def remove_own(self, identity: Identity) -> None:
        """Remove the log and index of that identity, if they are still at their names."""
        for path, inode in ((self.log, identity[2:4]), (self.index, identity[4:6])):
            with suppress(OSError):
                status = os.lstat(path)
                if (status.st_dev, status.st_ino) == inode:
                    Path(path).unlink()


def _give(path: str, status: os.stat_result, like: os.stat_result) -> None:
    """Give a file the group and mode of another, unless something else is at its name by now."""
    if not hasattr(os, "O_PATH"):
        os.chown(path, -1, like.st_gid, follow_symlinks=False)
        Path(path).chmod(stat.S_IMODE(like.st_mode) & 0o777, follow_symlinks=False)
        return
    # O_PATH opens nothing: closing a real descriptor would end SQLite's locks on the file.
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        now = os.fstat(fd)
        if (now.st_dev, now.st_ino, now.st_nlink) == (status.st_dev, status.st_ino, 1):
            os.chown(f"/proc/self/fd/{fd}", -1, like.st_gid)
            Path(f"/proc/self/fd/{fd}").chmod(stat.S_IMODE(like.st_mode) & 0o777)
    finally:
        os.close(fd)
