"""What outlives a guest on RabbitMQ: an account's own queues and exchanges, and the exchange that a room's members share.

Queues and exchanges do not go with the account that has made them, and a queue goes on speaking: its dead letters, which
may be due in a day, go wherever it was told. RabbitMQ does not say who has made a queue; its name does, where an account
may make none but those under its own name: ``kchat.<room>.<account>.<more>`` (:mod:`kchat.hosting.accounts`).

All of it is done through the management API, as an administrator.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kchat import errors
from kchat.transports.amqp.room import RoomPolicy, is_owned

if TYPE_CHECKING:
    from kchat.transports.amqp.management import Management

_PLAIN = {"routing_key": "", "arguments": {}}
_PLAIN_KEY = "~"
"""What the API calls a binding without a routing key and arguments."""

_OURS = r"^kchat\."
"""What the names of kchat's begin with."""

_PASSES = 3
"""How often to look for what an account left: what goes while the pages of a list are read hides what moves up in it."""

_SPEAKS = "x-dead-letter-exchange"
"""The argument by which a queue publishes messages by itself. No queue of kchat's has it."""


@dataclass(frozen=True)
class Leftover:
    """A queue or an exchange.

    Attributes:
        kind: ``queue`` or ``exchange``.
        name: of it.
        speaks: whether messages come out of it by themselves.
    """

    kind: str
    name: str
    speaks: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}" + (", which has a dead letter exchange" if self.speaks else "")


def remove_owned(management: Management, vhost: str, account: str) -> list[Leftover]:
    """Delete an account's own queues and exchanges, and with them their bindings.

    Arguments:
        management: an administrator's access.
        vhost: the virtual host.
        account: by name; it need not be there any more.

    Returns:
        What was deleted.
    """
    removed: dict[Leftover, None] = {}
    for _ in range(_PASSES):
        found = [each for each in _all(management, vhost) if is_owned(each.name, account)]
        for each in found:
            with suppress(errors.NotFound):  # it went by itself, or somebody else was faster
                management.request("DELETE", f"{each.kind}s", vhost, each.name)
        removed.update(dict.fromkeys(found))
        if not found:
            break
    return list(removed)


def ownerless(management: Management, vhost: str, room: str) -> list[Leftover]:
    """Queues and exchanges of a room that bear no account's name, as an account with an older kchat's rights may make them.

    Whose they are cannot be told: the host's durable queues are among them.

    Arguments:
        management: an administrator's access.
        vhost: the virtual host.
        room: by name.
    """
    start = RoomPolicy(room).queue_prefix()
    shared = Leftover("exchange", RoomPolicy(room).durable_exchange.name)
    return [
        replace(each, speaks=each.kind == "queue" and _speaks(management, vhost, each.name))
        for each in _all(management, vhost)
        if each.name.startswith(start) and "." not in each.name[len(start) :] and each != shared
    ]


def _all(management: Management, vhost: str) -> list[Leftover]:
    """Queues and exchanges that begin as kchat's do. Exclusive queues are left out: they go with their connections.

    Names alone, and in pages: arguments have any size, and names any number, which would make one answer too large.
    """
    return [
        Leftover(kind, each["name"])
        for kind in ("queue", "exchange")
        for each in management.pages(f"{kind}s", vhost, pattern=_OURS, columns="name,exclusive")
        if not each.get("exclusive")
    ]


def _speaks(management: Management, vhost: str, queue: str) -> bool:
    wanted = {"columns": "arguments", "disable_stats": "true"}
    try:
        found = management.request("GET", "queues", vhost, queue, query=wanted)
    except errors.NotFound:
        return False
    return isinstance(found, dict) and _SPEAKS in (found.get("arguments") or {})


def mend_shared_exchange(management: Management, vhost: str, room: str) -> bool:
    """Make the exchange that durable queues survive a restart by, where it is not there, or is not what it should be.

    Members may bind queues to it and may not make it: so it has to be there, and to stay when the last queue goes. A
    binding to itself does that, by which RabbitMQ delivers nothing twice.

    Arguments:
        management: an administrator's access.
        vhost: the virtual host.
        room: by name; it exists.

    Returns:
        Whether there was another exchange of that name, which nobody could use.
    """
    name = RoomPolicy(room).durable_exchange.name
    spoilt = is_spoilt(management, vhost, room)
    if spoilt:
        with suppress(errors.NotFound):
            management.request("DELETE", "exchanges", vhost, name)
    if spoilt is not False:
        right = {"type": "fanout", "durable": True, "auto_delete": True, "internal": False, "arguments": {}}
        management.request("PUT", "exchanges", vhost, name, body=right)
    for queue in _durable_queues(management, vhost, room) if spoilt else ():
        with suppress(errors.NotFound):
            _bind(management, vhost, name, "q", queue)
    _bind(management, vhost, name, "e", name)
    _bind(management, vhost, room, "e", name)
    return bool(spoilt)


def is_spoilt(management: Management, vhost: str, room: str) -> bool | None:
    """Whether the exchange of that name is another than kchat makes; None where there is none."""
    found = _find(management, "exchanges", vhost, RoomPolicy(room).durable_exchange.name)
    return None if found is None else not _is_right(found)


def release_shared_exchange(management: Management, vhost: str, room: str) -> None:
    """Let that exchange go when no queue needs it, once the room has no members any more."""
    name = RoomPolicy(room).durable_exchange.name
    with suppress(errors.NotFound):
        management.request("DELETE", "bindings", vhost, "e", name, "e", name, _PLAIN_KEY)


def _is_right(exchange: dict[str, Any]) -> bool:
    return bool(
        exchange.get("type") == "fanout"
        and exchange.get("durable")
        and exchange.get("auto_delete")
        and not exchange.get("internal")
        and not exchange.get("arguments")
    )


def _durable_queues(management: Management, vhost: str, room: str) -> list[str]:
    """The durable queues of kchat's that are bound to a room."""
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


def _find(management: Management, *path: str) -> dict[str, Any] | None:
    try:
        return management.get_object(*path)
    except errors.NotFound:
        return None
