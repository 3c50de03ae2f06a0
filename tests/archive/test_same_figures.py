"""Whichever store an archive is in, its figures are those that the messages give when they are counted one by one.

All zones are tried with all rooms and times where ``KCHAT_TEST_ARCHIVE=all``; a selection of them otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from kchat import archive
from kchat.archive.record import Record
from kchat.archive.span import Span, Zone
from kchat.archive.stats import Stats, compute
from kchat.archive.store import Store
from tests.archive.answers import Known, figures, known, within, without, words
from tests.archive.corpus import BEGIN, CHANGES, DAY, END, HOUR, MESSAGES, MINUTE, ROOMS, Said, corpus
from tests.archive.places import GROUPS, KINDS, PLACES, Place
from tests.cases import check_each

WITHIN = 0.016
"""What percentiles may be off by."""

ZONES = ("UTC", *CHANGES, "Asia/Kolkata", "Asia/Kathmandu")


class Question(NamedTuple):
    """Arguments of ``stats()``, with times in milliseconds since 1970."""

    zone: str
    rooms: Sequence[str] = ()
    since: int | None = None
    until: int | None = None
    top: int = 10


_CUT = BEGIN + 40 * DAY + 7 * HOUR + 23 * MINUTE + 456, END - 33 * DAY - 17 * MINUTE - 1

SPANS: dict[str, tuple[Sequence[str], int | None, int | None]] = {
    "everything": ((), None, None),
    "from within an hour to within another": ((), *_CUT),
    "one room": (("ops",), None, None),
    "two rooms that differ in case, and one that is not there": (("Ops", "ops", "nowhere"), _CUT[0], None),
    "a few minutes of one hour": (
        ("chat",),
        CHANGES["Europe/Berlin"][0] + MINUTE,
        CHANGES["Europe/Berlin"][0] + 11 * MINUTE,
    ),
    "an hour and its neighbours, whole ones": (
        (),
        CHANGES["America/New_York"][1] - HOUR,
        CHANGES["America/New_York"][1] + HOUR,
    ),
    "the day of a change of clocks": (
        (),
        CHANGES["Europe/Berlin"][1] - 2 * HOUR,
        CHANGES["Europe/Berlin"][1] + 21 * HOUR,
    ),
    "until within an hour": (("カフェ", "a room, 'quoted\""), None, _CUT[1]),
    "a room that is not there": (("nowhere",), None, None),
    "no time at all": ((), _CUT[0], _CUT[0]),
    "before everything": ((), None, BEGIN - 1000 * DAY),
    "after everything": ((), END + 1000 * DAY, None),
}

SOME = {
    f"{name}, in {zone}": Question(zone, *span, top=300 if name == "everything" else 25)
    for (name, span), zone in zip(
        SPANS.items(),
        cycle(("Europe/Berlin", "Australia/Lord_Howe", "America/New_York", *ZONES)),
        strict=False,
    )
}
"""Each of the spans in one of the zones."""

ALL = {f"{name}, in {zone}": Question(zone, *span) for name, span in SPANS.items() for zone in ZONES}

THOROUGH = os.environ.get("KCHAT_TEST_ARCHIVE") == "all"

QUESTIONS = {**SOME, **ALL} if THOROUGH else SOME

_EVERYTHING = {"everything, in Berlin": Question("Europe/Berlin")}


@cache
def messages() -> list[Known]:
    """Those of the corpus, in order."""
    return known(corpus())


def some() -> tuple[Said, ...]:
    """Of all of its months, enough to delete some."""
    return corpus() if THOROUGH else corpus()[::4]


# ---- archives


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=pytest.mark.xdist_group(GROUPS[kind])) for kind in KINDS],
)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An archive with all messages, not to be changed."""
    with PLACES[request.param](request, tmp_path_factory.mktemp("archive")) as place:
        assert fill(place, corpus()) == MESSAGES
        yield place


