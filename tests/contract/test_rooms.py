"""Rooms: apart from each other, under any name, and what an account may do in one."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from kchat import KchatError, Message, Sender, SettingsError, Subscriber
from tests.contract.conftest import Can
from tests.contract.people import People, drain
from tests.contract.places import Place

END = "the end"

NAMES = [
    "a",
    "A",
    "ab",
    "a b",
    "a/b",
    "a.b",
    "a-b",
    "a_b",
    "a+b",
    "a%20b",
    "a%2Fb",
    "a~b",
    "a:b",
    "a;b",
    "a?b=c",
    "a#b",
    "*",
    "#",
    "[ab]",
    "\\a",
    "'a'",
    '"a"',
    "1",
    "..",
    "-",
    "--help",
    "%s",
    "{}",
    "google",
    "goog%",
    "kchat.a.b",
    "é",  # composed
    "e\u0301",  # decomposed
    "ÿ",
    "部屋",
    "🚀",
    "غرفة",
    "x" * 254,
    "x" * 255,
    "x" * 254 + "y",
    "部" * 85,
]
"""Names of rooms that some broker takes for something else, or for each other."""

REFUSED = ["", " ", "x" * 256, "部" * 86, "a\nb", "a\x00b", "\x1b[31m", "\ud800", "amq.topic", "a\u202eb"]
"""Names that no room can have, on any broker."""


@pytest.mark.promise("odd room names: legal, or refused; no collisions")
def test_every_name_is_a_room_of_its_own_or_is_refused(place: Place) -> None:
    with ExitStack() as stack:
        rooms: dict[str, Subscriber] = {}
        for name in NAMES:
            try:
                rooms[name] = stack.enter_context(Subscriber(place.settings(name), "bob"))
            except KchatError as error:
                pytest.fail(f"{name!r} is refused: {error}")
        for name in rooms:
            with Sender(place.settings(name), "ada") as sender:
                sender.send(f"for {name}")
        for name in rooms:
            with Sender(place.settings(name), "ada") as sender:
                sender.send(END)
        routed = {
            name: [message.text for message in drain(subscriber, 2)] for name, subscriber in rooms.items()
        }
    assert routed == {name: [f"for {name}", END] for name in NAMES}


@pytest.mark.promise("odd room names: legal, or refused; no collisions")
@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_a_name_that_cannot_be_is_refused_before_anything_is_contacted(place: Place, name: str) -> None:
    with pytest.raises(SettingsError):
        place.settings(name)


@pytest.mark.promise("rooms do not leak into each other")
def test_messages_of_one_room_do_not_reach_another(people: People, room: str) -> None:
    here, there = f"{room} here", f"{room} here too"
    listeners = {name: people.listener(name) for name in (here, there)}
    people.say(here, "in here", END)
    people.say(there, "over there", END)
    assert listeners[here].texts(2) == ["in here", END]
    assert listeners[there].texts(2) == ["over there", END]


@pytest.mark.promise("an account that may only send can send")
def test_an_account_that_may_only_send_can_send_to_a_room_that_exists(
    people: People, place: Place, room: str, can: Can
) -> None:
    if not can("send_only"):
        return
    listener = people.listener(room)
    with place.send_only(room) as way:
        process = people.try_to_say(way, room, "hello")
        assert process.wait() == 0, process.stderr
        assert listener.texts(1) == ["hello"]
        elsewhere = people.try_to_say(way, f"{room}-that-is-not-there", "hello")
    # Redis has no rooms that exist or not: there it is the right that is missing.
    assert elsewhere.wait() == 1
    assert "Traceback" not in elsewhere.stderr


@pytest.mark.promise("says whether anybody listened")
def test_a_sender_learns_whether_anybody_was_listening_where_the_broker_tells(
    place: Place, room: str
) -> None:
    with Sender(place.settings(room), "ada") as sender:
        alone = sender.send("hello").routed
        with Subscriber(place.settings(room), "bob") as subscriber:
            together = sender.send("hello").routed
            drain(subscriber, 1)
    if place.info.supports_mandatory:
        assert (alone, together) == (False, True)
    else:
        assert (alone, together) == (None, None)


@pytest.mark.promise("says whether anybody listened")
@pytest.mark.parametrize("message_id", ["the same", None])
def test_a_sender_learns_for_each_message_whether_anybody_listened_also_with_a_shared_id(
    place: Place, room: str, message_id: str | None
) -> None:
    body = Message.compose("ada", "hello", id="the same").body
    with Sender(place.settings(room), "ada") as sender:
        sender.send("the room is there")
        receipts = list(sender.send_many([Message("ada", "hello", message_id, body=body)] * 5))
    expected = False if place.info.supports_mandatory else None
    assert [receipt.routed for receipt in receipts] == [expected] * 5
