"""What every request goes through: is it for this server, and from a page of this server; and what every answer carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

from kchat.web.answers import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

_SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """An ASGI middleware.

    Arguments:
        app: what is guarded.
        hosts: the values of ``Host`` that name this server, in lower case: another one is a name that somebody else has made
            lead here (DNS rebinding).
        origins: the origins of its pages.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], origins: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have it answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._hosts:
            await problem(421, "this server has another name")(scope, receive, with_headers)
        elif scope["method"] not in _SAFE and not self._from_own_page(headers):
            await problem(403, "this request comes from another site's page")(scope, receive, with_headers)
        else:
            await self._app(scope, receive, with_headers)

    def _from_own_page(self, headers: Headers) -> bool:
        """Whether it is from a page of this server, or from no page at all: a program's, with a token."""
        if (origin := headers.get("origin")) is not None:
            return origin.lower() in self._origins
        if (site := headers.get("sec-fetch-site")) is not None:
            return site == "same-origin"
        return headers.get("authorization") is not None
