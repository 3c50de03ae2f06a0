"""Of people who mention many others, the most frequent pairs are exact in every store, and bounded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count as counted
from pathlib import Path

import pytest

from kchat.archive import facts
from kchat.archive.facts import Name, most_mentions
from kchat.archive.span import Span, Zone
from kchat.archive.stats import compute
from tests.archive.counting import MONDAY, count, mentioning
from tests.archive.places import GROUPS, KINDS, PLACES, Place

UTC = Zone("UTC")


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.xdist_group(GROUPS[kind])) for kind in KINDS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with PLACES[request.param](request, tmp_path) as found:
        yield found


def test_the_most_frequent_of_many_pairs_are_exact(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    records = mentioning()
    spans = (Span(), Span((), MONDAY + 1_234_567, MONDAY + 100_000_000))
    every = [count(records, span, UTC) for span in spans]
    monkeypatch.setattr(facts, "MOST_MENTIONS", 8)
    with place.store(write=True) as store:
        store.write(records)
        for span, whole in zip(spans, every, strict=True):
            some = store.facts(span, UTC)
            assert 8 <= len(some.mentions) < len(whole.mentions)
            wanted, found = (compute(each, span, UTC, archive="", top=8).mentions for each in (whole, some))
            assert found == wanted


def test_no_more_pairs_are_read_than_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows() -> Iterator[tuple[Name, str, int]]:
        yield from (("ada", "ada", 9), ("bob", "ada", 7), ("bob", "nobody", 7), ("ada", "bob", 5))
        yield from (("ada", "eve", 5), ("bob", "eve", 5))
        for _ in counted():
            pytest.fail("one too many")

    monkeypatch.setattr(facts, "MOST_MENTIONS", 2)
    assert most_mentions(rows(), ["ada", "bob", "Eve", None]) == {
        ("bob", "ada"): 7,
        ("ada", "bob"): 5,
        ("ada", "eve"): 5,
    }


def test_a_mention_by_somebody_who_came_after_people_were_counted_is_left_out() -> None:
    rows = [("eve", "ada", 3), (None, "ada", 2), ("bob", "ada", 1)]
    assert most_mentions(rows, ["ada", "bob"]) == {("bob", "ada"): 1}
