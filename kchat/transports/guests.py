"""The guests' side of the port: what a transport can do for people who are invited to its rooms.

Each transport's own is ``kchat/transports/<t>/guests.py``, imported when it is used (:attr:`.base.Transport.guests`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from kchat.errors import Refused, SettingsError
from kchat.message.control import has_control
from kchat.message.lookalikes import looks_like, oddity, spelled

if TYPE_CHECKING:
    from kchat.transports.protocols import Channel, RoomSettings
    from kchat.transports.room import RoomPolicy
    from kchat.transports.url import Broker

MAX_CONNECTIONS = 20
"""An account's connections at once, unless said otherwise: a person's terminals and scripts, and those that a broker
still counts after a cut network."""

MAX_NAME = 255
"""Bytes of an account's name; a username has no more."""


@dataclass(frozen=True)
class Account:
    """An account that kchat made, as the broker has it.

    Attributes:
        name: of the account.
        vhost: the virtual host that it may use; empty if none.
        room: the room; None if somebody has changed its rights by hand.
        send_only: whether it may send and nothing else.
        expires: when it ends, in UNIX seconds; None for never.
        more_tags: tags that kchat does not give. They make it more than a guest, so kchat does not end it.
    """

    name: str
    vhost: str
    room: str | None
    send_only: bool
    expires: int | None
    more_tags: tuple[str, ...] = ()

    @property
    def expired(self) -> bool:
        """Whether its time is over, by this machine's clock."""
        return self.expires is not None and self.expires <= time()


class Leftover(NamedTuple):
    """A queue or an exchange of an account's."""

    kind: str
    """``queue`` or ``exchange``."""
    name: str


@dataclass(frozen=True)
class Ended:
    """An account that was ended.

    Attributes:
        connections: how many it had.
        removed: its queues and exchanges, which were deleted.
    """

    connections: int
    removed: list[Leftover] = field(default_factory=list)


class Administration(Protocol):
    """An administrator's access to a broker whose accounts kchat makes itself (:attr:`Guests.makes_accounts`)."""

    @property
    def url(self) -> str:
        """The address of the API."""

    @property
    def in_clear(self) -> bool:
        """Whether the password goes over a network without encryption."""

    def require_administrator(self) -> None:
        """Make sure that the account is an administrator."""

    def create(
        self,
        settings: RoomSettings,
        name: str,
        *,
        send_only: bool = False,
        expires: int | None = None,
        max_connections: int = MAX_CONNECTIONS,
        more_rooms: tuple[str, ...] = (),
    ) -> str:
        """Make an account for a room, or for several.

        Arguments:
            settings: the room; its first broker.
            name: of the account.
            send_only: whether it may send and nothing else. Default: it may listen too.
            expires: when it ends, in UNIX seconds. Default: never.
            max_connections: maximum number of its connections at once.
            more_rooms: on the same virtual host, beside that of the settings. Default: none.

        Returns:
            Its password.

        Raises:
            kchat.errors.Refused: an account of that name exists, or one whose name looks like it.
            kchat.errors.SettingsError: the name or the room is not valid for accounts.
        """

    def connections(self, name: str) -> Sequence[str]:
        """An account's open connections."""

    def revoke(self, name: str, *, vhost: str | None = None) -> Ended:
        """End an account, close its connections, and delete what it made; also what an interrupted call has left.

        Arguments:
            name: of the account.
            vhost: a virtual host to clean up, besides those that the account may use. Default: none.

        Raises:
            kchat.errors.NotFound: there is no such account, and it left nothing.
            kchat.errors.Refused: kchat did not make it, it is more than a guest, or its connections stay open.
        """

    def remove_expired(self, on_removed: Callable[[Account], None] | None = None) -> list[Account]:
        """End the accounts whose time is over, each told to ``on_removed``; returns those that remain, in all rooms."""

    def repair_room(self, settings: RoomSettings, accounts: list[Account]) -> bool:
        """Repair what the members of a room share, by all accounts there are; returns whether it was unusable."""

    def warnings(self, name: str, *, send_only: bool) -> list[str]:
        """What the host should know about a new account, a line each."""


@dataclass(frozen=True)
class Step:
    """One command that admits a guest.

    Attributes:
        text: the command, as a person types it; may hold a password.
        run: does the same, with a Kombu channel of the host's.
    """

    text: str
    run: Callable[[Channel], None]


