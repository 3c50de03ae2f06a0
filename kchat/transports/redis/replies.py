"""Redis' replies (RESP2), with bounds: redis-py accepts any size, and waits as long as a byte comes now and then.

A reply has a deadline, which a slow link may put off by what it brings. Of a large text as much is kept as a message may
have; arrays have a bounded number of values and a bounded depth. Protocol:
https://redis.io/docs/latest/develop/reference/protocol-spec/.

It replaces parts of redis-py that have no public name: ``tests/integration/redis/test_replies.py`` says which.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from math import inf
from time import monotonic
from typing import Any

from redis._parsers import _RESP2Parser
from redis.exceptions import BusyLoadingError, InvalidResponse, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .errors import still_answers

KEPT = 24 * 1024 * 1024
"""Bytes of a text that are kept, if nothing else is asked for: a body of 16 MiB in Kombu's envelope, which makes four bytes
of three."""

_LARGEST = 512 * 1024 * 1024
"""Bytes of the largest text that Redis takes or sends: its ``proto-max-bulk-len``."""

_LONGEST_LINE = 64 * 1024
"""Bytes of a line: a size, a number, a status or an error."""

_MOST_VALUES = 20_000
_DEEPEST = 16
"""Of the values in one reply: how many, and how deep in each other."""

_MOST_FIELDS = 64
"""Of an array within an array within an array, such as the fields of a stream's entry: what is kept. The rest is read and
dropped: whoever may write to a stream may write an entry of any number of fields, and every reader gets it."""

_MOST_BYTES = 48 * 1024 * 1024
"""Of the texts of one reply together; of those beyond, a few bytes each are kept."""

_FEW = 64

_SHORT = 64
"""Bytes of a text that is dropped without looking at it alone."""

_SLOWEST = 16 * 1024
"""Bytes a second. What comes puts off a reply's deadline by the time that it may take at this rate."""

