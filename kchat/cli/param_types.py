"""The types of options' values: from the text that was typed to a value, or an error that says what is allowed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import click

from kchat.message import rfc3339

if TYPE_CHECKING:
    from kchat.archive.span import Zone
    from kchat.plugins import Registry

_LONGEST_DURATION = 100 * 365 * 86400
"""A hundred years, in seconds."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_POWERS = "kmgt"
_MOST_BYTES = (1 << 63) - 1
"""AMQP's largest whole number (0-9-1 section 4.2.1)."""

clock: Callable[[], float] = time.time
"""The UNIX time now, in seconds, by which options are read that are an age or a time of day."""


class Read(click.ParamType):  # type: ignore[type-arg]  # generic since Click 8.4 only
    """A type by its name and the function that reads a text, and raises ValueError with what is wrong."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self.read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; Click reports what :meth:`fail` says. A default is read already, or is text."""
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def read_seconds(text: str, *, zero: bool = False) -> float:
    """A number of seconds: more than 0, or with ``zero`` 0 or more, and at most a hundred years."""
    number = _number(float, text, "a number of seconds")
    if not 0 <= number <= _LONGEST_DURATION or (number == 0 and not zero):
        allowed = "0 or more" if zero else "more than 0"
        raise ValueError(f"{text} seconds: it must be {allowed}, and at most 100 years")
    return float(number)


def _number(kind: Callable[[str], Any], text: str, what: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text!r} is not {what}") from None


def whole_number(least: int, most: int | None = None) -> Read:
    """A whole number in a range; its bounds are in the error message, and not in the help."""

    def read(text: str) -> int:
        number = _number(int, text, "a whole number")
        if number < least or (most is not None and number > most):
            allowed = f"from {least:,} to {most:,}" if most is not None else f"{least:,} or more"
            raise ValueError(f"{number:,} is out of range: it must be {allowed}")
        return int(number)

    return Read("integer", read)


_TIME_OF_DAY = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")


