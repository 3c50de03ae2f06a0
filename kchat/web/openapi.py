"""The endpoints for programs, described: the OpenAPI 3.1 document at ``/api/openapi.json``.

It is also what is held to: a query parameter that it does not name is refused, so that a misspelt one is noticed.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

import kchat
from kchat.web.access import COOKIE
from kchat.web.answers import Refused, answer
from kchat.web.schemas import EVENTS, Schema, ref, schemas

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.requests import Request
    from starlette.responses import Response

    from kchat.web.options import Limits

PATH = "/api/openapi.json"

_STATUSES = {
    400: "What was sent is not JSON, or is JSON that readers disagree on: a name twice, NaN, half a surrogate pair.",
    401: "There is no cookie or token, or it has expired or was revoked; or the link is not valid.",
    403: "The caller may not do this; or the request comes from another site's page, or from no page and without a token.",
    404: "There is no such room, or it is not open to the caller.",
    413: "The text or the request is too long.",
    415: "The request does not say that it is JSON.",
    421: "The server is not reached by the name in Host.",
    422: "A value is missing or not valid, or a query parameter is unknown or stands twice.",
    429: "Too many messages at once, too many open streams, or too many links.",
    409: "Another message of the caller's has this id.",
    503: "The broker did not confirm the message, the server is being restarted, or it cannot read its guests' file.",
    504: "The message may or may not have been delivered; to send it again under its id is harmless.",
}


def _json(name: str) -> Schema:
    return {"application/json": {"schema": ref(name)}}


def _error(status: int) -> Schema:
    found: Schema = {"description": _STATUSES[status], "content": _json("Error")}
    if status == 429:
        schema = {"type": "integer", "minimum": 1}
        found["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": schema}}
    if status == 401:
        found["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return found


def _operation(name: str, summary: str, done: Schema, statuses: Iterable[int], **more: Any) -> Schema:
    responses = {**done, **{str(each): _error(each) for each in sorted({*statuses, 421})}}
    return {"operationId": name, "summary": summary, "responses": responses, **more}


def _ok(description: str, schema: str) -> Schema:
    return {"200": {"description": description, "content": _json(schema)}}


def _body(schema: str) -> Schema:
    return {"required": True, "content": _json(schema)}


def _query(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_ROOM = {
    "name": "room",
    "in": "path",
    "required": True,
    "description": "The room's name, percent-encoded.",
    "schema": {"type": "string", "minLength": 1},
}

_NUMBER = {"type": "integer", "minimum": 0, "maximum": 999_999_999}


def _last(limits: Limits) -> Schema:
    description = f"Maximum number of messages; the server keeps at most {limits.kept} of each room."
    return _query("last", description, {**_NUMBER, "default": 50})


def _streams(limits: Limits) -> Schema:
    told = "\n".join(
        f"* `{event}` (`{schema}`): {description}" for event, (schema, description) in EVENTS.items()
    )
    description = (
        "Server-sent events. The data of each is one line of JSON. First `hello`, then what was said before, then `live`,"
        f" then what happens as it happens, and a comment every 20 seconds.\n\n{told}"
    )
    parameters = [
        _last(limits),
        _query("after", "As Last-Event-ID, for callers that cannot send headers.", {"type": "string"}),
        {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "The `id` of the last event that the caller has: the stream goes on after it.",
            "schema": {"type": "string"},
        },
    ]
    content = {
        "text/event-stream": {
            "schema": {"type": "string"},
            "x-events": {event: ref(schema) for event, (schema, _) in EVENTS.items()},
        }
    }
    done = {"200": {"description": description, "content": content}}
    return {"done": done, "statuses": (401, 403, 404, 422, 429, 503), "parameters": parameters}


def document(limits: Limits) -> Schema:
    """The document.

    Arguments:
        limits: the server's, which it names.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kchat",
            "version": kchat.__version__,
            "description": "A chat room on a message broker, for pages and programs. Errors are JSON: `error`, and `hint`"
            " where something can be done. Unknown keys of an object are ignored, unknown query parameters are refused."
            " Any request can also be answered by 408, 414, 431 (too slow, or too long a head), 500, or 503 (too many"
            " connections).",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"cookie": []}],
        "paths": {**_sessions(), **_rooms(limits), **_server()},
        "components": {
            "schemas": schemas(limits),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A program's token: kchat invite NAME --token.",
                },
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": "A browser's session, from a link; with TLS, its name begins with `__Host-`. To change"
                    " something, Origin has to be this server's.",
                },
            },
        },
    }


