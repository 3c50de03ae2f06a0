"""Open pages, in a process of their own: ``pages.py PORT PAGES [COOKIE ...]``. Commands on standard input, answers as JSON.

``open N``: have N open. ``turn N``: close N and open N others. ``report``: the delays since the last report.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import cast

_STAMP = re.compile(rb'"text":"(\d{10,20}) ')


class Page(asyncio.Protocol):
    """One page: asks for its stream, and notes how late each message is."""

    def __init__(self, request: bytes, delays: list[int], ready: asyncio.Future[None]) -> None:
        self._request, self._delays, self._ready = request, delays, ready
        self._left = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        data = self._left + data
        whole, _, self._left = data.rpartition(b"\n\n")
        if not self._ready.done():
            is_ours = b"Cookie: kchat" in self._request
            if b"event: live" in whole or (not is_ours and b"200 OK" in data):
                self._ready.set_result(None)
            return
        self._delays += [now - int(each) for each in _STAMP.findall(whole)]


class Pages:
    """All of them."""

    def __init__(self, port: int, cookies: list[str]) -> None:
        self._port, self._cookies = port, cookies
        self._pages: list[Page] = []
        self._made = 0
        self.delays: list[int] = []

    async def open(self, number: int) -> None:
        """Have this number of pages open."""
        while len(self._pages) < number:
            step = min(50, number - len(self._pages))
            self._pages += await asyncio.gather(*(self._open() for _ in range(step)))
        for page in self._pages[number:]:
            page.transport.abort()
        del self._pages[number:]

    async def turn(self, number: int) -> None:
        """Close the oldest pages, and open as many others."""
        for page in self._pages[:number]:
            page.transport.abort()
        del self._pages[:number]
        await self.open(len(self._pages) + number)

    async def _open(self) -> Page:
        loop = asyncio.get_running_loop()
        cookie = self._cookies[self._made % len(self._cookies)] if self._cookies else ""
        self._made += 1
        here = f"127.0.0.1:{self._port}"
        head = f"GET /api/events HTTP/1.1\r\nHost: {here}\r\nOrigin: http://{here}\r\n"
        request = head + (f"Cookie: {cookie}\r\n\r\n" if cookie else "\r\n")
        ready: asyncio.Future[None] = loop.create_future()
        _, page = await loop.create_connection(
            lambda: Page(request.encode(), self.delays, ready), "127.0.0.1", self._port
        )
        await asyncio.wait_for(ready, 60)
        return page


async def main() -> None:
    """See above."""
    pages = Pages(int(sys.argv[1]), sys.argv[2:])
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        if line[0] == "report":
            pages.delays.sort()
            found = pages.delays
            at = (
                [found[min(len(found) - 1, int(len(found) * part))] / 1e6 for part in (0.5, 0.99)]
                if found
                else []
            )
            most = [each / 1e6 for each in found[-1:]]
            print(json.dumps({"received": len(found), "p50_p99_ms": at, "max_ms": most}), flush=True)
            found.clear()
        else:
            await (pages.open if line[0] == "open" else pages.turn)(int(line[1]))
            print("{}", flush=True)


if __name__ == "__main__":
    if sys.platform != "win32":
        import uvloop

        uvloop.run(main())
