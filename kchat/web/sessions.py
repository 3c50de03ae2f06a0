"""Coming in and leaving: a link's secret becomes a cookie, once; a guest's link for one more device."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from kchat.message import rfc3339
from kchat.web.access import Caller, caller_of, cookie_name, secret_of
from kchat.web.answers import Refused, answer
from kchat.web.guests import LinkRefused
from kchat.web.people import NAMED

if TYPE_CHECKING:
    from starlette.requests import Request

    from kchat.web.guests import Guest, Session
    from kchat.web.hub import Hub
    from kchat.web.store import GuestStore

DEVICE_SECONDS = 3600.0
"""For which a guest's link for one more device can be opened."""

DEVICE_LINKS = 5
"""Of one guest that nobody has opened."""

_LONGEST = 200
"""Characters of a secret, or of what a browser calls itself."""


class Sessions:
    """The endpoints about sessions, and who asks.

    Arguments:
        hub: what is served.
        body: reads the JSON object of a request.
    """

    def __init__(self, hub: Hub, body: Callable[[Request], Awaitable[dict[str, Any]]]) -> None:
        self._hub = hub
        self._body = body

    @property
    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/api/session", self.who, methods=["GET"]),
            Route("/api/session", self.open, methods=["POST"]),
            Route("/api/session", self.leave, methods=["DELETE"]),
            Route("/api/session/link", self.link, methods=["POST"]),
        ]

    # ---- who asks

    async def caller(self, request: Request) -> Caller:
        """Who asks, which has to be somebody.

        Call it again after waiting for something of the request: a guest may have been revoked meanwhile.

        Raises:
            Refused: 401, with what to do.
            kchat.web.store_file.StoreUnavailable: the guests' file cannot be read.
        """
        caller = await self.caller_or_none(request)
        if caller is None:
            raise Refused(
                401,
                "you are not signed in",
                "open the link of your invitation",
                {"WWW-Authenticate": "Bearer"},
            )
        return caller

    async def caller_or_none(self, request: Request) -> Caller | None:
        """Who asks; None for nobody who may do anything. Raises StoreUnavailable as :meth:`caller`."""
        hub = self._hub
        open_rooms = tuple(hub.rooms) if hub.options.open_reading else ()
        caller = await caller_of(request, hub.store, open_rooms, hub.options)
        if caller is not None and caller.guest.broker not in ("", hub.place):
            return None  # its rooms have the same names, and are others
        return None if caller is None else self._with_rooms(caller)

    def _with_rooms(self, caller: Caller) -> Caller:
        """A host has the rooms of this server; another one of the same host may serve others."""
        if not caller.guest.is_host:
            return caller
        return caller._replace(guest=caller.guest._replace(rooms=tuple(self._hub.rooms)))

    def described(self, caller: Caller) -> dict[str, Any]:
        """A caller, for the page."""
        hub, guest = self._hub, caller.guest
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
            "until": None if guest.expires is None else rfc3339.stamp(int(guest.expires * 1000)),
            "rooms": rooms,
            "limits": {"message_bytes": hub.options.limits.message_bytes},
        }

    # ---- endpoints

    async def who(self, request: Request) -> Response:
        """Who the caller is."""
        return answer(self.described(await self.caller(request)))

    async def open(self, request: Request) -> Response:
        """Exchange a link's secret for a cookie."""
        asked = await self._body(request)
        secret, browser = asked.get("secret"), asked.get("browser", "")
        if not isinstance(secret, str) or not isinstance(browser, str):
            raise Refused(422, "a session needs the secret of a link")
        return await self.enter(request, secret, browser, lambda caller: answer(self.described(caller)))

    async def enter(
        self, request: Request, secret: str, browser: str, respond: Callable[[Caller], Response]
    ) -> Response:
        """Exchange a link's secret for a cookie.

        Arguments:
            request: what is asked.
            secret: of the link.
            browser: see :meth:`kchat.web.store.GuestStore.exchange`.
            respond: makes the answer, which gets the cookie.

        Raises:
            Refused: 401: the link opens nothing. How often that may happen is the affair of :mod:`kchat.web.guard`.
            kchat.web.store_file.StoreUnavailable: the guests' file cannot be written.
        """
        options = self._hub.options
        current = secret_of(request, options)
        try:
            if len(secret) > _LONGEST or len(browser) > _LONGEST:
                raise LinkRefused("this link is not valid, or has expired", hint="ask for another one")
            made, session = await self._hub.store.write(partial(_exchange, secret, browser, current))
        except LinkRefused as error:
            raise Refused(401, str(error), error.hint) from error
        if current and current != made:
            self._hub.end_revoked()
        if session.guest.broker not in ("", self._hub.place):
            raise Refused(
                401, "this link is for another server's rooms", "ask who gave it to you for another one"
            )
        response = respond(self._with_rooms(Caller.of(session, by_cookie=True)))
        assert session.expires is not None
        self._give_cookie(response, made, session.expires - self._hub.clock())
        return response

    async def leave(self, request: Request) -> Response:
        """Leave with this browser."""
        return await self.exit(request, Response(status_code=204))

    async def exit(self, request: Request, response: Response) -> Response:
        """End the session of a browser; ``response`` takes the cookie away. Raises StoreUnavailable as :meth:`enter`."""
        if current := secret_of(request, self._hub.options):
            await self._hub.store.write(lambda guests: guests.end_session(current))
            self._hub.end_revoked()
        self._give_cookie(response, "", 0)
        return response

    def _give_cookie(self, response: Response, secret: str, seconds: float) -> None:
        """Set the cookie for some time; none at all takes it away."""
        options = self._hub.options
        response.set_cookie(
            cookie_name(options),
            secret,
            max_age=max(0, math.floor(seconds)),
            expires=None if secret else 0,
            path=options.cookie_path,
            secure=options.secure,
            httponly=True,
            samesite="strict",
        )

    async def link(self, request: Request) -> Response:
        """A link for one more device of the same guest, who ends no later."""
        caller = await self.caller(request)
        if not caller.by_cookie:
            raise Refused(403, "only a browser that is signed in can make a link", "ask for another link")
        ends = self._hub.clock() + DEVICE_SECONDS
        if caller.guest.expires is not None:
            ends = min(ends, caller.guest.expires)
        secret = await self._hub.store.write(partial(_device_link, caller.guest, ends))
        if secret is None:
            raise Refused(
                429,
                "you have links that nobody has opened",
                "open one of them, or wait an hour",
                {"Retry-After": str(math.ceil(DEVICE_SECONDS))},
            )
        return answer(
            {
                "link": f"{self._hub.base}/#{secret}",
                "secret": secret,
                "until": rfc3339.stamp(int(ends * 1000)),
            },
            201,
        )


def _exchange(secret: str, browser: str, current: str, guests: GuestStore) -> tuple[str, Session]:
    """:meth:`GuestStore.exchange`, and the end of the session that the browser has had as somebody else."""
    made, session = guests.exchange(secret, browser, current)
    former = guests.session(current) if current and current != made else None
    if former is not None and former.guest.id != session.guest.id:
        # Its pages would go on to show one name, and send by the other.
        guests.end_session(current)
    return made, session


def _device_link(guest: Guest, ends: float, guests: GuestStore) -> str | None:
    """A link for one more device; None where there are enough that nobody has opened."""
    return None if guests.opened(guest).links >= DEVICE_LINKS else guests.new_link(guest, ends)
