"""Standard input as a stream of messages, a line each."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

from kchat.errors import KchatError

_CHUNK = 256 * 1024

_LONGEST = 64 * 1024 * 1024
"""Maximum bytes of a line that are kept: no broker accepts a message that large, so the rest does not matter."""


def read_lines(descriptor: int, *, pause: float = 0.2) -> Iterator[str | None]:
    r"""The lines of a file descriptor as they arrive, without line ends, and ``None`` after each pause of so many seconds.

    Bytes that are not UTF-8 become visible escapes, ``\xff``, so that nothing is lost. The last line may lack its end; half
    a line before a failure is not a message.

    Raises:
        kchat.errors.KchatError: it cannot be read to its end.
    """
    rest = bytearray()
    while True:
        # Confirmations are collected whenever input is not available at once, and then after each pause.
        wait = 0.0
        while not select.select([descriptor], [], [], wait)[0]:
            yield None
            wait = pause
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:  # another process that reads the same input was faster
            continue
        except OSError as error:  # EBADF: nohup, for example, opens standard input for writing only
            half = "; half a line was not sent" if rest else ""
            raise KchatError(f"standard input cannot be read: {error.strerror or error}{half}") from error
        if not chunk:
            if rest:
                yield _text(rest)
            return
        first, *more = chunk.split(b"\n")
        if len(rest) < _LONGEST:
            rest += first
        if not more:
            continue
        yield _text(rest)
        rest = bytearray(more.pop())
        for line in more:
            yield _text(line)


def _text(line: bytes | bytearray) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "backslashreplace")
