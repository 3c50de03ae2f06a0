"""Files that are the user's own: nobody else may read them, and they are there as a whole at any time."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


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
