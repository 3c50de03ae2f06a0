"""Accounts on RabbitMQ for the guests of one room: made, listed, ended.

An account that kchat made has the tag ``kchat``. What it may do, and where, is read back from its permissions; a second tag
says when it ends, ``kchat-expires=2026-05-01T12:00:00Z``. RabbitMQ ignores tags that it does not know. kchat changes no
account without its tag.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, sleep, time
from typing import TYPE_CHECKING

from kchat import errors
from kchat.message.lookalikes import normalised, spelled
from kchat.transports.amqp import leftovers
from kchat.transports.amqp.rights import NOTHING, of_guest, of_older_member, room_of
from kchat.transports.amqp.room import QUEUE_PREFIX
from kchat.transports.guests import check_account_name, check_no_lookalike

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.transports.amqp.leftovers import Leftover
    from kchat.transports.amqp.management import Management

TAG = "kchat"
_EXPIRES_TAG = "kchat-expires="
_TIME = "%Y-%m-%dT%H:%M:%SZ"

MAX_CONNECTIONS = 20
"""An account's connections at once, unless said otherwise: a person's terminals and scripts, and those that a broker
still counts after a cut network."""

CLOSE_SECONDS = 10.0
"""How long closing an account's connections may take. A second is usual."""

REPLAYS = "x-recent-history"
"""A type of exchange, from a RabbitMQ plug-in, that publishes old messages again, unchanged."""


@dataclass(frozen=True)
class Account:
    """An account that kchat made, as the broker has it.

    Attributes:
        name: of the account.
        vhost: the virtual host that it may use; empty if none.
        room: the room; None if somebody has changed its rights by hand.
        send_only: whether it may send and nothing else.
        expires: when it ends, in UNIX seconds; None for never.
        reaches_others: whether it has the rights that an older kchat gave, with which it can use other members' queues.
        more_tags: tags that kchat does not give. They make it more than a guest, so kchat does not end it.
    """

    name: str
    vhost: str
    room: str | None
    send_only: bool
    expires: int | None
    reaches_others: bool = False
    more_tags: tuple[str, ...] = ()

    @property
    def expired(self) -> bool:
        """Whether its time is over, by this machine's clock."""
        return self.expires is not None and self.expires <= time()


@dataclass(frozen=True)
class Ended:
    """An account that was ended.

    Attributes:
        connections: how many it had.
        removed: its queues and exchanges, which were deleted.
        left: queues and exchanges that may be this account's or others'.
    """

    connections: int
    removed: list[Leftover] = field(default_factory=list)
    left: list[Leftover] = field(default_factory=list)


def create(
    management: Management,
    settings: Settings,
    name: str,
    *,
    send_only: bool = False,
    expires: int | None = None,
    max_connections: int = MAX_CONNECTIONS,
) -> str:
    """Make an account for a room.

    Arguments:
        management: an administrator's access.
        settings: the room, and the virtual host.
        name: of the account.
        send_only: whether it may send and nothing else. Default: it may listen too.
        expires: when it ends, in UNIX seconds. Default: never.
        max_connections: maximum number of its connections; the maximum of channels is twice that.

    Returns:
        Its password, 192 random bits.

    Raises:
        kchat.errors.Refused: an account of that name exists, or one whose name looks like it.
        kchat.errors.SettingsError: the name or the room is not valid for accounts.
        kchat.errors.BrokerError: see :meth:`kchat.transports.amqp.management.Management.request`.
    """
    check_account_name(name)
    check_shareable(settings.room)
    known = management.user(name)
    if known is not None:
        ours = TAG in known["tags"]
        raise errors.Refused(
            f"there is an account {name!r} on {settings.broker} already",
            hint=f"end it first with: {command_for('revoke', name)}" if ours else "choose another name",
        )
    check_no_lookalike(name, (user["name"] for user in management.users()), settings.broker)
    password = secrets.token_urlsafe(24)
    tags = (TAG,) if expires is None else (TAG, _EXPIRES_TAG + _stamp(expires))
    allowed = of_guest(settings.room, name, send_only=send_only)
    management.put_user(name, password, tags)
    try:
        management.put_permissions(
            settings.broker.vhost, name, configure=allowed.configure, write=allowed.write, read=allowed.read
        )
        management.limit(name, "max-connections", max_connections)
        management.limit(name, "max-channels", 2 * max_connections)
        if not send_only:
            with suppress(errors.NotFound):  # the room is not open yet
                leftovers.repair_shared_exchange(management, settings.broker.vhost, settings.room)
    except BaseException:
        # Half an account is useless, and would block its name.
        with suppress(errors.BrokerError):
            management.delete_user(name)
        raise
    return password


