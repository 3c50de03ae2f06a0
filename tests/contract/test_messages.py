"""What is sent arrives: to everyone, once, in order, whatever it is made of."""

from __future__ import annotations

import pytest

from kchat import Receipt, Sender, Subscriber, TooLarge
from tests.contract.conftest import Can
from tests.contract.people import Heard, People, drain
from tests.contract.places import Place

END = "the end"
"""A last message: when it has come, all before it have, and what came besides would be seen."""


@pytest.mark.promise("everyone present gets everything once")
def test_everyone_present_gets_everything_once(people: People, room: str) -> None:
    listeners = [people.listener(room, username=name) for name in ("ada", "bob", "bob")]
    people.say(room, "1", "2", "3", END, username="ada")
    for listener in listeners:
        assert listener.hear(4) == [Heard("ada", text) for text in ("1", "2", "3", END)]


@pytest.mark.promise("the sender's own subscriber gets it too")
def test_a_process_that_sends_hears_itself(people: People, place: Place, room: str) -> None:
    with Subscriber(place.settings(room), "ada") as subscriber, Sender(place.settings(room), "ada") as sender:
        for text in ("1", "2", END):
            sender.send(text)
        assert [message.text for message in drain(subscriber, 3)] == ["1", "2", END]


@pytest.mark.promise("nothing is missed from 'listening' on")
def test_the_first_message_after_listening_is_heard(place: Place, room: str) -> None:
    with Sender(place.settings(room), "ada") as sender:
        for turn in range(10):
            with Subscriber(place.settings(room), "bob") as subscriber:
                sender.send(str(turn))
                assert [message.text for message in drain(subscriber, 1)] == [str(turn)]


@pytest.mark.promise("each sender's messages in order (3 x 200)")
def test_each_senders_messages_arrive_in_the_order_sent(people: People, room: str) -> None:
    listeners = [people.listener(room) for _ in range(2)]
    speeches = {name: [f"{name} {number}" for number in range(200)] for name in ("ada", "eve", "joe")}
    people.say_at_once(room, speeches)
    for listener in listeners:
        routed = listener.hear(600, seconds=60)
        assert len(routed) == 600
        assert {
            name: [each.text for each in routed if each.username == name] for name in speeches
        } == speeches


@pytest.mark.slow
@pytest.mark.promise("send and exit loses nothing (20 of 20)")
def test_twenty_processes_that_send_once_and_end_lose_nothing(people: People, room: str, can: Can) -> None:
    if not can("processes"):
        return
    listener = people.listener(room)
    texts = [str(number) for number in range(20)]
    people.say(room, *texts)
    assert listener.texts(20) == texts


@pytest.mark.promise("a send that fails says so")
def test_a_message_that_does_not_get_there_is_an_error_and_no_success(
    people: People, place: Place, room: str, can: Can
) -> None:
    if not can("processes"):
        return
    process = people.try_to_say(place.nowhere(), room, "hello")
    assert process.lines == []
    assert "Traceback" not in process.stderr
    assert 1 <= len(process.stderr.splitlines()) <= 2
    # 2 where the URL itself is at fault: a file that is not a room.
    assert process.wait() in (1, 2)


@pytest.mark.promise("empty messages")
def test_an_empty_message_is_one(people: People, room: str) -> None:
    listener = people.listener(room)
    people.say(room, "", END)
    assert listener.hear(2) == [Heard("ada", ""), Heard("ada", END)]


@pytest.mark.promise("empty messages")
def test_an_empty_body_of_a_foreign_client_is_a_message(people: People, place: Place, room: str) -> None:
    listener = people.listener(room)
    place.publish(room, b"")
    assert listener.hear(1) == [Heard(None, "")]


# The first assigned character of a plane, or what stands for it; surrogates are not characters. Two noncharacters too.
PLANES = ["aé部", "\ue000\uffff", *(chr(plane << 16) + chr(plane << 16 | 0xFFFD) for plane in range(1, 17))]


