"""Durations and sizes as people write them, and as the options of commands take them: ``7d``, ``64MiB``; and many names."""

from __future__ import annotations

from collections.abc import Sequence

_TIMES = (("d", 86_400), ("h", 3_600), ("m", 60))
_SIZES = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def duration(seconds: float) -> str:
    """Seconds in the largest unit that has no fraction: ``7d``, ``90m``, ``45s``."""
    whole = round(seconds)
    for unit, length in _TIMES:
        if whole and whole % length == 0:
            return f"{whole // length}{unit}"
    return f"{whole}s"


def size(number: int) -> str:
    """Bytes in the largest unit, at most one digit behind the point: ``64MiB``, ``1.5MiB``, ``100B``."""
    for unit, length in _SIZES:
        if number >= length:
            return f"{number / length:.1f}".removesuffix(".0") + unit
    return f"{number}B"


def listed(names: Sequence[str], most: int = 8) -> str:
    """``chat, ops``; of more names than that, some, and how many more there are."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1:,} more"
