"""Who is alive. The kernel says so, no clock: every connection that owns something holds a lock on a file.

An owner is a connection with exclusive queues, consumers or unacknowledged messages. Its file stands next to the
room's, in ``<room>-owners/``; its lock (``flock(2)``) goes with its process, however that ends, and stays while
the process is merely stopped. Whoever comes next and gets the lock of another's file knows that the other is dead.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from . import errors, forks


def directory_of(path: str) -> Path:
    """Where the owners of the room at ``path`` have their files."""
    return Path(path + "-owners")


class Owner:
    """This connection's proof of life.

    Arguments:
        path: the room's file.

    Raises:
        amqp.exceptions.AMQPError: the lock's file cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._directory = directory_of(path)
        try:
            self._directory.mkdir(0o700, exist_ok=True)
            self.name, self._fd = self._claim()
        except OSError as exc:
            raise errors.translate(exc, path) from exc
        forks.track(self)

    def _claim(self) -> tuple[str, int]:
        while True:
            name = os.urandom(8).hex()
            file = self._directory / name
            fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            # Between the two steps somebody may have taken the new file for a dead one's and removed it.
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if file.stat().st_ino == os.fstat(fd).st_ino:
                    return name, fd
            except (BlockingIOError, FileNotFoundError):
                pass
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def release(self) -> None:
        """Give up the proof; what is still owned will be swept by whoever comes next."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            (self._directory / self.name).unlink(missing_ok=True)
            os.close(fd)

    def forget(self) -> None:
        """In a forked child: a lock is the file's, so the child's descriptor would outlive the parent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def is_alive(path: str, name: str) -> bool:
    """Whether the owner ``name`` of the room at ``path`` lives; removes a dead one's file."""
    file = directory_of(path) / name
    try:
        fd = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise errors.translate(exc, path) from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink(missing_ok=True)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)


def files(path: str) -> list[str]:
    """The names of all owners that have a file."""
    try:
        return [file.name for file in directory_of(path).iterdir()]
    except FileNotFoundError:
        return []
