"""The guests' side of the port: what a transport can do for people who are invited to its rooms.

Each transport's own is ``kchat/transports/<t>/guests.py``, imported when it is used (:attr:`.base.Transport.guests`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from kchat.errors import Refused, SettingsError
from kchat.message.control import has_control
from kchat.message.lookalikes import looks_like, oddity, spelled

if TYPE_CHECKING:
    from kchat.transports.protocols import RoomSettings
    from kchat.transports.url import Broker

MAX_NAME = 255
"""Bytes of an account's name; a username has no more."""


class Host(Protocol):
    """The person who invites, as a transport sees them: their broker and room, and what they can do there."""

    @property
    def broker(self) -> Broker:
        """The broker, by the host's own account."""

    @property
    def room(self) -> str:
        """The room's name."""

    def declare_room(self) -> None:
        """Make the room."""

    def declare_queue(self, name: str) -> None:
        """Make the room and a durable queue of that name."""

    def channel(self, doing: str) -> AbstractContextManager[Any]:
        """A Kombu channel for one thing, named by a verb; the driver's errors become kchat's."""


class Administration(Protocol):
    """An administrator's access to a broker, as the command line sees it; the rest is between a transport and its host."""

    @property
    def url(self) -> str:
        """The address of the API."""

    @property
    def in_clear(self) -> bool:
        """Whether the password goes over a network without encryption."""

    def require_administrator(self) -> None:
        """Make sure that the account is an administrator."""


@dataclass(frozen=True)
class Step:
    """One command that admits a guest.

    Attributes:
        text: the command, as a person types it; may hold a password.
        run: runs it.
    """

    text: str
    run: Callable[[Host], None]


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
        trying: what :meth:`try_out` does, as a verb for errors.
    """

    makes_accounts: ClassVar[bool] = False
    trying: ClassVar[str] = "find the room"

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

    def admit(self, host: Host, guest: str, *, send_only: bool) -> Access:
        """What it takes to admit a guest, where kchat does not make the accounts itself.

        Arguments:
            host: the person who invites.
            guest: the guest's account, or another name that the broker knows the guest by.
            send_only: whether the guest is to send and not to receive.

        Raises:
            kchat.errors.SettingsError: the transport has no guests, or the name is not valid there.
        """
        raise SettingsError(f"nobody can be invited to a room on {self.name}")

    def check(self, broker: Broker) -> None:
        """Refuse a place to join that cannot be a room, or that joining could harm. It is somebody else's text.

        Raises:
            kchat.errors.SettingsError: it is such a place.
        """

    def describe(self, broker: Broker) -> list[tuple[str, str]]:
        """What a place to join is, beside its host: pairs of a name and a value in words."""
        return []

    def try_out(self, channel: Any, room: Any, tell: Callable[[str], None]) -> None:
        """Find out whether a guest can send, without sending: by default, whether the room exists.

        Arguments:
            channel: the guest's Kombu channel.
            room: the room's Kombu exchange.
            tell: told, in a line, what does not work yet and will.

        Raises:
            amqp.exceptions.AMQPError: it does not work.
        """
        room(channel).declare(passive=True)


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
