"""Recordings: what is written is read again byte for byte, at the end of whatever was written, and sent when it is due."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from base64 import b64decode
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kchat.client import json_lines
from kchat.client import recording as recording_module
from kchat.client import replaying as replaying_module
from kchat.client.compression import Cut, Damaged, packer, unpacked
from kchat.client.json_lines import Damage
from kchat.client.recording import Recorder
from kchat.client.replaying import Recorded, Recording, Replay, to_send
from kchat.errors import MissingExtra, SettingsError
from kchat.message import Message
from tests.cases import check_each

NAMES = ("r.jsonl", "r.jsonl.gz", "r.jsonl.zst")


def recorded(path: Path, bodies: Iterable[bytes], *, batch: int = 1000, **options: bool) -> None:
    recorder = Recorder(str(path), "chat", **options)
    recorder.open()
    for number, body in enumerate(bodies, 1):
        recorder.show(Message.from_body(body, account="ada", content_type="text/plain"))
        if number % batch == 0:
            recorder.flush()
    recorder.close()


def read(path: Path) -> tuple[list[bytes], list[Damage]]:
    found = list(Recording(str(path)))
    return [each.body for each in found if isinstance(each, Recorded)], [
        each for each in found if isinstance(each, Damage)
    ]


BODIES = [
    b'{"username":"ada","message":"hi","id":"1","sent_at":"2026-01-31T12:00:00.000Z"}',
    b"",
    b"\x00\xff\xfe not text",
    "текст, \u2028, \x1b[31m, \x9b".encode(),
    b"two\nlines\r\n",
    b"\xef\xbb\xbf{}",
    b"x" * 3_000_000,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_has_every_body_as_it_came(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    recorded(path, BODIES)
    assert read(path) == (BODIES, [])


@given(st.lists(st.binary()))
def test_any_bytes_are_read_as_they_were_recorded(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("any") / "r.jsonl"
    recorded(path, bodies)
    assert read(path) == (bodies, [])


def test_a_line_is_ascii_json_with_these_keys(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    recorded(path, BODIES[:3])
    lines = [json.loads(line) for line in path.read_bytes().decode("ascii").splitlines()]
    assert list(lines[0]) == ["at", "room", "username", "id", "account", "content_type", "body"]
    first = {**lines[0], "at": ""}
    assert first == {
        "at": "",
        "room": "chat",
        "username": "ada",
        "id": "1",
        "account": "ada",
        "content_type": "text/plain",
        "body": BODIES[0].decode(),
    }
    assert "body" not in lines[2]
    assert b64decode(lines[2]["body_base64"]) == BODIES[2]
    assert datetime.fromisoformat(lines[0]["at"]).tzinfo == UTC


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_that_ends_anywhere_has_all_that_was_flushed_and_one_remark(
    tmp_path: Path, name: str
) -> None:
    """As a killed recorder leaves it, wherever it was."""
    path = tmp_path / name
    recorder = Recorder(str(path), "chat")
    recorder.open()
    ends = []
    for number in range(20):
        recorder.show(Message.from_body(b"body %d" % number))
        recorder.flush()
        ends.append(path.stat().st_size)
    recorder.close()
    data = path.read_bytes()
    cut = tmp_path / f"cut-{name}"

    def ends_there(size: int) -> None:
        cut.write_bytes(data[:size])
        bodies, damages = read(cut)
        least = sum(end <= size for end in ends)
        assert bodies[:least] == [b"body %d" % number for number in range(least)]
        assert bodies == [b"body %d" % number for number in range(len(bodies))]
        assert len(bodies) - least <= 1
        whole = size in (0, len(data)) or (name == "r.jsonl" and (size in ends or len(bodies) > least))
        assert [damage.cut for damage in damages] == ([] if whole else [True])

    check_each(range(len(data) + 1), ends_there)


DAMAGED = {
    "no JSON": (b"nonsense", "it is not JSON"),
    "no UTF-8": (b'{"at":"\xff"}', "it is not JSON"),
    "no object": (b"[1]", "it is not a JSON object"),
    "no time": (b'{"body":"x"}', "it has no time (at)"),
    "no such time": (b'{"at":"yesterday","body":"x"}', "Invalid isoformat string: 'yesterday'"),
    "no offset": (b'{"at":"2026-01-31T12:00:00","body":"x"}', "its time has no offset from UTC"),
    "no body": (b'{"at":"2026-01-31T12:00:00Z"}', "it has no body"),
    "half a character": (b'{"at":"2026-01-31T12:00:00Z","body":"\\ud800"}', "it holds half a character"),
    "no base 64": (b'{"at":"2026-01-31T12:00:00Z","body_base64":"?"}', "Only base64 data is allowed"),
    "too deep": (b"[" * 100_000, "it is nested too deeply"),
}


def test_a_damaged_line_is_one_remark_and_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    recorded(path, [b"before", b"behind"])
    before, behind = path.read_bytes().splitlines(keepends=True)

    def costs_no_other(case: tuple[bytes, str]) -> None:
        line, why = case
        path.write_bytes(before + line + b"\n\n" + behind)
        assert read(path) == ([b"before", b"behind"], [Damage(2, why)])

    check_each(DAMAGED, costs_no_other)


def test_a_line_that_is_too_long_is_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 1 << 20)
    path = tmp_path / "r.jsonl"
    recorded(path, [b"before", b"x" * (2 << 20), b"behind"])
    bodies, damages = read(path)
    assert bodies == [b"before", b"behind"]
    assert damages == [Damage(2, "it is longer than 1 MiB")]


@pytest.mark.parametrize("name", NAMES[1:])
def test_what_was_changed_within_compressed_data_costs_what_follows_and_nothing_before(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    recorded(path, [os.urandom(1000) for _ in range(50)], batch=1)
    whole, _ = read(path)
    data = bytearray(path.read_bytes())
    at = len(data) // 2
    data[at : at + 64] = bytes(64)
    path.write_bytes(data)
    bodies, damages = read(path)
    assert 0 < len(bodies) < 50
    assert bodies[:20] == whole[:20]
    assert damages[-1].why.startswith("what follows cannot be decompressed")
    assert not damages[-1].cut


def test_decompressing_gives_pieces_of_bounded_size() -> None:
    for name in NAMES[1:]:
        made = packer(name)
        data = made.pack(b"x" * 50_000_000) + made.end()
        sizes = [len(piece) for piece in unpacked(name, [data, data])]
        assert sum(sizes) == 100_000_000
        assert max(sizes) <= 1 << 20, name
        with pytest.raises(Cut):
            list(unpacked(name, [data[:-1]]))
        with pytest.raises(Damaged):
            list(unpacked(name, [b"not compressed at all"]))


def test_without_a_module_for_zstandard_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.zst"
    path.touch()
    for module in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    for use in (lambda: Recorder(str(path), "chat").open(), lambda: Recording(str(path))):
        with pytest.raises(MissingExtra, match=r"no module for files that end in \.zst") as found:
            use()
        assert "kombu-chat[zstd]" in found.value.hint


def test_a_recording_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    recorded(path, [b"precious"])
    with pytest.raises(SettingsError, match="is there already"):
        Recorder(str(path), "chat").open()
    assert read(path) == ([b"precious"], [])


def test_two_recorders_cannot_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    first = Recorder(str(path), "chat")
    first.open()
    with pytest.raises(SettingsError, match="another process is recording"):
        Recorder(str(path), "chat").open()
    first.close()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be written: No such file"):
        Recorder(str(tmp_path / "no" / "r.jsonl"), "chat").open()
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        Recording(str(tmp_path / "no" / "r.jsonl"))


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_leaves_whole_messages(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    recorder = Recorder(str(path), "chat")
    recorder.open()
    recorder.show(Message.from_body(b"fits"))
    recorder.flush()
    size = path.stat().st_size
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
        recorder.show(Message.from_body(os.urandom(5000)))
        with pytest.raises(OSError, match="File too large"):
            recorder.flush()
        recorder.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.stat().st_size == size
    assert recorder.count == 1
    assert read(path)[0] == [b"fits"]


def test_what_is_to_outlive_a_loss_of_power_is_on_the_disk_when_it_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    path = tmp_path / "r.jsonl"
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(path.stat().st_size))
    for sync in (False, True):
        synced.clear()
        path.unlink(missing_ok=True)
        recorder = Recorder(str(path), "chat", sync=sync)
        recorder.open()
        recorder.show(Message.from_body(b"x"))
        recorder.flush()
        assert synced == ([path.stat().st_size] if sync else [])
        recorder.flush()
        assert len(synced) == sync  # nothing new
        recorder.close()
        assert synced[-1] == path.stat().st_size


# ---- times


class Clock:
    """What the modules take for the time."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock(1_800_000_000.0)
    for module, names in ((recording_module, ("monotonic", "time")), (replaying_module, ("monotonic",))):
        for name in names:
            monkeypatch.setattr(module, name, found)
    return found


