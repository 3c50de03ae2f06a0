"""Files that are compressed by their names, ``.gz`` and ``.zst``: what was flushed can be read, though the end is missing.

After each flush, all that was written before it can be decompressed, though the rest of the stream never comes: zlib's
``Z_SYNC_FLUSH`` (https://www.zlib.net/manual.html#Basic), Zstandard's ``ZSTD_e_flush``
(https://facebook.github.io/zstd/zstd_manual.html). Decompressing is bounded: however small the file is that becomes a
large one, a piece at a time is in memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, Protocol

from kchat.errors import MissingExtra

PIECE = 1 << 20
"""Maximum number of bytes that are decompressed at once, and about what is read at once."""

_GZIP = 16 + zlib.MAX_WBITS
"""zlib's window bits for a gzip header and trailer."""

_LEVEL = 6
"""zlib's own default."""

_STEP = 256
"""Bytes that are decompressed together: where some of them are damaged, what the others hold is lost with them."""


class Damaged(Exception):
    """What cannot be decompressed; nothing that comes after it can."""


class Cut(Exception):
    """The file ends within its compressed data: whoever wrote it was killed, or is not done yet."""


class Packer(Protocol):
    """Compresses what is written."""

    def pack(self, data: bytes) -> bytes:
        """Take data, and give all of what was taken, to be written at once."""

    def end(self) -> bytes:
        """What stands at the end of the file."""


class _Plain:
    def pack(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


class _Gzip:
    def __init__(self) -> None:
        self._stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)

    def pack(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._stream.flush(zlib.Z_FINISH)


class _Zstandard:
    def __init__(self) -> None:
        self._stream = _zstd().ZstdCompressor()

    def pack(self, data: bytes) -> bytes:
        packed: bytes = self._stream.compress(data, self._stream.FLUSH_BLOCK)
        return packed

    def end(self) -> bytes:
        ending: bytes = self._stream.flush(self._stream.FLUSH_FRAME)
        return ending


def packer(name: str) -> Packer:
    """What compresses a file of that name.

    Raises:
        kchat.errors.MissingExtra: it ends in ``.zst``, and there is no module for that.
    """
    if name.endswith(".gz"):
        return _Gzip()
    return _Zstandard() if name.endswith(".zst") else _Plain()


def unpacked(name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The content of a file of that name, in pieces; several streams one after the other are one.

    Arguments:
        name: by its end, how it is compressed.
        pieces: the file's bytes.

    Raises:
        kchat.errors.MissingExtra: there is no module for it. This is raised here, not when the first piece is taken.
        Damaged: it is not what its name says, or was changed.
        Cut: it ends within a stream; all of it was given before.
    """
    if name.endswith(".gz"):
        return _unpack(pieces, _Inflater, (zlib.error,))
    if name.endswith(".zst"):
        module = _zstd()
        return _unpack(pieces, module.ZstdDecompressor, (module.ZstdError,))
    return iter(pieces)


class _Inflater:
    """zlib's decompressor, with the interface of the other modules': what was given and not used yet, it keeps."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self.needs_input = True

    def decompress(self, data: bytes, max_length: int) -> bytes:
        data = self._stream.unconsumed_tail + data
        piece = self._stream.decompress(data, max_length)
        # A full piece may be followed by more that zlib holds itself.
        self.needs_input = not self._stream.unconsumed_tail and len(piece) < max_length
        return piece

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data


def _unpack(pieces: Iterable[bytes], new: Any, failures: tuple[type[Exception], ...]) -> Iterator[bytes]:
    stream, begun = new(), False
    for data in _steps(pieces):
        while data or not stream.needs_input:
            begun = True
            try:
                piece = stream.decompress(data, PIECE)
            except failures as error:
                raise Damaged(str(error)) from error
            data = b""  # noqa: PLW2901 - the stream has it
            if piece:
                yield piece
            if stream.eof:
                data, stream, begun = stream.unused_data, new(), False  # noqa: PLW2901 - the next stream's
    if begun:
        raise Cut


def _steps(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for at in range(0, len(piece), _STEP):
            yield piece[at : at + _STEP]


def _zstd() -> Any:
    """Python's module for Zstandard (from 3.14), or the one that does the same for older Pythons."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ImportError:
            continue
    raise MissingExtra(
        "this Python has no module for files that end in .zst",
        hint='pip install "kombu-chat[zstd]", or choose a name that ends in .gz',
    )
