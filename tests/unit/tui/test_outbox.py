"""What was written and is not in the room yet."""

from __future__ import annotations

from kchat.message import Message
from kchat.tui.outbox import State
from kchat.tui.room import Room
from tests.unit.tui.making import room, said


def back(message: Message) -> Message:
    """The message as it comes back from the broker."""
    return Message.from_body(message.body)


def texts(lunch: Room) -> list[str]:
    return [lunch.timeline[place].text for place in range(lunch.timeline.first, lunch.timeline.end)]


def test_a_message_is_confirmed_and_comes_back_once() -> None:
    lunch = room()
    message = lunch.write("hello")
    assert [each.state for each in lunch.outbox] == [State.SENDING]
    lunch.confirm(str(message.id), routed=True)
    assert [each.state for each in lunch.outbox] == [State.CONFIRMED]
    assert lunch.arrive([back(message)], watched=True).messages == 0
    lunch.arrive([back(message)], watched=True)
    assert not len(lunch.outbox)
    assert texts(lunch) == ["hello"]
    assert lunch.timeline[0].mine


def test_what_comes_back_before_its_confirmation_is_confirmed_all_the_same() -> None:
    lunch = room()
    message = lunch.write("hello")
    lunch.arrive([back(message)], watched=True)
    lunch.confirm(str(message.id), routed=False)
    assert lunch.outbox.unsent == []
    assert lunch.timeline[0].alone


def test_the_room_has_messages_in_the_brokers_order() -> None:
    lunch = room()
    first, second = lunch.write("first"), lunch.write("second")
    lunch.arrive([said("bob", "between")], watched=True)
    lunch.arrive([back(second), back(first)], watched=True)
    assert texts(lunch) == ["between", "second", "first"]


def test_what_failed_stays_with_its_reason_and_is_sent_again_under_its_id() -> None:
    lunch = room()
    failed, other = lunch.write("one"), lunch.write("two")
    lunch.outbox.fail(str(failed.id), "too large")
    assert [each.reason for each in lunch.outbox.failed] == ["too large"]
    assert lunch.outbox.retry() == [failed]
    assert [each.message for each in lunch.outbox] == [other, failed]
    assert lunch.outbox.failed == []
    assert lunch.outbox.retry() == []


def test_what_failed_and_arrived_all_the_same_is_in_the_room() -> None:
    lunch = room()
    message = lunch.write("hello")
    lunch.outbox.fail(str(message.id), "not confirmed")
    lunch.arrive([back(message)], watched=True)
    assert lunch.outbox.unsent == []
    lunch.outbox.fail(str(message.id), "too late")
    assert texts(lunch) == ["hello"]


def test_what_failed_can_be_discarded() -> None:
    lunch = room()
    message = lunch.write("hello")
    lunch.outbox.fail(str(message.id), "refused")
    lunch.write("kept")
    assert [each.message for each in lunch.outbox.discard()] == [message]
    assert [each.message.text for each in lunch.outbox] == ["kept"]


def test_what_is_confirmed_while_away_goes_to_the_room_without_coming_back() -> None:
    lunch = room()
    message = lunch.write("hello")
    lunch.settle()
    assert len(lunch.outbox) == 1
    lunch.confirm(str(message.id), routed=None)
    lunch.settle(3600.0)
    assert len(lunch.outbox) == 1
    lunch.settle()
    assert texts(lunch) == ["hello"]
    lunch.arrive([back(message)], watched=True)
    assert texts(lunch) == ["hello"]


def test_nobody_takes_the_place_of_ones_own_message_by_its_id() -> None:
    lunch = room()
    message = lunch.write("hello")
    forged = Message.compose("mallory", "bye", id=message.id)
    lunch.arrive([back(forged)], watched=True)
    assert [each.message for each in lunch.outbox] == [message]
    assert [lunch.timeline[0].mine, lunch.timeline[0].text] == [False, "bye"]


def test_an_action_is_a_text_with_one_more_key() -> None:
    lunch = room()
    message = lunch.write("waves", action=True)
    assert message.text == "waves"
    assert message.extra["action"] is True
    lunch.arrive([back(message), back(Message.compose("bob", "nods", extra={"action": "yes"}))], watched=True)
    assert [lunch.timeline[place].kind.name for place in (0, 1)] == ["ACTION", "MESSAGE"]
