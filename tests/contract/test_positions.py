"""Positions: a message delivered again is recognised by its place at the broker, also without an id."""

from __future__ import annotations

from time import time

import pytest

from kchat import Message, Sender, Subscriber
from tests.brokers.wait import Deadline, soon
from tests.contract.conftest import Can
from tests.contract.people import People, drain
from tests.contract.places import Place
from tests.contract.test_history import HOUR, Host, host_of

SAME = "a message delivered again has the same position, and no other message has it"
ALIKE = b"all alike, and without an id"


def positions(messages: list[Message]) -> list[str | None]:
    return [message.position for message in messages]


def from_queue(place: Place, room: str, count: int) -> list[Message]:
    """The next messages of a durable queue, which are not acknowledged."""
    deadline = Deadline(soon(90))
    with Subscriber(place.settings(room), durable="keeper", positions=True) as subscriber:
        messages: list[Message] = []
        while len(messages) < count and not deadline.passed:
            messages += subscriber.receive(deadline.left)
    assert len(messages) == count
    return messages


def from_history(place: Place, room: str, count: int) -> list[Message]:
    with Subscriber(place.settings(room), "late", since=time() - HOUR, positions=True) as subscriber:
        return drain(subscriber, count)


@pytest.mark.promise(SAME)
def test_messages_that_are_alike_have_positions_that_stay(
    can: Can, place: Place, people: People, room: str
) -> None:
    if not can("positions"):
        return
    with host_of(place, room) as host:
        host.switch_on()
    with Subscriber(place.settings(room), durable="keeper") as subscriber:
        people.say_here(room, "seen")
        drain(subscriber, 1)  # an emulator may give messages to one who left while it was still joining
    for _ in range(3):
        place.publish(room, ALIKE)
    people.say_here(room, "with an id")
    first = from_queue(place, room, 4)
    assert None not in positions(first)
    assert len(set(positions(first))) == 4
    by_text = {(each.text, each.position) for each in first}
    assert {(each.text, each.position) for each in from_queue(place, room, 4)} == by_text
    # The same by another way: the room's history, by a queue of its own.
    kept = [each for each in from_history(place, room, 5) if each.text != "seen"]
    assert {(each.text, each.position) for each in kept} == by_text


@pytest.mark.promise(SAME)
def test_only_what_is_read_from_a_history_has_positions_where_queues_give_none(
    can: Can, place: Place, people: People, room: str
) -> None:
    if can("positions") or not can("history"):
        return
    with host_of(place, room) as host, Subscriber(place.settings(room), positions=True) as live:
        host.switch_on()
        say_alike(place, room)
        assert positions(drain(live, 3)) == [None] * 3
        first, again = (positions(from_history(place, room, 3)) for _ in range(2))
        assert None not in first
        assert len(set(first)) == 3
        assert again == first
        check_new_history(host, place, people, room, first)


def say_alike(place: Place, room: str) -> None:
    """By a client with kchat's transport: what others publish, Redis keeps not."""
    body = b'{"username":"ada","message":"all alike, and without an id"}'
    with Sender(place.settings(room), "ada") as sender:
        for _ in range(3):
            sender.send(Message.from_body(body))


def check_new_history(host: Host, place: Place, people: People, room: str, before: list[str | None]) -> None:
    """Where it begins to count again, others have other positions all the same."""
    host.switch_off()
    host.switch_on()
    people.say_here(room, "one", "two", "three")
    assert not set(positions(from_history(place, room, 3))) & set(before)


@pytest.mark.promise(SAME)
def test_who_does_not_ask_for_positions_gets_none(place: Place, people: People, room: str) -> None:
    with Subscriber(place.settings(room)) as subscriber:
        people.say_here(room, "hello")
        assert positions(drain(subscriber, 1)) == [None]
