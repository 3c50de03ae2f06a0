"""Files of JSON lines, whole or damaged: :class:`JsonLines`.

What is damaged costs nothing else: a line that cannot be read is told and left out, and so is an end that is missing. Only
what is compressed cannot be read beyond the place where it was changed.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from kchat.client.compression import PIECE, Cut, Damaged, unpacked
from kchat.client.recording import STANDARD
from kchat.errors import KchatError, SettingsError

T = TypeVar("T")

LONGEST_LINE = 256 << 20
"""The most bytes of a line that is read: of a body of 20 MiB that is nothing but control characters, 120 MiB are made."""


class Damage(NamedTuple):
    """What could not be read: ``line`` is its number, ``why`` says what is wrong.

    ``cut``: it is the file's end, as a recorder leaves it that was killed, and not a line that was changed.
    """

    line: int
    why: str
    cut: bool = False

    def __str__(self) -> str:
        return f"line {self.line:,}: {self.why}"


class JsonLines(Generic[T]):
    """A file with a JSON value on each line, to be read from its beginning by iterating over it.

    Arguments:
        path: the file; ``-`` is standard input, which can be read once. By its end, ``.gz`` or ``.zst``, it is compressed.
        parse: what makes something of a line; it raises ValueError with the reason where it cannot.

    Raises:
        kchat.errors.SettingsError: it cannot be opened, or there is no module to decompress it.
    """

    def __init__(self, path: str, parse: Callable[[bytes], T]) -> None:
        self.path = path
        self._parse = parse
        self.read = 0
        """Number of the file's bytes that were read."""
        self.size: int | None = None
        """The file's size in bytes; ``None`` of a pipe, which can be read once."""
        if path != STANDARD:
            try:
                found = os.stat(path)  # noqa: PTH116 - "-" is not a path
                if stat.S_ISDIR(found.st_mode):
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                if not os.access(path, os.R_OK):  # a pipe would notice that it was opened
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            except OSError as error:
                raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
            if stat.S_ISREG(found.st_mode):
                self.size = found.st_size
        unpacked(path, ())

    def __iter__(self) -> Iterator[T | Damage]:
        """What each line holds, and what could not be read where it stands. Nothing in a file makes this raise.

        Raises:
            kchat.errors.KchatError: the disk cannot be read, say.
        """
        self.read = 0
        number = 0
        try:
            for line, whole in self.lines():
                number += 1
                try:
                    if line is None:
                        raise ValueError(f"it is longer than {LONGEST_LINE >> 20} MiB")
                    if line and not line.isspace():
                        yield self._parse(line)
                except (ValueError, RecursionError) as error:
                    if whole:
                        yield Damage(number, _reason(error))
                    else:
                        yield Damage(
                            number, "it is incomplete: the recorder was killed, or is not done", cut=True
                        )
        except Cut:
            yield Damage(number + 1, "the file ends early: the recorder was killed, or is not done", cut=True)
        except Damaged as error:
            yield Damage(number + 1, f"what follows cannot be decompressed ({error})")

    def lines(self, *, count: bool = True) -> Iterator[tuple[bytes | None, bool]]:
        """The lines without their newline, and whether they had one; ``None`` for one that is too long.

        Arguments:
            count: whether :attr:`read` counts them.

        Raises:
            kchat.client.compression.Cut, kchat.client.compression.Damaged: as :func:`kchat.client.compression.unpacked`.
        """
        return _lines(unpacked(self.path, self._pieces(count=count)))

    @property
    def share_read(self) -> float | None:
        """Which part of the file was read, from 0 to 1; ``None`` where its size is not known."""
        return None if not self.size else min(1.0, self.read / self.size)

    def _pieces(self, *, count: bool = True) -> Iterator[bytes]:
        # The descriptor of standard input belongs to others.
        descriptor = os.dup(sys.stdin.fileno()) if self.path == STANDARD else os.open(self.path, os.O_RDONLY)
        try:
            while data := _read(descriptor, self.path):
                if count:
                    self.read += len(data)
                yield data
        finally:
            os.close(descriptor)


def _read(descriptor: int, path: str) -> bytes:
    try:
        return os.read(descriptor, PIECE >> 4)
    except OSError as error:
        raise KchatError(f"{path} cannot be read to its end: {error.strerror}") from error


def _lines(pieces: Iterable[bytes]) -> Iterator[tuple[bytes | None, bool]]:
    """Lines without their newline, and whether they had one; ``None`` for one that is too long. Raises as ``pieces``."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for part in whole:
            if size:
                held.append(part)
                size += len(part)
                yield (b"".join(held) if size <= LONGEST_LINE else None), True
                held, size = [], 0
            else:
                yield part, True
        if rest:
            size += len(rest)
            if size <= LONGEST_LINE:
                held.append(rest)
            else:
                held.clear()
    if size:
        yield (b"".join(held) if size <= LONGEST_LINE else None), False


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeError):
        return "it holds half a character"
    return str(error)
