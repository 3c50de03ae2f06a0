"""The page itself, its files, and what it is without JavaScript."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

    from kchat.web.api import Api

_KINDS = {
    **dict.fromkeys(
        ("page.js", "memory.js", "outbox.js", "room.js", "stream.js", "text.js"),
        "text/javascript; charset=utf-8",
    ),
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class Pages:
    """What a browser opens."""

    def __init__(self, api: Api) -> None:
        self._api = api
        static = files("kchat.web") / "static"
        self._files = {name: (static / name).read_bytes() for name in ("page.html", *_KINDS)}

    @property
    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/", self.page, methods=["GET"]),
            *(Route(f"/{name}", self.file, methods=["GET"]) for name in _KINDS),
        ]

    async def page(self, _: Request) -> Response:
        """The page."""
        return Response(self._files["page.html"], media_type="text/html; charset=utf-8")

    async def file(self, request: Request) -> Response:
        """One of its files."""
        name = request.url.path.rpartition("/")[2]
        return Response(self._files[name], media_type=_KINDS[name])
