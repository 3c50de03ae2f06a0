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
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import TYPE_CHECKING

from kchat import errors
from kchat.message.lookalikes import normalised, spelled
from kchat.transports.amqp import leftovers
from kchat.transports.amqp.management import Management
from kchat.transports.amqp.rights import NOTHING, Rights, joined, lacks_history, of_guest, room_of
from kchat.transports.amqp.room import QUEUE_PREFIX, STREAM_PREFIX
from kchat.transports.guests import MAX_CONNECTIONS, Account, Ended, check_account_name, check_no_lookalike

if TYPE_CHECKING:
    from kchat.transports.protocols import RoomSettings

TAG = "kchat"
_EXPIRES_TAG = "kchat-expires="
_TIME = "%Y-%m-%dT%H:%M:%SZ"

CLOSE_SECONDS = 10.0
"""How long closing an account's connections may take. A second is usual."""

REPLAYS = "x-recent-history"
"""A type of exchange, from a RabbitMQ plug-in, that publishes old messages again, unchanged."""


class Accounts(Management):
    """An administrator's access, by which guests' accounts are made, listed and ended. Arguments as of its base."""

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
        """See :meth:`kchat.transports.guests.Administration.create`; it may have twice as many channels as connections."""
        check_account_name(name)
        broker, rooms = settings.brokers[0], (settings.room, *more_rooms)
        for room in rooms:
            _check_shareable(room)
        known = self.user(name)
        if known is not None:
            revoking = shlex.join(["kchat", "revoke", *(["--"] if name.startswith("-") else []), name])
            raise errors.Refused(
                f"there is an account {name!r} on {broker} already",
                hint=f"end it first with: {revoking}" if TAG in known["tags"] else "choose another name",
            )
        check_no_lookalike(name, (user["name"] for user in self.users()), broker)
        password = secrets.token_urlsafe(24)  # 192 random bits
        until = None if expires is None else datetime.fromtimestamp(expires, UTC)
        tags = (TAG,) if until is None else (TAG, _EXPIRES_TAG + until.strftime(_TIME))
        self.put_user(name, password, tags)
        try:
            allowed = joined([of_guest(room, name, send_only=send_only) for room in rooms])
            self.put_permissions(broker.vhost, name, **allowed._asdict())
            self.limit(name, "max-connections", max_connections)
            self.limit(name, "max-channels", 2 * max_connections)
            for room in () if send_only else rooms:
                with suppress(errors.NotFound):  # the room is not open yet
                    leftovers.repair_shared_exchange(self, broker.vhost, room)
        except BaseException:
            # Half an account is useless, and would block its name.
            with suppress(errors.BrokerError):
                self.delete_user(name)
            raise
        return password

    def all_accounts(self) -> list[Account]:
        """All accounts on the broker that kchat made, in all rooms, sorted by name."""
        ours = [user for user in self.users() if TAG in user["tags"]]
        granted = self.all_permissions()
        found = [_account(user["name"], user["tags"], granted.get(user["name"], [])) for user in ours]
        return sorted(found, key=lambda account: account.name)

    def repair_room(self, settings: RoomSettings, accounts: list[Account]) -> bool:
        """Repair the exchange that the members of a room share: :func:`.leftovers.repair_shared_exchange`."""
        vhost, room = settings.brokers[0].vhost, settings.room
        self.let_members_read(vhost, room)
        if not _has_members(accounts, vhost, room) and not leftovers.is_misdeclared(self, vhost, room):
            return False
        return self._repair(accounts, vhost, room)

    def let_members_read(self, vhost: str, room: str) -> list[str]:
        """Give the members of a room that were invited before rooms had a history the right to read it.

        Returns:
            The names of their accounts.
        """
        found = self.without_history(vhost, room)
        for name in found:
            self.put_permissions(vhost, name, **of_guest(room, name, send_only=False)._asdict())
        return found

    def without_history(self, vhost: str, room: str) -> list[str]:
        """The accounts that :meth:`let_members_read` would change, sorted."""
        ours = {user["name"] for user in self.users() if TAG in user["tags"]}
        return sorted(
            name
            for name, permissions in self.all_permissions().items()
            for granted in permissions
            if name in ours
            and granted["vhost"] == vhost
            and lacks_history(Rights(granted["configure"], granted["write"], granted["read"]), room, name)
        )

    def _repair(self, accounts: list[Account], vhost: str, room: str) -> bool:
        try:
            return leftovers.repair_shared_exchange(self, vhost, room)
        finally:
            if not _has_members(accounts, vhost, room):
                leftovers.release_shared_exchange(self, vhost, room)

    def revoke(self, name: str, *, vhost: str | None = None) -> Ended:
        """See :meth:`kchat.transports.guests.Administration.revoke`."""
        user = self.user(name)
        if user is None and name != normalised(name):
            return self.revoke(normalised(name), vhost=vhost)
        if user is None:
            gone = Ended(0) if vhost is None else self._end(name, "the invitation was revoked", vhost)
            if gone.connections or gone.removed:
                return gone
            raise errors.NotFound(
                f"{self.url}: there is no account {spelled(name)}",
                hint="kchat invite --list shows the accounts that kchat made",
            )
        if TAG not in user["tags"]:
            raise errors.Refused(
                f"{self.url}: kchat did not make the account {spelled(name)}, and leaves it alone",
                hint="kchat invite --list shows the accounts that kchat made",
            )
        if more := _more_tags(user["tags"]):
            raise errors.Refused(
                f"{self.url}: the account {spelled(name)} is more than a guest (tag {', '.join(more)}): not ended",
                hint="remove the tag, or delete the account, in RabbitMQ's dashboard",
            )
        return self._end(name, "the invitation was revoked", vhost)

    def remove_expired(self, on_removed: Callable[[Account], None] | None = None) -> list[Account]:
        """See :meth:`kchat.transports.guests.Administration.remove_expired`."""
        left = []
        for account in self.all_accounts():
            if not account.expired or account.more_tags:
                left.append(account)
                continue
            with suppress(errors.NotFound):  # somebody else was faster
                self._end(account.name, "the invitation has expired")
            if on_removed is not None:
                on_removed(account)
        return left

    def _end(self, name: str, reason: str, vhost: str | None = None) -> Ended:
        seen = set(self.connections(name))
        try:
            permissions = self.permissions(name)
        except errors.NotFound:
            permissions = []
        # The account first: a client whose connection is closed reconnects at once.
        with suppress(errors.NotFound):
            self.delete_user(name)
        deadline = monotonic() + CLOSE_SECONDS
        while open_still := self.connections(name):
            seen.update(open_still)
            self.close_connections(name, reason)
            if monotonic() > deadline:
                raise errors.Refused(
                    f"{self.url}: {name!r} is deleted, but {len(open_still)} of its connections are still open",
                    hint="close them in RabbitMQ's dashboard",
                )
            sleep(0.1)
        # Then its queues: with an open connection it could make them again.
        ended = Ended(len(seen))
        vhosts = {granted["vhost"] for granted in permissions} | ({vhost} if vhost else set())
        for place in vhosts:
            with suppress(errors.NotFound):  # the virtual host is gone
                ended.removed.extend(leftovers.remove_owned(self, place, name))
        for granted in permissions:
            room, send_only = room_of(granted["write"])
            if room is not None and not send_only:
                with suppress(errors.NotFound):  # the room is not open now, and is made afresh next time
                    self._repair(self.all_accounts(), granted["vhost"], room)
        return ended

    def warnings(self, name: str, *, send_only: bool) -> list[str]:
        """See :meth:`kchat.transports.guests.Administration.warnings`."""
        found = []
        if not send_only and REPLAYS in self.exchange_types():
            found.append(
                f"warning: this broker has the plug-in for exchanges of type {REPLAYS}, "
                "with which members can repeat, as verified, what others have said: see docs/share.md"
            )
        if name == "guest":
            found.append("RabbitMQ, as installed, admits an account named guest only from its own machine")
        return found