@dataclass(frozen=True)
class Access:
    """What admits a guest.

    Attributes:
        steps: in their order; none if there is nothing to do.
        account: the guest's account on the broker; None where the broker's own login decides.
        password: its password.
        advice: what host and guest should know, a line each.
        needs_room: whether the host makes the room now, because joining does not.
    """

    steps: tuple[Step, ...] = ()
    account: str | None = None
    password: str | None = None
    advice: tuple[str, ...] = ()
    needs_room: bool = False


class Guests:
    """What a transport can do for guests. This one can do nothing: its rooms are joined by their URLs.

    Arguments:
        name: of the transport.

    Attributes:
        makes_accounts: kchat itself makes, lists and ends the guests' accounts, through :meth:`management`.
        ends_accounts: the steps of :meth:`admit` make an account with a password, and those of :meth:`dismiss` end it.
        admitting: what the steps of :meth:`admit` do, as a verb for errors.
        trying: what :meth:`try_out` does, likewise.
        ending: how a host lists and ends the accounts, where kchat does not make them. Default: empty, there are none.
    """

    makes_accounts: ClassVar[bool] = False
    ends_accounts: ClassVar[bool] = False
    admitting: ClassVar[str] = "make the room"
    trying: ClassVar[str] = "find the room"
    ending: ClassVar[str] = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def management(self, settings: RoomSettings, url: str | None = None) -> Administration:
        """The administrator's access by which accounts are made.

        Arguments:
            settings: the host's.
            url: of the API. Default: the broker's own place for it.

        Raises:
            kchat.errors.SettingsError: the broker has no such API, or the settings name no account.
        """
        raise SettingsError(f"the {self.name} transport has no management API")

    def admit(self, settings: RoomSettings, guest: str, *, send_only: bool) -> Access:
        """What it takes to admit a guest, where kchat does not make the accounts itself.

        Arguments:
            settings: the host's: the room, and its first broker by the host's own account.
            guest: the guest's account, or another name that the broker knows the guest by.
            send_only: whether the guest is to send and not to receive.

        Raises:
            kchat.errors.SettingsError: the transport has no guests, or the name is not valid there.
        """
        raise SettingsError(f"nobody can be invited to a room on {self.name}")

    def dismiss(self, account: str) -> Step:
        """What ends an account of :meth:`admit`, and its connections; one that does not exist has ended.

        Arguments:
            account: by name.

        Raises:
            kchat.errors.SettingsError: there are none (:attr:`ends_accounts`).
        """
        raise SettingsError(f"kchat ends no accounts on {self.name}", hint=self.ending)

    def check(self, broker: Broker) -> None:
        """Refuse a place to join that cannot be a room, or that joining could harm. It is somebody else's text.

        Raises:
            kchat.errors.SettingsError: it is such a place.
        """

    def describe(self, broker: Broker) -> list[tuple[str, str]]:
        """What a place to join is, beside its host: pairs of a name and a value in words."""
        return []

    def try_out(self, channel: Channel, room: RoomPolicy, tell: Callable[[str], None]) -> None:
        """Find out whether a guest can send, without sending: by default, whether the room exists.

        Arguments:
            channel: the guest's Kombu channel.
            room: the room.
            tell: told, in a line, what does not work yet and will.

        Raises:
            Exception: it does not work; what :meth:`.base.Transport.explain` explains.
        """
        room.exchange(channel).declare(passive=True)


def check_account_name(name: str) -> None:
    """A new account's name is a username that cannot be mistaken for another one.

    It has no colon, which would end it in HTTP's basic authentication (RFC 7617); see also
    :func:`kchat.message.lookalikes.oddity`.

    Raises:
        kchat.errors.SettingsError: it cannot be the name of an account.
    """
    if not name.strip():
        raise SettingsError("an account needs a name")
    if has_control(name) or len(name.encode()) > MAX_NAME:
        raise SettingsError(
            f"the account's name {name!a} has control characters in it, or is longer than {MAX_NAME} bytes"
        )
    if ":" in name:
        raise SettingsError(f"the account's name {name!r} has a colon in it")
    if odd := oddity(name):
        raise SettingsError(f"the account's name {spelled(name)} can be taken for another: {odd}")


def check_no_lookalike(name: str, others: Iterable[str], broker: Broker) -> None:
    """Make sure that a new account's name does not look like that of an account that exists.

    Raises:
        kchat.errors.Refused: it does.
    """
    twin = next((other for other in others if looks_like(name, other)), None)
    if twin is not None:
        raise Refused(
            f"the name {spelled(name)} looks like the account {spelled(twin)} on {broker}",
            hint="choose a name that nobody can confuse with it",
        )
