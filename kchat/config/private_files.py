"""Files that are the user's own: where they are, whether others can change or read them, and how they are written."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Literal

from kchat.errors import SettingsError, no_home

LOCK_SECONDS = 30.0
"""How long to wait for another process that changes the same file. A change takes milliseconds."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH


def user_folder(kind: Literal["config", "state", "data"] = "config") -> Path:
    """The folder of kchat's in the user's home, as the system prescribes it (XDG base directories on Linux).

    Arguments:
        kind: for settings, the default, for what kchat notes by itself, or for what the user has it keep.

    Raises:
        SettingsError: no home folder is known.
    """
    import platformdirs

    find = {
        "config": platformdirs.user_config_path,
        "state": platformdirs.user_state_path,
        "data": platformdirs.user_data_path,
    }[kind]
    with suppress(RuntimeError):
        # Older releases return ~ in the working directory where there is no home; anybody may have put it there.
        if (folder := find("kchat")).is_absolute():
            return folder
    raise no_home()


def check_ours(file: Path, status: os.stat_result | None = None, *, secret: bool = False) -> None:
    """Make sure that only this account and root can change a file, and read it where it holds a secret.

    These are OpenSSH's rules: those of ssh_config(5) for its configuration, those of ssh(1) for private keys.

    Arguments:
        file: the file; it exists.
        status: of the opened file. Default: the file is looked at.
        secret: whether others may not read it either.

    Raises:
        SettingsError: others can. The text says which command changes that.
        OSError: the file cannot be looked at.
    """
    if not hasattr(os, "geteuid"):
        return
    real = file.resolve()
    status = real.stat() if status is None else status
    # Anyone who can write a folder can put another file there; not so in one with the sticky bit, such as /tmp.
    for folder in {file.absolute().parent, real.parent}:
        found = folder.stat()
        if not found.st_mode & stat.S_ISVTX:
            _check_others(folder, found, _OTHERS_WRITE)
    _check_others(real, status, _OTHERS_WRITE)
    if secret:
        # A service's key may be root's, and readable by the service's group.
        mine = status.st_uid == os.geteuid()
        _check_others(real, status, _OTHERS_READ if mine else stat.S_IROTH)


def check_ours_if_there(file: Path, *, secret: bool = False) -> None:
    """As :func:`check_ours`; a file that is missing or unreadable is reported when it is opened."""
    with suppress(OSError):
        check_ours(file, secret=secret)


def _check_others(path: Path, status: os.stat_result, forbidden: int) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise SettingsError(
            f"{path} belongs to another account (uid {status.st_uid}), so it is not used",
            hint="its owner could have it send your messages and passwords anywhere",
        )
    if status.st_mode & forbidden:
        import shlex

        what, change = ("change", "go-w") if forbidden & _OTHERS_WRITE else ("read", "go-rwx")
        raise SettingsError(
            f"others can {what} {path} ({stat.filemode(status.st_mode)}), so it is not used",
            hint=shlex.join(["chmod", change, str(path)]),
        )


def write_private(file: Path, data: bytes) -> None:
    """Put a file of mode 0600 in its place, or in that of another, in one step. Its folder is made, with mode 0700.

    Raises:
        OSError: it cannot be written; what was there is there still.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        temporary.unlink()  # of a process that was killed
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)
    temporary.replace(file)


@contextmanager
def locked(file: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Keep other processes and threads from changing a file within the block; the lock of a killed process is released.

    The lock is on a file beside it, as the file itself is replaced when it is written. Its folder is made. Raises
    SettingsError where another process keeps it for longer.
    """
    import fcntl

    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = file.with_name(f".{file.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        deadline = monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if monotonic() > deadline:
                    raise SettingsError(
                        f"{file} has been locked by another kchat for over {seconds:g} s",
                        hint="end that process, and try again",
                    ) from None
                sleep(0.02)
            else:
                break
        for left in file.parent.glob(f".{glob.escape(file.name)}.[0-9]*"):
            if left.suffix[1:].isdecimal():
                left.unlink(missing_ok=True)  # of a process that was killed while it wrote
        yield
    finally:
        os.close(descriptor)
