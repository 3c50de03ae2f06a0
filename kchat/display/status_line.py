"""The live table's last line: what happened to the connection, where one looks, how to end. Important words come first.

Each part has a long form and shorter ones. Where the line is too narrow for all of them, the less important parts become
shorter, or are left out: the state of the connection comes before everything, and where one looks before the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kchat import events
from kchat.display.escaping import take_columns, width

Forms = Sequence[str]
"""The same thing in fewer and fewer words."""

BETWEEN = " · "


def duration(seconds: float) -> str:
    """``12 s``, ``5 min``, ``2 h 5 min``."""
    whole = max(1, round(seconds))
    if whole < 120:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def lost(seconds: float) -> Forms:
    """The connection is lost since then."""
    return (
        f"connection lost, reconnecting ({duration(seconds)})",
        "connection lost, reconnecting",
        "reconnecting",
    )


def happened(event: events.Event) -> Forms:
    """What to say of an event, without the broker's URL. It may quote the broker: it is not safe for a terminal."""
    if room := getattr(event, "room", ""):
        return tuple(f"{room}: {form}" for form in happened(event._replace(room="")))  # type: ignore[union-attr,call-arg]
    if isinstance(event, events.Reconnected):
        if event.durable:
            end = "the queue kept the messages"
            return (
                f"reconnected after {duration(event.seconds)}, {end}",
                f"reconnected, {end}",
                "reconnected",
            )
        end = event.missed
        return (f"reconnected after {duration(event.seconds)}, {end}", f"reconnected, {end}", end)
    if isinstance(event, events.Dropped):
        what = str(event).partition(": ")[0]
        few = "messages may be missing" if event.count is None else f"{event.count:,} dropped"
        return (str(event), what, few)
    return (str(event),)


def looking_back(new: int) -> Forms:
    """Somebody looks back, and so many messages have come since, which are not on the screen; and the way out."""
    if not new:
        return (f"looking back{BETWEEN}End returns", "End returns")
    return (
        f"looking back, {new:,} new below{BETWEEN}End returns",
        f"{new:,} new below{BETWEEN}End returns",
        f"{new:,} new{BETWEEN}End",
    )


class Part(NamedTuple):
    """A part of the line.

    Attributes:
        forms: from the longest to the shortest.
        style: parameters of SGR (ECMA-48, 8.3.117); empty for none.
        optional: whether it may be left out.
        at_right: whether it stands at the right margin.
    """

    forms: Forms
    style: str = ""
    optional: bool = True
    at_right: bool = False


def compose(columns: int, parts: Sequence[Part]) -> str:
    """One line for a terminal.

    Arguments:
        columns: those of the screen.
        parts: in the order of their importance, which is also that from left to right. Their text is safe.
    """
    chosen: list[tuple[Part, str]] = []
    room = columns
    for number, part in enumerate(parts):
        between = len(BETWEEN) if chosen else 0
        room -= between
        # What must not be left out has its place, at least in few words.
        kept = sum(len(BETWEEN) + width(each.forms[-1]) for each in parts[number + 1 :] if not each.optional)
        form = next((each for each in part.forms if width(each) + kept <= room), "")
        if not form and (not part.optional or not (chosen or parts[number + 1 :])):
            least = max(0, room - kept)
            form = take_columns(part.forms[-1], least - 1) + "…"[:least]
        if not form:
            room += between
            continue
        chosen.append((part, form))
        room -= width(form)
    left, right = (
        BETWEEN.join(
            f"\x1b[{part.style}m{form}\x1b[0m" if part.style else form
            for part, form in chosen
            if part.at_right is at_right
        )
        for at_right in (False, True)
    )
    gap = room + (len(BETWEEN) if left else 0) if right else 0
    return f"{left}{' ' * gap}{right}"
