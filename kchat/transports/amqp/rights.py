r"""What the accounts of a room's guests may do on RabbitMQ: its permissions are regular expressions of names.

=========  =================  ======================================
room chat  send-only          the member ada
=========  =================  ======================================
configure  ``^$``             ``^kchat\.chat\.ada\..*``
write      ``^chat$``         ``^chat$|^kchat\.chat\.ada\..*``
read       ``^$``             as write, and ``^kchat\.chat\.durable$``
=========  =================  ======================================

``kchat.chat.ada.`` is what the names of the queues of ada's subscribers begin with
(:meth:`kchat.transports.amqp.room.RoomPolicy.queue_prefix`), and those of no other account: a dot within a name is
escaped. So members cannot touch each other's queues, and what an account leaves can be told
(:mod:`kchat.transports.amqp.leftovers`). ``kchat.chat.durable`` is the exchange that durable queues are bound to
(:mod:`kchat.transports.amqp.room`); a member who could make it could make another of that name.

See https://www.rabbitmq.com/docs/access-control.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kchat.transports.amqp.room import DURABLE, RoomPolicy

NOTHING = "^$"


class Rights(NamedTuple):
    """What an account may do on one virtual host, as RabbitMQ's regular expressions."""

    configure: str
    write: str
    read: str


def of_guest(room: str, account: str, *, send_only: bool) -> Rights:
    """What an account needs in a room, and no more."""
    to_room = f"^{_escape(room)}$"
    if send_only:
        return Rights(NOTHING, to_room, NOTHING)
    own = of_queues(room, account)
    shared = f"^{_escape(RoomPolicy(room).queue_name(DURABLE))}$"
    return Rights(own, f"{to_room}|{own}", f"{to_room}|{shared}|{own}")


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