def _check_shareable(room: str) -> None:
    reserved = next((each for each in (QUEUE_PREFIX, STREAM_PREFIX) if room.startswith(each)), None)
    if reserved is not None:
        # Its exchange would be open to the members of the room whose queue has that name.
        raise errors.SettingsError(
            f"the room {room!r} cannot be shared: names that begin with {reserved!r} belong to queues",
            hint="choose another room with {room}",
        )


def _account(name: str, tags: list[str], permissions: list[dict[str, str]]) -> Account:
    expires = next((_seconds(tag) for tag in tags if tag.startswith(_EXPIRES_TAG)), None)
    more = _more_tags(tags)
    if len(permissions) != 1:
        return Account(name, "", None, send_only=False, expires=expires, more_tags=more)
    granted = permissions[0]
    room, _ = room_of(granted["write"])
    send_only = room is not None and granted["read"] == granted["configure"] == NOTHING
    return Account(name, granted["vhost"], room, send_only, expires, more)


def _more_tags(tags: list[str]) -> tuple[str, ...]:
    return tuple(tag for tag in tags if tag and tag != TAG and not tag.startswith(_EXPIRES_TAG))


def _has_members(accounts: list[Account], vhost: str, room: str) -> bool:
    return any((each.vhost, each.room, each.send_only) == (vhost, room, False) for each in accounts)


def _seconds(tag: str) -> int | None:
    """The time in a tag; None where somebody has changed it to something else."""
    try:
        point = datetime.strptime(tag.removeprefix(_EXPIRES_TAG), _TIME)  # noqa: DTZ007 - of UTC, next line
    except ValueError:
        return None
    return int(point.replace(tzinfo=UTC).timestamp())
