"""Who is alive. The kernel says so, no clock: every connection that owns something holds a lock.

An owner is a connection with exclusive queues, consumers or unacknowledged messages. It has a number, and a lock on the
byte of the room's file that the number stands for (:mod:`.locks`). The lock goes with its process, however that ends,
and stays while the process is merely stopped. Whoever comes next and finds it gone knows that the owner is dead.

Earlier releases (0.x) had a file for each owner, in ``<room>-owners/``, and a row with its name. Such an owner may still
run: its file is looked at, and never removed. The name comes from the room's file, so it has to be of their form.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from typing import TYPE_CHECKING

from . import errors
from .locks import FIRST_OWNER, LAST_OWNER

if TYPE_CHECKING:
    from .locks import RoomFile

_OLD_NAME = re.compile("[0-9a-f]{16}")


class Owner:
    """This connection's proof of life.

    Arguments:
        file: the room's file.
        path: its name, for errors.

    Raises:
        amqp.exceptions.AMQPError: the file system has no locks.
    """

    def __init__(self, file: RoomFile, path: str) -> None:
        self._file = file
        try:
            self.number = file.claim_owner()
        except OSError as exc:
            raise errors.translate(exc, path) from exc

    def release(self) -> None:
        """Give up the proof; what is still owned will be swept by whoever comes next."""
        self._file.release_owner(self.number)


def is_alive(file: RoomFile, number: object, old_name: object, paths: tuple[str, ...]) -> bool:
    """Whether an owner lives.

    Arguments:
        file: the room's file.
        number: the owner's, as the file has it.
        old_name: what the file has as the name of an earlier release's owner of that number.
        paths: the names of the room's file.
    """
    if isinstance(number, int) and FIRST_OWNER <= number <= LAST_OWNER:
        return file.is_alive(number)
    if not isinstance(old_name, str) or not _OLD_NAME.fullmatch(old_name):
        return False
    return any(_holds_lock(f"{path}-owners", old_name) for path in paths)


def _holds_lock(folder: str, name: str) -> bool:
    """Whether an earlier release's owner has its file locked. Where that cannot be told, it may live."""
    try:
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except PermissionError:
        return True
    except OSError:  # no folder
        return False
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
            return False
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder_fd)
    except PermissionError:
        return True
    except OSError:
        return False
    finally:
        os.close(folder_fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
