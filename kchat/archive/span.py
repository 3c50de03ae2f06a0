"""Which messages a question is about: :class:`Span`; and how a day is cut in a time zone: :class:`Zone`."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kchat.errors import SettingsError

HOUR = 3_600_000
"""Milliseconds in an hour."""

QUARTER = HOUR // 4
"""Milliseconds in a quarter of an hour: every offset of a time zone in use since 1972 is a number of them."""

DAY = 24 * HOUR

_EPOCH = date(1970, 1, 1).toordinal()


def local_zone() -> str:
    """The name of this machine's time zone, from ``TZ`` or its configuration; ``UTC`` where none is known."""
    import logging
    import warnings

    import tzlocal

    now = time.time()
    # A machine whose /etc/timezone is stale, or that has no configuration, is not a concern of those who read figures.
    logging.getLogger("tzlocal").addHandler(logging.NullHandler())
    with (
        suppress(SettingsError, ValueError, LookupError, OSError),
        warnings.catch_warnings(),
    ):  # no name, or two
        warnings.simplefilter("ignore")
        name = tzlocal.get_localzone_name()
        # Not where TZ is a rule, CET-1CEST, which has no name.
        if name and Zone(name).offset(int(now * 1000)) == time.localtime(now).tm_gmtoff * 1000:
            return "UTC" if name == "Etc/UTC" else name
    return "UTC"


class Span(NamedTuple):
    """The messages that are asked about.

    Attributes:
        rooms: by name; empty for all rooms of the archive. Gaps, replies and conversations are within a room.
        since: the first millisecond since 1970 that counts, of :attr:`~kchat.archive.record.Record.at`. Default: from the
            beginning.
        until: the first that no longer counts. Default: to the end.
    """

    rooms: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None


class Stretch(NamedTuple):
    """A time in which a zone has one offset: ``since`` up to ``until``, in milliseconds since 1970, ``offset`` in ms."""

    since: int
    until: int
    offset: int


class Zone:
    """A time zone, by its name in the IANA database, such as ``Europe/Berlin`` or ``UTC``.

    Arguments:
        name: of the zone.

    Attributes:
        info: for the standard library's times.

    Raises:
        kchat.errors.SettingsError: there is no such zone here.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            self.info: tzinfo = UTC if name == "UTC" else ZoneInfo(name)  # UTC needs no database
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SettingsError(
                f"no time zone {name!r} here", hint="Europe/Berlin is one, and UTC"
            ) from error

    def moment(self, at: int) -> datetime:
        """A time in milliseconds since 1970 as an aware datetime in the zone."""
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)).astimezone(self.info)

    def offset(self, at: int) -> int:
        """What a clock there shows more than UTC, in milliseconds, at a time in milliseconds since 1970."""
        offset = self.moment(at).utcoffset()
        assert offset is not None
        return offset // timedelta(milliseconds=1)

    def day(self, at: int) -> date:
        """The date there at a time in milliseconds since 1970."""
        return date.fromordinal(_EPOCH + (at + self.offset(at)) // DAY)

    def stretches(self, since: int, until: int) -> list[Stretch]:
        """The time from ``since`` up to ``until``, in milliseconds since 1970, in stretches of one offset each.

        They begin and end on quarters of an hour, but for the first and the last.
        """
        found: list[Stretch] = []
        start = since
        while start < until:
            offset = self.offset(start)
            end = start
            step = (
                7 * DAY
            )  # no zone has had two offsets and the first one again within a week, Ramadan's four included
            while end < until and self.offset(end) == offset:
                end += step
            if end >= until and self.offset(until - 1) == offset:
                end = until
            else:
                end = self._change(max(start, end - step), min(end, until - 1), offset)
            found.append(Stretch(start, end, offset))
            start = end
        return found

    def _change(self, same: int, other: int, offset: int) -> int:
        """The first quarter after ``same``, where the offset is this one, in which it is another, as it is at ``other``."""
        low, high = same // QUARTER, -(-other // QUARTER)
        while high - low > 1:
            middle = (low + high) // 2
            if self.offset(middle * QUARTER) == offset:
                low = middle
            else:
                high = middle
        return high * QUARTER
