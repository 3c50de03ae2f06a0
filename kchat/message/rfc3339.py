"""Times on the wire: RFC 3339, in UTC, with milliseconds, from 1970 to 2999."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

FIRST_YEAR, LAST_YEAR = 1970, 2999
"""A message with an earlier or later time is treated as one without a time. Every platform can show these in local time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END_MS = (datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_PATTERN = (
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9]:)([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)


def parse(text: str) -> datetime | None:
    """Read a time with its offset (RFC 3339 section 5.6).

    Returns:
        The aware time in UTC, to the microsecond, or None for anything else: another format, a day or hour
        that does not exist, no offset, a year out of range. A leap second is the first of the next minute.
    """
    try:
        # As kchat writes it; Python takes weeks, too.
        if len(text) == 24 and text[10] == "T" and text[19] == "." and text[23] == "Z" and text[5] != "W":
            moment = datetime.fromisoformat(text)
        else:
            moment = _parse_any(text)
    except (ValueError, OverflowError):  # the 31st of February; an offset that leads beyond the year 9999
        return None
    return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else None


def _parse_any(text: str) -> datetime:
    found = re.fullmatch(_PATTERN, text)
    if found is None:
        raise ValueError("not RFC 3339")
    day, clock, second, fraction, sign, hours, minutes = found.groups()
    leap = second == "60"  # section 5.7; Python's clocks have none
    moment = datetime.fromisoformat(f"{day}T{clock}{'59' if leap else second}.{fraction or '':0<6.6}+00:00")
    if leap:
        moment += timedelta(seconds=1)
    if sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        moment = moment - offset if sign == "+" else moment + offset
    return moment


def milliseconds(moment: object) -> int:
    """Milliseconds since 1970 of an aware time that :func:`parse` would take; TypeError or ValueError of anything else."""
    if not isinstance(moment, datetime):
        raise TypeError(f"a time is a datetime, not {type(moment).__name__}")
    if moment.utcoffset() is None:
        raise ValueError("a time without a timezone")
    ms = (moment - _EPOCH) // timedelta(milliseconds=1)
    if not 0 <= ms < _END_MS:
        raise ValueError(f"a time outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return ms


def moment(ms: int) -> tuple[datetime, str]:
    """A time in milliseconds since 1970, as an aware time in UTC and as text."""
    second, rest = divmod(ms, 1000)
    return _EPOCH + timedelta(0, second, rest * 1000), f"{_second(second)}.{rest:03d}Z"


def stamp(ms: int) -> str:
    """A time in milliseconds since 1970 as text."""
    second, rest = divmod(ms, 1000)
    return f"{_second(second)}.{rest:03d}Z"


def now() -> str:
    """The time of this machine's clock as text."""
    second, rest = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_second(second)}.{rest:03d}Z"


def text(moment: datetime) -> str:
    """An aware time in UTC as text, to the millisecond."""
    return f"{moment.replace(tzinfo=None).isoformat('T', 'milliseconds')}Z"


def precise(seconds: float) -> str:
    """A time in UNIX seconds as text, to the microsecond."""
    second, rest = divmod(int(seconds * 1_000_000), 1_000_000)
    return f"{_second(second)}.{rest:06d}Z"


@lru_cache(maxsize=8)  # many messages are sent in the same second
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
