"""What becomes of a message between its publication and its receipt, by what the broker says of it."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import pytest

from kchat.client import in_flight
from kchat.client.in_flight import InFlight, Receipt
from kchat.errors import Rejected, Returned
from kchat.message import Message


class Flight:
    """Messages ``0``, ``1``, ... with the delivery tags 1, 2, ..."""

    def __init__(self, count: int, *, supports_mandatory: bool = True, mandatory: bool = False) -> None:
        self.in_flight = InFlight("here", supports_mandatory=supports_mandatory, mandatory=mandatory)
        self.receipts: deque[Receipt] = deque()
        self.messages = [Message.compose("ada", str(number)) for number in range(count)]
        self.tags = [self.in_flight.add(message, self.receipts) for message in self.messages]

    @property
    def settled(self) -> list[tuple[str, bool | None, type | None]]:
        return [
            (each.message.text, each.routed, None if each.error is None else type(each.error))
            for each in self.receipts
        ]

    def returned(self, number: int) -> None:
        message = SimpleNamespace(properties={"message_id": self.messages[number].id})
        self.in_flight.on_return(Exception(), "chat", "", message)

    def given_back(self) -> list[tuple[int, int, str]]:
        again = iter(self.in_flight.next_given_back, None)
        return [(tag, place, message.text) for tag, place, message in again]

    def published_again(self) -> list[tuple[int, int, str]]:
        again = iter(self.in_flight.next_again, None)
        return [(tag, place, message.text) for tag, place, message in again]


def test_tags_and_places_count_from_one() -> None:
    assert Flight(3).tags == [(1, 1), (2, 2), (3, 3)]


def test_a_confirmation_of_several_settles_all_up_to_its_tag_and_that_too() -> None:
    flight = Flight(5)
    flight.in_flight.on_ack(3, multiple=True)
    assert flight.settled == [("0", True, None), ("1", True, None), ("2", True, None)]
    assert (len(flight.in_flight), flight.in_flight.awaited) == (2, 2)
    assert flight.in_flight.bytes == sum(len(message.body) for message in flight.messages[3:])


def test_a_confirmation_of_one_settles_that_one() -> None:
    flight = Flight(3)
    flight.in_flight.on_ack(2, multiple=False)
    assert flight.settled == [("1", True, None)]


@pytest.mark.parametrize("multiple", [True, False])
def test_a_tag_that_is_none_of_ours_confirms_nothing(multiple: bool) -> None:
    flight = Flight(2)
    flight.in_flight.on_ack(0, multiple=multiple)
    flight.in_flight.on_ack(2, multiple=True)
    flight.in_flight.on_ack(2, multiple=multiple)
    assert [text for text, _, _ in flight.settled] == ["0", "1"]


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "_TRY_AGAIN", 0.0)


@pytest.mark.usefixtures("_at_once")
def test_what_the_broker_gives_back_every_time_is_not_confirmed() -> None:
    flight = Flight(3)
    flight.in_flight.on_ack(3, multiple=False)
    for last in (2, 5, 7, 9):
        assert flight.settled == [("2", True, None)]
        flight.in_flight.on_nack(last, multiple=True)
        if last == 2:
            assert (len(flight.in_flight), flight.in_flight.awaited) == (2, 0)
            first = flight.given_back()
            assert first == [(4, 1, "0"), (5, 2, "1")]
        else:
            flight.given_back()
    assert flight.settled[1:] == [("0", None, Rejected), ("1", None, Rejected)]
    assert [receipt.confirmed for receipt in flight.receipts] == [True, False, False]
    assert len(flight.in_flight) == flight.in_flight.bytes == 0


@pytest.mark.usefixtures("_at_once")
def test_what_the_broker_gives_back_once_is_published_again_and_confirmed() -> None:
    flight = Flight(2)
    flight.in_flight.on_nack(1, multiple=False)
    assert flight.given_back() == [(3, 1, "0")]
    flight.in_flight.on_ack(3, multiple=True)
    assert flight.settled == [("1", True, None), ("0", True, None)]


def test_what_was_given_back_waits_and_comes_first_on_a_new_channel() -> None:
    flight = Flight(2)
    flight.in_flight.on_nack(1, multiple=False)
    assert flight.given_back() == []
    assert 0 < (flight.in_flight.given_back_for or 0) <= 0.1
    flight.in_flight.restart()
    assert flight.published_again() == [(1, 1, "0"), (2, 2, "1")]
    assert flight.in_flight.given_back_for is None


def test_where_the_broker_does_not_say_so_nobody_knows_who_was_listening() -> None:
    flight = Flight(1, supports_mandatory=False)
    flight.in_flight.on_ack(1, multiple=False)
    assert flight.settled == [("0", None, None)]


@pytest.mark.parametrize(("mandatory", "error"), [(False, None), (True, Returned)])
def test_a_message_that_was_returned_was_not_heard(mandatory: bool, error: type | None) -> None:
    flight = Flight(3, mandatory=mandatory)
    flight.returned(1)
    flight.in_flight.on_ack(3, multiple=True)
    assert flight.settled == [("0", True, None), ("1", False, error), ("2", True, None)]


def test_on_a_new_channel_all_are_published_again_in_their_order_under_new_tags_and_their_own_places() -> (
    None
):
    flight = Flight(4)
    flight.in_flight.on_ack(1, multiple=False)
    flight.in_flight.restart()
    assert flight.published_again() == [(1, 2, "1"), (2, 3, "2"), (3, 4, "3")]
    flight.in_flight.on_ack(3, multiple=True)
    assert [text for text, _, _ in flight.settled] == ["0", "1", "2", "3"]
    assert (len(flight.in_flight), flight.in_flight.bytes) == (0, 0)


def test_what_is_given_up_is_not_published_again_and_the_next_stream_has_another_name() -> None:
    flight = Flight(2)
    before = flight.in_flight.stream
    flight.in_flight.clear()
    assert flight.published_again() == []
    assert (len(flight.in_flight), flight.in_flight.bytes, list(flight.receipts)) == (0, 0, [])
    assert flight.in_flight.stream != before
    assert flight.in_flight.add(flight.messages[0], flight.receipts) == (1, 1)


def test_each_room_keeps_a_stream_and_places_of_its_own() -> None:
    window, receipts = InFlight("chat", supports_mandatory=False, mandatory=False), deque[Receipt]()
    first = window.stream

    def send() -> int:
        tag, place = window.add(Message.compose("ada", "hello"), receipts)
        with pytest.raises(RuntimeError, match="nothing is in flight"):
            window.switch("elsewhere")
        window.on_ack(tag, multiple=False)
        return place

    assert [send(), send()] == [1, 2]
    window.switch("other")
    other = window.stream
    assert other != first
    assert send() == 1
    window.switch("chat")
    assert (window.stream, send()) == (first, 3)
    window.switch("other")
    assert (window.stream, send()) == (other, 2)
