"""The room's file, SQLite's write-ahead log and the index beside it: are they still the files that are open?"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from .file_checks import INDEX, LOG

#: Device and inode of the file, its log and its index.
Identity = tuple[int, int, int, int, int, int]


class FileSet:
    """The three files by their names.

    Arguments:
        given: the path as it was given; a symbolic link may lead elsewhere later.
        path: the file that it leads to now.
    """

    def __init__(self, given: str, path: str) -> None:
        self._given = given
        self.path = path
        self.log = path + LOG
        self.index = path + INDEX
        #: Bytes in the log when it was last looked at.
        self.log_bytes = 0
        self._aligned: tuple[int, ...] = ()

    def now(self) -> Identity:
        """What is at the three names now.

        Raises:
            OSError: one of them does not exist.
        """
        # A Path costs more, and this is called for each commit.
        file, log, index = os.stat(self._given), os.stat(self.log), os.stat(self.index)  # noqa: PTH116
        self.log_bytes = log.st_size
        if file.st_mode != log.st_mode or file.st_gid != log.st_gid or file.st_gid != index.st_gid:
            self._align(file, {self.log: log, self.index: index})
        return file.st_dev, file.st_ino, log.st_dev, log.st_ino, index.st_dev, index.st_ino

    def file_now(self) -> tuple[int, int]:
        """The file at the path as it was given.

        Raises:
            OSError: it does not exist.
        """
        status = os.stat(self._given)  # noqa: PTH116
        return status.st_dev, status.st_ino

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
