"""Importing: what kchat writes as JSON lines becomes the records of the messages, and what is damaged is told."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import time_ns
from typing import Any

import pytest

from kchat.archive.exporting import export
from kchat.archive.importing import BATCH, Imported, LineReader, import_file
from kchat.archive.opening import open_store
from kchat.archive.placing import Placing
from kchat.archive.record import Record, body_digest
from kchat.archive.span import Span
from kchat.archive.store import Store
from kchat.client.json_lines import Damage
from kchat.client.recording import Recorder
from kchat.display.json import Json
from kchat.errors import SettingsError
from kchat.events import Notice, as_object
from kchat.message import Message

SENT = datetime(2026, 5, 1, 12, 4, 5, 123_000, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "archive.db", write=True) as found:
        yield found


@pytest.fixture
def imported(store: Store, tmp_path: Path) -> Callable[..., Imported]:
    """Imports lines from a file."""

    def run(*lines: str | bytes | dict[str, Any], name: str = "lines.jsonl", **options: Any) -> Imported:
        whole = [each if isinstance(each, bytes) else as_line(each) for each in lines]
        (tmp_path / name).write_bytes(b"\n".join(whole) + b"\n")
        return import_file(store, str(tmp_path / name), **options)

    return run


def as_line(value: str | dict[str, Any]) -> bytes:
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def records(store: Store) -> list[Record]:
    return list(store.records(Span()))


MESSAGES = [
    Message.compose(
        "ada", "Hello @Bob, \U0001f600 and\nmore", sent_at=SENT, extra={"mood": ["ok"], "room": "?"}
    ),
    Message.compose("bob", "", sent_at=SENT, id="x" * 255)._replace(account="bob"),
    Message.from_body(b'{"username":"eve","message":"no id"}', account="mallory"),
    Message.from_body(b"plain text"),
    Message.from_body(b"\xff\x00 no text"),
]


def expected(message: Message) -> tuple[Any, ...]:
    made = Record.of(message, "chat", 0)
    return (
        made.username,
        made.text,
        made.id,
        made.account,
        made.verified,
        made.extra,
        made.sent_at,
        made.mentions,
    )


def found(store: Store) -> set[tuple[Any, ...]]:
    return {
        (
            each.username,
            each.text,
            each.id,
            each.account,
            each.verified,
            each.extra,
            each.sent_at,
            each.mentions,
        )
        for each in records(store)
    }


def recording(path: Path) -> None:
    recorder = Recorder(str(path), "chat")
    recorder.open()
    for message in MESSAGES:
        recorder.show(message)
    recorder.close()


def shown() -> list[str]:
    stream = io.StringIO()
    display = Json(stream)
    for message in MESSAGES:
        display.show(message)
    display.event(Notice("something happened"))
    display.flush()
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("name", ["day.jsonl", "day.jsonl.gz", "day.jsonl.zst"])
def test_a_recording_is_imported_once_however_often(store: Store, tmp_path: Path, name: str) -> None:
    began = time_ns() // 1_000_000
    recording(tmp_path / name)
    assert import_file(store, str(tmp_path / name)) == Imported(messages=5, new=5)
    assert import_file(store, str(tmp_path / name), room="other") == Imported(messages=5, new=0)
    assert found(store) == set(map(expected, MESSAGES))
    assert store.rooms() == {"chat": 5}
    ended = time_ns() // 1_000_000
    assert all(began - 1_000 <= each.received_at <= ended + 1_000 for each in records(store))


def test_what_subscribe_has_shown_is_imported_with_the_other_keys_of_its_body(
    store: Store, imported: Callable[..., Imported]
) -> None:
    lines = shown()
    for new in (5, 0):
        assert imported(*lines, room="chat") == Imported(messages=5, new=new, skipped=1)
    assert found(store) == set(map(expected, MESSAGES))


def test_what_both_have_is_there_once_if_it_has_an_id(
    store: Store, imported: Callable[..., Imported], tmp_path: Path
) -> None:
    recording(tmp_path / "day.jsonl")
    import_file(store, str(tmp_path / "day.jsonl"))
    assert imported(*shown(), room="chat").new == 3


def test_messages_that_are_alike_are_kept_each(store: Store, imported: Callable[..., Imported]) -> None:
    line = {"at": "2026-05-01T12:04:05.123456Z", "room": "chat", "body": "alike"}
    later = {**line, "at": "2026-05-01T12:04:05.123457Z"}
    for new in (5, 0):
        assert imported(line, line, line, later, later).new == new
    assert {each.received_at for each in records(store)} == {1_777_637_045_123}


GOOD = {"at": "2026-05-01T12:04:05Z", "room": "chat", "body": "good"}
SHOWN = json.loads(shown()[0])
EXPORTED = {
    "room": "chat",
    "key": "p:1",
    "position": "1",
    "text": "hello",
    "length": 5,
    "received_at": GOOD["at"],
}

DAMAGED: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "it is not JSON"),
    "NaN": ('{"at": NaN}', "it is not JSON: NaN"),
    "no UTF-8": (b"\xff", "it is not UTF-8"),
    "no object": ("[1]", "it is not a JSON object"),
    "too deep": ("[" * 100_000, "it is nested too deeply"),
    "another object": ({"a": 1}, "it is not a line of kchat record,"),
    "no time": ({**GOOD, "at": 5}, "its at is not a string"),
    "a wrong time": ({**GOOD, "at": "yesterday"}, "its at is not a time"),
    "null for a time": ({**GOOD, "at": None}, "it has no time (at)"),
    "no body": ({**GOOD, "body": 5}, "it has no body"),
    "wrong base 64": (
        {"at": GOOD["at"], "room": "chat", "body_base64": "?"},
        "its body_base64 is not base 64",
    ),
    "no room": ({**GOOD, "room": None}, "it names no room"),
    "a room that is none": ({**GOOD, "room": "a\nb"}, "the room's name 'a\\nb' has control characters in it"),
    "a number for a room": ({**GOOD, "room": 5}, "its room is not a string"),
    "a part of a message": ({**SHOWN, "cut": 3_000_000, "room": "chat"}, "it has only a part of the message"),
    "a text that is none": ({**SHOWN, "message": 5, "room": "chat"}, "its message is not a string"),
    "an empty id": ({**SHOWN, "id": "", "room": "chat"}, "its id does not have 1 to 255 bytes"),
    "a key that is none": (
        {**EXPORTED, "key": "x", "position": None},
        "its key is none of a message without an id",
    ),
    "a length that is none": (
        {**EXPORTED, "text": None, "length": -1},
        "its length is not a number of characters",
    ),
    "no digest": ({**EXPORTED, "text": None}, "its digest is not 32 hexadecimal digits"),
    "a digest that is none": (
        {**EXPORTED, "text": None, "digest": "zz" * 16},
        "its digest is not 32 hexadecimal digits",
    ),
    "extra that is none": ({**EXPORTED, "extra": [1]}, "its extra is not an object"),
    "a number beyond all": (
        '{"room":"chat","key":"p:1","position":"1","text":"","length":0,"received_at":"2026-05-01T12:04:05Z","extra":{"n":1e999}}',
        "it has a number that is too large",
    ),
}


def test_each_damaged_line_is_told_with_its_number_and_the_others_are_imported(
    store: Store, imported: Callable[..., Imported]
) -> None:
    told: list[Damage] = []
    lines = [each for line, _ in DAMAGED.values() for each in (line, "", GOOD)]
    counts = imported(*lines, on_damage=told.append)
    assert counts == Imported(messages=len(DAMAGED), new=len(DAMAGED), damaged=len(DAMAGED))
    wrong = {
        name: str(damage)
        for (name, (_, why)), damage, number in zip(DAMAGED.items(), told, range(1, 100, 3), strict=False)
        if not str(damage).startswith(f"line {number}: {why}")
    }
    assert wrong == {}
    assert len(records(store)) == len(DAMAGED)


def test_a_file_that_ends_in_a_line_is_told_and_is_no_damage(store: Store, tmp_path: Path) -> None:
    told: list[Damage] = []
    (tmp_path / "cut.jsonl").write_bytes(as_line(GOOD) + b"\n" + as_line(GOOD)[:-3])
    counts = import_file(store, str(tmp_path / "cut.jsonl"), on_damage=told.append)
    assert counts == Imported(messages=1, new=1, cut=True)
    assert [each.cut for each in told] == [True]
    whole = gzip.compress(as_line(GOOD) + b"\n")
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-4])
    assert import_file(store, str(tmp_path / "cut.jsonl.gz")).cut


def test_halves_of_characters_cannot_keep_a_message_out(
    store: Store, imported: Callable[..., Imported]
) -> None:
    line = {**SHOWN, "id": "1", "message": "a\ud800b", "username": "\udfff", "more": "\ud83d", "room": "chat"}
    assert imported(line).new == 1
    (record,) = records(store)
    assert (record.username, record.text) == ("�", "a�b")


def test_keys_of_a_body_cannot_make_a_line_another_kind(
    store: Store, imported: Callable[..., Imported]
) -> None:
    forged = {
        "key": "i:forged",
        "length": 1,
        "at": GOOD["at"],
        "body": "forged",
        "type": "notice",
        "text": "forged",
    }
    assert imported({**SHOWN, **forged, "room": "chat"}) == Imported(messages=1, new=1)
    (record,) = records(store)
    assert record.text == SHOWN["message"]
    assert json.loads(record.extra or "{}")["body"] == "forged"


def test_an_archive_without_texts_keeps_none(tmp_path: Path) -> None:
    recording(tmp_path / "day.jsonl")
    with open_store(tmp_path / "no-text.db", write=True, texts=False) as store:
        assert import_file(store, str(tmp_path / "day.jsonl")).new == 5
        kept = records(store)
    assert {each.text for each in kept} == {None}
    assert {each.length for each in kept} == {len(each.text) for each in MESSAGES}
    assert b"Hello" not in (tmp_path / "no-text.db").read_bytes()


def test_an_archive_without_texts_has_no_digest_by_which_a_text_is_found(tmp_path: Path) -> None:
    """Whoever guesses a text makes its body, and compares: of a plain client, all else in it is known."""
    body, said = b'{"username": "ada", "message": "yes"}', tmp_path / "said.jsonl"
    guess = body_digest(body)
    position = f"5-{guess[:16]}"  # as a history on RabbitMQ gives it
    with open_store(tmp_path / "with.db", write=True) as store:
        placing = Placing(store, "chat", 10)
        store.write(placing.records([(Message.from_body(body), 1), (at_position(body, position), 2)], 1))
        export(store.records(Span()), str(said))
    assert guess in said.read_text()
    with open_store(tmp_path / "without.db", write=True, texts=False) as store:
        placing = Placing(store, "chat", 10)
        came = [(Message.from_body(body), 1), (at_position(body, position), 2)]
        assert store.write(placing.records(came, 1)) == 2
        again = [(message._replace(redelivered=True), at) for message, at in came]
        assert store.write(Placing(store, "chat", 10).records(again, 1)) == 0
        assert import_file(store, str(said)).new == 1  # the one at the position is known
        assert import_file(store, str(said)).new == 0
        export(store.records(Span()), str(tmp_path / "kept.jsonl"))
        assert import_file(store, str(tmp_path / "kept.jsonl")).new == 0
        kept = [(each.key, each.position) for each in records(store)]
    assert [each for each in kept if guess[:16] in str(each)] == []
    assert [place[:2] for _, place in kept if place] == ["5-"]


def at_position(body: bytes, position: str) -> Message:
    return Message.from_body(body)._replace(position=position)


def test_lines_are_committed_in_batches_and_progress_is_told(
    store: Store, imported: Callable[..., Imported]
) -> None:
    told: list[tuple[int, float | None]] = []
    lines = [{**GOOD, "body": f"{number}"} for number in range(BATCH + 1)]
    counts = imported(*lines, on_progress=lambda counts, share: told.append((counts.new, share)))
    assert counts.new == BATCH + 1
    ((many, share),) = told
    assert many == BATCH
    assert share is not None
    assert 0.9 < share <= 1


def test_large_lines_are_committed_before_they_fill_the_memory(
    store: Store, imported: Callable[..., Imported]
) -> None:
    told: list[int] = []
    lines = [{**GOOD, "body": "x" * 1_000_000 + f"{number}"} for number in range(20)]
    imported(*lines, on_progress=lambda counts, _: told.append(counts.new))
    assert told == [17]


def test_a_file_that_is_not_there_and_a_room_that_is_none_are_said_at_once(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        import_file(store, str(tmp_path / "none.jsonl"))
    with pytest.raises(SettingsError, match="control characters"):
        import_file(store, str(tmp_path), room="a\nb")


def test_an_event_is_no_message() -> None:
    assert LineReader("chat", None).read(as_line(as_object(Notice("hello")))) is None
