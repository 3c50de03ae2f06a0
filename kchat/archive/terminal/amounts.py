"""Numbers, times and moments as people read them."""

from __future__ import annotations

from datetime import date, datetime

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""Monday first."""

# Up to this many seconds, the unit and its seconds.
_UNITS = ((1.0, "ms", 0.001), (120.0, "s", 1.0), (7200.0, "min", 60.0), (172_800.0, "h", 3600.0))


def count(number: int, what: str = "") -> str:
    """``1,234``; of something: ``1 message``, ``1,234 messages``."""
    if not what:
        return f"{number:,}"
    if number == 1:
        return f"1 {what}"
    return f"{number:,} {'people' if what == 'person' else what + 's'}"


def share(part: float) -> str:
    """A share, 0 to 1, in per cent: ``25.3 %``; none and all without a fraction, and nothing else looks like them."""
    if part in (0, 1):
        return f"{part:.0%}".replace("%", " %")
    return f"{min(99.9, max(0.1, 100 * part)):.1f} %"


def rate(number: float) -> str:
    """Messages per day: ``3,787``, ``4.2``, and ``<0.1`` for fewer, which are not none."""
    if 0 < number < 0.05:
        return "<0.1"
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def seconds(value: float | None) -> str:
    """A time: ``350 ms``, ``12.1 s``, ``45.2 min``, ``5.4 h``, ``12.3 d``; nothing where there is none."""
    if value is None:
        return ""
    for end, unit, size in _UNITS:
        if value < end:
            return f"{value / size:.0f} {unit}" if unit == "ms" else f"{value / size:.1f} {unit}"
    return f"{value / 86_400:,.1f} d"


def moment(at: datetime | None) -> str:
    """To the minute: ``2026-01-05 09:12``."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"


def day(at: date) -> str:
    """A date with its weekday: ``Mon 2026-01-05``."""
    return f"{WEEKDAYS[at.weekday()]} {at.isoformat()}"
