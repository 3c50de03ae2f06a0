"""Times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

LATEST = 253_402_300_799
"""The last second of the year 9999, UNIX seconds: no clock shows more."""


def moment(seconds: float) -> str:
    """A UNIX time for people: ``2026-05-01 12:04 UTC``, with seconds unless they are 0."""
    point = datetime.fromtimestamp(seconds, UTC)
    return point.strftime("%Y-%m-%d %H:%M:%S UTC" if point.second else "%Y-%m-%d %H:%M UTC")
