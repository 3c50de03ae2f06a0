"""Hours as rows of SQLite's: what goes in comes out, and rows add up as their spreads do."""

from __future__ import annotations

from operator import itemgetter

from hypothesis import given
from hypothesis import strategies as st

from kchat.archive.facts import Hour, hours_of
from kchat.archive.spread import Spread
from kchat.archive.sqlite import hours
from tests.archive.counting import MONDAY, record

START = MONDAY
NAMES = {None: 0, "ada": 1, "bob": 2}
IDS = {number: name for name, number in NAMES.items()}

spread_times = st.lists(st.tuples(st.integers(0, 40 * 86_400_000), st.integers(0, 1 << 42)), max_size=80)


def spread_of(times: list[tuple[int, int]]) -> Spread:
    spread = Spread()
    for ms, at in times:
        spread.add(ms, at)
    return spread


@given(
    st.lists(
        st.tuples(st.integers(0, 3_599_999), st.sampled_from([None, "ada", "bob"])), min_size=1, max_size=90
    )
)
def test_an_hour_comes_back_as_it_was(said: list[tuple[int, str | None]]) -> None:
    (hour,) = hours_of(
        record(number, START + at, username=name)
        for number, (at, name) in enumerate(sorted(said, key=itemgetter(0)))
    )
    row = hours.pack(hour, NAMES.__getitem__)
    assert len(row) == len(hours.COLUMNS.split(","))
    hour.people, hour.mentions = {}, {}  # they have tables of their own
    assert hours.unpack(START, row, IDS.__getitem__) == hour


@given(st.lists(spread_times, max_size=12), spread_times)
def test_rows_add_up_as_their_spreads_do(
    rows: list[list[tuple[int, int]]], between: list[tuple[int, int]]
) -> None:
    total, expected = hours.SpreadSum(), Spread()
    for times in rows:
        spread = spread_of(times)
        packed = hours.pack(Hour(START, (START, None), (START, None), "i:1", gaps=spread), NAMES.__getitem__)
        total.include(*packed[7:12])
        expected.include(spread)
    for ms, at in between:
        total.spread.add(ms, at)
        expected.add(ms, at)
    assert total.finish() == expected
    assert total.finish() == expected


def test_counts_that_are_more_than_four_bytes_together_do_not_run_over() -> None:
    many = (1 << 32) - 1
    spread = Spread(many, 9 * many, 9, START, {8: 5, 9: many - 5})
    packed = hours.pack(Hour(START, (START, None), (START, None), "i:1", gaps=spread), NAMES.__getitem__)
    total, expected = hours.SpreadSum(), Spread()
    for _ in range(3):
        total.include(*packed[7:12])
        expected.include(spread)
    assert total.finish() == expected