def _sessions() -> Schema:
    who = _ok("Who the caller is.", "Session")
    enter = _operation(
        "openSession",
        "Exchange a link's secret for a cookie",
        {"200": {**who["200"], "headers": {"Set-Cookie": {"schema": {"type": "string"}}}}},
        (400, 401, 403, 413, 415, 422, 429, 503),
        requestBody=_body("Link"),
        security=[],
    )
    ended = {"204": {"description": "It has ended, or there was none."}}
    leave = _operation("endSession", "End the cookie's session", ended, (403, 422, 503), security=[])
    made = {"201": {"description": "The link.", "content": _json("DeviceLink")}}
    device = _operation(
        "linkDevice",
        "A link for one more device of a guest who is in by a cookie",
        made,
        (401, 403, 422, 429, 503),
        security=[{"cookie": []}],
    )
    return {
        "/api/session": {
            "get": _operation("getSession", "Who the caller is", who, (401, 422, 503)),
            "post": enter,
            "delete": leave,
        },
        "/api/session/link": {"post": device},
    }


def _rooms(limits: Limits) -> Schema:
    last = _operation(
        "getMessages",
        "The last messages of a room, or those before one",
        _ok("The messages, oldest first.", "Messages"),
        (401, 403, 404, 422, 503),
        parameters=[
            _last(limits),
            _query(
                "before",
                "Give those before this message: its `id`, an event's `id`, or `first` of an answer; the last way also"
                " works where a message has no id.",
                {"type": "string"},
            ),
        ],
    )
    here = _operation(
        "getPeople", "Who is in a room", _ok("Who is here now.", "People"), (401, 403, 404, 422, 503)
    )
    send = _operation(
        "sendMessage",
        "Send a message to a room",
        _ok("The broker has the message.", "Receipt"),
        (400, 401, 403, 404, 409, 413, 415, 422, 429, 503, 504),
        requestBody=_body("NewMessage"),
    )
    everything = _operation("getEvents", "What happens in all rooms of the caller", **_streams(limits))
    del everything["responses"]["404"]
    one = _operation("getRoomEvents", "What happens in a room", **_streams(limits))
    return {
        "/api/events": {"get": everything},
        "/api/rooms/{room}/messages": {"parameters": [_ROOM], "get": last, "post": send},
        "/api/rooms/{room}/people": {"parameters": [_ROOM], "get": here},
        "/api/rooms/{room}/events": {"parameters": [_ROOM], "get": one},
    }


def _server() -> Schema:
    healthy = _ok("All rooms are connected.", "Health")
    healthy["503"] = {
        "description": "A room is not connected, or the server ends.",
        "content": _json("Health"),
    }
    itself = {
        "200": {
            "description": "This document.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    }
    return {
        "/healthz": {
            "get": _operation("getHealth", "Whether all rooms are connected", healthy, (422,), security=[])
        },
        PATH: {"get": _operation("getDocument", "This document", itself, (422,), security=[])},
    }


def document_route(limits: Limits) -> Route:
    """Where the document is."""
    value = document(limits)

    async def serve(_: Request) -> Response:
        return answer(value)

    return Route(PATH, serve, methods=["GET"])


def documented_path(route: Route) -> str:
    """The path of a route as the document has it."""
    return route.path_format


def held(routes: Iterable[Route], limits: Limits) -> list[Route]:
    """Routes that refuse query parameters that the document does not name."""
    paths = document(limits)["paths"]
    return [_held(route, paths.get(documented_path(route), {})) for route in routes]


def _held(route: Route, path: Schema) -> Route:
    methods = sorted((route.methods or set()) - {"HEAD"})
    parameters = [each for method in methods for each in path.get(method.lower(), {}).get("parameters", ())]
    known = {each["name"] for each in parameters if each["in"] == "query"}
    endpoint: Callable[[Request], Awaitable[Response]] = route.endpoint

    @wraps(endpoint)
    async def checked(request: Request) -> Response:
        names = [name for name, _ in request.query_params.multi_items()]
        if unknown := set(names) - known:
            named = ", ".join(sorted(known)) or "none"
            raise Refused(422, f"unknown query parameter: {min(unknown)!a:.60}", f"known here: {named}")
        if len(names) != len(set(names)):
            raise Refused(422, "a query parameter stands twice")
        return await endpoint(request)

    return Route(route.path, checked, methods=methods)
