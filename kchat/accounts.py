r"""Accounts on RabbitMQ for the guests of one room: made, listed, ended.

An account of kchat's has the tag ``kchat``. What it may do, and where, stands in its permissions, from which it is read
back; when it ends stands in a second tag, ``kchat-expires=2026-05-01T12:00:00Z``. RabbitMQ gives tags that it does not know
no meaning. Accounts without the tag are not touched.

==========  ===================  =================================  =================================
room chat   configure            write                              read
==========  ===================  =================================  =================================
send-only   ``^$``               ``^chat$``                         ``^$``
member      ``^kchat\.chat\..*``  ``^chat$|^kchat\.chat\..*``        ``^chat$|^kchat\.chat\..*``
==========  ===================  =================================  =================================

``kchat.chat.`` is what the names of the queues of the room's subscribers begin with
(:func:`kchat.topology.queue_name`). See https://www.rabbitmq.com/docs/access-control.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from time import monotonic, sleep, time
from typing import TYPE_CHECKING

from kchat import errors
from kchat.names import check_username
from kchat.topology import QUEUE_PREFIX, queue_prefix

if TYPE_CHECKING:
    from kchat.management import Management
    from kchat.settings import Settings

TAG = "kchat"
_EXPIRES_TAG = "kchat-expires="
_TIME = "%Y-%m-%dT%H:%M:%SZ"

MAX_CONNECTIONS = 20
"""An account's connections at once, unless said otherwise: a person's terminals and scripts, and those that a broker
still counts after a cut network."""

CLOSE_SECONDS = 10.0
"""How long closing an account's connections may take. A second is usual."""

_NOTHING = "^$"


@dataclass(frozen=True)
class Rights:
    """What an account may do on one virtual host, as RabbitMQ's regular expressions."""

    configure: str
    write: str
    read: str


@dataclass(frozen=True)
class Account:
    """An account of kchat's, as it stands on the broker.

    Attributes:
        name: of the account.
        vhost: the virtual host that it may use; empty if none.
        room: the room; None where its rights are not kchat's, or not any more.
        send_only: whether it may send and nothing else.
        expires: when it ends, in UNIX seconds; None for never.
    """

    name: str
    vhost: str
    room: str | None
    send_only: bool
    expires: int | None

    @property
    def expired(self) -> bool:
        """Whether its time is over, by this machine's clock."""
        return self.expires is not None and self.expires <= time()


def rights(settings: Settings, *, send_only: bool) -> Rights:
    """What an account needs in a room, and no more.

    Arguments:
        settings: the room, on AMQP.
        send_only: to send and nothing else.
    """
    room = f"^{_escape(settings.room)}$"
    if send_only:
        return Rights(_NOTHING, room, _NOTHING)
    queues = f"^{_escape(queue_prefix(settings))}.*"
    return Rights(queues, f"{room}|{queues}", f"{room}|{queues}")


def _escape(text: str) -> str:
    """For Erlang's ``re``, which is PCRE on bytes: ASCII that is neither letter nor digit may always be escaped."""
    return re.sub(r"([^A-Za-z0-9_\x80-\U0010ffff])", r"\\\1", text)


def _room_of(write: str) -> tuple[str, bool] | None:
    """The room in a pattern of :func:`rights`, and whether that is all that it allows."""
    found = re.fullmatch(r"\^((?:\\.|[^\\$|])*)\$(\|.*)?", write, re.DOTALL)
    return (re.sub(r"\\(.)", r"\1", found[1]), found[2] is None) if found else None


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
        max_connections: so many at once; twice as many channels.

    Returns:
        Its password, 192 random bits.

    Raises:
        kchat.errors.Refused: there is an account of that name, kchat's or not.
        kchat.errors.SettingsError: the name or the room is not one to make accounts for.
        kchat.errors.BrokerError: see :meth:`kchat.management.Management.request`.
    """
    check_account_name(name)
    check_shareable(settings.room)
    known = management.user(name)
    if known is not None:
        ours = TAG in known["tags"]
        revoke = ["kchat", "revoke", *(["--"] if name.startswith("-") else []), name]
        raise errors.Refused(
            f"there is an account {name!r} on {settings.broker} already",
            hint=f"end it first with: {shlex.join(revoke)}" if ours else "choose another name",
        )
    password = secrets.token_urlsafe(24)
    tags = (TAG,) if expires is None else (TAG, _EXPIRES_TAG + _stamp(expires))
    allowed = rights(settings, send_only=send_only)
    management.put_user(name, password, tags)
    try:
        management.put_permissions(
            settings.broker.vhost, name, configure=allowed.configure, write=allowed.write, read=allowed.read
        )
        management.limit(name, "max-connections", max_connections)
        management.limit(name, "max-channels", 2 * max_connections)
    except BaseException:
        # Half an account is of no use, and its name would be taken.
        with suppress(errors.BrokerError):
            management.delete_user(name)
        raise
    return password


def find(management: Management, name: str) -> Account | None:
    """An account of kchat's, or None where there is none of that name, or one that kchat did not make."""
    user = management.user(name)
    return (
        None if user is None or TAG not in user["tags"] else _account(management, user["name"], user["tags"])
    )


