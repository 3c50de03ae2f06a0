"""What outlives a guest on RabbitMQ: the account's queues and exchanges, and the exchanges that a room's members share.

Deleting an account does not delete its queues and exchanges, and a queue can publish long after: its dead letters, which
may be due in a day, go where its arguments say. RabbitMQ does not record who made a queue; its name shows that, because an
account can only make queues under its own name: ``kchat.<room>.<account>.<more>`` (:mod:`kchat.transports.amqp.accounts`).

All of it is done through the management API, as an administrator.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from kchat import errors
from kchat.transports.amqp.presence import TYPE
from kchat.transports.amqp.room import RoomPolicy, is_owned
from kchat.transports.guests import Leftover
from kchat.transports.presence import PRESENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kchat.transports.amqp.management import Management

_SHARED = {"type": "fanout", "durable": True, "auto_delete": True, "internal": False, "arguments": {}}
"""The exchange that a room's members share: :attr:`kchat.transports.amqp.room.RoomPolicy.durable_exchange`."""

_ANNOUNCEMENTS = _SHARED | {"type": TYPE}
"""And that of :class:`kchat.transports.amqp.presence.PresencePolicy`."""

_PLAIN = {"routing_key": "", "arguments": {}}
_PLAIN_KEY = "~"
"""What the API calls a binding without a routing key and arguments."""

_OURS = r"^kchat\."
"""How the names of kchat's queues and exchanges begin."""

_PASSES = 3
"""How often to look for what an account left: deletions meanwhile move entries to pages that were read already."""


def remove_owned(management: Management, vhost: str, account: str) -> list[Leftover]:
    """Delete an account's queues and exchanges, and with them their bindings; returns them. It may be deleted already."""
    # Names alone, and in pages: neither the size of arguments nor the number of names is bounded. Exclusive queues end with
    # their connections.
    removed: dict[Leftover, None] = {}
    for _ in range(_PASSES):
        found = [
            Leftover(kind, each["name"])
            for kind in ("queue", "exchange")
            for each in management.pages(f"{kind}s", vhost, pattern=_OURS, columns="name,exclusive")
            if is_owned(each["name"], account) and not each.get("exclusive")
        ]
        for each in found:
            with suppress(errors.NotFound):  # it went by itself, or somebody else was faster
                management.request("DELETE", f"{each.kind}s", vhost, each.name)
        removed.update(dict.fromkeys(found))
        if not found:
            break
    return list(removed)


def repair_shared_exchange(management: Management, vhost: str, room: str) -> bool:
    """Make the exchange with which durable queues survive a restart, if it is missing or not what it should be.

    And the one by which members say that they are here: :func:`_repair_presence_exchange`. Members may bind queues to them
    but not make them, so they have to exist, and to stay when the last queue goes. A binding to itself keeps an exchange;
    RabbitMQ delivers nothing twice because of it.

    Returns:
        Whether an exchange of that name was there that nobody could use.

    Raises:
        kchat.errors.NotFound: the room does not exist.
    """
    _repair_presence_exchange(management, vhost, room)
    name = RoomPolicy(room).durable_exchange.name
    misdeclared = is_misdeclared(management, vhost, room)
    if misdeclared:
        with suppress(errors.NotFound):
            management.request("DELETE", "exchanges", vhost, name)
    if misdeclared is not False:
        management.request("PUT", "exchanges", vhost, name, body=_SHARED)
    lost = [*_durable_queues(management, vhost, room), RoomPolicy(room).stream] if misdeclared else []
    for queue in lost:
        with suppress(errors.NotFound):  # it went meanwhile; or the room has no history
            _bind(management, vhost, name, "q", queue)
    _bind(management, vhost, name, "e", name)
    _bind(management, vhost, room, "e", name)
    return bool(misdeclared)


def is_misdeclared(management: Management, vhost: str, room: str) -> bool | None:
    """Whether the exchange of that name differs from the one that kchat makes; None if there is none."""
    return _is_misdeclared(management, vhost, RoomPolicy(room).durable_exchange.name, _SHARED)


def _is_misdeclared(
    management: Management, vhost: str, name: str, wanted: Mapping[str, object]
) -> bool | None:
    try:
        found = management.get_object("exchanges", vhost, name)
    except errors.NotFound:
        return None
    # No arguments may be {}, [] or none at all.
    return any((found.get(key) or None) != (value or None) for key, value in wanted.items())


def release_shared_exchange(management: Management, vhost: str, room: str) -> None:
    """Let the broker delete these exchanges when no queue needs them; for a room without members."""
    for name in (RoomPolicy(room).durable_exchange.name, RoomPolicy(room).queue_name(PRESENCE)):
        with suppress(errors.NotFound):
            management.request("DELETE", "bindings", vhost, "e", name, "e", name, _PLAIN_KEY)


def _repair_presence_exchange(management: Management, vhost: str, room: str) -> None:
    """Make the exchange of announcements, if it is missing, not what it should be, or bound to another exchange.

    A member may bind it to the room, whose other clients would show the announcements; and that binding would outlive the
    member. Those who are here bind their queues again when they next announce themselves.
    """
    name = RoomPolicy(room).queue_name(PRESENCE)
    misdeclared = _is_misdeclared(management, vhost, name, _ANNOUNCEMENTS)
    if misdeclared or (misdeclared is False and not _is_apart(management, vhost, name)):
        with suppress(errors.NotFound):
            management.request("DELETE", "exchanges", vhost, name)
        misdeclared = None
    if misdeclared is None:
        management.request("PUT", "exchanges", vhost, name, body=_ANNOUNCEMENTS)
    _bind(management, vhost, name, "e", name)


def _is_apart(management: Management, vhost: str, name: str) -> bool:
    """Whether no binding connects an exchange with another one."""
    for end, other in (("source", "destination"), ("destination", "source")):
        found = management.get_objects(
            "exchanges",
            vhost,
            name,
            "bindings",
            end,
            query={"columns": "source,destination,destination_type"},
            strings=("source", "destination", "destination_type"),
        )
        if any(each["destination_type"] == "exchange" and each[other] != name for each in found):
            return False
    return True


def _durable_queues(management: Management, vhost: str, room: str) -> list[str]:
    """Queues that are durable, kchat's, and bound to a room."""
    bound = management.get_objects(
        "exchanges",
        vhost,
        room,
        "bindings",
        "source",
        query={"columns": "destination,destination_type"},
        strings=("destination", "destination_type"),
    )
    durable = {
        queue["name"]
        for queue in management.pages("queues", vhost, pattern=_OURS, columns="name,durable")
        if queue.get("durable") and queue["name"].startswith(RoomPolicy(room).queue_prefix())
    }
    found = {each["destination"] for each in bound if each["destination_type"] == "queue"}
    return sorted(found & durable)


def _bind(management: Management, vhost: str, source: str, kind: str, destination: str) -> None:
    management.request("POST", "bindings", vhost, "e", source, kind, destination, body=_PLAIN)