@pytest.mark.promise("any Unicode")
def test_every_plane_of_unicode_arrives_as_it_was(place: Place, room: str) -> None:
    with (
        Subscriber(place.settings(room), "bob") as subscriber,
        Sender(place.settings(room), "部屋🚀") as sender,
    ):
        for text in PLANES:
            sender.send(text)
        routed = drain(subscriber, len(PLANES))
    assert [message.text for message in routed] == PLANES
    assert {message.username for message in routed} == {"部屋🚀"}


@pytest.mark.promise("any Unicode")
def test_text_in_any_script_is_shown_as_typed(people: People, room: str) -> None:
    listener = people.listener(room)
    people.say(room, "aé部🚀", username="łukasz")
    assert listener.hear(1) == [Heard("łukasz", "aé部🚀")]


@pytest.mark.promise("a body of 1 MiB")
def test_a_megabyte_arrives(people: People, room: str) -> None:
    listener = people.listener(room)
    text = "aé部🚀" * (1024 * 1024 // 10)
    people.say_at_once(room, {"ada": [text, END]})
    assert listener.texts(2) == [text, END]


@pytest.mark.promise("too large is an error before sending")
def test_a_message_over_the_limit_is_refused_and_those_around_it_arrive(place: Place, room: str) -> None:
    settings = place.settings(room)
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
        receipts: list[Receipt] = list(
            sender.send_many(["before", "x" * settings.transport.max_body, "after"])
        )
        assert [message.text for message in drain(subscriber, 2)] == ["before", "after"]
    errors = {receipt.message.text[:6]: receipt.error for receipt in receipts}
    assert isinstance(errors.pop("xxxxxx"), TooLarge)
    assert errors == {"before": None, "after": None}


@pytest.mark.promise("the largest message that is allowed arrives")
def test_a_message_at_the_limit_arrives(place: Place, room: str) -> None:
    settings = place.settings(room)
    text = "x" * (settings.transport.max_body - 1000)
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
        sender.send(text)
        (message,) = drain(subscriber, 1, seconds=60)
    assert message.text == text


FOREIGN: dict[bytes, Heard | None] = {
    b"plain text": Heard(None, "plain text"),
    b'{"username": "tutor", "message": "from a tutorial"}': Heard("tutor", "from a tutorial"),
    '{"username": "é", "message": "部"}'.encode(): Heard("é", "部"),
    b'{"username": 5}': Heard(None, '{"username": 5}'),
    b"[1, 2, 3]": Heard(None, "[1, 2, 3]"),
    b"null": Heard(None, "null"),
    b'{"body": "aGk=", "properties": {}}': Heard(None, '{"body": "aGk=", "properties": {}}'),
    b"\xff\xfe\x00\x80": None,
    b"\x1f\x8b\x08\x00": None,
    b"\x1b[31mred\x1b[0m": None,
}
"""Bodies, and what they are shown as; ``None`` where the display escapes what is not text."""


@pytest.mark.promise("foreign bodies are messages")
def test_whatever_else_is_published_is_shown_and_ends_nobody(people: People, place: Place, room: str) -> None:
    listener = people.listener(room)
    # One after the other: Pub/Sub promises no order to what has no ordering key.
    for number, (body, shown) in enumerate(FOREIGN.items(), start=1):
        place.publish(room, body)
        routed = listener.hear(number)
        assert len(routed) == number
        if shown is not None:
            assert routed[-1] == shown
        else:
            assert routed[-1].username is None
    people.say(room, END)
    assert listener.texts(len(FOREIGN) + 1)[-1] == END


@pytest.mark.promise("a body is handed over as it came")
@pytest.mark.parametrize("body", FOREIGN, ids=range(len(FOREIGN)))
def test_a_library_user_gets_the_bytes(place: Place, room: str, body: bytes) -> None:
    with Subscriber(place.settings(room), "bob") as subscriber:
        place.publish(room, body)
        (message,) = drain(subscriber, 1)
    assert message.body == body
