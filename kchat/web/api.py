"""The endpoints, for the page and for programs alike."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from kchat.web.access import COOKIE, Caller, caller_of
from kchat.web.answers import Refused, answer
from kchat.web.people import NAMED
from kchat.web.sending import NotSent, Sending
from kchat.web.store import LinkRefused
from kchat.web.streaming import Streaming

if TYPE_CHECKING:
    from starlette.requests import Request

    from kchat.web.hub import Hub

_ENVELOPE = 4096
"""Bytes of a request's body beside the text; JSON may write each byte of the text as six."""


class Api:
    """The endpoints over a hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._sending = Sending(hub)

    @property
    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/api/session", self.session_of, methods=["GET"]),
            Route("/api/session", self.open_session, methods=["POST"]),
            Route("/api/session", self.end_session, methods=["DELETE"]),
            *Streaming(self, self._hub).routes,
            Route("/api/rooms/{room}/messages", self.send, methods=["POST"]),
            Route("/api/rooms/{room}/people", self.people, methods=["GET"]),
            Route("/healthz", self.health, methods=["GET"]),
        ]

    def caller(self, request: Request) -> Caller:
        """Who asks, which has to be somebody."""
        open_rooms = tuple(self._hub.rooms) if self._hub.options.open_reading else ()
        caller = caller_of(request, self._hub.store, open_rooms)
        if caller is None:
            raise Refused(
                401,
                "you are not in",
                "open the link of your invitation",
                {"WWW-Authenticate": "Bearer"},
            )
        return caller

    def room(self, request: Request, caller: Caller) -> str:
        """Which room, that is open to the caller."""
        room = str(request.path_params["room"])
        if not caller.may_open(room) or room not in self._hub.rooms:
            raise Refused(404, "there is no such room, or it is not open to you")
        return room

    # ---- sessions

    async def session_of(self, request: Request) -> Response:
        """Who the caller is."""
        return answer(self.described(self.caller(request)))

    def described(self, caller: Caller) -> dict[str, Any]:
        """A caller, for the page."""
        hub = self._hub
        guest = caller.guest
        rooms = [
            {
                "name": name,
                "history": room.has_history,
                "connected": room.connected,
                "people": hub.people[name].as_object(NAMED) if guest.may_read else None,
            }
            for name, room in hub.rooms.items()
            if caller.may_open(name)
        ]
        return {
            "username": guest.username,
            "account": guest.account,
            "may_read": guest.may_read,
            "may_send": guest.may_send,
            "rooms": rooms,
            "limits": {"message_bytes": hub.options.limits.message_bytes},
        }

    async def open_session(self, request: Request) -> Response:
        """Exchange a link's secret for a cookie."""
        asked = await self.body(request)
        secret, browser = asked.get("secret"), asked.get("browser", "")
        if not isinstance(secret, str) or not isinstance(browser, str):
            raise Refused(422, "a session needs the secret of a link")
        try:
            made, session = self._hub.store.exchange(secret, browser)
        except LinkRefused as error:
            raise Refused(401, str(error), error.hint) from error
        caller = Caller(session.guest, f"guest {session.guest.id}", session.created, by_cookie=True)
        response = answer(self.described(caller))
        response.set_cookie(
            COOKIE,
            made,
            max_age=max(0, math.floor(session.expires - session.created)),
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="strict",
        )
        return response

    @property
    def secure(self) -> bool:
        """Whether pages are reached by TLS."""
        return (self._hub.options.public_url or "").startswith("https:") or bool(self._hub.options.tls_cert)

    async def end_session(self, request: Request) -> Response:
        """Leave."""
        self.caller(request)
        self._hub.store.end_session(request.cookies.get(COOKIE, ""))
        self._hub.end_revoked()
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path="/", secure=self.secure, httponly=True, samesite="strict")
        return response

    # ---- messages

    async def send(self, request: Request) -> Response:
        """Send a message to a room; answered when the broker has it (:mod:`kchat.web.sending`)."""
        caller = self.caller(request)
        name = self.room(request, caller)
        asked = await self.body(request)
        try:
            return answer(await self._sending.send(caller, name, asked.get("text"), asked.get("id")))
        except NotSent as error:
            raise Refused(error.status, error.error, error.hint, error.headers) from error

    async def people(self, request: Request) -> Response:
        """Who is in a room."""
        caller = self.caller(request)
        name = self.room(request, caller)
        if not caller.guest.may_read:
            raise Refused(403, "you may send here, and not read")
        return answer(self._hub.people[name].as_object())

    async def body(self, request: Request) -> dict[str, Any]:
        """The JSON object that was sent."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "send JSON, with Content-Type: application/json")
        most = self._hub.options.limits.message_bytes * 6 + _ENVELOPE
        data = bytearray()
        try:
            async for piece in request.stream():
                data += piece
                if len(data) > most:
                    raise Refused(413, f"the message is too long: at most {most:,} bytes")
        except ClientDisconnect as error:
            raise Refused(400, "the request ended before its body") from error
        try:
            found = json.loads(bytes(data))
        except (ValueError, RecursionError) as error:
            raise Refused(400, "that is not JSON") from error
        if not isinstance(found, dict):
            raise Refused(422, "send a JSON object")
        return found

    async def health(self, _: Request) -> Response:
        """Whether all rooms are connected."""
        down = [name for name, room in self._hub.rooms.items() if not room.connected]
        if down or self._hub.closing:
            return answer({"status": "unavailable"}, 503)
        return answer({"status": "ok"})
