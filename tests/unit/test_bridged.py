"""What a bridge adds to a message, and what it makes of what it has received."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from amqp.serialization import loads
from hypothesis import given
from hypothesis import strategies as st

from kchat import Message, Settings
from kchat.client.acknowledgements import Position
from kchat.client.carried import Carried, Intake, place_of
from kchat.client.deduplication import Deduplicator
from kchat.message.bridged import HEADER, with_account, without_account
from kchat.transports.amqp.framing import number_table


@given(text=st.text(max_size=50), account=st.text(min_size=1, max_size=255))
def test_the_account_is_added_to_a_body_and_taken_away_again(text: str, account: str) -> None:
    body = Message.compose("ada", text).body
    longer = with_account(body, account)
    assert without_account(longer) == body
    read = Message.decode(longer)
    assert (read.username, read.text) == Message.decode(body)[:2]
    assert json.loads(longer)["bridged"]["account"] == account.encode("utf-8", "replace").decode()


@given(st.binary(max_size=100))
def test_a_body_that_no_bridge_has_touched_stays_as_it_is(body: bytes) -> None:
    assert without_account(body) == body


def test_a_text_that_looks_like_the_addition_is_a_text() -> None:
    body = Message.compose("ada", ',"bridged":{"account":"x"}}').body
    assert without_account(body) == body


def test_a_subscriber_recognises_the_bridged_message_as_the_same() -> None:
    message = Message.compose("ada", "hello")
    seen = Deduplicator()
    assert not seen.has(message)
    assert seen.has(Message.from_body(with_account(message.body, "ada")))
    other = Message.compose("ada", "hello")
    assert not seen.has(Message.from_body(with_account(other.body, "ada")))


def carried(text: str = "hello", **more: Any) -> Carried:
    been = more.pop("been", ())
    message = Carried.from_body(Message.compose("ada", text).body, **more)
    message.been = been
    return message


def foreign(text: str, *, redelivered: bool = False) -> Carried:
    return Carried.from_body(text.encode(), redelivered=redelivered)


def test_a_message_goes_where_it_has_not_been() -> None:
    intake = Intake("here", "there")
    taken = intake.take(carried(account="ada", been=("elsewhere",)))
    assert taken is not None
    assert taken.headers == {HEADER: "elsewhere here"}
    assert taken.extra == {}  # read before the account was added
    assert Message.decode(taken.body).extra["bridged"] == {"account": "ada"}


@pytest.mark.parametrize("been", [("there",), ("elsewhere", "there"), ("here",)])
def test_a_message_does_not_go_where_it_has_been_nor_a_second_time(been: tuple[str, ...]) -> None:
    intake = Intake("here", "there")
    assert intake.take(carried(been=been)) is None
    assert intake.passed_by == 1


def test_a_message_goes_through_so_many_rooms_and_no_further() -> None:
    intake = Intake("here", "there")
    taken = intake.take(carried(been=tuple(f"{number:012x}" for number in range(30))))
    assert taken is not None
    assert len(taken.headers[HEADER]) < 1024  # what an attribute on Pub/Sub holds
    assert intake.take(carried(been=taken.been)) is None


def test_a_body_that_is_not_a_kchat_message_goes_as_it_is() -> None:
    taken = Intake("here", "there").take(Carried.from_body(b"\xff raw", account="ada"))
    assert taken is not None
    assert taken.body == b"\xff raw"
    assert taken.headers == {HEADER: "here"}


def test_two_bridges_make_the_same_bytes_of_a_message() -> None:
    message = carried(account="ada")
    one, other = (Intake("here", "there").take(message) for _ in range(2))
    assert one is not None
    assert other is not None
    assert one.body == other.body


def test_acknowledged_is_what_was_settled_with_all_before_it() -> None:
    intake = Intake("here", "there")
    taken = []
    for batch in range(3):
        taken += [intake.take(carried(f"{batch} {number}")) for number in range(2)]
        intake.end(Position(1.0, batch))
    assert intake.in_flight
    messages = [each for each in taken if each is not None]
    intake.settle(messages[2])
    intake.settle(messages[3])
    intake.settle(messages[1])
    assert intake.settled_position() is None
    intake.settle(messages[0])
    assert intake.settled_position() == Position(1.0, 1)
    assert intake.settled_position() is None
    intake.settle(messages[5])
    intake.settle(messages[4])
    assert intake.settled_position() == Position(1.0, 2)
    assert not intake.in_flight


def test_what_was_left_out_waits_for_what_was_taken_before_it() -> None:
    intake = Intake("here", "there")
    taken = intake.take(carried())
    assert taken is not None
    assert intake.take(taken) is None  # delivered again, and not confirmed yet
    intake.end(Position(2.0, 7))
    assert intake.settled_position() is None
    intake.settle(taken)
    assert intake.settled_position() == Position(2.0, 7)


def test_a_message_without_an_id_is_left_out_only_where_it_was_taken_before_the_connection_broke() -> None:
    intake = Intake("here", "there")
    intake.begin(1.0)
    first = intake.take(foreign("hi"))
    assert first is not None
    assert intake.take(foreign("hi")) is not None  # a second one like it
    intake.end(Position(1.0, 2))
    intake.begin(2.0)
    assert intake.take(foreign("hi", redelivered=True)) is None
    assert intake.take(foreign("hi")) is not None  # a third one
    assert intake.take(foreign("hi", redelivered=True)) is None
    assert intake.take(foreign("hi", redelivered=True)) is not None  # that had not been handed over


def test_what_was_acknowledged_is_not_expected_again() -> None:
    intake = Intake("here", "there")
    intake.begin(1.0)
    taken = intake.take(foreign("hi"))
    assert taken is not None
    intake.end(Position(1.0, 1))
    intake.settle(taken)
    assert intake.settled_position() is not None
    intake.begin(2.0)
    assert intake.take(foreign("hi", redelivered=True)) is not None


def place(url: str, room: str = "chat", **more: Any) -> str:
    return place_of(Settings.resolve(url=url, room=room, **more))


def test_a_place_is_the_same_whoever_goes_there() -> None:
    assert place("amqp://ada:secret@broker.example/") == place(
        "amqp://bob@BROKER.example:5672/%2F?heartbeat=5"
    )
    assert place("amqp://one.example/;amqp://two.example/") == place(
        "amqp://two.example/;amqp://one.example/"
    )
    assert place("amqp://localhost/") == place("amqp://127.0.0.1/")


def test_other_rooms_hosts_ports_and_virtual_hosts_are_other_places() -> None:
    urls = [f"amqp://broker.example{rest}" for rest in ("/", "/v", ":5673/", ".org/")]
    urls += ["redis://broker.example/", "local:///tmp/a.db", "local:///tmp/b.db", "pubsub://broker"]
    places = {place(url) for url in urls} | {place(urls[0], "other")}
    assert len(places) == len(urls) + 1


def test_another_machines_localhost_is_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    here = place("amqp://localhost/"), place("amqp://broker.example/")
    monkeypatch.setattr("socket.gethostname", lambda: "another-machine")
    there = place("amqp://localhost/"), place("amqp://broker.example/")
    assert here[0] != there[0]
    assert here[1] == there[1]


def test_the_ends_of_a_bridge_are_two_places() -> None:
    from kchat import SettingsError
    from kchat.client.bridge import Bridge

    one = Settings.resolve(url="amqp://broker.example/", room="chat")
    with pytest.raises(SettingsError, match="same room"):
        Bridge(one, one)
    Bridge(one, replace(one, room="other")).close()


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=100), max_size=3), st.text(max_size=20))
def test_a_header_table_holds_the_number_and_the_other_headers(more: dict[str, str], stream: str) -> None:
    (read,), _ = loads("F", number_table(stream, more) % 42, 0)
    assert read == {"kchat-number": f"{stream}.000000000042", **more}
