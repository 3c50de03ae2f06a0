"""Messages of many kinds, to compare by them what a store says with what counting one by one says."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from kchat.archive.facts import PAUSE
from kchat.archive.record import OTHERS, Record, mentions
from kchat.archive.span import HOUR, Span
from tests.archive.counting import ordered

START = int(datetime(2026, 3, 27, 22, tzinfo=UTC).timestamp()) * 1000
"""Two days before clocks are changed in Europe."""

NAMES = ("ada", "grace", "Ada", "Zoë", "d'Arcy\\", "", None)


def record(key: str = "i:1", at: int = START, **changes: object) -> Record:
    """A message, of ``ada``'s unless changed."""
    made = Record(
        room="chat",
        key=key,
        at=at,
        username="ada",
        account=None,
        verified=False,
        text="Hello",
        length=5,
        digest=None,
        id=key.removeprefix("i:"),
        sent_at=at,
        received_at=at + 5,
        position=None,
        extra=None,
        client="kchat",
        mentions=(),
    )
    changed = made._replace(**changes)  # type: ignore[arg-type] # as the caller says
    if "text" in changes and changed.text is not None:
        changed = changed._replace(length=len(changed.text), mentions=mentions(changed.text))
    return changed


def conversation(many: int, seed: int = 1, rooms: Sequence[str] = ("chat", "zimmer ü")) -> list[Record]:
    """Messages of many kinds, several of one millisecond among them, with pauses up to a day."""
    chance = random.Random(seed)
    at, made = START, []
    for number in range(many):
        at += chance.choice((0, 0, 1, 63, 64, 999, 20_000, 90_000, PAUSE - 1, PAUSE, 3 * HOUR, 26 * HOUR))
        name = chance.choice(NAMES)
        text = chance.choice(
            ("", "Hi @ada", "so @Grace and @nobody", "ünïcödé 🎉", "it's \\n\n\t\0", "@ada @ADA")
        )
        made.append(
            record(
                f"i:{chance.randrange(10**9):09}-{number}",
                at,
                room=chance.choice(rooms),
                username=name,
                account=chance.choice((None, name)),
                verified=name is not None and chance.random() < 0.3,
                text=text,
                sent_at=chance.choice((None, at)),
                received_at=at + chance.randrange(50),
                position=chance.choice((None, str(number))),
                extra=chance.choice((None, '{"a":"ö"}')),
                client=chance.choice(("kchat", OTHERS)),
            )
        )
    return made


def within(records: Iterable[Record], span: Span) -> list[Record]:
    """Those of a span, by room, each room's in order."""
    return [
        each
        for each in ordered(records)
        if (not span.rooms or each.room in span.rooms)
        and (span.since is None or each.at >= span.since)
        and (span.until is None or each.at < span.until)
    ]
