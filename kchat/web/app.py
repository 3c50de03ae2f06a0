"""The application: endpoints and pages, behind the guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Match

from kchat.web.answers import Refused, problem, refused
from kchat.web.api import Api
from kchat.web.guard import Guard
from kchat.web.openapi import document_route, held
from kchat.web.page import Pages
from kchat.web.plain import Plain
from kchat.web.store_file import StoreUnavailable

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from kchat.web.address import Names
    from kchat.web.hub import Hub


def make_app(
    hub: Hub,
    names: Names,
    *,
    log: Callable[[str], object] | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> ASGIApp:
    """The ASGI application of a hub.

    Arguments:
        hub: what it serves.
        names: by which it is reached.
        log: called with a line about each request. Default: no log.
        tell: called with lines about what has gone wrong.
    """
    api, limits = Api(hub), hub.options.limits

    def tell_no_store(error: Exception) -> None:
        tell(f"guests are refused: {error}")

    async def no_store(_: Request, error: Exception) -> Response:
        tell_no_store(error)
        return problem(
            503, "the server cannot read or write who its guests are", headers={"Retry-After": "10"}
        )

    app = Starlette(
        routes=[
            *held([*api.routes, document_route(limits)], limits),
            *Pages(api).routes,
            *Plain(api, hub, tell_no_store).routes,
        ],
        exception_handlers={
            Refused: refused,
            StoreUnavailable: no_store,
            HTTPException: _http_error,
            Exception: _failed,
        },
    )
    app.router.redirect_slashes = False  # to what Host says
    return Guard(app, names, body_bytes=limits.body_bytes, log=log, tell=tell)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return problem(error.status_code, error.detail, headers=headers)


def _methods(request: Request) -> set[str]:
    """The methods of a path, which may have several routes (RFC 9110 section 10.2.1); Starlette names those of the first."""
    routes = request.app.routes
    there = [each for each in routes if each.matches(request.scope)[0] is not Match.NONE]
    return {method for each in there for method in each.methods or ()}


async def _failed(_: Request, __: Exception) -> Response:
    return problem(500, "something went wrong here")