_NOT_NOW = (TimeoutError, BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

Until = Callable[[], float]


@cache
def _short_texts(count: int) -> re.Pattern[bytes]:
    """Matches that number of them. Seldom used, and takes a while to make."""
    text = b"|".join(rb"%d\r\n.{%d}" % (size, size) for size in range(_SHORT + 1))
    return re.compile(rb"(?:\$(?:%s)\r\n){%d}" % (text, count), re.DOTALL)


class Buffer:
    """What has come from the server and was not taken yet, instead of redis-py's ``SocketBuffer``.

    Arguments:
        sock: connected.
        read_size: bytes to ask the system for at once.
        timeout: seconds for a reply; ``None`` for no limit. Stays the socket's timeout for writing.
        until: tells a moment that nothing is waited for beyond; infinite for none.
        keep: bytes of a text that are kept.
    """

    def __init__(
        self, sock: Any, read_size: int, timeout: float | None, until: Until, keep: int = KEPT
    ) -> None:
        self._sock = sock
        self._read_size = read_size
        self._timeout = timeout
        self._until = until
        self._keep = keep
        self._data = b""
        self._at = 0
        self._ends = inf

    def begin(self, timeout: float | None) -> None:
        """Limit the time for the next reply: this many seconds, and what a slow link needs for its bytes."""
        self._ends = inf if timeout is None else monotonic() + timeout

    def can_read(self, timeout: float = 0) -> bool:
        """Whether there is something to read.

        Raises:
            redis.exceptions.ConnectionError: the server has hung up.
        """
        if self._at < len(self._data):
            return True
        try:
            self._receive(timeout)
        except RedisTimeoutError:
            return False
        return True

    def line(self) -> bytes:
        """A line without its end."""
        while (end := self._data.find(b"\r\n", self._at)) < 0:
            if len(self._data) - self._at > _LONGEST_LINE:
                raise InvalidResponse(f"a line of over {_LONGEST_LINE:,} bytes")
            self._fill()
        line, self._at = self._data[self._at : end], end + 2
        return line

    def text(self, size: int, most: int) -> bytes:
        """A text of this many bytes, or the first ``most`` or ``keep`` of them, without its end."""
        kept, missing, keep = bytearray(), size + 2, min(self._keep, most)
        while missing:
            if self._at == len(self._data):
                self._fill()
            piece = self._data[self._at : self._at + missing]
            self._at += len(piece)
            missing -= len(piece)
            if len(kept) < keep + 2:
                kept += piece[: keep + 2 - len(kept)]
        return bytes(memoryview(kept)[: min(size, keep)])

    def drop_texts(self, most: int) -> int:
        """Drop the short texts that have come whole, and no more than ``most``; returns how many."""
        dropped = 0
        for count in (100, 1):
            while most - dropped >= count and (found := _short_texts(count).match(self._data, self._at)):
                self._at = found.end()
                dropped += count
        return dropped

    def close(self) -> None:
        """Forget the socket; redis-py closes it."""
        self._sock, self._data = None, b""

    def _fill(self) -> None:
        wait = min(self._ends, self._until()) - monotonic()
        if wait <= 0:
            raise RedisTimeoutError("no whole reply in time")
        self._ends += self._receive(None if wait == inf else wait) / _SLOWEST

    def _receive(self, timeout: float | None) -> int:
        sock = self._sock
        sock.settimeout(timeout)
        try:
            came: bytes = sock.recv(self._read_size)
        except _NOT_NOW as error:
            raise RedisTimeoutError("no reply in time") from error
        finally:
            with suppress(OSError):
                sock.settimeout(self._timeout)
        if not came:
            raise RedisConnectionError("the server closed the connection")
        self._data, self._at = self._data[self._at :] + came, 0
        return len(came)


class Parser(_RESP2Parser):
    """redis-py's parser with bounds.

    Arguments:
        socket_read_size: bytes to ask the system for at once.
        until: as of :class:`Buffer`. Default: no such moment.
        keep: as of :class:`Buffer`. Default: :data:`KEPT`.
    """

    _buffer: Any

    def __init__(self, socket_read_size: int, until: Until = lambda: inf, keep: int = KEPT) -> None:
        super().__init__(socket_read_size)  # type: ignore[no-untyped-call]  # redis-py's
        self._asked = until
        self._keep = keep
        self._within = inf
        self._values = self._bytes = 0

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """A block that limits the seconds that all its replies together may take; ``None`` for no limit of its own."""
        before = self._within
        if seconds is not None:
            self._within = min(before, monotonic() + seconds)
        try:
            yield
        finally:
            self._within = before

    def left(self, timeout: float | None) -> float | None:
        """What is left of a timeout, by the limits that hold now; at least a millisecond."""
        left = max(0.001, self._until() - monotonic())
        return timeout if left == inf else min(left, inf if timeout is None else timeout)

    def _until(self) -> float:
        return min(self._asked(), self._within)

    def on_connect(self, connection: Any) -> None:
        """A socket is there; redis-py calls it."""
        super().on_connect(connection)  # type: ignore[no-untyped-call]  # redis-py's
        self._patience: float | None = connection.socket_timeout
        self._buffer = Buffer(self._sock, self.socket_read_size, self._patience, self._until, self._keep)

    def read_response(  # type: ignore[override]  # redis-py's arguments differ from release to release
        self,
        disable_decoding: bool = False,  # noqa: FBT001, FBT002 - redis-py's
        **more: Any,
    ) -> Any:
        """The next reply; an error is returned, as redis-py does it.

        Raises:
            redis.exceptions.InvalidResponse: it is not a valid reply, or too large.
            redis.exceptions.TimeoutError: it did not come in time, all of it.
            redis.exceptions.ConnectionError: the server has hung up, or says that it takes no connections.
        """
        if self._buffer is None:
            raise RedisConnectionError("the connection is closed")
        timeout = more.get("timeout", self._patience)
        self._buffer.begin(timeout if isinstance(timeout, int | float | None) else self._patience)
        self._values, self._bytes = _MOST_VALUES, _MOST_BYTES
        return self._reply(disable_decoding, 0)

    def _reply(self, raw: bool, depth: int) -> Any:  # noqa: FBT001 - as above
        line = self._buffer.line()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            error = self.parse_error(rest.decode("utf-8", "replace"))  # type: ignore[no-untyped-call]  # redis-py's
            if isinstance(
                error, BusyLoadingError
            ):  # the connection is well, and commands such as PUBLISH work
                return ResponseError(f"LOADING {error}")
            if isinstance(error, RedisConnectionError):
                raise error
            return error
        if kind == b":":
            return _number(rest, line)
        if kind == b"+":
            return rest if raw else self._decoded(rest)
        if kind not in (b"$", b"*"):
            raise InvalidResponse(f"it says {line[:60]!r}")
        size = _number(rest, line)
        if size == -1:
            return None
        if size < 0 or (kind == b"$" and size > _LARGEST):
            raise InvalidResponse(f"a size of {size:,}")
        if kind == b"$":
            text = self._buffer.text(size, max(_FEW, self._bytes))
            self._bytes -= len(text)
            return text if raw else self._decoded(text)
        return self._array(size, raw, depth)

    def _array(self, size: int, raw: bool, depth: int) -> list[Any]:  # noqa: FBT001 - as above
        kept = min(size, _MOST_FIELDS) if depth >= 2 else size
        self._values -= kept
        if self._values < 0 or depth >= _DEEPEST:
            raise InvalidResponse(f"an array of {size:,} values, {depth} deep")
        values = [self._reply(raw, depth + 1) for _ in range(kept)]
        dropped = size - kept
        while dropped := dropped - self._buffer.drop_texts(dropped):
            self._reply(raw, _DEEPEST - 1)  # a long text, one of which not all has come, or anything else
            dropped -= 1
        return values

    def _decoded(self, text: bytes) -> Any:
        return text if self.encoder is None else self.encoder.decode(text)


def _number(digits: bytes, line: bytes) -> int:
    try:
        return int(digits)
    except ValueError:
        raise InvalidResponse(f"it says {line[:60]!r}") from None


class Bounded:
    """For a redis-py connection with :class:`Parser`: to connect takes no longer than ``socket_connect_timeout`` in all."""

    _parser: Any
    socket_connect_timeout: float | None

    def connect(self) -> None:
        """Connect and log in. Raises as redis-py's."""
        with self._parser.within(self.socket_connect_timeout):
            super().connect()  # type: ignore[misc]  # redis-py's

    def connect_check_health(self, *args: Any, **more: Any) -> None:
        """Likewise; newer releases of redis-py go this way too."""
        with self._parser.within(self.socket_connect_timeout):
            super().connect_check_health(*args, **more)  # type: ignore[misc]  # redis-py's

    def _send_ping(self) -> None:
        ping(super()._send_ping)  # type: ignore[misc]  # redis-py's check of the connection's health


def ping(say: Callable[[], Any]) -> bool:
    """Whether a server is there. MISCONF, MASTERDOWN and the like are answers to PING, and say nothing about PUBLISH.

    Arguments:
        say: redis-py's ``ping``.

    Raises:
        redis.exceptions.RedisError: it is not, or wants a password.
    """
    try:
        return bool(say())
    except ResponseError as error:
        if not still_answers(error):
            raise
        return True
