"""One open page: what it still has to be sent, and the sending.

With five hundred pages and twenty messages a second, :meth:`Stream.run` goes round ten thousand times a second: it waits
for one future and creates no task.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kchat.web.frames import frame

if TYPE_CHECKING:
    from starlette.types import Receive, Send

    from kchat.web.access import Caller


_TOGETHER = 64 * 1024
"""Bytes that are written at once, about: so much of a long beginning is in memory for each page."""

_FLUSH_SECONDS = 10.0
"""For which a reader may take what was written before its stream ended; then the connection is aborted."""


class Stream:
    """Frames on their way to one reader. For the thread of the event loop.

    Arguments:
        caller: whose it is.
        address: where the reader is.
        most: bytes that may wait; a reader that leaves more is ended, and told.

    Attributes:
        abort: ends the connection at once, where the server gives it.
    """

    __slots__ = (
        "_beginning",
        "_ended",
        "_frames",
        "_most",
        "_size",
        "_wake",
        "abort",
        "address",
        "caller",
    )

    def __init__(self, caller: Caller, address: str, most: int) -> None:
        self.caller = caller
        self.address = address
        self._most = most
        self._frames: deque[bytes] = deque()
        self._beginning: Iterator[bytes] | None = None
        self._size = 0
        self._ended = False
        self._wake: asyncio.Future[None] | None = None
        self.abort: Callable[[], object] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing is added any more."""
        return self._ended

    def push(self, data: bytes, *, counts: bool = True) -> None:
        """Add a frame. ``counts``: whether the reader is to be fast enough for it; what it begins with may be long."""
        if self._ended:
            return
        if counts and self._size > self._most:
            self.end(frame("slow", {"text": "this page was too slow, and is catching up"}))
            return
        self._frames.append(data)
        self._size += len(data) if counts else 0
        self._rouse()

    def end(self, last: bytes) -> None:
        """Send this next, and end. What waits is dropped: a reader who may come back does so by its last id."""
        if not self._ended:
            self._ended = True
            self._frames.clear()
            self._beginning = None
            self._frames.append(last)
            self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def begin(self, frames: Iterator[bytes]) -> None:
        """Send these first, each when it is its turn, and then what is pushed from now on."""
        self._beginning = frames

    def _take(self) -> bytes:
        """What is sent next: of the beginning, then of what came."""
        found: list[bytes] = []
        size = 0
        while size < _TOGETHER and self._beginning is not None:
            if (data := next(self._beginning, None)) is None:
                self._beginning = None
            else:
                found.append(data)
                size += len(data)
        while size < _TOGETHER and self._beginning is None and self._frames:
            found.append(self._frames.popleft())
            size += len(found[-1])
        self._size = max(0, self._size - size) if self._frames else 0
        return found[0] if len(found) == 1 else b"".join(found)

    def close_later(self) -> None:
        """The response is over: the reader has a while to take what was written. Closing alone would wait for ever."""
        if self.abort is not None:
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.abort)
            self.abort = None

    async def run(self, receive: Receive, send: Send) -> None:
        """Send what comes until the reader is gone or the stream ends. The response has begun."""
        loop = asyncio.get_running_loop()
        watching = loop.create_task(self._watch(receive))
        try:
            while not watching.done():
                if data := self._take():
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                elif self._ended:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    return
                else:
                    self._wake = loop.create_future()
                    await self._wake
        finally:
            self._ended = True
            watching.cancel()

    async def _watch(self, receive: Receive) -> None:
        """Notice that the reader is gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._ended = True
        asyncio.get_running_loop().call_soon(self._rouse)  # when this task is done
