"""Noon of today, so that no line for another day comes before a message of the tests."""

from __future__ import annotations

from datetime import UTC, datetime

NOON = datetime.now(UTC).replace(hour=12, minute=4, second=5, microsecond=0)
