"""Messages that come twice."""

from __future__ import annotations

from kchat.client.deduplication import REMEMBERED, Deduplicator
from kchat.message import Message


def test_a_body_that_comes_again_is_a_repeat() -> None:
    repeats, message = Deduplicator(), Message.compose("ada", "hello")
    assert not repeats.has(message)
    assert repeats.has(Message.from_body(message.body))
    assert not repeats.has(Message.compose("ada", "hello"))


def test_messages_without_an_id_are_never_duplicates() -> None:
    repeats, message = Deduplicator(), Message.from_body(b'{"username":"ada","message":"hello"}')
    assert [repeats.has(message), repeats.has(message)] == [False, False]


def test_the_window_is_at_least_its_size_and_at_most_twice_that() -> None:
    repeats = Deduplicator()
    messages = [Message.compose("ada", str(number)) for number in range(2 * REMEMBERED + 1)]
    for number, message in enumerate(messages):
        assert not repeats.has(message)
        assert repeats.has(messages[max(0, number - REMEMBERED + 1)])
    assert not repeats.has(messages[0])


def test_after_forgetting_nothing_was_here_before() -> None:
    repeats, message = Deduplicator(), Message.compose("ada", "hello")
    repeats.has(message)
    repeats.forget()
    assert not repeats.has(message)
