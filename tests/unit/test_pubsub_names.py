"""Any name has a legal Pub/Sub id, no two names have the same, and an id leads back to its name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kchat.transports.pubsub.names import MAX_ID, from_id, queue_topic_id, to_id

LEGAL = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
"""https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names"""

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
tricky = st.text("ab1%234AF. gox-", min_size=1, max_size=12)


@given(names | tricky)
def test_every_id_is_legal(name: str) -> None:
    assert LEGAL.fullmatch(to_id(name))
    assert LEGAL.fullmatch(queue_topic_id(name))


@given(names | tricky)
def test_an_id_that_was_not_cut_leads_back(name: str) -> None:
    identifier = to_id(name)
    if len(name.encode()) <= 80:
        assert from_id(identifier) == name
    else:
        assert from_id(identifier) in (None, name)


@given(st.sets(names | tricky, min_size=2, max_size=40))
def test_no_two_names_share_an_id(several: set[str]) -> None:
    ids = [to_id(name) for name in several] + [queue_topic_id(name) for name in several]
    assert len(set(ids)) == 2 * len(several)


@given(tricky)
def test_no_name_takes_the_id_of_another(name: str) -> None:
    identifier = to_id(name)
    if identifier != name:
        # The id is itself a name that somebody may choose.
        assert to_id(identifier) != identifier


@pytest.mark.parametrize(
    "name", ["chat", "kchat-chat-ada-0f3a", "a.b_c~d+e", "Googly", "by50%", "a%zz", "a%41", "x" * 255]
)
def test_a_legal_name_stays_as_it_is(name: str) -> None:
    assert to_id(name) == name
    assert from_id(name) == name


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("my room", "my%20room"),
        ("a/b", "a%2Fb"),
        ("café", "caf%C3%A9"),
        ("a%20b", "a%2520b"),
        ("a%%b", "a%25%25b"),
        ("1st", "x%%1st"),
        ("googol", "x%%googol"),
        ("ab", "x%%ab"),
        ("漢", "x%%%E6%BC%A2"),
    ],
)
def test_any_other_is_escaped(name: str, identifier: str) -> None:
    assert to_id(name) == identifier
    assert from_id(identifier) == name


def test_long_names_that_differ_at_the_end_only_are_told_apart() -> None:
    first, second = to_id("é" * 254 + "a"), to_id("é" * 254 + "b")
    assert first != second
    assert len(first) == len(second) <= MAX_ID
    assert from_id(first) is None
    assert to_id("y" * 256) != to_id("y" * 257)


def test_a_queue_and_an_exchange_of_one_name_do_not_meet() -> None:
    assert queue_topic_id("jobs") == "queue%%jobs"
    assert to_id("queue%%jobs") != "queue%%jobs"


@pytest.mark.parametrize("name", ["", "\ud800"])
def test_an_invalid_name_is_refused(name: str) -> None:
    for make in (to_id, queue_topic_id):
        with pytest.raises(ValueError, match=r"empty|surrogate"):
            make(name)