def find(management: Management, name: str) -> Account | None:
    """The account of that name, or None if there is none that kchat made."""
    user = management.user(name)
    if user is None or TAG not in user["tags"]:
        return None
    return _account(user["name"], user["tags"], management.permissions(user["name"]))


def all_accounts(management: Management) -> list[Account]:
    """All accounts on the broker that kchat made, in all rooms, sorted by name."""
    ours = [user for user in management.users() if TAG in user["tags"]]
    granted = management.all_permissions()
    found = [_account(user["name"], user["tags"], granted.get(user["name"], [])) for user in ours]
    return sorted(found, key=lambda account: account.name)


def _account(name: str, tags: list[str], permissions: list[dict[str, str]]) -> Account:
    expires = next((_seconds(tag) for tag in tags if tag.startswith(_EXPIRES_TAG)), None)
    more = _more_tags(tags)
    if len(permissions) != 1:
        return Account(name, "", None, send_only=False, expires=expires, more_tags=more)
    granted = permissions[0]
    found = room_of(granted["write"])
    room, send_only = found if found is not None else (None, False)
    older = room is not None and of_older_member(room).are(granted)
    send_only = send_only and granted["read"] == NOTHING
    return Account(name, granted["vhost"], room, send_only, expires, older, more)


def _more_tags(tags: list[str]) -> tuple[str, ...]:
    return tuple(tag for tag in tags if tag and tag != TAG and not tag.startswith(_EXPIRES_TAG))


def repair_room(management: Management, settings: Settings, accounts: list[Account]) -> bool:
    """Repair the exchange that the members of a room share: :func:`kchat.transports.amqp.leftovers.repair_shared_exchange`.

    Arguments:
        management: an administrator's access.
        settings: the room; it exists.
        accounts: of :func:`all_accounts`.

    Returns:
        Whether an unusable one was replaced.
    """
    vhost, room = settings.broker.vhost, settings.room
    members = _has_members(accounts, vhost, room)
    if not members and not leftovers.is_misdeclared(management, vhost, room):
        return False
    repaired = leftovers.repair_shared_exchange(management, vhost, room)
    if not members:
        leftovers.release_shared_exchange(management, vhost, room)
    return repaired


def _has_members(accounts: list[Account], vhost: str, room: str) -> bool:
    return any((each.vhost, each.room, each.send_only) == (vhost, room, False) for each in accounts)


def revoke(
    management: Management, name: str, *, vhost: str | None = None, seconds: float = CLOSE_SECONDS
) -> Ended:
    """End an account, close its connections, and delete its own queues and exchanges.

    It also cleans up after an account that is already deleted, so an interrupted revocation can be repeated.

    Arguments:
        management: an administrator's access.
        name: of the account.
        vhost: a virtual host to clean up, besides those that the account may use. Default: none.
        seconds: how long closing its connections may take.

    Raises:
        kchat.errors.NotFound: there is no such account, and it left nothing.
        kchat.errors.Refused: kchat did not make it; it is more than a guest; or its connections are still open after
            that time.
    """
    user = management.user(name)
    if user is None and name != normalised(name):
        return revoke(management, normalised(name), vhost=vhost, seconds=seconds)
    if user is None:
        gone = (
            Ended(0)
            if vhost is None
            else _end(management, name, "the invitation was revoked", seconds, vhost)
        )
        if gone.connections or gone.removed:
            return gone
        raise errors.NotFound(
            f"{management.url}: there is no account {spelled(name)}",
            hint="kchat invite --list shows the accounts that kchat made",
        )
    if TAG not in user["tags"]:
        raise errors.Refused(
            f"{management.url}: kchat did not make the account {spelled(name)}, and leaves it alone",
            hint="kchat invite --list shows the accounts that kchat made",
        )
    if more := _more_tags(user["tags"]):
        raise errors.Refused(
            f"{management.url}: the account {spelled(name)} is more than a guest (tag {', '.join(more)}): not ended",
            hint="remove the tag, or delete the account, in RabbitMQ's dashboard",
        )
    return _end(management, name, "the invitation was revoked", seconds, vhost)


