"""One open page: what it still has to be sent, and the sending.

With five hundred pages and twenty messages a second, :meth:`Stream.run` goes round ten thousand times a second: it waits
for one future and creates no task.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from kchat.web.frames import frame

if TYPE_CHECKING:
    from starlette.types import Receive, Send

    from kchat.web.access import Caller


class Stream:
    """Frames on their way to one reader. For the thread of the event loop.

    Arguments:
        caller: whose it is.
        address: where the reader is.
        most: bytes that may wait; a reader that leaves more is ended, and told.

    Attributes:
        sending_since: since when the connection takes no more, by the monotonic clock; None while it does.
    """

    __slots__ = ("_ended", "_frames", "_most", "_size", "_wake", "address", "caller", "sending_since")

    def __init__(self, caller: Caller, address: str, most: int) -> None:
        self.caller = caller
        self.address = address
        self._most = most
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._wake: asyncio.Future[None] | None = None
        self.sending_since: float | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing is added any more."""
        return self._ended

    def push(self, data: bytes, *, counts: bool = True) -> None:
        """Add a frame. ``counts``: whether the reader is to be fast enough for it; what it begins with may be long."""
        if self._ended:
            return
        if counts and self._size > self._most:
            self._frames.clear()  # it comes back for them by its last id
            self.end(frame("slow", {"text": "this page was too slow for what came, and reads it now"}))
            return
        self._frames.append(data)
        self._size += len(data) if counts else 0
        self._rouse()

    def end(self, last: bytes) -> None:
        """Send this last, and end."""
        if not self._ended:
            self._ended = True
            self._frames.append(last)
            self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _take(self) -> bytes:
        data = b"".join(self._frames)
        self._frames.clear()
        self._size = 0
        return data

    async def run(self, receive: Receive, send: Send) -> None:
        """Send what comes until the reader is gone or the stream ends. The response has begun."""
        loop = asyncio.get_running_loop()
        watching = loop.create_task(self._watch(receive))
        try:
            while not watching.done():
                if data := self._take():
                    self.sending_since = monotonic()
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                    self.sending_since = None
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
