"""By which clock messages are too old, when somebody sets it."""

from __future__ import annotations

from kchat.archive.believed_clock import BelievedClock

HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0


class Clocks:
    """The clock on the wall, which can be set, and the time that passes."""

    def __init__(self) -> None:
        self.wall, self.passed = 1.8e9, 500.0
        self.believed = BelievedClock(lambda: self.wall, lambda: self.passed)

    def after(self, seconds: float, *, set_by: float = 0.0) -> float:
        """How far the believed time is from the wall's, after so many seconds, and after the clock was set."""
        self.wall += seconds + set_by
        self.passed += seconds
        return self.believed.now() - self.wall


def test_time_that_passes_is_believed_and_so_is_a_clock_that_is_set_a_little_or_back() -> None:
    clocks = Clocks()
    for seconds, set_by in (
        (HOUR, 0.0),
        (30 * DAY, 0.0),
        (HOUR, 30.0),
        (HOUR, -30.0),
        (HOUR, HOUR),
        (HOUR, -YEAR),
    ):
        assert clocks.after(seconds, set_by=set_by) == 0
        assert clocks.believed.doubted == 0


def test_a_clock_that_is_set_far_forward_is_believed_after_a_day() -> None:
    clocks = Clocks()
    assert clocks.after(HOUR, set_by=YEAR) == -YEAR
    assert clocks.believed.doubted == YEAR
    for _ in range(23):
        assert clocks.after(HOUR) == -YEAR
    assert clocks.after(HOUR) == 0
    assert clocks.believed.doubted == 0


def test_the_day_begins_anew_where_the_clock_was_right_meanwhile() -> None:
    clocks = Clocks()
    assert clocks.after(HOUR, set_by=YEAR) == -YEAR
    assert clocks.after(HOUR, set_by=-YEAR) == 0
    assert clocks.after(DAY, set_by=YEAR) == -YEAR
    assert clocks.after(DAY - HOUR) == -YEAR
    assert clocks.after(HOUR) == 0


def test_the_day_begins_anew_where_a_doubted_clock_is_set_forward_once_more() -> None:
    clocks = Clocks()
    assert clocks.after(HOUR, set_by=2 * HOUR) == -2 * HOUR
    assert clocks.after(23 * HOUR) == -2 * HOUR
    assert clocks.after(HOUR, set_by=YEAR) == -YEAR - 2 * HOUR
    assert clocks.after(HOUR, set_by=-YEAR) == -2 * HOUR
    assert clocks.after(DAY) == 0
