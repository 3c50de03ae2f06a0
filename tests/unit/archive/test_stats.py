"""The figures, of messages that one can count by hand."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kchat.archive.facts import Facts
from kchat.archive.span import Span, Zone
from kchat.archive.spread import Spread
from kchat.archive.stats import VERSION, Day, Mention, Starter, compute
from tests.unit.archive.facts_of import at, facts_of, said, stats_of

TALK = [
    said("2026-03-02 09:00:00", "ada", "hello @bob", verified=True),
    said("2026-03-02 09:00:10", "bob", "hi", verified=True),
    said("2026-03-02 09:00:40", "bob", "@Ada and @nobody?", client="others"),
    said("2026-03-02 10:00:00", "cy", "anybody?"),
    said("2026-03-02 10:29:59", "ada", "@bob yes"),
    said("2026-03-04 23:59:59", "ada", "night"),
    said("2026-03-05 00:00:00", None, "raw"),
]


def test_totals_and_shares() -> None:
    stats = stats_of(TALK)
    assert (stats.messages, stats.people, stats.days, stats.per_day) == (7, 3, 4, 7 / 4)
    assert (stats.first, stats.last) == (
        datetime(2026, 3, 2, 9, tzinfo=UTC),
        datetime(2026, 3, 5, tzinfo=UTC),
    )
    assert [(each.username, each.messages, each.share) for each in stats.top] == [
        ("ada", 3, 3 / 7),
        ("bob", 2, 2 / 7),
        ("cy", 1, 1 / 7),
        (None, 1, 1 / 7),
    ]
    assert (stats.verified, stats.verified_share, stats.clients) == (2, 2 / 7, {"kchat": 6, "others": 1})
    assert (stats.top[0].characters, stats.top[0].verified, stats.top[0].conversations) == (23, 1, 2)


def test_gaps_replies_and_conversations() -> None:
    stats = stats_of(TALK)
    in_seconds = [10, 30, 3560, 1799, 221_400, 1]
    assert stats.gaps.count == 6
    # 10:29:59 on the 2nd to 23:59:59 on the 4th is 61.5 hours.
    assert stats.gaps.mean == pytest.approx(sum(in_seconds) / 6)
    assert stats.gaps.longest == 221_400
    assert stats.gaps.longest_at == datetime(2026, 3, 4, 23, 59, 59, tzinfo=UTC)
    assert stats.gaps.p50 == pytest.approx(30, rel=0.016)  # the third of six
    assert stats.gaps.p95 == pytest.approx(221_400, rel=0.016)
    # A reply is from somebody else and comes within half an hour: bob's first, ada's last but one, the nameless one.
    assert (stats.replies.count, stats.replies.mean) == (3, (10 + 1799 + 1) / 3)
    # 9:00:40 to 10:00 is a pause; 29:59 minutes are not.
    assert stats.conversations == 3
    assert list(stats.starters) == [Starter("ada", 2), Starter("cy", 1)]


def test_a_pause_of_exactly_thirty_minutes_begins_a_conversation_and_is_no_reply() -> None:
    stats = stats_of([said(0, "ada"), said(30 * 60_000, "bob")])
    assert (stats.conversations, stats.replies.count, stats.gaps.count) == (2, 0, 1)
    stats = stats_of([said(0, "ada"), said(30 * 60_000 - 1, "bob")])
    assert (stats.conversations, stats.replies.count) == (1, 1)


def test_mentions_are_of_people_who_wrote_and_not_of_oneself() -> None:
    stats = stats_of([*TALK, said("2026-03-05 01:00", "ada", "@ADA @bob me")])
    assert list(stats.mentions) == [Mention("ada", "bob", 3), Mention("bob", "ada", 1)]


def test_of_names_that_differ_in_case_alone_the_most_active_is_mentioned() -> None:
    stats = stats_of([said(0, "Bob"), said(1, "bob"), said(2, "bob"), said(3, "ada", "@BOB")])
    assert list(stats.mentions) == [Mention("ada", "bob", 1)]


def test_days_and_weeks_are_without_gaps_and_tell_new_people_from_returning_ones() -> None:
    stats = stats_of(TALK, firsts={"cy": at("2026-02-23 10:00")})
    assert list(stats.per_date) == [
        Day(date(2026, 3, 2), 5, 3, 2, 1),
        Day(date(2026, 3, 3), 0, 0, 0, 0),
        Day(date(2026, 3, 4), 1, 1, 0, 1),
        Day(date(2026, 3, 5), 1, 0, 0, 0),  # nobody has the name None
    ]
    assert list(stats.per_week) == [Day(date(2026, 3, 2), 7, 3, 2, 1)]


def test_a_person_is_new_on_one_day_and_in_the_week_of_it() -> None:
    stats = stats_of([said("2026-03-08 23:00", "ada"), said("2026-03-09 01:00", "ada")])
    assert [(each.new, each.returning) for each in stats.per_date] == [(1, 0), (0, 1)]
    assert [(each.date.day, each.new, each.returning) for each in stats.per_week] == [(2, 1, 0), (9, 0, 1)]


def test_the_busiest_minute_is_the_first_of_the_busiest() -> None:
    stats = stats_of(TALK)
    assert stats.busiest is not None
    assert (stats.busiest.at, stats.busiest.messages) == (datetime(2026, 3, 2, 9, tzinfo=UTC), 3)
    both = [said("2026-03-02 10:05:00"), said("2026-03-02 10:04:59"), said("2026-03-01 10:05:30")]
    busiest = stats_of(sorted(both, key=lambda each: each.at)).busiest
    assert busiest is not None
    assert busiest.at == datetime(2026, 3, 1, 10, 5, tzinfo=UTC)


def test_lists_have_the_length_that_was_asked_for() -> None:
    stats = stats_of(TALK, top=1, words=[("hello", 2)])
    assert [len(each) for each in (stats.top, stats.starters, stats.mentions)] == [1, 1, 1]
    assert stats.words is not None
    assert (stats.words[0].word, stats.words[0].count) == ("hello", 2)


def test_without_messages_there_are_figures_all_the_same() -> None:
    stats = stats_of([])
    assert (stats.messages, stats.people, stats.days, stats.per_day, stats.verified_share) == (0, 0, 0, 0, 0)
    assert (stats.first, stats.last, stats.busiest, stats.gaps.mean) == (None, None, None, None)
    assert (list(stats.per_date), list(stats.per_week), sum(stats.per_hour)) == ([], [], 0)
    assert json.loads(json.dumps(stats.to_json()))["top"] == []


# ---- clocks


def counted_plainly(moments: list[int], zone: str) -> tuple[dict[date, int], list[list[int]]]:
    """Messages by date, and by weekday and hour, by asking Python for each."""
    dates: dict[date, int] = {}
    heat = [[0] * 24 for _ in range(7)]
    for each in moments:
        there = datetime.fromtimestamp(each / 1000, ZoneInfo(zone))
        dates[there.date()] = dates.get(there.date(), 0) + 1
        heat[there.weekday()][there.hour] += 1
    return dates, heat


ZONES = {
    # Where in a year the clocks change, and what was odd there.
    "Europe/Berlin": ("2026-03-28", "2026-10-24"),
    "America/New_York": ("2026-03-07", "2026-10-31"),
    "Australia/Lord_Howe": ("2026-04-04", "2026-10-03"),  # by half an hour
    "Asia/Kolkata": ("2026-01-01", "2026-06-01"),  # half an hour off
    "Asia/Kathmandu": ("2026-01-01", "2026-06-01"),  # a quarter off
    "Pacific/Apia": ("2011-12-29", "2011-04-01"),  # a date is missing
    "Africa/Casablanca": ("2026-02-14", "2026-03-21"),  # back for Ramadan
    "UTC": ("2026-01-01", "2026-06-01"),
}


@pytest.mark.parametrize("zone", ZONES)
def test_days_and_hours_are_those_of_the_zones_clocks_when_they_change_too(zone: str) -> None:
    moments = sorted(
        at(day) + minute * 60_000 + minute % 7 * 8000
        for day in ZONES[zone]
        for minute in range(0, 4 * 24 * 60, 7)
    )
    stats = stats_of([said(each) for each in moments], zone)
    dates, heat = counted_plainly(moments, zone)
    assert {each.date: each.messages for each in stats.per_date if each.messages} == dates
    assert [list(row) for row in stats.heat] == heat
    assert list(stats.per_hour) == [sum(row[hour] for row in heat) for hour in range(24)]


@settings(max_examples=30)
@given(
    st.lists(st.integers(at("2005-01-01"), at("2027-12-31")), min_size=1, max_size=30),
    st.sampled_from(sorted(ZONES)),
)
def test_no_message_is_on_another_day_than_its_zones_calendar_says(moments: list[int], zone: str) -> None:
    facts = facts_of([said(each) for each in sorted(set(moments))], Zone(zone))
    stats = compute(facts, Span(), Zone(zone), archive="")
    dates, heat = counted_plainly(sorted(set(moments)), zone)
    assert {each.date: each.messages for each in stats.per_date if each.messages} == dates
    assert [list(row) for row in stats.heat] == heat
    assert sum(each.messages for each in stats.per_week) == stats.messages == len(set(moments))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=200))
def test_percentiles_are_the_nearest_rank_within_1_6_per_cent(gaps: list[int]) -> None:
    facts = Facts()
    for each in gaps:
        facts.gaps.add(each, 0)
    for percent in (50, 95):
        rank = -(-len(gaps) * percent // 100)
        exact = sorted(gaps)[rank - 1]
        told = facts.gaps.percentile(percent)
        assert told is not None
        assert abs(Fraction(told) - exact) <= Fraction(16, 1000) * exact


# ---- JSON


def test_the_json_has_a_version_and_only_what_json_has() -> None:
    stats = stats_of(TALK, "Europe/Berlin", span=Span(("chat",), at("2026-03-01"), at("2026-04-01")))
    told = json.loads(json.dumps(stats.to_json()))
    assert told["version"] == VERSION
    assert list(told)[:2] == ["version", "archive"]
    assert told["first"] == "2026-03-02T10:00:00.000+01:00"
    assert told["until"] == "2026-04-01T02:00:00.000+02:00"
    assert told["per_date"][0]["date"] == "2026-03-02"
    assert told["busiest"] == {"at": "2026-03-02T10:00:00.000+01:00", "messages": 3}
    assert told["words"] is None


def test_the_share_within_the_longest_time_is_told_as_the_longest() -> None:
    alone = stats_of([said("2026-01-01 09:00:00"), said("2026-01-01 09:01:00", "bob")]).replies
    assert (alone.p50, alone.p95, alone.longest) == (60.0, 60.0, 60.0)
    spread = Spread()
    for number in range(1, 21):
        spread.add(number * 10_000, number)
    assert spread.percentile(100) == 200_000
    assert spread.percentile(95) == pytest.approx(190_000, rel=0.016)
