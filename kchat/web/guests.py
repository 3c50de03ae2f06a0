"""Who may open the page, and by what."""

from __future__ import annotations

import time
from typing import NamedTuple

from kchat.errors import KchatError


class Guest(NamedTuple):
    """Somebody who may open the page.

    Attributes:
        id: of the guest, in the store; never another's.
        username: the name in what is sent.
        account: the account at the broker; None for the server's.
        password: of the account.
        rooms: the rooms that are open to the guest.
        may_read: whether the guest sees what is said.
        may_send: whether the guest can say something.
        broker: where the rooms are: :func:`kchat.web.place.place_of`. Empty: wherever the server's are.
        expires: when it ends, UNIX seconds; None for never.
        is_host: whether it is the host, who sends by the server's account.
        ended: whether it was revoked, and only its account is still to be deleted.
    """

    id: int
    username: str
    account: str | None
    password: str | None
    rooms: tuple[str, ...]
    may_read: bool = True
    may_send: bool = True
    broker: str = ""
    expires: float | None = None
    is_host: bool = False
    ended: bool = False

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.is_over(time.time())

    def is_over(self, now: float) -> bool:
        """Whether its time is over at a time: UNIX seconds."""
        return self.expires is not None and self.expires <= now


class Session(NamedTuple):
    """A browser that has opened a link, or a program with a token.

    Attributes:
        digest: of its secret.
        guest: whose it is.
        created: UNIX seconds.
        expires: likewise; None for never.
        link: digest of the link that it was opened by; None for a token.
    """

    digest: bytes
    guest: Guest
    created: float
    expires: float | None
    link: bytes | None = None


class Served(NamedTuple):
    """A server that has used the file.

    Attributes:
        base: what its links begin with, without a slash at the end.
        broker: where its rooms are: :func:`kchat.web.place.place_of`.
        rooms: by name.
        username: the host's.
        started: UNIX seconds.
    """

    base: str
    broker: str
    rooms: tuple[str, ...]
    username: str
    started: float


class Open(NamedTuple):
    """How many valid secrets a guest has.

    Attributes:
        sessions: browsers that are in.
        links: that nobody has opened yet.
        tokens: of programs.
    """

    sessions: int = 0
    links: int = 0
    tokens: int = 0


class Valid(NamedTuple):
    """What has neither ended nor expired.

    Attributes:
        sessions: those of browsers and the tokens of programs: :attr:`Session.digest`, in hexadecimal.
        guests: :attr:`Guest.id`.
    """

    sessions: frozenset[str]
    guests: frozenset[int]


class LinkRefused(KchatError):
    """A link that opens nothing: unknown, expired, revoked, or opened elsewhere."""
