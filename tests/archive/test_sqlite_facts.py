"""An SQLite archive's facts are those that counting its messages one by one gives, however they were written."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kchat.archive.record import Record
from kchat.archive.span import HOUR, Span, Zone
from kchat.archive.sqlite import late
from kchat.archive.sqlite.store import SqliteStore
from tests.archive.counting import MONDAY, count, differences, ordered, record, spans, talks

ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati")

all_spans = Span()

IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A folder that waits for no disk, for hundreds of archives."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "archive.db", write=True) as opened:
        yield opened


def batches(records: Sequence[Record], size: int) -> Iterable[Sequence[Record]]:
    return (records[at : at + size] for at in range(0, len(records), size))


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), records=talks(), size=st.integers(1, 12), span=spans(), zone=st.sampled_from(ZONES))
def test_facts_are_those_of_counting_whatever_the_order_and_the_batches(
    data: st.DataObject, records: list[Record], size: int, span: Span, zone: str
) -> None:
    order = data.draw(st.permutations(records))
    with (
        TemporaryDirectory(dir=IN_MEMORY) as folder,
        SqliteStore(Path(folder) / "archive.db", write=True) as store,
    ):
        assert sum(store.write(batch) for batch in batches(order, size)) == len(records)
        assert store.write(order) == 0  # all of it again
        assert differences(store.facts(span, Zone(zone)), count(records, span, Zone(zone))) == {}
        assert differences(store.facts(all_spans, Zone(zone)), count(records, all_spans, Zone(zone))) == {}
        assert list(store.records(span)) == [
            each
            for each in ordered(records)
            if (not span.rooms or each.room in span.rooms)
            and (span.since is None or each.at >= span.since)
            and (span.until is None or each.at < span.until)
        ]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    records=talks(),
    name=st.sampled_from(["ada", "Eve"]),
    before=st.integers(MONDAY, MONDAY + 5 * HOUR),
    rooms=st.sampled_from([(), ("chat",), ("ops", "nowhere")]),
)
def test_facts_after_deleting_are_those_of_what_is_left(
    records: list[Record], name: str, before: int, rooms: tuple[str, ...]
) -> None:
    def meant(each: Record) -> bool:
        return not rooms or each.room in rooms

    folded = name.casefold()
    left = [each for each in records if not (meant(each) and each.username == name)]
    named = [
        each._replace(mentions=tuple(mention for mention in each.mentions if mention != folded))
        if meant(each)
        else each
        for each in left
    ]
    young = [each for each in named if not (meant(each) and each.at < before)]
    with (
        TemporaryDirectory(dir=IN_MEMORY) as folder,
        SqliteStore(Path(folder) / "archive.db", write=True) as store,
    ):
        for batch in batches(records, 7):
            store.write(batch)
        assert store.forget(name, rooms) == len(records) - len(left)
        assert differences(store.facts(all_spans, Zone("UTC")), count(named, all_spans, Zone("UTC"))) == {}
        assert store.prune(before, rooms) == len(named) - len(young)
        assert differences(store.facts(all_spans, Zone("UTC")), count(young, all_spans, Zone("UTC"))) == {}
        assert list(store.records(all_spans)) == ordered(young)
        # The names that went are new ones when they are back.
        store.write(records)
        again = store.facts(all_spans, Zone("UTC"))
        assert {who: person.messages for who, person in again.people.items()} == {
            who: person.messages for who, person in count(records, all_spans, Zone("UTC")).people.items()
        }


def test_late_messages_of_a_busy_hour_are_put_between_their_neighbours(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hour is not counted anew: that would cost what is in it, for each batch."""
    numbers = random.Random(15)
    records = [
        record(number, MONDAY + numbers.randrange(HOUR), username=numbers.choice(["ada", "bob"]))
        for number in range(3000)
    ]
    store.write(records[:1000])
    counted = []
    monkeypatch.setattr(late, "hours_of", lambda _: counted.append(1))
    middle = [each for each in records[1000:] if not _in_the_longest_gap(each, records[:1000])]
    for batch in batches(middle, 100):
        store.write(batch)
    assert counted == []
    assert (
        differences(
            store.facts(all_spans, Zone("UTC")), count([*records[:1000], *middle], all_spans, Zone("UTC"))
        )
        == {}
    )


def _in_the_longest_gap(each: Record, others: Sequence[Record]) -> bool:
    times = sorted(other.at for other in others)
    longest = sorted(pairwise(times), key=lambda pair: pair[0] - pair[1])[:60]
    return any(before <= each.at <= after for before, after in longest)


def test_a_late_message_in_the_longest_gap_leaves_the_next_longest(store: SqliteStore) -> None:
    times = (0, 60_000, 300_000, 530_000, 535_000)
    records = [record(number, MONDAY + at) for number, at in enumerate(times)]
    store.write(records)
    assert store.facts(all_spans, Zone("UTC")).gaps.longest == 240_000
    late_one = record(9, MONDAY + 180_000)
    store.write([late_one])
    facts = store.facts(all_spans, Zone("UTC"))
    assert (facts.gaps.longest, facts.gaps.longest_at) == (230_000, MONDAY + 530_000)
    assert differences(facts, count([*records, late_one], all_spans, Zone("UTC"))) == {}


def test_thousands_of_late_messages_in_one_millisecond_are_not_looked_through(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender chooses what its messages say of their time, and their ids."""
    numbers = random.Random(7)
    records = [record(number, MONDAY + 5, username=numbers.choice(["ada", "bob"])) for number in range(3000)]
    numbers.shuffle(records)
    monkeypatch.setattr(late, "hours_of", None)
    steps: list[int] = []
    store._file.db.set_progress_handler(lambda: steps.append(1), 1000)
    costs = []
    for batch in batches(records, 300):
        store.write(batch)
        costs.append(len(steps))
        steps.clear()
    assert costs[-1] < 2 * costs[1]
    assert differences(store.facts(all_spans, Zone("UTC")), count(records, all_spans, Zone("UTC"))) == {}


def test_an_empty_archive_has_empty_facts(store: SqliteStore) -> None:
    assert differences(store.facts(all_spans, Zone("UTC")), count([], all_spans, Zone("UTC"))) == {}
    assert store.rooms() == {}
    assert list(store.records(all_spans)) == []


def test_a_day_of_thousands_in_one_minute_adds_up(store: SqliteStore) -> None:
    """Counts of steps stand densely in the file then, and are added up as long integers."""
    numbers = random.Random(3)
    records = [
        record(
            number,
            MONDAY + number % 5 * HOUR + numbers.randrange(60_000),
            username=numbers.choice(["ada", "bob"]),
        )
        for number in range(6000)
    ]
    for batch in batches(records, 500):
        store.write(batch)
    assert differences(store.facts(all_spans, Zone("UTC")), count(records, all_spans, Zone("UTC"))) == {}