def _age(text: str) -> float | None:
    """The seconds of ``90s`` or ``1.5h``; None for anything else."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhdw])", text, re.ASCII)
    return float(found[1]) * _UNITS[found[2]] if found else None


def _duration(text: str) -> float:
    seconds = _age(text) or 0.0
    if not 0 < seconds <= _LONGEST_DURATION:
        raise ValueError(f"{text!r} is not a duration such as 30m, 24h or 7d")
    return seconds


def _size(text: str) -> int:
    """Decimal units are powers of 1000, those with an i of 1024 (IEC 80000-13)."""
    found = re.fullmatch(r"(\d{1,19}(?:\.\d{1,9})?) ?(?:([kmgt])(i)?b?|b)?", text.strip().lower(), re.ASCII)
    number = 0
    if found:
        factor = 1 if found[2] is None else (1024 if found[3] else 1000) ** (_POWERS.index(found[2]) + 1)
        number = round(float(found[1]) * factor)
    if not 0 < number <= _MOST_BYTES:
        raise ValueError(f"{text!r} is not a size such as 500kB, 64MiB or 1GiB")
    return number


def read_time(text: str, now: float, zone: tzinfo | None = None, *, past: bool = False) -> float:
    """The UNIX seconds of a point in time.

    A time of day is today's. Where it comes twice, as the clocks go back, it is the second one while that hour lasts, unless
    it has to be in the past and only the first one is; else it is the first.

    Arguments:
        text: an age, a time of day, or a date with or without a time.
        now: the UNIX time, in seconds, from which an age counts back, and which tells what day it is.
        zone: by whose clocks a text without an offset is read. Default: by this machine's.
        past: whether a time that is still to come is refused. Default: not.

    Raises:
        ValueError: it is none, or still to come.
    """
    age = _age(text)
    if age is not None:
        return max(0.0, now - age)
    instead = ""
    try:
        if (exact := rfc3339.parse(text)) is not None:
            point = exact.timestamp()
        elif clock_time := _TIME_OF_DAY.fullmatch(text):
            hour, minute, second = (int(part or 0) for part in clock_time.groups())
            today = datetime.fromtimestamp(now, zone).replace(
                hour=hour, minute=minute, second=second, microsecond=0
            )
            point = today.timestamp()
            if past and point > now:
                point = min(today.replace(fold=fold).timestamp() for fold in (0, 1))
            yesterday = (today - timedelta(days=1)).replace(tzinfo=None)
            instead = f" today; for yesterday's, write {yesterday.isoformat(timespec='seconds' if second else 'minutes')}"
        else:
            # A time by the clock, to the minute or as a date alone, which RFC 3339 does not have.
            moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
            point = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{text!r} is neither an age such as 10m or 2h, nor a time of today such as 9:00, "
            "nor a date such as 2026-01-31T12:00:00Z"
        ) from None
    if past and point > now:
        raise ValueError(f"{text!r} is still to come{instead}")
    return point


def _zone(name: str) -> Zone:
    from kchat.archive.span import Zone

    return Zone(name)


class Moment(click.ParamType):  # type: ignore[type-arg]  # as for Read
    """A point in time by the clocks of the zone that another option names.

    Becomes a function of the UNIX seconds: the age ``1d`` is another time whenever it is called.

    Arguments:
        zone: the parameter with the zone, of the type :data:`ZONE`; eager, so that it is read first, and with a default.
        past: whether a time that is still to come is refused. Default: not.
    """

    name = "time"

    def __init__(self, zone: str, *, past: bool = False) -> None:
        self._zone = zone
        self._past = past

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it."""
        if not isinstance(value, str):
            return value
        zone: Zone | None = ctx.params[self._zone] if ctx else None
        try:
            point = read_time(value, clock(), None if zone is None else zone.info, past=self._past)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return (lambda: point) if _age(value) is None else lambda: read_time(value, clock())


SECONDS = Read("seconds", read_seconds)
"""A number of seconds, more than 0."""
SECONDS_OR_ZERO = Read("seconds", lambda text: read_seconds(text, zero=True))
DURATION = Read("duration", _duration)
"""``90s``, ``30m``, ``24h``, ``7d``, ``2w``. Becomes seconds."""
SIZE = Read("size", _size)
"""``500kB``, ``64MiB``, ``1GiB``, or a number of bytes. Becomes bytes."""
TIME = Read("time", lambda text: read_time(text, clock()))
"""A point in time: an age (``90s``, ``10m``, ``2h``, ``1d``), a time of today (``9:00``, ``17:30:05``), or a date with or
without a time (``2026-01-31``, ``2026-01-31T12:00Z``), local unless it says otherwise. Becomes UNIX seconds."""
SINCE = Read("time", lambda text: read_time(text, clock(), past=True))
"""As :data:`TIME`, in the past."""
ZONE = Read("zone", _zone)
"""The name of a time zone. Becomes a :class:`~kchat.archive.span.Zone`."""


class NameIn(click.ParamType):  # type: ignore[type-arg]  # as for Read
    """A name from a registry. Plug-ins are looked for only where it is not one of kchat's own, or all are listed."""

    name = "name"

    def __init__(self, registry: Registry[Any]) -> None:
        self.registry = registry

    def _choice(self) -> Any:
        return click.Choice(list(self.registry))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; Click reports what :meth:`fail` says."""
        return value if value in self.registry.built_in else self._choice().convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        """What the shell may complete it to."""
        return self._choice().shell_complete(ctx, param, incomplete)


class TransportName(NameIn):
    """A transport's name. A URL given by mistake is not repeated: there may be a password in it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; Click reports what :meth:`fail` says."""
        if "://" in str(value):
            self.fail("a transport is a name, such as amqp; a URL goes to --url", param, ctx)
        return super().convert(value, param, ctx)