def sent(at: float) -> Message:
    return Message.compose("ada", "x", sent_at=datetime.fromtimestamp(at, UTC))


def times(path: Path) -> list[float]:
    return [each.at for each in Recording(str(path)) if isinstance(each, Recorded)]


def test_a_message_has_the_time_at_which_it_came(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "r.jsonl"
    recorder = Recorder(str(path), "chat")
    recorder.open()
    begin = clock.now
    for pause in (0.5, 0.000_25, 3600.0):
        clock.pass_by(pause)
        recorder.show(sent(begin - 86400 * 365))  # its sender's clock says anything
    recorder.close()
    assert times(path) == pytest.approx([begin + 0.5, begin + 0.50025, begin + 3600.50025], abs=2e-6)


def test_messages_that_had_waited_have_the_times_at_which_they_were_sent(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "r.jsonl"
    recorder = Recorder(str(path), "chat", waited=True)
    recorder.open()
    begin = clock.now
    clock.pass_by(0.1)
    for at in (-3600, -3000, -3100, +86400 * 365, -10):  # one clock is wrong by a year
        recorder.show(sent(begin + at))
    clock.pass_by(5)
    recorder.show(sent(begin - 4000))  # this one did not wait
    recorder.close()
    assert times(path) == pytest.approx(
        [begin - 3600, begin - 3000, begin - 3000, begin + 0.1, begin + 0.1, begin + 5.1], abs=2e-6
    )


def records(*ats: float) -> list[Recorded]:
    return [Recorded(at, b"%f" % at) for at in ats]


@pytest.mark.parametrize(
    ("options", "due"),
    [
        ({}, [0, 1, 1, 61]),
        ({"speed": 2.0}, [0, 0.5, 0.5, 30.5]),
        ({"speed": None}, [0, 0, 0, 0]),
        ({"longest_pause": 5.0}, [0, 1, 1, 6]),
        ({"longest_pause": 0.0}, [0, 0, 0, 0]),
    ],
)
def test_messages_are_sent_with_the_distances_that_they_had(
    clock: Clock, options: dict[str, float | None], due: list[float]
) -> None:
    begin = clock.now
    replay = Replay(records(100, 101, 90, 150), wait=clock.pass_by, **options)  # type: ignore[arg-type]
    found = [clock.now - begin for message in replay if message is not None]
    assert found == pytest.approx(due, abs=1e-3)


def test_what_takes_long_to_send_delays_nothing_after_it(clock: Clock) -> None:
    begin, found = clock.now, []
    for message in Replay(records(0, 1, 2, 3), wait=clock.pass_by):
        if message is not None:
            found.append(clock.now - begin)
            clock.pass_by(1.5 if len(found) == 1 else 0)
    assert found == pytest.approx([0, 1.5, 2, 3])


def test_while_nothing_is_due_the_sender_may_look_at_its_confirmations(clock: Clock) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        clock.pass_by(seconds)

    found = list(Replay(records(0, 1), wait=wait))
    assert max(waits) <= 0.1
    assert found.count(None) >= 9


def test_the_duration_of_a_recording_is_known_before_it_is_sent(tmp_path: Path, clock: Clock) -> None:
    for name in NAMES:
        path = tmp_path / name
        recorder = Recorder(str(path), "chat")
        recorder.open()
        for pause in (0, 10, 100):
            clock.pass_by(pause)
            recorder.show(Message.from_body(b"x"))
        recorder.close()
        assert Recording(str(path)).duration() == pytest.approx(110, abs=1e-3)
        assert Recording(str(path)).duration(30) == pytest.approx(40, abs=1e-3)


def test_a_recordings_duration_is_known_also_where_its_keys_were_put_into_another_order(
    tmp_path: Path,
) -> None:
    path = tmp_path / "r.jsonl"
    lines = [
        {"body": f'"at":"{second}"', "id": None, "at": f"2026-05-01T12:00:{second}Z"}
        for second in (10, 11, 40)
    ]
    texts = [json.dumps(line) for line in lines]
    path.write_text("\n".join([texts[0], "{", '{"at":"never","body":""}', texts[1], "[]", texts[2], ""]))
    assert Recording(str(path)).duration() == pytest.approx(30)
    assert Recording(str(path)).duration(5) == pytest.approx(6)


# ---- ids


def sendable(body: bytes, *, keep_id: bool = False) -> Message:
    return to_send(Recorded(0.0, body, id=Message.from_body(body).id), keep_id=keep_id)


def test_a_message_is_sent_again_with_a_new_id_and_nothing_else_changed() -> None:
    message = Message.compose("ada", 'say "id":"x" \\ ü', extra={"a": [1.50, {"b": None}]})
    assert message.id is not None
    again = sendable(message.body)
    assert again.id not in (None, message.id)
    assert again.body == message.body.replace(message.id.encode(), str(again.id).encode())
    assert sendable(message.body).id != again.id
    assert sendable(message.body, keep_id=True).body == message.body


OTHER_IDS: dict[str, bytes] = {
    "spaces": b'{ "id" : "a", "username": "ada", "message": "x" }',
    "within another": b'{"of":{"id":"a"},"id":"a","username":"ada","message":"x"}',
    "within another, spelt otherwise": b'{"of":{"id":"a"},"id" :"a","username":"ada","message":"x"}',
    "twice": b'{"id":"b","id":"a","username":"ada","message":"x"}',
    "escaped": rb'{"id":"\u0061\"","username":"ada","message":"x"}',
    "not ASCII": '{"id":"ü","username":"ada","message":"x"}'.encode(),
    "a byte order mark": b'\xef\xbb\xbf{"id" :"a","username":"ada","message":"x"}',
    "half a character": rb'{"id" :"a","username":"ada","message":"\ud800"}',
}


def test_an_id_is_replaced_however_it_is_written() -> None:
    def is_replaced(body: bytes) -> None:
        before, again = Message.from_body(body), sendable(body)
        found = Message.from_body(again.body)
        assert found.id == again.id
        assert found.id not in (None, before.id)
        assert (found.text, found.username, found.extra) == (before.text, before.username, before.extra)

    check_each(OTHER_IDS, is_replaced)


def test_a_body_without_an_id_is_sent_as_it_is() -> None:
    bodies = [b"", b"\xff\x00", b'{"username":"ada","message":"x"}', b'{"id":"a","message":"x"}', b'{"id":']
    for body in bodies:
        again = sendable(body)
        assert (again.body, again.id) == (body, None)


def test_a_line_that_does_not_name_the_id_is_read_for_it(tmp_path: Path) -> None:
    """As somebody's own program may write it."""
    path = tmp_path / "r.jsonl"
    message = Message.compose("ada", "x")
    path.write_text(json.dumps({"at": "2026-01-31T12:00:00+01:00", "body": message.body.decode()}))
    (record,) = Recording(str(path))
    assert isinstance(record, Recorded)
    assert record.id == message.id
    assert to_send(record).id != message.id


@pytest.mark.parametrize("content_type", ["x" * 256, "", 7, None])
def test_a_content_type_that_no_broker_takes_is_left_out(tmp_path: Path, content_type: object) -> None:
    path = tmp_path / "r.jsonl"
    line = {"at": "2026-01-31T12:00:00Z", "body": "x", "content_type": content_type}
    path.write_text(json.dumps(line))
    (record,) = Recording(str(path))
    assert isinstance(record, Recorded)
    assert record.content_type is None
