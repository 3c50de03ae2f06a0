"""A room's limits: they stand in its file, are set when it is made, and no URL makes them smaller afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .options import Options

#: Bytes that a shared queue may hold at least, however small the history is.
_LEAST_BACKLOG = 4 * 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """How much a room keeps: seconds, bytes, and messages; see :class:`.options.Options`."""

    history_max_age: float = 7 * 86400.0
    history_max_bytes: int = 256 * 1024 * 1024
    backlog_max_bytes: int = 256 * 1024 * 1024
    backlog_max_messages: int = 1_000_000


NAMES = tuple(field.name for field in fields(Limits))

_COLUMNS = ", ".join(NAMES)


def of_new_room(options: Options) -> Limits:
    """The limits of a room that is made by a URL with these options."""
    given = asked(options)
    history = int(given.get("history_max_bytes", Limits.history_max_bytes))
    return replace(Limits(), **{"backlog_max_bytes": max(history, _LEAST_BACKLOG), **given})


def asked(options: Options) -> dict[str, Any]:
    """The limits that the options name."""
    return {name: value for name in NAMES if (value := getattr(options, name)) is not None}


def store(db: sqlite3.Connection, limits: Limits) -> None:
    """Set a room's limits, in the caller's transaction."""
    db.execute("DELETE FROM limits")
    db.execute(f"INSERT INTO limits ({_COLUMNS}) VALUES (?, ?, ?, ?)", astuple(limits))  # noqa: S608 - constants


def read(db: sqlite3.Connection) -> Limits:
    """A room's limits. Raises ValueError: they are not valid; anybody may have written them."""
    limits = Limits(*db.execute(f"SELECT {_COLUMNS} FROM limits").fetchone())  # noqa: S608 - constants
    if not all(type(value) in (int, float) and value >= 0 for value in astuple(limits)):
        raise ValueError(f"limits {astuple(limits)!r:.80}")
    return limits


def raised(limits: Limits, given: Mapping[str, Any]) -> Limits:
    """The limits with those that are asked for and larger."""
    return replace(limits, **{name: value for name, value in given.items() if value > getattr(limits, name)})


def enlarge(db: sqlite3.Connection, given: Mapping[str, Any]) -> Limits:
    """Make those larger that are asked for and larger, in the caller's transaction; returns all."""
    larger = raised(read(db), given)
    store(db, larger)
    return larger


def refusals(limits: Limits, given: Mapping[str, Any]) -> list[str]:
    """What to say about limits that are asked for and smaller than the room's."""
    return [
        f"{name}={_plain(value)} is ignored: the room keeps {_plain(getattr(limits, name))}, as its file says,"
        " and a URL cannot make that smaller"
        for name, value in given.items()
        if value < getattr(limits, name)
    ]


def _plain(number: float) -> str:
    """As a person writes it: 8000000 and not 8e+06."""
    return str(int(number)) if float(number).is_integer() else str(number)