@pytest.fixture
def own(filled: Place, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An archive with the messages of :func:`some`, which the test may change."""
    with PLACES[filled.kind](request, tmp_path) as place:
        fill(place, some())
        yield place


def fill(place: Place, delivered: Sequence[Said], *, texts: bool = True) -> int:
    """Write messages as they were delivered, in batches of different sizes. Returns how many were new."""
    new = start = 0
    sizes = cycle((1, 4000, 50, 10_000, 700))
    with place.store(write=True, texts=texts) as store:
        while start < len(delivered):
            size = next(sizes)
            new += store.write([each.record(store.secret) for each in delivered[start : start + size]])
            start += size
    return new


# ---- comparing


def differences(found: object, wanted: object, path: str = "") -> Iterator[str]:
    """Where two answers differ: dictionaries and sequences all the way down, percentiles within :data:`WITHIN`."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in found.keys() | wanted.keys():
            if key in found and key in wanted:
                yield from differences(found[key], wanted[key], f"{path}.{key}")
            else:
                yield f"{path}: {key!r} is only in {'the wanted' if key in wanted else 'the found'}"
    elif isinstance(found, Sequence) and not isinstance(found, str) and isinstance(wanted, Sequence):
        if len(found) != len(wanted):
            yield f"{path}: {len(found)} of them, not {len(wanted)}"
        for number, pair in enumerate(zip(found, wanted, strict=False)):
            yield from differences(*pair, f"{path}[{number}]")
    elif path.endswith((".p50", ".p95")) and isinstance(found, float) and isinstance(wanted, float):
        if abs(found - wanted) > WITHIN * wanted:
            yield f"{path}: {found!r}, not about {wanted!r}"
    elif found != wanted or str(found) != str(wanted):  # the same moment in another zone is equal, and wrong
        yield f"{path}: {found!r}, not {wanted!r}"


def plain(stats: Stats, where: str) -> dict[str, Any]:
    """Figures as :func:`tests.archive.answers.figures` has them."""
    found = asdict(stats)
    assert found.pop("words") is None
    assert found.pop("archive") == where
    return found


_counted: dict[tuple[str, Question], dict[str, Any]] = {}


def counted(left: Sequence[Known], what: str, question: Question) -> dict[str, Any]:
    """The figures that messages give, counted once for all kinds of stores."""
    key = what, question
    if key not in _counted:
        _counted[key] = figures(left, **question._asdict())
    return _counted[key]


def check(place: Place, left: Sequence[Known], questions: Mapping[str, Question], what: str) -> None:
    """Compare all answers of an archive with those that some messages give; ``what`` names these messages."""

    def one(question: Question) -> None:
        span = Span(tuple(question.rooms), question.since, question.until)
        zone = Zone(question.zone)
        stats = compute(store.facts(span, zone), span, zone, archive=store.where, top=question.top)
        differ = list(differences(plain(stats, store.where), counted(left, what, question)))
        assert not differ, f"{len(differ)} differ: {'; '.join(differ[:5])}"

    with place.store() as store:
        check_each(questions, one)


# ---- tests


def test_every_figure_is_the_one_that_counting_gives(filled: Place) -> None:
    check(filled, messages(), QUESTIONS, "all")


def test_a_program_gets_these_figures_for_its_own_times(filled: Place) -> None:
    if filled.kind == "chdb":
        pytest.skip("an archive in chDB has no name to be opened by")
    zone = ZoneInfo("America/New_York")
    since, until = datetime(2025, 3, 9, 0, 30, tzinfo=zone), datetime(2025, 3, 10, tzinfo=zone)
    with archive.open(filled.name) as kept:
        found = plain(kept.stats(rooms=["ops"], since=since, until=until, zone=zone.key, top=3), kept.where)
        assert kept.rooms() == {room: sum(each.room == room for each in messages()) for room in ROOMS}
        assert list(kept.rooms()) == sorted(ROOMS)
    first, end = (round(moment.timestamp() * 1000) for moment in (since, until))
    wanted = figures(messages(), rooms=["ops"], since=first, until=end, zone=zone.key, top=3)
    assert wanted["messages"] > 10
    assert list(differences(found, wanted)) == []


def test_messages_come_back_as_they_were_first_delivered_and_in_order(filled: Place) -> None:
    first: dict[tuple[str, str], Record] = {}
    rooms, since, until = SPANS["until within an hour"]
    for said in corpus():
        if said.room in rooms:
            record = said.record()
            first.setdefault((record.room, record.key), record)
    wanted = [
        first[each.room, each.key] for each in within(messages(), rooms=rooms, since=since, until=until)
    ]
    with filled.store() as store:
        found = list(store.records(Span(tuple(rooms), since, until)))
    assert len(found) == len(wanted)
    assert [pair for pair in zip(found, wanted, strict=True) if pair[0] != pair[1]][:3] == []


def test_words_are_those_of_the_texts_asked_about(filled: Place) -> None:
    rooms, since, until = SPANS["two rooms that differ in case, and one that is not there"]
    with filled.store() as store:
        found = store.words(Span(tuple(rooms), since, until), 20)
    wanted = words(within(messages(), rooms=rooms, since=since, until=until), {word for word, _ in found})
    assert len(found) == 20
    assert found == sorted(wanted.items(), key=lambda item: (-item[1], item[0]))


def test_figures_after_deleting_are_those_of_what_is_left(own: Place) -> None:
    old, cut = BEGIN + 100 * DAY + 17 * MINUTE + 5, BEGIN + 150 * DAY
    deletions: dict[str, tuple[Callable[[Store], int], Callable[[list[Known]], list[Known]]]] = {
        "somebody of whom there are others in other case": (
            lambda store: store.forget("ada"),
            lambda left: without(left, "ada"),
        ),
        "somebody, in two rooms": (
            lambda store: store.forget("李雷", ("ops", "カフェ")),
            lambda left: without(left, "李雷", ("ops", "カフェ")),
        ),
        "somebody who is not there": (lambda store: store.forget("AdA"), lambda left: without(left, "AdA")),
        "what is old, in a room, up to a time within an hour": (
            lambda store: store.prune(old, ("chat",)),
            lambda left: [each for each in left if each.room != "chat" or each.at >= old],
        ),
        "what is old, up to a whole hour": (
            lambda store: store.prune(cut),
            lambda left: within(left, since=cut),
        ),
    }
    left = known(some())
    for name, (delete, what_is_left) in deletions.items():
        remaining = what_is_left(left)
        with own.store(write=True) as store:
            assert delete(store) == len(left) - len(remaining), name
        check(own, remaining, QUESTIONS if THOROUGH else _EVERYTHING, f"after {name}")
        left = remaining


def test_messages_that_were_deleted_can_be_written_again(own: Place) -> None:
    with own.store(write=True) as store:
        assert store.prune(END + DAY) == len(known(some()))
        assert store.rooms() == {}
    check(own, [], _EVERYTHING, "none")
    again = corpus()[10_000:20_000]
    kept = known(again)
    assert fill(own, again) == len(kept)
    check(own, kept, _EVERYTHING, "written again")


def test_an_archive_without_texts_has_all_figures_but_mentions(
    filled: Place, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    delivered = corpus()[:10_000]
    with PLACES[filled.kind](request, tmp_path) as place:
        fill(place, delivered, texts=False)
        check(place, known(delivered, texts=False), _EVERYTHING, "without texts")


def test_the_comparison_sees_each_difference() -> None:
    one = {"a": (1, {"p50": 100.0}), "b": "x"}
    assert list(differences(one, {"a": [1, {"p50": 101.0}], "b": "x"})) == []
    for other in (
        {"a": (2, {"p50": 100.0}), "b": "x"},
        {"a": (1, {"p50": 102.0}), "b": "x"},
        {"a": (1,), "b": "x"},
        {"a": (1, {"p50": None}), "b": "x"},
        {"a": (1, {"p50": 100.0})},
        {"a": (1, {"p50": 100.0}), "b": None},
    ):
        assert len(list(differences(one, other))) == 1, other
