"""Who asks: the guest of a cookie or of a bearer token, or anybody, where reading is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kchat.web.guests import Guest
from kchat.web.options import PORT

if TYPE_CHECKING:
    from starlette.requests import Request

    from kchat.web.guests import Session
    from kchat.web.options import ServeOptions
    from kchat.web.store_access import StoreAccess

COOKIE = "kchat"

_USUAL_PORTS = (80, 443, PORT)

NOBODY = Guest(0, "", None, None, (), may_read=True, may_send=False)
"""Who reads without a link."""


def key_of(guest: int) -> str:
    """What a guest (:attr:`~kchat.web.guests.Guest.id`) is called in limits and lanes."""
    return f"guest {guest}"


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

    @classmethod
    def of(cls, session: Session, *, by_cookie: bool) -> Caller:
        """Whom a session or a token is of."""
        return cls(session.guest, key_of(session.guest.id), session.created, by_cookie, session.digest.hex())

    def may_open(self, room: str) -> bool:
        """Whether a room is open to it."""
        return room in self.guest.rooms


def cookie_name(options: ServeOptions) -> str:
    """The cookie's name. With TLS its prefix has browsers keep it to TLS, and to this host (RFC 6265bis, section 4.1.3).

    ``__Host-`` is for a page that has the host to itself. An unusual port is in the name, since browsers send a host's
    cookies to all its ports (RFC 6265bis, section 8.5): two servers on one machine would end each other's sessions.
    """
    name = COOKIE if options.public_port in _USUAL_PORTS else f"{COOKIE}-{options.public_port}"
    if not options.secure:
        return name
    return f"__Host-{name}" if options.cookie_path == "/" else f"__Secure-{name}"


def secret_of(request: Request, options: ServeOptions) -> str:
    """The secret in the cookie of a request; empty for none."""
    return request.cookies.get(cookie_name(options), "")


async def caller_of(
    request: Request, store: StoreAccess, open_rooms: tuple[str, ...], options: ServeOptions
) -> Caller | None:
    """Who asks; None for nobody who may do anything.

    Arguments:
        request: what is asked.
        store: the guests.
        open_rooms: the rooms that anybody may read.
        options: how pages are reached.

    Raises:
        kchat.web.store_file.StoreUnavailable: see :meth:`~kchat.web.store_access.StoreAccess.read`.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    by_token = scheme.lower() == "bearer"
    if by_token:
        secret, kind = token.strip(), "token"
    else:
        secret, kind = secret_of(request, options), "session"
    session = await store.read(lambda guests: guests.session(secret, kind)) if secret else None
    if session is not None:
        return Caller.of(session, by_cookie=not by_token)
    if open_rooms and not scheme:
        address = request.client.host if request.client else ""
        return Caller(NOBODY._replace(rooms=open_rooms), f"reader {address}", float("inf"), by_cookie=False)
    return None
