r"""What the accounts of a room's guests may do on RabbitMQ: its permissions are regular expressions of names.

=========  =================  =================================================================
room chat  send-only          the member ada
=========  =================  =================================================================
configure  ``^$``             ``^kchat\.chat\.ada\..*``
write      ``^chat$``         ``^chat$|^kchat\.chat\.presence$|^kchat\.chat\.ada\..*``
read       ``^$``             as write, ``^kchat\.chat\.durable$``, ``^kchat\-history\.chat$`` and
                              ``^kchat\-history\.chat\.limits$``
=========  =================  =================================================================

``kchat.chat.ada.`` is what the names of the queues of ada's subscribers begin with
(:meth:`kchat.transports.amqp.room.RoomPolicy.queue_prefix`), and those of no other account: a dot within a name is
escaped. So members cannot touch each other's queues, and what an account leaves can be told
(:mod:`kchat.transports.amqp.leftovers`). ``kchat.chat.durable`` is the exchange that durable queues are bound to
(:mod:`kchat.transports.amqp.room`), ``kchat.chat.presence`` the one by which members say that they are here
(:mod:`kchat.transports.amqp.presence`); a member who could make them could make others of these names.
``kchat-history.chat`` is the stream of the room's history (:mod:`kchat.transports.amqp.history`), whether there is one or
not: to read is enough to consume from it, and RabbitMQ purges no streams. ``kchat-history.chat.limits`` is the one of its
limits (:mod:`kchat.transports.amqp.history_age`).

See https://www.rabbitmq.com/docs/access-control.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from kchat.transports.amqp.room import DURABLE, RoomPolicy
from kchat.transports.presence import PRESENCE

NOTHING = "^$"


class Rights(NamedTuple):
    """What an account may do on one virtual host, as RabbitMQ's regular expressions."""

    configure: str
    write: str
    read: str


def of_guest(room: str, account: str, *, send_only: bool) -> Rights:
    """What an account needs in a room, and no more."""
    if send_only:
        return Rights(NOTHING, _to_room(room), NOTHING)
    return _with_streams(room, account, RoomPolicy(room).stream, RoomPolicy(room).stream_of_limits)


def joined(rights: Sequence[Rights]) -> Rights:
    """What an account may do that has the rights of several rooms. :func:`room_of` names the first of them."""
    return Rights(*("|".join(dict.fromkeys(patterns)) for patterns in zip(*rights, strict=True)))


def lacks_history(granted: Rights, room: str, account: str) -> bool:
    """Whether a member has what kchat gave before histories, or their limits, could be read; not rights set by hand."""
    return granted in (_with_streams(room, account), _with_streams(room, account, RoomPolicy(room).stream))


def _with_streams(room: str, account: str, *streams: str) -> Rights:
    """What a member needs, with these streams to read."""
    own, to_room = of_queues(room, account), _to_room(room)
    durable, presence = (f"^{_escape(RoomPolicy(room).queue_name(name))}$" for name in (DURABLE, PRESENCE))
    read = [to_room, durable, presence, own, *(f"^{_escape(stream)}$" for stream in streams)]
    return Rights(own, f"{to_room}|{presence}|{own}", "|".join(read))


def _to_room(room: str) -> str:
    return f"^{_escape(room)}$"


def of_queues(room: str, account: str) -> str:
    """The queues of one account in a room."""
    return f"^{_escape(RoomPolicy(room).queue_name(account))}\\..*"


def room_of(write: str) -> tuple[str | None, bool]:
    """The room in a pattern of :func:`of_guest`, ``None`` if it is another; and whether it allows nothing else."""
    found = re.fullmatch(r"\^((?:\\.|[^\\$|])*)\$(\|.*)?", write, re.DOTALL)
    return (re.sub(r"\\(.)", r"\1", found[1]), found[2] is None) if found else (None, False)


def _escape(text: str) -> str:
    """For Erlang's ``re``, which is PCRE on bytes: ASCII that is neither letter nor digit may always be escaped."""
    return re.sub(r"([^A-Za-z0-9_\x80-\U0010ffff])", r"\\\1", text)
