"""Where a message goes: matching of routing keys, and a publisher's memory of the answer."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from amqp.exceptions import InternalError

from . import definitions, history, schema

#: Numbers of an exchange's messages that are left free at the end.
_SPARE = 1 << 32


class Target(NamedTuple):
    """A queue that gets a row of its own for each message."""

    queue: int
    max_length: int | None
    ttl: float | None
    max_priority: int | None


class Route(NamedTuple):
    """What publishing to one exchange with one routing key means.

    Arguments:
        version: of the topology that this was read from.
        floor: the ``seq`` below the exchange's first message.
        ceiling: the highest that one of its messages can have.
        history: the exchange keeps its messages; exclusive queues read them there.
        targets: the queues that get a row.
        routed: some queue is bound: ``mandatory`` is satisfied.
        plain: all there is to do is to add to the history.
    """

    version: int
    floor: int
    ceiling: int
    history: bool
    targets: tuple[Target, ...]
    routed: bool
    plain: bool


def matches_topic(pattern: str, routing_key: str) -> bool:
    """Whether a topic exchange's binding key takes a routing key.

    ``*`` stands for one word, ``#`` for any number of words, none included (AMQP 0-9-1, section 3.1.3.3).
    Words are parted by dots.
    """
    words = routing_key.split(".") if routing_key else []
    # The positions in `words` up to which what was read of the pattern can match: linear, whatever the pattern.
    reached = {0}
    for part in pattern.split(".") if pattern else []:
        if part == "#":
            reached = set(range(min(reached), len(words) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(words) and part in ("*", words[at])}
        if not reached:
            return False
    return len(words) in reached


def find_route(db: sqlite3.Connection, exchange: str, routing_key: str) -> Route:
    """The route as the file has it now, in the caller's transaction. Raises NotFound: there is no such exchange."""
    (version,) = db.execute("SELECT version FROM topology").fetchone()
    if not exchange:
        number, kind = 0, "direct"  # before the first one that has a name
        rows = db.execute(
            "SELECT id, max_length, ttl, max_priority, owner, name FROM queue WHERE name = ?", (routing_key,)
        ).fetchall()
    else:
        number, kind = definitions.find_exchange(db, exchange)
        rows = db.execute(
            "SELECT q.id, q.max_length, q.ttl, q.max_priority, q.owner, b.routing_key"
            " FROM binding b JOIN queue q ON q.id = b.queue WHERE b.exchange = ?",
            (number,),
        ).fetchall()
    keeps = kind == "fanout"
    ceiling = schema.last_seq(number)
    if history.newest(db, number) > ceiling - _SPARE:
        # The next one would be another exchange's. No room gets there by sending.
        raise InternalError(f"exchange {exchange!r}: its messages' numbers have come to an end")
    matching = [
        row
        for row in rows
        if keeps or row[5] == routing_key or (kind == "topic" and matches_topic(row[5], routing_key))
    ]
    # Exclusive queues read a fanout exchange's history, each from its own position, and need no row; but for those
    # with priorities, which have an order of their own.
    targets = {Target(*row[:4]) for row in matching if not (keeps and row[4] is not None and row[3] is None)}
    return Route(
        version=version,
        floor=schema.first_seq(number),
        ceiling=ceiling,
        history=keeps,
        targets=tuple(sorted(targets, key=lambda target: target.queue)),
        routed=bool(matching),
        plain=keeps and not targets,
    )
