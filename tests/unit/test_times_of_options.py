"""Points in time as they are typed: what they mean at midnight, where the clocks change, and at the end of a year."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import click
import pytest

from kchat.cli import param_types
from kchat.cli.param_types import SINCE, Moment, read_time
from tests.cases import check_each

READ = {
    # now, the zone, what is typed, whether it has to be in the past, and what it is in UTC
    "in the evening": ("2026-05-01T18:00Z", "UTC", "9:00", True, "2026-05-01T09:00Z"),
    "at that very time": ("2026-05-01T09:00Z", "UTC", "9:00", True, "2026-05-01T09:00Z"),
    "after midnight, in the future": ("2026-05-01T00:10Z", "UTC", "23:50", False, "2026-05-01T23:50Z"),
    "it is another day there": ("2026-12-31T10:30Z", "Pacific/Kiritimati", "0:15", True, "2026-12-31T10:15Z"),
    "half an hour off": ("2026-02-28T03:45Z", "America/St_Johns", "0:15", True, "2026-02-28T03:45Z"),
    "29 February": ("2028-02-29T23:59Z", "UTC", "0:00", True, "2028-02-29T00:00Z"),
    "a date without a time": ("2027-01-01T00:05Z", "Europe/Berlin", "2027-01-01", True, "2026-12-31T23:00Z"),
    "an age": ("2027-01-01T00:05Z", "UTC", "10m", True, "2026-12-31T23:55Z"),
    "an age over a change": ("2026-10-25T06:00Z", "Europe/Berlin", "1d", True, "2026-10-24T06:00Z"),
    # 02:00 to 03:00 comes twice
    "clocks go back, first hour": ("2026-10-25T00:45Z", "Europe/Berlin", "2:30", True, "2026-10-25T00:30Z"),
    "clocks go back, second hour": ("2026-10-25T01:45Z", "Europe/Berlin", "2:30", True, "2026-10-25T01:30Z"),
    "the first, as it has to be": ("2026-10-25T01:15Z", "Europe/Berlin", "2:30", True, "2026-10-25T00:30Z"),
    "the second is to come": ("2026-10-25T01:15Z", "Europe/Berlin", "2:30", False, "2026-10-25T01:30Z"),
    "clocks went back": ("2026-10-25T08:00Z", "Europe/Berlin", "2:30", True, "2026-10-25T00:30Z"),
    "before they go back": ("2026-10-24T23:00Z", "Europe/Berlin", "4:00", False, "2026-10-25T03:00Z"),
    # 02:00 to 03:00 does not come
    "clocks went forward": ("2026-03-29T07:00Z", "Europe/Berlin", "2:30", True, "2026-03-29T01:30Z"),
    "clocks have just gone forward": (
        "2026-03-29T01:15Z",
        "Europe/Berlin",
        "2:30",
        True,
        "2026-03-29T00:30Z",
    ),
    "before they go forward": ("2026-03-29T00:30Z", "Europe/Berlin", "4:00", False, "2026-03-29T02:00Z"),
}


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_time_is_one_of_the_day_and_the_hour_where_it_is_typed() -> None:
    def check(case: tuple[str, str, str, bool, str]) -> None:
        now, zone, text, past, expected = case
        read = read_time(text, seconds(now), ZoneInfo(zone), past=past)
        assert datetime.fromtimestamp(read, UTC) == datetime.fromtimestamp(seconds(expected), UTC)

    check_each(READ, check)


@pytest.mark.parametrize(
    "name", ["clocks go back, second hour", "the first, as it has to be", "in the evening"]
)
def test_without_a_zone_it_is_by_the_clocks_of_this_machine(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, zone, text, past, expected = READ[name]
    with monkeypatch.context() as patched:
        patched.setenv("TZ", zone)
        time.tzset()
        read = read_time(text, seconds(now), past=past)
    time.tzset()
    assert read == seconds(expected)


@pytest.mark.parametrize(
    ("now", "text", "said"),
    [
        ("2026-05-01T08:00Z", "9:00", "still to come today; for yesterday's, write 2026-04-30T09:00"),
        ("2027-01-01T00:30Z", "23:00", "still to come today; for yesterday's, write 2026-12-31T23:00"),
        ("2028-03-01T00:00Z", "0:00:01", "still to come today; for yesterday's, write 2028-02-29T00:00:01"),
        ("2026-05-01T08:00Z", "2026-05-02", "still to come"),
        ("2026-05-01T08:00Z", "2026-05-01T09:00Z", "still to come"),
    ],
)
def test_a_time_to_come_is_refused_and_the_error_says_how_to_write_yesterdays(
    now: str, text: str, said: str
) -> None:
    with pytest.raises(ValueError, match="is still to come") as refused:
        read_time(text, seconds(now), UTC, past=True)
    assert str(refused.value) == f"{text!r} is {said}"
    instead = said.partition("write ")[2]
    assert not instead or read_time(instead, seconds(now), UTC, past=True) < seconds(now)
    assert read_time(text, seconds(now), UTC) > seconds(now)


def test_options_are_read_by_one_clock_and_an_age_moves_on_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [seconds("2026-12-31T23:59Z")]
    monkeypatch.setattr(param_types, "clock", lambda: clock[0])
    assert SINCE.convert("1h", None, None) == clock[0] - 3600
    context = click.Context(click.Command("stats"))
    context.params["zone"] = None
    age: Callable[[], float] = Moment("zone").convert("1h", None, context)
    exact: Callable[[], float] = Moment("zone").convert("2026-12-31T12:00Z", None, context)
    clock[0] += 120
    assert age() == clock[0] - 3600
    assert exact() == seconds("2026-12-31T12:00Z")
