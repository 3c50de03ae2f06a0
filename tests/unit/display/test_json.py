"""The mode json: a line for each message, parsable whatever arrives."""

from __future__ import annotations

import io
import json
import time
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kchat.display import create
from kchat.display.lines import WHOLE
from kchat.message import Message, rfc3339
from tests.cases import check_each
from tests.hostile.corpus import BODIES

NOON = datetime(2026, 5, 1, 12, 4, 5, 123000, tzinfo=UTC)


def line_of(message: Message) -> dict[str, Any]:
    stream = io.StringIO()
    display = create("json", stream)
    display.open("chat")
    display.show(message)
    display.flush()
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    value = json.loads(line, parse_constant=refuse)
    assert isinstance(value, dict)
    return value


def test_a_line_has_what_a_message_has() -> None:
    message = Message.compose("ada", "hello", id="1", sent_at=NOON, extra={"mood": {"good": True}})
    line = line_of(message)
    assert list(line)[3:5] == ["sent_at", "received_at"]
    del line["received_at"]
    assert list(line.items()) == [
        ("username", "ada"),
        ("message", "hello"),
        ("id", "1"),
        ("sent_at", "2026-05-01T12:04:05.123Z"),
        ("account", None),
        ("verified", False),
        ("redelivered", False),
        ("problem", None),
        ("mood", {"good": True}),
    ]


def test_a_line_has_the_time_of_its_receipt_whatever_the_sender_says() -> None:
    for message in (
        Message.compose("ada", "hello", sent_at=NOON),
        Message.from_body(b"hello"),
        Message.compose("ada", "hello", extra={"received_at": "1970-01-01T00:00:00.000Z"}),
    ):
        before = time.time_ns() // 1_000_000
        line = line_of(message)
        moment = rfc3339.parse(line["received_at"])
        assert moment is not None
        assert line["received_at"] == rfc3339.text(moment)
        assert before <= rfc3339.milliseconds(moment) <= time.time_ns() // 1_000_000
        assert line.get("extra", {}) == {
            key: value for key, value in message.extra.items() if "received" in key
        }


def test_a_line_says_what_the_broker_says() -> None:
    line = line_of(Message.from_body(b"hello", account="ada", redelivered=True))
    assert (line["account"], line["redelivered"], line["username"]) == ("ada", True, None)
    assert (line["message"], line["problem"]) == ("hello", "not JSON")
    assert "body_base64" not in line


def test_bytes_that_are_no_text_come_as_base64() -> None:
    body = bytes(range(256))
    line = line_of(Message.from_body(body))
    assert b64decode(line["body_base64"]) == body
    assert line["message"].endswith("\\xfe\\xff")


def test_a_sender_cannot_write_the_keys_that_are_ours() -> None:
    claims = {
        "account": "root",
        "redelivered": True,
        "problem": "x",
        "body_base64": "AA==",
        "cut": 1,
        "extra": 2,
    }
    line = line_of(Message.compose("mallory", "hello", extra={**claims, "mood": "good"}))
    assert (line["account"], line["redelivered"], line["problem"], line["mood"]) == (
        None,
        False,
        None,
        "good",
    )
    assert line["extra"] == claims
    assert "body_base64" not in line
    assert "cut" not in line


def test_an_id_and_a_time_that_are_none_are_not_lost() -> None:
    line = line_of(Message.from_body(b'{"username":"a","message":"b","id":5,"sent_at":"noon"}'))
    assert (line["id"], line["sent_at"], line["extra"]) == (None, None, {"id": 5, "sent_at": "noon"})


def test_a_message_of_a_mebibyte_comes_whole() -> None:
    text = "\x1b\U0001f600" * (1 << 17)
    assert line_of(Message.compose("ada", text))["message"] == text


def test_the_corpus_is_parsable_and_whole() -> None:
    def is_parsable(body: bytes) -> None:
        message = Message.from_body(body)
        line = line_of(message)
        if len(body) > WHOLE:
            assert line["cut"] == len(body)
        else:
            assert line["username"] == message.username
            assert line["message"] == message.text

    check_each(BODIES, is_parsable)


OBJECTS = st.dictionaries(st.text(), st.floats() | st.text(st.characters()))


@given(st.binary() | OBJECTS.map(lambda value: json.dumps(value).encode()))
def test_anything_is_parsable(body: bytes) -> None:
    message = Message.from_body(body)
    assert line_of(message)["message"] == message.text
