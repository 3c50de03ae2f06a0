"""The application: endpoints and pages, behind the guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from kchat.web.answers import problem
from kchat.web.api import Api, Refused, refused
from kchat.web.guard import Guard
from kchat.web.page import Pages

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
    api = Api(hub)
    app = Starlette(
        routes=[*api.routes, *Pages(api).routes],
        exception_handlers={Refused: refused, HTTPException: _http_error, Exception: _failed},
    )
    return Guard(app, names, body_bytes=hub.options.limits.body_bytes, log=log, tell=tell)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, error.detail, headers=error.headers)


async def _failed(_: Request, __: Exception) -> Response:
    return problem(500, "something went wrong here")
