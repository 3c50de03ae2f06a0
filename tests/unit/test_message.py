"""The wire: what kchat writes, and what it makes of what others write."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kchat.errors import DecodeError, TooLarge
from kchat.message import uuid7
from kchat.message.message import LARGEST, Message
from tests.cases import check_each
from tests.hostile.corpus import BODIES

NOON = datetime(2026, 5, 1, 12, 4, 5, 123000, tzinfo=UTC)

# Characters of all kinds, without the surrogates that UTF-8 cannot hold.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
KEYS = TEXT.filter(lambda key: key not in ("username", "message", "id", "sent_at"))


# Composing.


def test_the_body_is_compact_json_in_utf8_with_our_keys_first() -> None:
    message = Message.compose("ada", "Grüße ☕", id="1", sent_at=NOON, extra={"mood": "gut"})
    assert (
        message.body
        == (
            '{"username":"ada","message":"Grüße ☕","id":"1","sent_at":"2026-05-01T12:04:05.123Z","mood":"gut"}'
        ).encode()
    )
    assert message.encode() is message.body


def test_a_message_gets_an_id_and_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        uuid7, "_source", uuid7._Source()
    )  # ids that were made before may be ahead of the clock
    before = datetime.now(UTC)
    first, second = Message.compose("ada", "one"), Message.compose("ada", "two")
    assert first.id is not None
    assert second.id is not None
    assert first.id < second.id
    assert first.sent_at is not None
    assert before - timedelta(milliseconds=1) <= first.sent_at <= datetime.now(UTC)
    assert first.sent_at.microsecond % 1000 == 0
    assert int(first.id.replace("-", "")[:12], 16) == first.sent_at.timestamp() * 1000


def test_a_time_in_the_far_future_does_not_move_the_ids_of_later_messages() -> None:
    far, before = datetime(2999, 1, 1, tzinfo=UTC), datetime.now(UTC).year
    ids = [Message.compose("ada", "hello", sent_at=sent_at).id for sent_at in (far, None)]
    years = [
        datetime.fromtimestamp(int(each.replace("-", "")[:12], 16) / 1000, UTC).year for each in ids if each
    ]
    assert all(before <= year <= before + 1 for year in years)


@given(TEXT, TEXT, st.dictionaries(KEYS, JSON, max_size=3))
def test_a_composed_message_is_read_unchanged(username: str, message: str, extra: dict[str, Any]) -> None:
    sent = Message.compose(username, message, extra=extra)
    assert Message.decode(sent.body) == sent
    assert (sent.username, sent.text, dict(sent.extra)) == (username, message, extra)
    assert json.loads(sent.body)["message"] == message


@given(st.text(st.characters(), min_size=1))
def test_lone_surrogates_become_replacement_characters(text: str) -> None:
    sent = Message.compose(text, text, id=text[:60], extra={"x": {text: [text]}})
    assert Message.decode(sent.body) == sent
    sent.text.encode()
    assert sent.username == sent.text


def test_bytes_of_a_command_line_that_are_no_text_do_not_stop_a_sender() -> None:
    argument = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert Message.compose("ada", argument).text == "caf\ufffd"


def test_a_time_elsewhere_is_sent_in_utc() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=-7)))
    sent = Message.compose("ada", "hello", sent_at=elsewhere.replace(microsecond=123999))
    assert sent.sent_at == NOON
    assert b"2026-05-01T12:04:05.123Z" in sent.body


@pytest.mark.parametrize("arguments", [(5, "hello"), ("ada", None), (None, "hello"), ("ada", b"hello")])
def test_a_username_and_a_message_are_strings(arguments: tuple[Any, Any]) -> None:
    with pytest.raises(TypeError, match="strings"):
        Message.compose(*arguments)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"id": 5}, TypeError),
        ({"id": ""}, ValueError),
        ({"id": "x" * 256}, ValueError),
        ({"id": "é" * 128}, ValueError),
        ({"sent_at": "now"}, TypeError),
        ({"sent_at": datetime(2026, 5, 1)}, ValueError),  # noqa: DTZ001
        ({"sent_at": NOON.replace(year=3000)}, ValueError),
        ({"extra": {"username": "root"}}, ValueError),
        ({"extra": {5: "x"}}, TypeError),
        ({"extra": {"x": {1, 2}}}, TypeError),
        ({"extra": {"x": float("nan")}}, ValueError),
        ({"extra": {"x": json.loads("[" * 200 + "]" * 200)}}, ValueError),
    ],
)
def test_an_unreadable_message_is_refused_by_the_sender(more: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Message.compose("ada", "hello", **more)


def test_a_message_that_no_subscriber_would_read_is_too_large_to_compose() -> None:
    Message.compose("ada", "x" * (16 << 20))
    with pytest.raises(TooLarge):
        Message.compose("ada", "x" * LARGEST)
    with pytest.raises(TooLarge):
        Message.compose("ada", "x" * (LARGEST // 4) + "\U0001f600")


# What a message is.


def test_a_message_cannot_be_changed() -> None:
    message = Message.compose("ada", "hello", extra={"mood": "good"})
    for name in ("username", "message", "body", "anything"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(message, name, "x")
    with pytest.raises(TypeError):
        message.extra["mood"] = "bad"  # type: ignore[index]  # what the test is about


def test_messages_compare_hash_copy_and_travel_between_processes() -> None:
    message = Message.compose("ada", "hello", extra={"list": [1]})
    assert message == Message.decode(message.body)
    assert len({message, Message.decode(message.body)}) == 1
    for other in (pickle.loads(pickle.dumps(message)), copy.copy(message), copy.deepcopy(message)):
        assert other == message
        with pytest.raises(TypeError):
            other.extra["x"] = 1  # type: ignore[index]  # what the test is about
    assert message._replace(account="ada").account == "ada"
    assert "hello" in repr(message)
    assert "body" not in repr(message)


def test_changing_extra_afterwards_does_not_change_the_message() -> None:
    mine = {"list": [1], "tuple": (1, 2)}
    message = Message.compose("ada", "hello", extra=mine)
    mine["list"].append(2)  # type: ignore[attr-defined]  # a list, as written above
    assert dict(message.extra) == {"list": [1], "tuple": [1, 2]}


# Reading.


def test_bodies_of_tutorial_clients_are_messages() -> None:
    for body in (
        b'{"username": "ada", "message": "hello"}',
        b' \r\n{ "message":"hello","username":"ada" }\n',
    ):
        message = Message.decode(body)
        assert (message.username, message.text) == ("ada", "hello")
        assert (message.id, message.sent_at, dict(message.extra), message.problem) == (None, None, {}, None)
        assert message.body == body


def test_keys_that_we_do_not_know_are_kept() -> None:
    message = Message.decode(
        b'{"username":"ada","message":"x","mood":{"a":[1,2.5,null]},"big":123456789012345678901}'
    )
    assert dict(message.extra) == {"mood": {"a": [1, 2.5, None]}, "big": 123456789012345678901}


@pytest.mark.parametrize("wrong", [5, {"a": 1}, "", "x" * 256, "é" * 128, ["x"], True])
def test_an_id_that_is_none_is_kept_beside(wrong: object) -> None:
    message = Message.decode(json.dumps({"username": "ada", "message": "x", "id": wrong}).encode())
    assert message.id is None
    assert message.extra["id"] == wrong


def test_an_id_of_as_many_bytes_as_a_broker_takes_is_one() -> None:
    for longest in ("x" * 255, "é" * 127):
        assert Message.decode(Message.compose("ada", "hello", id=longest).body).id == longest


@pytest.mark.parametrize("wrong", [5, "yesterday", "9999-12-31T23:59:59-12:00", "", ["x"], True])
def test_a_time_that_is_none_is_kept_beside(wrong: object) -> None:
    message = Message.decode(json.dumps({"username": "ada", "message": "x", "sent_at": wrong}).encode())
    assert message.sent_at is None
    assert message.extra["sent_at"] == wrong


def test_null_is_as_good_as_not_there_where_nothing_is_required() -> None:
    message = Message.decode(b'{"username":"ada","message":"x","id":null,"sent_at":null}')
    assert (message.id, message.sent_at, dict(message.extra)) == (None, None, {})


def test_a_time_from_the_broker_stands_in_for_one_from_the_sender() -> None:
    assert Message.from_body(b'{"username":"a","message":"b"}', sent_at=NOON).sent_at == NOON
    assert Message.from_body(b"text", sent_at=NOON).sent_at == NOON
    later = Message.compose("a", "b", sent_at=NOON + timedelta(hours=1))
    assert Message.from_body(later.body, sent_at=NOON).sent_at == later.sent_at


def test_a_message_carries_what_the_broker_says() -> None:
    for body in (b'{"username":"a","message":"b"}', b"text"):
        message = Message.from_body(body, account="ada", redelivered=True)
        assert (message.account, message.redelivered) == ("ada", True)


REFUSED = {
    b"": "not JSON",
    b"hello": "not JSON",
    b"\xffhello": "not UTF-8: byte 0",
    b"[]": "an array, not an object",
    b"null": "null, not an object",
    b"true": "true or false, not an object",
    b"5": "a number, not an object",
    b'"hello"': "a string, not an object",
    b"{}": "no username",
    b'{"username":"a"}': "no message",
    b'{"message":"b"}': "no username",
    b'{"username":null,"message":"b"}': "username is null, not a string",
    b'{"username":5,"message":"b"}': "username is a number, not a string",
    b'{"username":"a","message":["b"]}': "message is an array, not a string",
    b'{"username":"a","message":"b","n":NaN}': "not JSON: NaN",
    b'{"username":"a","message":"b","n":-Infinity}': "not JSON: -Infinity",
    b'{"username":"a","message":"b","n":1e999}': "a number too large",
    b'{"username":"a","message":"b","n":' + b"7" * 5000 + b"}": "a number of 5,000 digits",
    b"[" * 200_000: "nested too deeply",
    b'{"username":"a","message":"b","n":' + b"[" * 101 + b"]" * 101 + b"}": "nested deeper than 100 levels",
    b'{"username":"a","message":"b"}{}': "JSON with something behind it",
}


@pytest.mark.parametrize(("body", "problem"), REFUSED.items(), ids=[str(body[:40]) for body in REFUSED])
def test_an_invalid_body_is_refused_and_shown_as_text(body: bytes, problem: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Message.decode(body)
    assert str(caught.value) == problem
    assert caught.value.raw == body
    message = Message.from_body(body)
    assert (message.username, message.problem, message.body) == (None, problem, body)
    assert message.text == body.decode("utf-8", "backslashreplace")


def test_bytes_that_are_no_text_are_escaped() -> None:
    assert Message.from_body(b"\xff\x00caf\xc3\xa9\xc3").text == "\\xff\x00café\\xc3"


def test_the_former_names_of_text_and_from_body_go_on_working() -> None:
    message = Message.from_body(b"hello", account="ada")
    assert message == Message.from_body(b"hello", account="ada")
    assert message.text == "hello"


def test_a_byte_order_mark_is_not_part_of_the_text() -> None:
    assert Message.decode(b'\xef\xbb\xbf{"username":"a","message":"b"}').text == "b"
    assert Message.from_body(b"\xef\xbb\xbfhello").text == "hello"


def test_of_a_key_twice_the_last_counts() -> None:
    assert Message.decode(b'{"username":"a","message":"b","message":"c"}').text == "c"


def test_lone_surrogates_are_replaced_wherever_they_are() -> None:
    message = Message.decode(BODIES["lone surrogates"])
    assert (message.username, message.text) == ("\ufffd", "\ufffd \ufffd")
    assert dict(message.extra) == {"\ufffd": ["\ufffd", {"\ufffd": 1}]}
    assert Message.decode(BODIES["surrogate pair"]).text == "\U0001f600"
    assert Message.decode(b'{"username":"a","message":"\\\\ud800"}').text == "\\ud800"


def test_nesting_is_counted_outside_of_strings() -> None:
    brackets = '[{"\\"' * 200
    message = Message.decode(json.dumps({"username": "a", "message": brackets, "x": brackets}).encode())
    assert message.extra["x"] == brackets


def test_other_types_of_bytes_and_text_are_received_too() -> None:
    body = b'{"username":"a","message":"b"}'
    for other in (bytearray(body), memoryview(body), body.decode()):
        assert Message.from_body(other) == Message.from_body(body)
    assert Message.from_body("\ud800").text == "\\xed\\xa0\\x80"


def test_every_hostile_body_is_a_message() -> None:
    def is_a_message(body: bytes) -> None:
        message = Message.from_body(body)
        assert message.body == body
        message.text.encode()
        assert (message.problem is None) == (message.username is not None)
        if message.problem is None:
            assert Message.decode(body) == message
            json.dumps(dict(message.extra), allow_nan=False)
        else:
            assert message.problem.isascii()
            assert message.problem.isprintable()
            with pytest.raises(DecodeError):
                Message.decode(body)

    check_each(BODIES, is_a_message)


def test_a_large_message_is_read_whole() -> None:
    for text in ("x" * (16 << 20), "," * (16 << 20), '"\\' * 1_000_000, "ä" * (4 << 20)):
        sent = Message.compose("ada", text)
        received = Message.from_body(sent.body)
        assert received.problem is None
        assert received.text == text


@given(st.binary() | st.text(st.characters()).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b'{"username":"","message":""}')
def test_receiving_never_raises(body: bytes) -> None:
    message = Message.from_body(body)
    assert message.body == body
    message.text.encode()


@given(st.dictionaries(st.sampled_from(["username", "message", "id", "sent_at", "x"]), JSON))
def test_an_object_of_any_values_is_read_or_refused(value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    message = Message.from_body(body)
    if isinstance(value.get("username"), str) and isinstance(value.get("message"), str):
        assert (message.username, message.text, message.problem) == (
            value["username"],
            value["message"],
            None,
        )
    else:
        assert message.username is None
        assert message.text == body.decode()
