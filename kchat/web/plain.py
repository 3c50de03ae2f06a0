"""The page without JavaScript: a form posts, and a page shows the last messages.

Forms come from pages of this server alone (:mod:`kchat.web.guard`), and each posts what an endpoint of the API takes, within
the same limits. A form that is posted twice sends once: it has the message's id in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.routing import Route

from kchat.message.uuid7 import uuid7
from kchat.web import plain_html
from kchat.web.answers import Refused
from kchat.web.frames import as_object
from kchat.web.json_body import content_type, read_body
from kchat.web.people import NAMED
from kchat.web.plain_html import Draft, address_of
from kchat.web.sending import NotSent
from kchat.web.store_file import StoreUnavailable

if TYPE_CHECKING:
    from starlette.requests import Request

    from kchat.web.access import Caller
    from kchat.web.api import Api
    from kchat.web.hub import Hub
    from kchat.web.markup import Markup

LAST = 50
"""Messages on a page."""

_MOST_FIELDS = 8

_ARRIVE, _LOOK, _NEWEST = 2.0, 0.05, 10
"""Seconds for which a message that the broker has is looked for in the room, and between two looks; among how many."""


class Plain:
    """The pages and what their forms post.

    Arguments:
        api: the endpoints.
        hub: what is served.
        tell_unavailable: told that the guests' file fails.
    """

    def __init__(self, api: Api, hub: Hub, tell_unavailable: Callable[[StoreUnavailable], object]) -> None:
        self._tell_unavailable = tell_unavailable
        self._api = api
        self._hub = hub

    @property
    def routes(self) -> list[Route]:
        """Where they are: beside each other, so that the addresses in them hold behind a proxy's path, too."""
        return [
            Route("/plain", self.page, methods=["GET"]),
            Route("/enter", self.enter, methods=["POST"]),
            Route("/send", self.send, methods=["POST"]),
            Route("/leave", self.leave, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """The door, or a room."""
        try:
            caller = await self._api.sessions.caller_or_none(request)
        except StoreUnavailable as error:
            return self._unavailable(error)
        if caller is None or "door" in request.query_params:
            # The cookie is SameSite=Strict: it comes with the second request, which this page makes by itself.
            elsewhere = request.headers.get("sec-fetch-site") == "cross-site"
            return self._door(reload=caller is None and elsewhere)
        return await self._room(caller, request.query_params.get("room"), Draft(uuid7()))

    async def enter(self, request: Request) -> Response:
        """Exchange a link for a cookie."""
        try:
            form = await self._form(request)
            secret = form.get("link", "").rpartition("#")[2].strip()
            if not secret:
                raise Refused(422, "that is not a whole invitation link")
            return await self._api.sessions.enter(
                request, secret, form.get("browser", ""), lambda _: _see_other("plain#write")
            )
        except Refused as error:
            return self._door(error.status, problem=_sentence(error), headers=error.headers)
        except StoreUnavailable as error:
            return self._unavailable(error)

    async def send(self, request: Request) -> Response:
        """Send what is in the form, or show why not, with the text where it was."""
        form: dict[str, str] = {}
        try:
            form = await self._form(request)
            caller = await self._api.sessions.caller(request)
            if not caller.by_cookie:
                raise Refused(403, "open the link of your invitation to write")
        except StoreUnavailable as error:
            return self._unavailable(error, form.get("text", ""))
        except Refused as error:
            return self._door(
                error.status, problem=_sentence(error), text=form.get("text", ""), headers=error.headers
            )
        room, draft = form.get("room", ""), Draft(form.get("id", ""), form.get("text", ""))
        if room not in self._open(caller):
            return await self._room(caller, room, draft)
        try:
            sent = await self._api.sending.send(caller, room, draft.text, draft.id or None)
        except NotSent as error:
            if error.status in (409, 422):
                draft = Draft(uuid7(), draft.text)
            return await self._room(caller, room, draft, error)
        await self._arrived(caller, room, sent["id"])
        return _see_other(address_of(room))

    async def leave(self, request: Request) -> Response:
        """Leave with this browser."""
        try:
            await self._form(request)
            return await self._api.sessions.exit(request, _see_other("plain"))
        except Refused as error:
            return self._door(error.status, problem=_sentence(error), headers=error.headers)
        except StoreUnavailable as error:
            return self._unavailable(error)

    # ---- parts

    async def _form(self, request: Request) -> dict[str, str]:
        if "authorization" in request.headers:
            raise Refused(403, "forms are for browsers: a program with a token sends JSON")
        if content_type(request) != "application/x-www-form-urlencoded":
            raise Refused(415, "this takes a form of the page")
        data = await read_body(request, self._hub.options.limits.body_bytes)
        try:
            pairs = parse_qsl(
                data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
            )
        except ValueError as error:
            raise Refused(400, "that is not a form") from error
        # Forms are sent with line ends of two characters: https://url.spec.whatwg.org/#concept-urlencoded-serializer
        return {name: value.replace("\r\n", "\n") for name, value in pairs}

    def _open(self, caller: Caller) -> list[str]:
        return [name for name in self._hub.rooms if caller.may_open(name)]

    async def _room(
        self, caller: Caller, name: str | None, draft: Draft, error: NotSent | None = None
    ) -> Response:
        rooms = self._open(caller)
        if name is None and rooms:
            name = rooms[0]
        if name is None or name not in rooms:
            problem = "there is no such room, or it is not open to you"
            return _html(plain_html.no_such_room(rooms, problem), 404)
        guest, limits = caller.guest, self._hub.options.limits
        note = "" if guest.may_read else "You may write here, but not read."
        if guest.may_read and not self._hub.rooms[name].connected:
            note = "The server's connection to the broker is lost: what is said now is not here."
        page = plain_html.room(
            name,
            rooms,
            await self._messages(caller, name) if guest.may_read else [],
            username=guest.username,
            draft=draft if guest.may_send else None,
            longest=limits.message_bytes,
            problem="" if error is None else _sentence(error),
            note=note,
            people=self._hub.people[name].as_object(NAMED) if guest.may_read else None,
        )
        return _html(page, 200 if error is None else error.status, {} if error is None else error.headers)

    async def _arrived(self, caller: Caller, name: str, message_id: str) -> None:
        """Wait, though not for long, until a message has come back from the broker: the next page is to have it."""
        room = self._hub.rooms[name]
        with suppress(TimeoutError):
            async with asyncio.timeout(_ARRIVE):
                while caller.guest.may_read and room.connected:
                    found, _ = await room.page(_NEWEST, "", None, caller.since)
                    if any(each.message is not None and each.message.id == message_id for each in found):
                        return
                    await asyncio.sleep(_LOOK)

    async def _messages(self, caller: Caller, name: str) -> list[dict[str, Any]]:
        room = self._hub.rooms[name]
        verifies = room.settings.transport.verifies_accounts
        found, _ = await room.page(LAST, "", None, caller.since)
        return [
            as_object(each.message, name, mark_unverified=verifies)
            for each in found
            if each.message is not None
        ]

    def _unavailable(self, error: StoreUnavailable, text: str = "") -> Response:
        self._tell_unavailable(error)
        return self._door(503, problem=_UNAVAILABLE, text=text, headers={"Retry-After": "10"})

    def _door(
        self,
        status: int = 200,
        *,
        problem: str = "",
        text: str = "",
        reload: bool = False,
        headers: dict[str, str] | None = None,
    ) -> Response:
        return _html(plain_html.door(uuid7(), problem=problem, text=text, reload=reload), status, headers)


_UNAVAILABLE = "The server cannot read or write who its guests are. Try again in a moment."


def _sentence(error: Refused | NotSent) -> str:
    text = f"{error.error}: {error.hint}" if error.hint else error.error
    return f"{text[:1].upper()}{text[1:]}."


def _html(page: Markup, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(page.encode("utf-8", "replace"), status, headers, media_type="text/html; charset=utf-8")


def _see_other(address: str) -> Response:
    return Response(status_code=303, headers={"Location": address})
