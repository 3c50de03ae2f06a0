"""The corpus has all that it is there for: figures that are the same in every store say little about an easy one."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from tests.archive.answers import _utc, folded, known
from tests.archive.corpus import BEGIN, CHANGES, DAY, END, HOUR, MESSAGES, PEOPLE, ROOMS, TWICE, corpus


def test_the_corpus_is_as_large_and_as_long_as_it_says() -> None:
    messages = known(corpus())
    assert (len(messages), len(corpus())) == (MESSAGES, MESSAGES + TWICE)
    assert {each.room for each in messages} == set(ROOMS)
    assert {each.name for each in messages} == {*PEOPLE, None}
    assert END - BEGIN > 420 * DAY
    assert max(each.at for each in messages) - min(each.at for each in messages) > 420 * DAY


def test_somebody_talks_in_the_hour_that_is_there_twice_and_around_the_one_that_is_missing() -> None:
    times = {each.at for each in known(corpus())}
    for name, changes in CHANGES.items():
        zone = ZoneInfo(name)
        for change in changes:
            before, after = (_utc(at).astimezone(zone).utcoffset() for at in (change - 1, change))
            assert before is not None
            assert after is not None
            assert abs(after - before) in (timedelta(hours=1), timedelta(minutes=30)), (name, change)
            assert {change - 1, change} <= times
            for hour in (change - HOUR, change):
                assert sum(hour <= at < hour + HOUR for at in times) > 50


def test_messages_are_as_awkward_as_the_corpus_says() -> None:
    delivered, messages = corpus(), known(corpus())
    assert sum(one.received_at < other.received_at for one, other in pairwise(delivered)) > MESSAGES // 2
    together = Counter((each.room, each.at) for each in messages)
    assert sum(many > 1 for many in together.values()) > 1000
    gaps = Counter(other.at - one.at for one, other in pairwise(messages) if one.room == other.room)
    assert min(gaps[1_800_000], gaps[1_799_999]) > 100
    for what, least in {
        "no username": sum(each.username is None for each in delivered),
        "no id": sum(each.id is None for each in delivered),
        "neither id nor position": sum(each.id is None and each.position is None for each in delivered),
        "no time": sum(each.sent_at is None for each in delivered),
        "a clock that is ahead": sum((each.sent_at or 0) > each.received_at for each in delivered),
        "verified": sum(each.is_verified for each in delivered),
        "an account that is not the username": sum(
            each.account is not None and not each.is_verified for each in delivered
        ),
        "another client": sum(not each.by_kchat for each in delivered),
        "hours late": sum(each.received_at - (each.sent_at or each.received_at) > HOUR for each in delivered),
        "a mention": sum(bool(each.mentioned) for each in messages),
    }.items():
        assert least > 500, what
    sent = [each.sent_at for each in delivered if each.sent_at is not None]
    assert sum(one > other for one, other in pairwise(sent)) > 1000
    assert max(Counter(map(folded, PEOPLE)).values()) == 3