def remove_expired(
    management: Management, on_removed: Callable[[Account], None] | None = None
) -> list[Account]:
    """Remove the accounts that have expired, as :func:`revoke` does.

    Arguments:
        management: an administrator's access.
        on_removed: called with each one.

    Returns:
        The accounts that remain, including those that are more than guests.
    """
    left = []
    for account in all_accounts(management):
        if not account.expired or account.more_tags:
            left.append(account)
            continue
        with suppress(errors.NotFound):  # somebody else was faster
            _end(management, account.name, "the invitation has expired", CLOSE_SECONDS)
        if on_removed is not None:
            on_removed(account)
    return left


def _end(management: Management, name: str, reason: str, seconds: float, vhost: str | None = None) -> Ended:
    seen = set(management.connections(name))
    try:
        permissions = management.permissions(name)
    except errors.NotFound:
        permissions = []
    # The account first: a client whose connection is closed reconnects at once.
    with suppress(errors.NotFound):
        management.delete_user(name)
    deadline = monotonic() + seconds
    while open_still := management.connections(name):
        seen.update(open_still)
        management.close_connections(name, reason)
        if monotonic() > deadline:
            raise errors.Refused(
                f"{management.url}: {name!r} is deleted, but {len(open_still)} of its connections are still open",
                hint="close them in RabbitMQ's dashboard",
            )
        sleep(0.1)
    # Then its queues: with an open connection it could make them again.
    ended = Ended(len(seen))
    for place in {granted["vhost"] for granted in permissions} | ({vhost} if vhost is not None else set()):
        with suppress(errors.NotFound):  # the virtual host is gone
            ended.removed.extend(leftovers.remove_owned(management, place, name))
    for granted in permissions:
        _close_room(management, granted, ended)
    return ended


def _close_room(management: Management, granted: dict[str, str], ended: Ended) -> None:
    """Repair what the members of a room share, after one of them has gone."""
    vhost, found = granted["vhost"], room_of(granted["write"])
    if found is None or found[1]:
        return
    room = found[0]
    if of_older_member(room).are(granted):
        ended.left.extend(leftovers.ownerless(management, vhost, room))
    with suppress(errors.NotFound):  # the room is not open now, and is made afresh next time
        leftovers.repair_shared_exchange(management, vhost, room)
    if not _has_members(all_accounts(management), vhost, room):
        leftovers.release_shared_exchange(management, vhost, room)


def warnings(management: Management, name: str, *, send_only: bool) -> list[str]:
    """What the host should know about a new account, a line each.

    Arguments:
        management: an administrator's access.
        name: of the account.
        send_only: whether it may send and nothing else.
    """
    found = []
    if not send_only and REPLAYS in management.exchange_types():
        found.append(
            f"warning: this broker has the plug-in for exchanges of type {REPLAYS}, "
            "with which members can repeat, as verified, what others have said: see docs/share.md"
        )
    if name == "guest":
        found.append("RabbitMQ, as installed, admits an account named guest only from its own machine")
    return found


def command_for(verb: str, name: str) -> str:
    """``kchat revoke ada``, as it is typed into a shell."""
    return shlex.join(["kchat", verb, *(["--"] if name.startswith("-") else []), name])


def check_shareable(room: str) -> None:
    """A room whose exchange is named like another room's queue would be open to that room's members.

    Raises:
        kchat.errors.SettingsError: it is such a room.
    """
    if room.startswith(QUEUE_PREFIX):
        raise errors.SettingsError(
            f"the room {room!r} cannot be shared: names that begin with {QUEUE_PREFIX!r} belong to queues",
            hint="choose another room with {room}",
        )


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME)


def _seconds(tag: str) -> int | None:
    """The time in a tag; None where somebody has changed it to something else."""
    try:
        point = datetime.strptime(tag.removeprefix(_EXPIRES_TAG), _TIME)  # noqa: DTZ007 - of UTC, next line
    except ValueError:
        return None
    return int(point.replace(tzinfo=UTC).timestamp())
