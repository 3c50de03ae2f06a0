"""What a transport's checks are written in; :mod:`kchat.doctor` runs them.

:meth:`kchat.transports.base.Transport.checks` lists them. Nothing that a check does is seen in the room, and nothing is left
behind.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from kchat.errors import KchatError
    from kchat.transports.protocols import Connection, RoomSettings
    from kchat.transports.url import Broker

_ODD, _WRONG = 5.0, 60.0
"""Seconds between two clocks: from the first on, times look odd; from the second on, a clock is wrong."""


class Status(StrEnum):
    """The result of a check."""

    OK = "ok"
    NOTE = "note"
    """It works, but the user should know something."""
    WRONG = "wrong"
    SKIPPED = "skipped"
    """Not checked: it does not apply, it cannot be seen from here, or an earlier check failed."""


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        status: the result.
        text: one line, without secrets. It may hold text that came from a broker.
        hint: what to do about it; empty for nothing. Options in it are written as :class:`kchat.errors.Hint` has them.
    """

    status: Status
    text: str
    hint: str = ""


ok = partial(Outcome, Status.OK)
"""It works."""
note = partial(Outcome, Status.NOTE)
"""It works, but."""
wrong = partial(Outcome, Status.WRONG)
"""It does not work."""
skipped = partial(Outcome, Status.SKIPPED)
"""It was not checked, and why."""


@dataclass(frozen=True)
class Options:
    """What to check.

    Attributes:
        only: what the account is for; ``send`` or ``subscribe`` leaves out the rights for the other.
        send_test: send the message of the round trip to the room itself, where everyone sees it.
        management_url: of RabbitMQ's management API. Default: its usual place, but the account's password is sent there
            on this machine only.
    """

    only: Literal["send", "subscribe"] | None = None
    send_test: bool = False
    management_url: str | None = None


class Check(NamedTuple):
    """One check."""

    name: str
    """A short name for its subject."""
    needs: tuple[str, ...] = ()
    """Checks before it: if one of them is wrong, this one is skipped."""
    run: Callable[[], Outcome] | None = None
    """Does it; an error of kchat's or of the driver's means wrong. Default: the doctor's own check of that name
    (:data:`kchat.doctor.STEPS`)."""
    only: Literal["send", "subscribe"] | None = None
    """The one command that needs it. Default: every command does."""


NETWORK = (Check("settings"), Check("dns", ("settings",)), Check("tcp", ("dns",)), Check("tls", ("tcp",)))
"""How the checks begin where the broker has a host name and a TCP port."""


class Walk(Protocol):
    """What the doctor offers to the checks of one broker."""

    broker: Broker
    """The broker, of those in the settings."""
    options: Options
    """What the user wants to know."""

    @property
    def settings(self) -> RoomSettings:
        """The room."""

    @property
    def loopback(self) -> bool:
        """Whether the broker is reached on this machine; known after the check ``dns``."""

    @property
    def failure(self) -> KchatError | None:
        """Why no connection could be made; it is tried once."""

    @property
    def connection(self) -> Connection:
        """The connection of all checks. Raises :attr:`failure`."""

    def connect(self, on_blocked: Callable[[str], None]) -> AbstractContextManager[Connection]:
        """A connection for one check; dropped if that fails. The callback gets a blocked broker's reason."""

    def explained(self, doing: str) -> AbstractContextManager[None]:
        """Turn the driver's errors into kchat's; ``doing`` is a verb: ``listen``."""

    def round_trip(self) -> Outcome:
        """Send a message to yourself, or to the room, by :attr:`Options.send_test`."""


def compare_clocks(seconds: float, whose: str) -> Outcome:
    """What it means that two clocks differ.

    Arguments:
        seconds: how far this machine's clock is ahead of the other.
        whose: the other.
    """
    text = f"this clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the {whose}'s"
    if abs(seconds) < _ODD:
        return ok(f"the same as the {whose}'s")
    if abs(seconds) < _WRONG:
        return note(text, "the times of messages look odd")
    return wrong(
        text, "set the clock that is wrong: messages carry their sender's time, and certificates have dates"
    )
