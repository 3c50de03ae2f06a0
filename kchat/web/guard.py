"""What every request goes through: is it for this server, and from a page of this server; and what every answer carries."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, cookie_parser
from starlette.responses import RedirectResponse

from kchat.config.masking import mask
from kchat.web.access import COOKIE
from kchat.web.address import Authority, Names, limited_address
from kchat.web.answers import problem
from kchat.web.rates import Rates

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
"""Of every answer, errors included."""

HSTS = "max-age=31536000"
"""A browser that was here by TLS once comes without it no more (RFC 6797), for a year; other names of the host's domain are
none of ours."""

FAILED_LOGINS, FAILED_LOGINS_PER_SECOND = 20, 0.1
"""Of one address: secrets have 256 bits and are not guessed, but each try costs the server a look."""

_SAFE = ("GET", "HEAD", "OPTIONS")

_LOGINS = ("/api/session", "/enter")

_SHOWN = 200
"""Characters of a path in the log."""


class Guard:
    """An ASGI middleware.

    Arguments:
        app: what is guarded.
        names: of the server.
        body_bytes: maximum size of a request's body.
        log: called with a line about each request, without what is secret. Default: no log.
        tell: called with lines about what has gone wrong.
    """

    def __init__(
        self,
        app: ASGIApp,
        names: Names,
        *,
        body_bytes: int,
        log: Callable[[str], object] | None = None,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._app = app
        self._names = names
        self._body_bytes = body_bytes
        self._log = log
        self._tell = tell
        self._failed = Rates(FAILED_LOGINS_PER_SECOND, FAILED_LOGINS)
        self._headers = dict(HEADERS)
        if names.public.scheme == "https":
            self._headers["strict-transport-security"] = HSTS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have it answered."""
        if scope["type"] != "http":
            return  # neither WebSocket nor lifespan
        began, status = monotonic(), 0
        client = scope.get("client")
        address = limited_address(client[0]) if client else "unknown"
        scope["client"] = (address, client[1] if client else 0)

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refusal = self._refusal(scope, address)
            if refusal is not None:
                await refusal(scope, receive, with_headers)
            else:
                await self._app(scope, self._bounded(scope, receive), with_headers)
        except ClientDisconnect:
            pass
        except Exception:  # noqa: BLE001 - whatever it is, the guest is told nothing of it, and the host all
            self._tell(mask(traceback.format_exc()))
            if not status:
                await problem(500, "something went wrong here")(scope, receive, with_headers)
        finally:
            self._answered(scope, status, began, address)

    def _answered(self, scope: Scope, status: int, began: float, address: str) -> None:
        if status == 401 and _is_login(scope):
            self._failed.wait(address)
        if self._log is not None:
            self._log(_line(scope, status, began, address))

    def _refusal(self, scope: Scope, address: str) -> Response | None:
        """Why the request is not answered by the application."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        asked = Authority.parse(hosts[0], self._names.public.scheme) if len(hosts) == 1 else None
        local = Authority.parse(hosts[0], self._names.scheme) if len(hosts) == 1 else None
        if not {asked, local} & self._names.hosts:
            return problem(421, "this server has another name")
        prefix = self._names.public.prefix
        if prefix and scope["path"] == prefix:
            return RedirectResponse(f"{prefix}/", 308)
        if prefix and scope["path"].startswith(f"{prefix}/"):  # the proxy has not removed it
            scope["path"] = scope["path"][len(prefix) :]
            scope["raw_path"] = quote(scope["path"]).encode()
        if not self._is_from_here(scope, headers):
            return problem(403, "this request comes from another site's page")
        if int(_digits(headers.get("content-length", ""))) > self._body_bytes:
            return self._too_long()
        if _is_login(scope) and (wait := self._failed.wait(address, take=False)):
            return problem(
                429, "too many links that did not open", "try later", {"Retry-After": str(math.ceil(wait))}
            )
        return None

    def _too_long(self) -> Response:
        return problem(413, f"the request is too long: at most {self._body_bytes:,} bytes")

    def _is_from_here(self, scope: Scope, headers: Headers) -> bool:
        """Whether it is from a page of this server, or from a program.

        A browser says where a request comes from in ``Sec-Fetch-Site`` and ``Origin``, which pages cannot change. What
        says neither and has a cookie is refused; what has a token and no cookie needs neither, since no browser adds a
        token by itself.
        """
        cookies = cookie_parser("; ".join(headers.getlist("cookie")))
        has_cookie = any(COOKIE in name for name in cookies)  # with TLS and a port in it
        by_token = headers.get("authorization", "").lower().startswith("bearer ")
        if scope["method"] in _SAFE and not (has_cookie and scope["path"].endswith("/events")):
            return True
        if by_token and not has_cookie:
            return True
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None and site != "same-origin" and not (site == "none" and scope["method"] in _SAFE):
            return False
        if origin is not None and origin != "null":
            return origin.lower() in self._names.origins
        # A form of a page with `Referrer-Policy: no-referrer` has `Origin: null`, and so has a sandboxed frame of anybody.
        if origin == "null":
            return site == "same-origin"
        return site is not None or not has_cookie

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            if message["type"] == "http.request":
                size += len(message.get("body", b""))
                if size > self._body_bytes:
                    raise HTTPException(413, f"the request is too long: at most {self._body_bytes:,} bytes")
            return message

        return receive if scope["method"] in _SAFE else bounded


def _is_login(scope: Scope) -> bool:
    return scope["method"] == "POST" and scope["path"] in _LOGINS


def _digits(text: str) -> str:
    return text if text.isascii() and text.isdigit() and len(text) < 19 else "0"


def _line(scope: Scope, status: int, began: float, address: str) -> str:
    """Without the query, headers and bodies, which may hold secrets and what is said."""
    path = quote(scope["path"])
    shown = path if len(path) <= _SHOWN else path[:_SHOWN] + "…"
    return f"{scope['method']} {shown} {status or '-'} {(monotonic() - began) * 1000:.0f} ms {address}"
