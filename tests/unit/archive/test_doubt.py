"""When a store has to look whether messages are there already."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from kchat import Message
from kchat.archive import doubt
from kchat.archive.doubt import Doubt
from kchat.archive.record import Record

PREFETCH = 10


class Asked:
    """A doubt, asked about messages that come now."""

    def __init__(self, *, shared: bool = False) -> None:
        self._doubt = Doubt(PREFETCH, shared=shared)
        self.now = time.time_ns() // 1_000_000 + 10_000

    def looks(self, *messages: Message, connection: object = 1) -> bool:
        records = [Record.of(message, "chat", self.now) for message in messages]
        return self._doubt.looks_again([(each, self.now) for each in messages], records, connection)

    def compose(self, ago: int = 0, *, id_: str | None = None) -> Message:
        sent_at = datetime.fromtimestamp((self.now - ago) / 1000, UTC)
        return Message.compose("ada", "hello", sent_at=sent_at, id=id_)

    def settle(self, connection: object = 1) -> None:
        """Have as many come as may come again."""
        self.looks(*(self.compose() for _ in range(PREFETCH)), connection=connection)


@pytest.fixture
def asked() -> Asked:
    found = Asked()
    found.settle()
    return found


def test_what_was_just_sent_is_new(asked: Asked) -> None:
    assert not asked.looks(asked.compose(), asked.compose(ago=500))


def test_what_comes_first_may_have_come_by_the_connection_before(asked: Asked) -> None:
    assert asked.looks(asked.compose(), connection=2)
    asked.settle(connection=2)
    assert not asked.looks(asked.compose(), connection=2)


def test_what_is_delivered_again_may_be_there(asked: Asked) -> None:
    assert asked.looks(asked.compose(), asked.compose()._replace(redelivered=True))


def test_what_was_sent_twice_may_be_there(asked: Asked) -> None:
    message = asked.compose()
    assert not asked.looks(message)
    assert asked.looks(message)
    twice = asked.compose()
    assert asked.looks(twice, twice)


def test_what_was_sent_before_it_began_may_be_there(asked: Asked) -> None:
    assert asked.looks(asked.compose(ago=60_000))


def test_of_a_clock_that_is_ahead_nothing_is_certain(asked: Asked) -> None:
    assert asked.looks(asked.compose(ago=-60_000))


def test_without_a_time_nothing_is_certain(asked: Asked) -> None:
    assert asked.looks(Message.from_body(b'{"username":"ada","message":"hello","id":"1"}'))


def test_what_others_share_may_be_there() -> None:
    shared = Asked(shared=True)
    shared.settle()
    assert shared.looks(shared.compose())


def test_what_is_forgotten_may_be_there(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubt, "_REMEMBERED", 5)
    first = asked.compose()
    assert not asked.looks(first)
    asked.now += 5_000
    assert not asked.looks(*(asked.compose() for _ in range(6)))
    asked.now += 5_000
    assert asked.looks(first), "it is older than what is remembered"
