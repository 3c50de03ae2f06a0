"""Predicates of messages, how the commands' options become one, and where a subscriber ends that does not follow."""

from __future__ import annotations

import time
from itertools import product
from typing import Any

import pytest

from kchat import Message, SettingsError
from kchat.client.ending import Ending
from kchat.client.filters import all_of, any_of, choose, is_mine, is_verified, matching, none_of, sent_by
from kchat.transports.pubsub.messages import Delivery as Published


def said(username: str, text: str = "", account: str | None = None) -> Message:
    return Message.from_body(Message.compose(username, text).encode(), account=account)


def test_filters_combine() -> None:
    ada, bob = sent_by("ada"), sent_by("bob", "bo")
    found = [
        (each(said("ada")), each(said("bob")), each(said("ci")))
        for each in (any_of(ada, bob), all_of(ada, bob), none_of(ada, bob), none_of(), all_of(), any_of())
    ]
    yes, no = (True,) * 3, (False,) * 3
    assert found == [(True, True, False), no, (False, False, True), yes, yes, no]


def test_a_name_that_somebody_else_uses_is_not_mine() -> None:
    mine = is_mine("ada", "guest")
    assert mine(said("ada"))
    assert mine(said("ada", account="guest"))
    assert not mine(said("ada", account="eve"))
    assert not mine(said("bob", account="guest"))
    assert is_mine("ada")(said("ada", account="eve"))


def test_a_body_that_is_not_a_message_is_under_no_name() -> None:
    raw = Message.from_body(b"\xff raw text")
    assert not sent_by("", "?")(raw)
    assert matching("raw")(raw)
    assert not is_verified(raw)


def test_a_pattern_without_special_characters_finds_what_re2_finds() -> None:
    texts = ("deploy", "Deploy now", "de ploy", "", "übung", "a\nb")
    patterns = ("deploy", "", "ü", "b", " ", "\n")
    plain = [matching(pattern)(said("ada", text)) for pattern, text in product(patterns, texts)]
    by_re2 = [matching(f"(?:{pattern})")(said("ada", text)) for pattern, text in product(patterns, texts)]
    assert plain == by_re2


def test_only_what_is_named_is_inverted() -> None:
    messages = [said(name, text, account) for name, text, account in [
        ("ada", "x", "ada"), ("ada", "y", None), ("bob", "x", "bob"), ("ci", "x", None)
    ]]  # fmt: skip

    def chosen(**options: Any) -> list[int]:
        where = choose(**options)
        assert where is not None
        return [number for number, message in enumerate(messages) if where(message)]

    assert chosen(usernames=["ada"], patterns=["x"]) == [0]
    assert chosen(usernames=["ada"], patterns=["x"], inverted=True) == [1, 2, 3]
    assert chosen(usernames=["ci"], inverted=True, only_verified=True) == [0, 2]
    assert chosen(usernames=["ci"], inverted=True, ignored=is_mine("ada")) == [2]
    assert choose() is None
    with pytest.raises(SettingsError, match="nothing to invert"):
        choose(inverted=True, only_verified=True)


@pytest.mark.parametrize("pattern", ["(", "a{1001}", r"(.)\1", "a(?!b)", "\udc80.", "(a{100}){100}"])
def test_a_pattern_that_is_not_valid_is_refused(pattern: str) -> None:
    with pytest.raises(SettingsError, match=r"is not valid: .+") as caught:
        matching(pattern)
    assert "wiki/Syntax" in caught.value.hint


def test_an_end_counts_down_what_is_held() -> None:
    ending = Ending(follow=False)
    assert ending.is_to_count(7.0)
    ending.count(7.0, 2)
    assert not ending.is_to_count(7.0)
    ending.take()
    assert (ending.takes_more, ending.is_reached(7.0)) == (True, False)
    ending.take()
    assert (ending.takes_more, ending.is_reached(7.0)) == (False, True)
    assert ending.is_to_count(8.0), "on another connection"


def test_what_was_removed_meanwhile_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("kchat.client.ending.monotonic", lambda: now[0])
    ending = Ending(follow=False)
    ending.count(7.0, 5)
    ending.take()
    assert not ending.is_to_count(7.0)
    now[0] += 2.5
    assert ending.is_to_count(7.0), "nothing has come for a while"
    ending.count(7.0, 9)
    assert ending.takes_more
    now[0] += 2.5
    ending.count(7.0, 0)
    assert ending.is_reached(7.0)


def test_where_the_number_is_not_known_quiet_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("kchat.client.ending.monotonic", lambda: now[0])
    ending = Ending(follow=False)
    ending.count(7.0, None)
    now[0] += 1.5
    ending.take()
    now[0] += 1.5
    assert not ending.is_reached(7.0)
    assert ending.seconds == pytest.approx(0.5)
    now[0] += 1.0
    assert ending.is_reached(7.0)
    assert not ending.is_to_count(7.0)


def test_a_moment_that_has_passed_leaves_out_what_came_later() -> None:
    ending = Ending(time.time() - 60)
    early, late, unknown = (
        Message.from_body(b"x", sent_at=None if age is None else Message.compose("a", "b").sent_at)
        for age in (None, 0, None)
    )
    delivery: Any = object()
    assert not ending.is_before(delivery, late)
    assert ending.is_before(delivery, early)
    assert ending.is_before(delivery, unknown)
    assert Ending(time.time() + 60).is_before(delivery, late)
    for age, before in ((120, True), (0, False)):
        published: Any = Published(None, b"x", {}, 1, {"publish_time": time.time() - age})
        assert ending.is_before(published, late) is ending.is_before(published, early) is before
