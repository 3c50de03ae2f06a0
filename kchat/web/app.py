"""The application: endpoints and pages, behind the guard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from kchat.web.answers import Refused, problem, refused
from kchat.web.api import Api
from kchat.web.guard import Guard
from kchat.web.page import Pages

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from kchat.web.hub import Hub


def make_app(hub: Hub, hosts: frozenset[str], origins: frozenset[str]) -> ASGIApp:
    """The ASGI application of a hub.

    Arguments:
        hub: what it serves.
        hosts: the values of ``Host`` by which it is reached.
        origins: the origins of its own pages.
    """
    api = Api(hub)
    app = Starlette(
        routes=[*api.routes, *Pages(api).routes],
        exception_handlers={Refused: refused, HTTPException: _http_error},
    )
    return Guard(app, hosts, origins)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, error.detail, headers=error.headers)