def all_accounts(management: Management) -> list[Account]:
    """All accounts of kchat's on the broker, in all rooms, by their names."""
    ours = [user for user in management.users() if TAG in user["tags"]]
    found = [_account(management, user["name"], user["tags"]) for user in ours]
    return sorted(found, key=lambda account: account.name)


def _account(management: Management, name: str, tags: list[str]) -> Account:
    expires = next((_seconds(tag) for tag in tags if tag.startswith(_EXPIRES_TAG)), None)
    permissions = management.permissions(name)
    if len(permissions) != 1:
        return Account(name, "", None, send_only=False, expires=expires)
    granted = permissions[0]
    found = _room_of(granted["write"])
    room, send_only = found if found is not None else (None, False)
    return Account(name, granted["vhost"], room, send_only and granted["read"] == _NOTHING, expires)


def revoke(management: Management, name: str, *, seconds: float = CLOSE_SECONDS) -> int:
    """End an account and close its connections.

    Arguments:
        management: an administrator's access.
        name: of the account.
        seconds: how long closing its connections may take.

    Returns:
        How many connections it had.

    Raises:
        kchat.errors.NotFound: there is no such account.
        kchat.errors.Refused: kchat did not make it; or its connections are still open after so long.
    """
    user = management.user(name)
    if user is None:
        raise errors.NotFound(
            f"{management.url}: there is no account {name!r}",
            hint="kchat invite --list shows those that there are",
        )
    if TAG not in user["tags"]:
        raise errors.Refused(
            f"{management.url}: kchat did not make the account {name!r}, and leaves it alone",
            hint="kchat invite --list shows those of kchat's",
        )
    return _end(management, name, "the invitation was revoked", seconds)


def remove_expired(
    management: Management, on_removed: Callable[[Account], None] | None = None
) -> list[Account]:
    """Remove the accounts of kchat's whose time is over, and close their connections.

    Arguments:
        management: an administrator's access.
        on_removed: told of each one.

    Returns:
        Those that are left.
    """
    left = []
    for account in all_accounts(management):
        if not account.expired:
            left.append(account)
            continue
        with suppress(errors.NotFound):  # somebody else was faster
            _end(management, account.name, "the invitation has expired", CLOSE_SECONDS)
        if on_removed is not None:
            on_removed(account)
    return left


def _end(management: Management, name: str, reason: str, seconds: float) -> int:
    seen = set(management.connections(name))
    # First the account: a client whose connection is closed comes back at once.
    management.delete_user(name)
    deadline = monotonic() + seconds
    while open_still := management.connections(name):
        seen.update(open_still)
        management.close_connections(name, reason)
        if monotonic() > deadline:
            raise errors.Refused(
                f"{management.url}: the account {name!r} is gone, and {len(open_still)} of its connections still open",
                hint="close them in RabbitMQ's dashboard",
            )
        sleep(0.1)
    return len(seen)


def check_account_name(name: str) -> None:
    """An account's name is a username, without a colon, which HTTP's basic authentication ends it with (RFC 7617).

    Raises:
        kchat.errors.SettingsError: it is none.
    """
    check_username(name)
    if ":" in name:
        raise errors.SettingsError(f"the account's name {name!r} has a colon in it")


def check_shareable(room: str) -> None:
    """A room whose exchange could pass for a queue of another room's would be open to that room's members.

    Raises:
        kchat.errors.SettingsError: it is such a room.
    """
    if room.startswith(QUEUE_PREFIX):
        raise errors.SettingsError(
            f"the room {room!r} cannot be shared: names that begin with {QUEUE_PREFIX!r} are those of queues",
            hint="choose another room with --room",
        )


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(_TIME)


def _seconds(tag: str) -> int | None:
    """The time in a tag; None where somebody has changed it to what is none."""
    try:
        point = datetime.strptime(tag.removeprefix(_EXPIRES_TAG), _TIME)  # noqa: DTZ007 - of UTC, next line
    except ValueError:
        return None
    return int(point.replace(tzinfo=timezone.utc).timestamp())
