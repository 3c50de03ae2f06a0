"""Who asks: the guest of a cookie or of a bearer token, or anybody, where reading is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kchat.web.store import Guest, GuestStore, Session

if TYPE_CHECKING:
    from starlette.requests import Request

COOKIE = "kchat"

NOBODY = Guest(0, "", None, None, (), may_read=True, may_send=False)
"""Who reads without a link."""


class Caller(NamedTuple):
    """Who asks.

    Attributes:
        guest: who it is.
        key: of the guest, in limits and lanes.
        since: since when, in UNIX seconds: what such a one sees where the room keeps nothing.
        by_cookie: whether a browser has sent the cookie by itself, perhaps for another site's page.
        session: what to name a session by in memory.
    """

    guest: Guest
    key: str
    since: float
    by_cookie: bool
    session: str = ""

    def may_open(self, room: str) -> bool:
        """Whether a room is open to it."""
        return room in self.guest.rooms


def caller_of(request: Request, store: GuestStore, open_rooms: tuple[str, ...]) -> Caller | None:
    """Who asks; None for nobody who may do anything.

    Arguments:
        request: what is asked.
        store: the guests.
        open_rooms: the rooms that anybody may read.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        session, by_cookie = store.session(token.strip(), "token"), False
    else:
        session, by_cookie = store.session(request.cookies.get(COOKIE, "")), True
    if session is not None:
        return _caller(session, by_cookie=by_cookie)
    if open_rooms and not scheme:
        address = request.client.host if request.client else ""
        return Caller(NOBODY._replace(rooms=open_rooms), f"reader {address}", float("inf"), by_cookie=False)
    return None


def _caller(session: Session, *, by_cookie: bool) -> Caller:
    return Caller(
        session.guest, f"guest {session.guest.id}", session.created, by_cookie, session.digest.hex()
    )
