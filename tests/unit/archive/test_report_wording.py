"""Numbers, times, axes and labels of the report."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kchat.archive.report import charts, ranges, series, wording
from kchat.archive.stats import Times

FIRST = date(2026, 3, 2)  # a Monday


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "\u2013"),
        (0, "0 s"),
        (0.001, "1 ms"),
        (0.85, "850 ms"),
        (0.9996, "1 s"),
        (4.2, "4.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (750, "12 min 30 s"),
        (3599.6, "1 h"),
        (18_000, "5 h"),
        (86_399, "1 day"),
        (100_000, "1 day 4 h"),
        (273_600, "3 days 4 h"),
        (400 * 86_400, "400 days"),
        (4000 * 86_400, "4,000 days"),
    ],
)
def test_a_duration_has_its_two_greatest_units(seconds: float | None, told: str) -> None:
    assert wording.duration(seconds) == told


@given(st.floats(min_value=0, max_value=1e9))
def test_no_duration_has_sixty_of_a_smaller_unit(seconds: float) -> None:
    told = wording.duration(seconds)
    assert not told.startswith(("60 s", "60 min", "1000 ms", "24 h"))
    assert " 60 " not in told
    assert " 24 h" not in told


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0"), (3.44, "3.4"), (99.96, "100.0"), (100.4, "100"), (12_345, "12,345"), (1e9, "1,000,000,000")],
)
def test_a_number_has_separators(value: float, told: str) -> None:
    assert wording.number(value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0, "0"), (0.001, "<0.1"), (0.05, "0.1"), (55.5, "55.5"), (4.0, "4"), (3787.2, "3,787")],
)
def test_an_average_that_is_not_zero_does_not_look_like_it(value: float, told: str) -> None:
    assert wording.average(value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0%"), (0.0001, "<0.1%"), (0.123, "12.3%"), (0.5, "50.0%"), (0.9999, ">99.9%"), (1, "100%")],
)
def test_a_share_is_never_nothing_or_all_by_rounding(value: float, told: str) -> None:
    assert wording.share(value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0"), (5000, "5,000"), (12_000, "12k"), (150_000, "150k"), (1_500_000, "1.5M"), (2 * 10**9, "2G")],
)
def test_the_numbers_of_an_axis_are_short(value: int, told: str) -> None:
    assert wording.compact(value) == told


def test_a_period_tells_the_year_once() -> None:
    assert wording.period(FIRST, FIRST) == "2 Mar 2026"
    assert wording.period(FIRST, date(2026, 11, 5)) == "2 Mar \u2013 5 Nov 2026"
    assert wording.period(FIRST, date(2027, 1, 1)) == "2 Mar 2026 \u2013 1 Jan 2027"


def test_counts_have_their_nouns() -> None:
    assert wording.count(1, "message") == "1 message"
    assert wording.count(2000, "message") == "2,000 messages"
    assert wording.count(0, "person", "people") == "0 people"


@given(st.floats(min_value=0, max_value=1e12))
def test_the_lines_of_a_chart_are_few_and_reach_its_highest_bar(most: float) -> None:
    lines = series.steps(most)
    assert lines[0] == 0
    assert lines[-1] >= most
    assert 2 <= len(lines) <= 6
    assert len(lines) == 2 or lines[-2] < most


@settings(max_examples=40)
@given(st.integers(1, 4000), st.sampled_from([1, 7]), st.sampled_from([4, 8]))
def test_the_labels_under_a_chart_are_few_and_in_order(many: int, days: int, most: int) -> None:
    starts = [FIRST + timedelta(days=days * number) for number in range(many)]
    found = series.ticks(starts, most)
    assert 1 <= len(found) <= most
    places = [each.place for each in found]
    assert places == sorted(set(places))


def test_labels_stand_at_beginnings() -> None:
    days = [FIRST + timedelta(days=number) for number in range(60)]
    assert [each.text for each in series.ticks(days[:5], 8)] == ["2 Mar", "3 Mar", "4 Mar", "5 Mar", "6 Mar"]
    assert [each.text for each in series.ticks(days[:40], 8)][:3] == ["2 Mar", "9 Mar", "16 Mar"]
    assert [each.text for each in series.ticks(days, 4)] == ["Mar", "Apr"]
    late = [date(2026, 1, 29) + timedelta(days=number) for number in range(80)]
    # No "Jan" that would run into "Feb".
    assert [each.text for each in series.ticks(late, 4)] == ["Feb", "Mar", "Apr"]
    months = [date(2024 + number // 12, number % 12 + 1, 1) for number in range(36)]
    assert [each.text for each in series.ticks(months, 4)] == ["2024", "2025", "2026"]


@given(st.integers(1, 10**9))
def test_every_number_of_a_heat_map_has_a_step_and_the_highest_the_last(most: int) -> None:
    ends = charts.heat_steps(most)
    assert ends[-1] == most
    assert ends == sorted(set(ends))
    assert ends[0] >= 1
    assert len(ends) == min(5, most)


@given(st.lists(st.floats(min_value=0, max_value=1e10), min_size=4, max_size=4))
def test_the_chart_of_times_has_a_place_for_each(values: list[float]) -> None:
    p50, mean, p95, longest = values
    times = Times(1, mean, p50, p95, longest, datetime(2026, 3, 2))  # noqa: DTZ001 - not shown
    chart = ranges.chart("key", "title", "description", [("Gaps", times)])
    marks = [each for each in chart if each.tag == "svg"]
    assert len(marks) == 4
    assert all(0 <= float(each.attrib["x"].rstrip("%")) <= 100 for each in marks)
