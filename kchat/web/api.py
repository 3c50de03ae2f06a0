"""The endpoints, for the page and for programs alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from kchat.web.answers import Refused as Refused  # noqa: PLC0414 - to import from here too
from kchat.web.answers import answer
from kchat.web.frames import Position, as_object, frame
from kchat.web.json_body import read_object
from kchat.web.sending import NotSent, Sending
from kchat.web.sessions import Sessions
from kchat.web.stream import Stream

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from kchat.web.access import Caller
    from kchat.web.hub import Hub

LAST = 50
"""Messages that are given unless another number is asked for."""

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
            Route("/api/events", self.events_of_all, methods=["GET"]),
            Route("/api/rooms/{room:path}/messages", self.messages, methods=["GET"]),
            Route("/api/rooms/{room:path}/messages", self.send, methods=["POST"]),
            Route("/api/rooms/{room:path}/events", self.events, methods=["GET"]),
            Route("/healthz", self.health, methods=["GET"]),
        ]

    def caller(self, request: Request) -> Caller:
        """Who asks: :meth:`kchat.web.sessions.Sessions.caller`."""
        return self.sessions.caller(request)

    def room(self, request: Request, caller: Caller) -> str:
        """Which room, that is open to the caller."""
        room = str(request.path_params["room"])
        if not caller.may_open(room) or room not in self._hub.rooms:
            raise Refused(404, "there is no such room, or it is not open to you")
        return room

    # ---- messages

    async def messages(self, request: Request) -> Response:
        """The last messages of a room."""
        caller = self.caller(request)
        name = self.room(request, caller)
        if not caller.guest.may_read:
            raise Refused(403, "you may send here, and not read")
        room = self._hub.rooms[name]
        count = _number(request.query_params.get("last"), LAST, self._hub.options.limits.kept)
        verifies = room.settings.transport.verifies_accounts
        found = room.newest(count, caller.since)
        return answer(
            {"messages": [as_object(each.message, name, mark_unverified=verifies) for each in found]}
        )

    async def send(self, request: Request) -> Response:
        """Send a message to a room; answered when the broker has it (:mod:`kchat.web.sending`)."""
        caller = self.caller(request)
        name = self.room(request, caller)
        asked = await self.body(request)
        caller = self.caller(request)  # the body may have been long on its way, and the guest revoked
        try:
            return answer(await self.sending.send(caller, name, asked.get("text"), asked.get("id")))
        except NotSent as error:
            raise Refused(error.status, error.error, error.hint, error.headers) from error

    async def body(self, request: Request) -> dict[str, Any]:
        """The JSON object that was sent."""
        return await read_object(request, self._hub.options.limits.message_bytes * 6 + _ENVELOPE)

    # ---- events

    async def events_of_all(self, request: Request) -> Response:
        """What happens in all rooms of the caller, as it happens."""
        caller = self.caller(request)
        return self.stream(request, caller, tuple(name for name in self._hub.rooms if caller.may_open(name)))

    async def events(self, request: Request) -> Response:
        """What happens in one room."""
        caller = self.caller(request)
        return self.stream(request, caller, (self.room(request, caller),))

    def stream(self, request: Request, caller: Caller, rooms: tuple[str, ...]) -> Response:
        """A stream of events: what the page begins with, and what comes from then on."""
        hub = self._hub
        if not caller.guest.may_read:
            raise Refused(403, "you may send here, and not read")
        if hub.closing:
            raise Refused(503, "the server is being restarted", headers={"Retry-After": "2"})
        address = request.client.host if request.client else ""
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")  # there is nothing that a stream would be for
        stream = Stream(caller, address, hub.options.limits.waiting_bytes)
        if refusal := hub.refusal(stream):
            raise Refused(429, refusal, headers={"Retry-After": "30"})
        position = Position.parse(request.headers.get("last-event-id") or request.query_params.get("after"))
        count = _number(request.query_params.get("last"), LAST, hub.options.limits.kept)
        stream.push(frame("hello", self.sessions.described(caller)), counts=False)
        for name in rooms:
            room = hub.rooms[name]
            if position is None:
                entries = room.newest(count, caller.since)
            else:
                entries, complete = room.after(position)
                if not complete:
                    text = "some messages may be missing here"
                    stream.push(frame("missed", {"room": name, "text": text}), counts=False)
            for each in entries:
                stream.push(each.data, counts=False)
        stream.push(frame("live", {"resumed": position is not None}), counts=False)
        return _Streaming(hub, stream, rooms)

    async def health(self, _: Request) -> Response:
        """Whether all rooms are connected."""
        down = [name for name, room in self._hub.rooms.items() if not room.connected]
        if down or self._hub.closing:
            return answer({"status": "unavailable"}, 503)
        return answer({"status": "ok"})


class _Streaming(Response):
    def __init__(self, hub: Hub, stream: Stream, rooms: tuple[str, ...]) -> None:
        super().__init__(None, 200, {"x-accel-buffering": "no"}, media_type="text/event-stream")
        del self.headers["content-length"]
        self._hub, self._stream = hub, stream
        hub.add(stream, rooms)  # nothing arrives between the backlog and this

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._stream.run(receive, send)
        finally:
            self._hub.remove(self._stream)


def _number(text: str | None, default: int, most: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refused(422, "last is a number of messages")
    return min(int(text), most)
