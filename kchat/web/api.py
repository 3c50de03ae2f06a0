"""The endpoints, for the page and for programs alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from kchat.web.answers import Refused as Refused  # noqa: PLC0414 - to import from here too
from kchat.web.answers import answer
from kchat.web.json_body import read_object
from kchat.web.sending import NotSent, Sending
from kchat.web.sessions import Sessions
from kchat.web.streaming import Streaming

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from kchat.web.access import Caller
    from kchat.web.hub import Hub

_ENVELOPE = 4096
"""Bytes of a request's body beside the text; JSON may write each byte of the text as six."""


class Api:
    """The endpoints over a hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.sessions = Sessions(hub, self.body)
        self.sending = Sending(hub)

    @property
    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            *self.sessions.routes,
            *Streaming(self, self._hub).routes,
            Route("/api/rooms/{room:path}/messages", self.send, methods=["POST"]),
            Route("/api/rooms/{room:path}/people", self.people, methods=["GET"]),
            Route("/healthz", self.health, methods=["GET"]),
        ]

    async def caller(self, request: Request) -> Caller:
        """Who asks: :meth:`kchat.web.sessions.Sessions.caller`."""
        return await self.sessions.caller(request)

    def room(self, request: Request, caller: Caller) -> str:
        """Which room, that is open to the caller."""
        room = str(request.path_params["room"])
        if not caller.may_open(room) or room not in self._hub.rooms:
            raise Refused(404, "there is no such room, or it is not open to you")
        return room

    # ---- messages

    async def send(self, request: Request) -> Response:
        """Send a message to a room; answered when the broker has it (:mod:`kchat.web.sending`)."""
        caller = await self.caller(request)
        name = self.room(request, caller)
        asked = await self.body(request)
        caller = await self.caller(request)  # the body may have been long on its way, and the guest revoked
        try:
            return answer(await self.sending.send(caller, name, asked.get("text"), asked.get("id")))
        except NotSent as error:
            raise Refused(error.status, error.error, error.hint, error.headers) from error

    async def people(self, request: Request) -> Response:
        """Who is in a room."""
        caller = await self.caller(request)
        name = self.room(request, caller)
        if not caller.guest.may_read:
            raise Refused(403, "you may send here, but not read")
        return answer(self._hub.people[name].as_object())

    async def body(self, request: Request) -> dict[str, Any]:
        """The JSON object that was sent."""
        return await read_object(request, self._hub.options.limits.message_bytes * 6 + _ENVELOPE)

    async def health(self, _: Request) -> Response:
        """Whether all rooms are connected."""
        down = [name for name, room in self._hub.rooms.items() if not room.connected]
        if down or self._hub.closing:
            return answer({"status": "unavailable"}, 503)
        return answer({"status": "ok"})
