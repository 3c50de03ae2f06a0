"""Reading: the streams of events, and the messages of a room on request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from heapq import merge
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from kchat.chance import between
from kchat.web.answers import Refused, answer
from kchat.web.frames import as_object, frame, tail, with_id
from kchat.web.positions import Place, Position
from kchat.web.stream import Stream

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from kchat.web.access import Caller
    from kchat.web.api import Api
    from kchat.web.hub import Hub
    from kchat.web.recent import Backlog

LAST = 50
"""Messages that are given unless another number is asked for."""

_COME_BACK = 1.0, 2.0
"""Seconds after which a page comes back whose stream was cut."""


class Streaming:
    """The endpoints.

    Arguments:
        api: knows who asks.
        hub: what is read.
    """

    def __init__(self, api: Api, hub: Hub) -> None:
        self._api = api
        self._hub = hub

    @property
    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/api/events", self.events_of_all, methods=["GET"]),
            Route("/api/rooms/{room:path}/events", self.events, methods=["GET"]),
            Route("/api/rooms/{room:path}/messages", self.messages, methods=["GET"]),
        ]

    async def messages(self, request: Request) -> Response:
        """The last messages of a room, or those before one."""
        caller = await self._api.caller(request)
        name = self._api.room(request, caller)
        if not caller.guest.may_read:
            raise Refused(403, "you may send here, but not read")
        room = self._hub.rooms[name]
        count = _number(request.query_params.get("last"), LAST, self._hub.options.limits.kept)
        before = request.query_params.get("before") or ""
        position = self._hub.positions.read(before)
        found, more = await room.page(count, before, position, caller.since)
        verifies = room.settings.transport.verifies_accounts
        messages = [
            as_object(each.message, name, mark_unverified=verifies)
            for each in found
            if each.message is not None
        ]
        value: dict[str, object] = {"messages": messages, "more": more}
        if found:
            value["first"] = self._hub.positions.text({name: Place(found[0].number, found[0].digest)})
        return answer(value)

    async def events_of_all(self, request: Request) -> Response:
        """What happens in all rooms of the caller, as it happens."""
        caller = await self._api.caller(request)
        return self.stream(request, caller, tuple(name for name in self._hub.rooms if caller.may_open(name)))

    async def events(self, request: Request) -> Response:
        """What happens in one room."""
        caller = await self._api.caller(request)
        return self.stream(request, caller, (self._api.room(request, caller),))

    def stream(self, request: Request, caller: Caller, rooms: tuple[str, ...]) -> Response:
        """A stream of events: what the page begins with, and what comes from then on."""
        hub = self._hub
        if not caller.guest.may_read:
            raise Refused(403, "you may send here, but not read")
        if hub.closing:
            raise Refused(503, "the server is being restarted", headers={"Retry-After": "2"})
        address = request.client.host if request.client else ""
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")  # there is nothing that a stream would be for
        stream = Stream(caller, address, hub.options.limits.waiting_bytes)
        if refusal := hub.refusal(stream):
            raise Refused(429, refusal, headers={"Retry-After": "30"})
        asked = request.headers.get("last-event-id") or request.query_params.get("after")
        position = hub.positions.read(asked)
        count = _number(request.query_params.get("last"), LAST, hub.options.limits.kept)
        hello = frame("hello", self._api.sessions.described(caller), retry=int(between(*_COME_BACK) * 1000))
        return _EventStream(hub, stream, rooms, position, count, hello)


class _EventStream(Response):
    def __init__(
        self,
        hub: Hub,
        stream: Stream,
        rooms: tuple[str, ...],
        position: Position | None,
        count: int,
        hello: bytes,
    ) -> None:
        # The connection goes with the stream: what a reader has not taken then is dropped after a while.
        headers = {"x-accel-buffering": "no", "connection": "close"}
        super().__init__(None, 200, headers, media_type="text/event-stream")
        del self.headers["content-length"]
        self._hub, self._stream, self._rooms = hub, stream, rooms
        self._position, self._count, self._hello = position, count, hello
        hub.add(stream)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self._stream
        try:
            stream.abort = scope.get("state", {}).get("abort")
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._hello, "more_body": True})
            await asyncio.gather(*(self._hub.rooms[room].prepare(self._position) for room in self._rooms))
            if not stream.ended:
                # Nothing arrives between these two.
                stream.begin(self._backlog())
                self._hub.attach(stream, self._rooms)
            await stream.run(receive, send)
        finally:
            self._hub.remove(stream)
            stream.close_later()

    def _backlog(self) -> Iterator[bytes]:
        since = self._stream.caller.since
        found = {
            room: self._hub.rooms[room].backlog(self._position, self._count, since) for room in self._rooms
        }
        last = {room: self._hub.positions.last[room] for room in self._rooms}
        live = with_id("live", self._hub.positions.text(last), tail({"resumed": self._position is not None}))
        return self._frames(found, live)

    def _frames(self, found: dict[str, Backlog], live: bytes) -> Iterator[bytes]:
        """The frames of what a page begins with, made as they are sent, each with the position in all rooms behind it."""
        places = {room: each.place for room, each in found.items() if each.place is not None}
        for room, each in found.items():
            if each.missed:
                count = {"count": each.missed} if each.missed > 0 else {}
                text = "messages are missing here" if count else "messages may be missing here"
                yield frame("missed", {"room": room, "text": text, **count})
        of = [[(entry.order, room, entry) for entry in each.entries] for room, each in found.items()]
        for _, room, entry in merge(*of, key=lambda each: each[0]):
            places[room] = Place(entry.number, entry.digest)
            yield with_id(entry.event, self._hub.positions.text(places), entry.end)
        yield live


def _number(text: str | None, default: int, most: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refused(422, "last is a number of messages")
    return min(int(text), most)
