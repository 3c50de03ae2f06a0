"""A server whose limits let one machine open all pages: ``server.py URL STORE GUESTS``; prints its port and links' secrets.

``server.py bare`` is what it is compared with: uvicorn and Starlette alone, which send the same frames to all.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from kchat.config.settings import Settings
from kchat.web.guests import Guest
from kchat.web.options import Limits, ServeOptions
from kchat.web.server import serve
from kchat.web.store import GuestStore

MANY = 100_000


def kchat(url: str, store: str, guests: int) -> None:
    """Serve a room."""
    limits = Limits(streams=MANY, streams_per_address=MANY, streams_per_guest=MANY)
    with GuestStore(Path(store)) as known:
        made = [known.add(Guest(0, f"guest{n}", None, None, ("chat",))) for n in range(guests)]
        secrets = [known.new_link(each) for each in made]

    def tell(link: str) -> None:
        port = int(link.partition("/#")[0].rpartition(":")[2])
        print(json.dumps({"port": port, "secrets": secrets}), flush=True)

    settings = [Settings.resolve(url=url, room="chat")]
    serve(ServeOptions(settings, "host", port=0, store=Path(store), limits=limits), tell)


async def bare() -> None:
    """The same frames, with nothing but an HTTP server."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    queues: set[asyncio.Queue[bytes]] = set()

    async def events(_: Request) -> Response:
        queue: asyncio.Queue[bytes] = asyncio.Queue()

        async def frames() -> AsyncIterator[bytes]:
            queues.add(queue)
            try:
                while True:
                    yield await queue.get()
            finally:
                queues.discard(queue)

        return StreamingResponse(frames(), media_type="text/event-stream")

    async def send(request: Request) -> Response:
        data = await request.body()
        for queue in queues:
            queue.put_nowait(data)
        return Response(status_code=204)

    app = Starlette(routes=[Route("/api/events", events), Route("/send", send, methods=["POST"])])
    config = uvicorn.Config(app, port=0, log_level="warning", access_log=False, lifespan="off")
    listening = config.bind_socket()
    print(json.dumps({"port": listening.getsockname()[1], "secrets": []}), flush=True)
    await uvicorn.Server(config).serve([listening])


if __name__ == "__main__":
    if sys.argv[1] == "bare":
        asyncio.run(bare())
    else:
        kchat(sys.argv[1], sys.argv[2], int(sys.argv[3]))
