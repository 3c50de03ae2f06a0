"""What ``kchat doctor`` finds out about a room's history: whether it takes what is sent, and who may read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amqp.exceptions import AccessRefused, NotFound

from kchat import errors
from kchat.message.lookalikes import spelled
from kchat.transports.checks import Outcome, note, ok, wrong

if TYPE_CHECKING:
    from .accounts import Accounts
    from .room import RoomPolicy

_NAMED = 3
"""Maximum number of accounts that are named."""


def check(channel: Any, room: RoomPolicy, api: Accounts | None, vhost: str) -> Outcome:
    """The room's history.

    Arguments:
        channel: py-amqp's; it opens anew where the broker closes it.
        room: the room.
        api: the management API; ``None`` where the account's password does not go there.
        vhost: the room's.
    """
    try:
        channel.queue_declare(room.stream, passive=True)
    except NotFound:
        return ok("none; its host can switch one on, with kchat history on")
    readable = _is_readable(channel, room.stream)
    if api is not None:
        try:
            if not _is_bound(api, vhost, room):
                return wrong(
                    "it is on and keeps nothing: it is not bound to the room",
                    "its host binds it with kchat history on, with the limits that it has",
                )
            if without := api.without_history(vhost, room.name):
                names = ", ".join(map(spelled, without[:_NAMED])) + (", ..." if len(without) > _NAMED else "")
                return note(
                    f"{len(without)} of the room's members may not read it, or its limits: {names}",
                    "kchat invite --list, with the host's account, gives them that right",
                )
        except errors.KchatError:
            pass  # this account may not see that
    if not readable:
        return note(
            "this account may not read it",
            f"it needs read '^{room.stream}$', which members get from kchat history on and kchat invite --list",
        )
    if not _is_readable(channel, room.stream_of_limits):
        return note(
            "it is on; this account does not know how long messages are kept, and is shown older ones, too",
            f"its host writes that down with kchat history on; an account needs read '^{room.stream_of_limits}$' for it",
        )
    return ok(f"it is on, and this account may read it ({room.stream})")


def _is_readable(channel: Any, stream: str) -> bool:
    """Whether this account may consume: from behind the last message on, so nothing comes."""
    try:
        channel.basic_qos(0, 1, False)
        tag = channel.basic_consume(
            stream, callback=lambda _: None, no_ack=False, arguments={"x-stream-offset": "next"}
        )
        channel.basic_cancel(getattr(tag, "consumer_tag", tag))
    except (AccessRefused, NotFound):
        return False
    return True


def _is_bound(api: Accounts, vhost: str, room: RoomPolicy) -> bool:
    """Whether what is sent to the room comes to the stream, through the room's durable exchange."""
    durable = room.durable_exchange.name
    for kind, name, source in (("queues", room.stream, durable), ("exchanges", durable, room.name)):
        ends = ("bindings", "destination") if kind == "exchanges" else ("bindings",)
        try:
            found = api.get_objects(
                kind, vhost, name, *ends, query={"columns": "source"}, strings=("source",)
            )
        except errors.NotFound:
            return False
        if all(each["source"] != source for each in found):
            return False
    return True
