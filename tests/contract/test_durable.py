"""What outlives its process: a durable subscription has one reader or those who share it, can be listed and ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kchat import Durable, SettingsError, Subscriber, Unavailable
from kchat.client import durable
from tests.brokers.processes import Process
from tests.contract.conftest import Can
from tests.contract.people import SECONDS, People, ProcessListener, drain
from tests.contract.places import Place

ONE = "a durable subscription has one reader, or those who share it"
SEEN = "a durable subscription can be listed and removed"


def refused(people: People, place: Place, room: str, *options: str) -> Process:
    """Someone who would read a durable queue, and is not let in."""
    return people.run(
        "subscribe", "--url", place.way.url, "--room", room, "--durable", "keeper", "--limit", "1", *options
    )


def subscriptions(place: Place, room: str) -> list[Any]:
    return list(durable.subscriptions(place.settings(room), management_url=place.management_url))


def listed(place: Place, room: str) -> list[Any]:
    return [(each.name, each.messages) for each in subscriptions(place, room)]


def check_refusal(place: Place, room: str) -> None:
    """That such a transport has none is said before anything is contacted."""
    for ask in (durable.subscriptions, lambda settings: durable.remove(settings, "keeper")):
        with pytest.raises(SettingsError, match="no durable queues"):
            ask(place.settings(room))


@pytest.mark.promise(ONE)
def test_a_second_reader_is_told_and_gets_nothing(can: Can, place: Place, people: People, room: str) -> None:
    if not can("durable"):
        check_refusal(place, room)
        return
    first = people.process_listener(room, "--durable", "keeper")
    for options in ((), ("--shared",)):
        second = refused(people, place, room, *options)
        assert second.wait(SECONDS) == 1, second.stderr
        assert "somebody else is reading the durable queue 'keeper'" in second.stderr
        assert "--shared" in second.stderr
    people.say(room, "one", "two")
    assert first.texts(2) == ["one", "two"]


@pytest.mark.promise(ONE)
def test_readers_that_share_it_get_each_message_once(
    can: Can, place: Place, people: People, room: str
) -> None:
    if not can("durable"):
        check_refusal(place, room)
        return
    settings, shared = place.settings(room), Durable("keeper", shared=True)
    with Subscriber(settings, durable=shared) as one, Subscriber(settings, durable=shared) as other:
        people.say(room, *"abcd")
        texts: list[str] = []
        while len(texts) < 4:
            for each in (one, other):
                texts += [message.text for message in each.receive(timeout=0.2)]
                each.acknowledge()
        assert sorted(texts) == list("abcd")


@pytest.mark.promise(ONE)
def test_a_reader_that_left_or_was_killed_keeps_nobody_out(
    can: Can, place: Place, people: People, room: str
) -> None:
    if not can("durable"):
        check_refusal(place, room)
        return
    first = people.process_listener(room, "--durable", "keeper")
    first.leave()
    second = people.process_listener(room, "--durable", "keeper")
    second.process.kill()
    second.process.wait(10)
    assert isinstance(people.process_listener(room, "--durable", "keeper"), ProcessListener)


@pytest.mark.promise(SEEN)
def test_a_durable_subscription_is_listed_until_it_is_removed(
    can: Can, place: Place, people: People, room: str
) -> None:
    settings = place.settings(room)
    if not can("durable"):
        check_refusal(place, room)
        return
    with Subscriber(settings, durable="keeper") as subscriber, Subscriber(settings, durable="a.b-c d"):
        people.say_here(room, "seen")
        drain(subscriber, 1)
    people.say_here(room, "kept", "kept too")
    counts = [(name, messages) for name, messages in listed(place, room) if messages is not None]
    assert [name for name, _ in listed(place, room)] == ["a.b-c d", "keeper"]
    assert counts in ([], [("a.b-c d", 3), ("keeper", 2)])  # Pub/Sub does not tell
    (told,) = (each for each in subscriptions(place, room) if each.name == "keeper")
    assert told.expires == 30 * 86_400
    assert not told.readers
    management = ("--management-url", place.management_url) if place.management_url else ()
    options = ("--url", place.way.url, "--room", room, *management)
    shown = json.loads(people.run("durable", "list", *options, "--json").stdout)
    assert [each["queue"] for each in shown["durable"] if each["name"] == "keeper"] == [told.queue]
    for name in (
        "keeper",
        next(each.queue for each in subscriptions(place, room) if each.name != "keeper"),
    ):
        gone = people.run("durable", "remove", name, "--yes", *options)
        assert gone.wait(SECONDS) == 0, gone.stderr
    assert listed(place, room) == []
    again = people.run("durable", "remove", "keeper", "--yes", *options)
    assert (again.wait(SECONDS), "no durable subscription 'keeper'" in again.stderr) == (1, True)
    with Subscriber(settings, durable="keeper") as subscriber:
        people.say_here(room, "new")
        assert [message.text for message in drain(subscriber, 1)] == ["new"]


@pytest.mark.promise(ONE)
def test_a_reader_in_a_program_is_refused_by_an_error_of_its_own(can: Can, place: Place, room: str) -> None:
    if not can("durable"):
        check_refusal(place, room)
        return
    settings = place.settings(room)
    with Subscriber(settings, durable="keeper"):
        with pytest.raises(Unavailable) as refusal:
            Subscriber(settings, durable="keeper").open()
        assert "shared=" in refusal.value.hint
    with Subscriber(settings, durable="keeper"):
        pass


@pytest.mark.promise(SEEN)
def test_a_queue_with_other_limits_goes_on_and_that_is_said(
    can: Can, place: Place, people: People, room: str
) -> None:
    if not can("durable"):
        check_refusal(place, room)
        return
    settings = place.settings(room)
    with Subscriber(settings, durable=Durable("keeper", expires=2 * 86_400)) as subscriber:
        people.say_here(room, "seen")
        drain(subscriber, 1)  # an emulator may give messages to one who left while it was still joining
    people.say_here(room, "kept")
    told: list[str] = []
    asked = Durable("keeper", expires=3 * 86_400)
    with Subscriber(settings, durable=asked, on_event=lambda event: told.append(str(event))) as subscriber:
        # A service may have given it to the reader that has just left, and gives it to another when its deadline is over.
        assert [message.text for message in drain(subscriber, 1, 90)] == ["kept"]
    assert ["keeps the limits that it was made with" in each for each in told] == [True]
    (found,) = subscriptions(place, room)
    assert found.expires == 2 * 86_400
