"""`kchat record` and `kchat replay`, as processes, on a broker and without one."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kchat import Sender, Settings, Subscriber
from kchat.client.connection import connect
from kchat.client.replaying import Recorded, Recording
from kchat.message import Message
from tests.brokers.processes import Commands, Process
from tests.brokers.require import require
from tests.brokers.wait import wait_until
from tests.window import Window

LISTENING, SENDING = "listening on", "Ctrl+C ends"
NAMES = ("r.jsonl", "r.jsonl.gz", "r.jsonl.zst")


@pytest.fixture(params=["local_url", "amqp_url"])
def url(request: pytest.FixtureRequest) -> str:
    """Of a room's broker: the embedded one, and RabbitMQ."""
    return str(request.getfixturevalue(request.param))


def place(url: str, room: str) -> tuple[str, ...]:
    return ("--url", url, "--room", room)


def send(url: str, room: str, *bodies: bytes, content_type: str | None = None) -> None:
    with Sender(Settings.resolve(url=url, room=room), "ada") as sender:
        for body in bodies:
            sender.send(Message(None, "", body=body, content_type=content_type))


def bodies_of(path: Path) -> list[bytes]:
    return [each.body for each in Recording(str(path)) if isinstance(each, Recorded)]


@pytest.fixture
def subscriber(url: str, room: str) -> Iterator[Subscriber]:
    """A subscriber to another room, which a recording is sent to."""
    settings = Settings.resolve(url=url, room=f"{room}-other")
    with Subscriber(settings, "bob", content_types=True) as found:
        yield found


def received(subscriber: Subscriber, count: int) -> list[Message]:
    found: list[Message] = []

    def enough() -> bool:
        found.extend(subscriber.receive(timeout=0.1))
        subscriber.acknowledge()
        return len(found) >= count

    wait_until(enough, 30, lambda: f"{count} messages; there are {found}")
    return found


FOREIGN = [
    b"",
    b"\x00\xff\xfe",
    b"plain text",
    b'{"username":"ada","message":"no id"}',
    "ж\n\x1b[0m".encode(),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_room_is_recorded_and_sent_again_byte_for_byte(
    commands: Commands, url: str, room: str, tmp_path: Path, subscriber: Subscriber, name: str
) -> None:
    path = tmp_path / name
    recorder = commands.kchat("record", str(path), *place(url, room), "--limit", "6")
    recorder.wait_for(LISTENING)
    send(url, room, *FOREIGN, content_type="x/foreign")
    assert commands.run_kchat("send", "-q", *place(url, room), "-u", "ada", "hello").code == 0
    assert recorder.wait() == 0
    assert f"6 messages recorded to {path}" in recorder.stderr
    lines = [each for each in Recording(str(path)) if isinstance(each, Recorded)]
    assert [line.body for line in lines[:5]] == FOREIGN
    assert [line.content_type for line in lines] == ["x/foreign"] * 5 + ["application/json"]
    assert [line.room for line in lines] == [room] * 6
    assert lines[5].account == (None if url.startswith("local") else "rmq")

    other = f"{room}-other"
    sent = commands.run_kchat("replay", str(path), "--url", url, "--room", other, "--no-delay")
    assert sent.code == 0, sent.stderr
    assert f"6 sent to {other} at" in sent.stderr
    again = received(subscriber, 6)
    assert [message.body for message in again[:5]] == FOREIGN
    assert [message.content_type for message in again] == ["x/foreign"] * 5 + ["application/json"]
    old, new = Message.from_body(lines[5].body), again[5]
    assert (new.username, new.text, new.sent_at) == ("ada", "hello", old.sent_at)
    assert new.id not in (None, old.id)


@pytest.mark.parametrize("name", NAMES)
def test_jq_reads_a_recording(commands: Commands, local_url: str, tmp_path: Path, name: str) -> None:
    require("jq", "it reads recordings")
    if name.endswith(".zst"):
        require("zstd", "it decompresses recordings")
    path = tmp_path / name
    recorder = commands.kchat("record", str(path), "--url", local_url, "--limit", "6")
    recorder.wait_for(LISTENING)
    send(local_url, "chat", *FOREIGN, Message.compose("ada", "hi").body)
    assert recorder.wait() == 0
    show = {".gz": ["gzip", "-dc"], ".zst": ["zstd", "-dc"]}.get(path.suffix, ["cat"])
    text = subprocess.run([*show, str(path)], capture_output=True, check=True, timeout=30).stdout
    jq = ["jq", "-r", ".body // .body_base64"]
    found = subprocess.run(jq, input=text, capture_output=True, check=True, timeout=30).stdout.decode()
    assert found.startswith("\nAP/+\nplain text\n")
    jq = ["jq", "-r", 'select(.username == "ada" and .id) | .body | fromjson | .message']
    assert subprocess.run(jq, input=text, capture_output=True, check=True, timeout=30).stdout == b"hi\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_recording_and_its_durable_queue_have_every_message(
    commands: Commands, url: str, room: str, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    durable = (*place(url, room), "--durable", "tape")
    recorder = commands.kchat("record", str(path), *durable)
    recorder.wait_for(LISTENING)
    sender = commands.kchat("send", "-q", *place(url, room), "-", stdin=True)
    sender.write("".join(f"message {number}\n" for number in range(5000)))
    wait_until(lambda: path.stat().st_size > 20_000, 30, "something in the file")
    recorder.kill()
    sender.close_stdin()
    assert sender.wait() == 0

    kept = [Message.from_body(body).text for body in bodies_of(path)]
    assert kept == [f"message {number}" for number in range(len(kept))]
    assert kept
    rest = tmp_path / f"rest-{name}"
    recorder = commands.kchat("record", str(rest), *durable)
    recorder.wait_for(LISTENING)
    left: list[str] = []

    def has_the_last() -> bool:
        left[:] = [Message.from_body(body).text for body in bodies_of(rest)]
        return left[-1:] == ["message 4999"]

    wait_until(has_the_last, 30, lambda: f"the last message, but {left[-1:]}", pause=0.2)
    recorder.interrupt()
    assert recorder.wait() == 0, recorder.stderr
    assert left == [f"message {number}" for number in range(5000 - len(left), 5000)]
    assert len(kept) + len(left) >= 5000  # some may be in both: written, and not acknowledged yet
    again = commands.run_kchat("replay", str(path), "--url", url, "--no-delay")
    assert again.code == 0, again.stderr
    assert f"{len(kept):,} sent" in again.stderr
    # A plain file shows it only where the kill came in the middle of a line.
    shows = name != "r.jsonl" or is_cut(path.read_bytes().rpartition(b"\n")[2])
    assert again.stderr.count("the recorder was killed") == shows


def is_cut(line: bytes) -> bool:
    """Whether the last line of a file, without its newline, ends in the middle of an object."""
    try:
        return bool(line) and json.loads(line) is None
    except ValueError:
        return True


def a_recording(path: Path, *records: tuple[str, bytes], room: str = "chat") -> Path:
    lines = [
        {"at": at, "room": room, "id": Message.from_body(body).id, "body": body.decode()}
        for at, body in records
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_damaged_line_is_told_and_the_others_are_sent(
    commands: Commands, url: str, room: str, tmp_path: Path, subscriber: Subscriber
) -> None:
    now = "2026-01-31T12:00:00Z"
    path = a_recording(tmp_path / "r.jsonl", (now, b"before"), (now, b"behind"))
    first, second = path.read_text().splitlines()
    path.write_text(f"{first}\nnonsense \x1b[31m\n{second}\n{second[:40]}")
    done = commands.run_kchat("replay", str(path), "--url", url, "--room", f"{room}-other")
    assert done.code == 1
    assert f"kchat: {path}, line 2: it is not JSON\n" in done.stderr
    assert (
        f"kchat: {path}, line 4: it is incomplete: the recorder was killed, or is not done\n" in done.stderr
    )
    assert "2 sent to" in done.stderr
    assert [message.body for message in received(subscriber, 2)] == [b"before", b"behind"]


def test_many_damaged_lines_are_counted(commands: Commands, local_url: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("nonsense\n" * 1000)
    done = commands.run_kchat("replay", str(path), "--url", local_url)
    assert done.code == 1
    assert done.stderr.count("it is not JSON") == 10
    assert "1,000 damaged lines in all" in done.stderr


def test_ctrl_c_ends_a_replay_and_says_how_many_were_sent(
    commands: Commands, url: str, room: str, tmp_path: Path, subscriber: Subscriber
) -> None:
    path = a_recording(
        tmp_path / "r.jsonl",
        ("2026-01-31T12:00:00Z", b"one"),
        ("2026-01-31T12:00:00.1Z", b"two"),
        ("2027-01-31T12:00:00Z", b"a year later"),
    )
    replay = commands.kchat("replay", str(path), "--url", url, "--room", f"{room}-other")
    assert [message.body for message in received(subscriber, 2)] == [b"one", b"two"]
    replay.interrupt()
    assert replay.wait() == 130
    # A subscriber may have the second one before its sender knows that.
    assert re.search("2 sent to|1 sent to .*, 1 not confirmed", replay.stderr)


def test_long_pauses_can_be_shortened(commands: Commands, local_url: str, tmp_path: Path) -> None:
    path = a_recording(
        tmp_path / "r.jsonl", ("2026-01-31T12:00:00Z", b"one"), ("2027-01-31T12:00:00Z", b"a year later")
    )
    assert commands.run_kchat("replay", str(path), "--url", local_url, "--longest-pause", "0.1").code == 0


def test_a_recording_goes_to_the_room_that_was_recorded_unless_another_is_named(
    commands: Commands, local_url: str, tmp_path: Path
) -> None:
    path = a_recording(tmp_path / "r.jsonl", ("2026-01-31T12:00:00Z", b"x"), room="kitchen")

    def told(*options: str, env: dict[str, str] | None = None) -> str:
        return commands.run_kchat("replay", str(path), "--url", local_url, *options, env=env).stderr

    assert "1 sent to kitchen at" in told()
    assert "1 sent to test at" in told("--room", "test")
    assert "1 sent to test at" in told(env={"KCHAT_ROOM": "test"})


def test_who_has_just_seen_a_message_sees_it_again_unless_the_ids_are_kept(
    commands: Commands, url: str, room: str, tmp_path: Path
) -> None:
    message = Message.compose("ada", "hello")
    path = a_recording(tmp_path / "r.jsonl", ("2026-01-31T12:00:00Z", message.body), room=room)
    shown = commands.kchat("subscribe", *place(url, room), "--mode", "json")
    shown.wait_for(LISTENING)
    send(url, room, message.body)
    first = json.loads(shown.read_line())
    assert commands.run_kchat("replay", str(path), "--url", url, "--keep-ids").code == 0
    assert commands.run_kchat("replay", str(path), "--url", url).code == 0
    second = json.loads(shown.read_line())
    assert first["id"] == message.id
    assert second["id"] != message.id  # so the one with the same id was skipped
    assert (second["message"], second["sent_at"]) == ("hello", first["sent_at"])


def test_what_cannot_be_recorded_or_sent_is_told_before_a_broker_is_asked(
    commands: Commands, tmp_path: Path
) -> None:
    nowhere = ("--url", "amqp://localhost:1/")
    there = tmp_path / "there.jsonl"
    there.write_text("precious")
    cases: dict[tuple[str, ...], str] = {
        ("record", str(there)): "is there already",
        ("record", str(tmp_path / "no" / "r")): "cannot be written: No such file or directory",
        ("record", str(tmp_path)): "cannot be written: Is a directory",
        ("replay", str(tmp_path / "no")): "cannot be read: No such file or directory",
        ("replay", str(tmp_path)): "cannot be read: Is a directory",
        ("replay", str(there), "--speed", "2", "--no-delay"): "either --speed or --no-delay",
        ("replay", str(there), "--speed", "0"): "'0' is not a speed: it must be more than 0, as 0.5 or 10",
        ("replay", str(there), "--speed", "nan"): "'nan' is not a speed",
        ("replay", str(there), "--speed", "fast"): "'fast' is not a speed",
    }
    for arguments, told in cases.items():
        done = commands.run_kchat(*arguments, *nowhere)
        assert (done.code, told in done.stderr) == (2, True), (arguments, done)
    assert there.read_text() == "precious"


def test_a_recording_by_pipes(commands: Commands, local_url: str, tmp_path: Path) -> None:
    recorder = commands.kchat("record", "-", "--url", local_url, "--limit", "1")
    recorder.wait_for(LISTENING)
    send(local_url, "chat", b"x")
    assert recorder.wait() == 0
    assert [json.loads(line)["body"] for line in recorder.lines] == ["x"]
    done = commands.run_kchat("replay", "-", "--url", local_url, stdin=recorder.stdout)
    assert (done.code, "1 sent to chat" in done.stderr) == (0, True)


def test_an_idle_recording_ends_with_the_code_of_subscribe(
    commands: Commands, local_url: str, tmp_path: Path
) -> None:
    idle = ("--url", local_url, "--idle-timeout", "0.1")
    path = tmp_path / "r.jsonl"
    assert commands.run_kchat("record", str(path), *idle, "--limit", "2").code == 3
    done = commands.run_kchat("record", str(path), *idle)  # nothing was recorded: the name is free
    assert done.code == 0
    assert "0 messages recorded" in done.stderr
    done = commands.run_kchat("replay", str(path), "--url", local_url)
    assert (done.code, done.stderr) == (0, f"{path} holds no messages\n")


def test_a_signal_ends_a_recording_in_good_order(commands: Commands, local_url: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl.gz"
    ends: list[Callable[[Process], object]] = [Process.interrupt, Process.terminate]
    for end in ends:
        path.unlink(missing_ok=True)
        recorder = commands.kchat("record", str(path), "--url", local_url)
        recorder.wait_for(LISTENING)
        send(local_url, "chat", b"x")
        wait_until(lambda: path.stat().st_size > 0, 30, "something in the file")
        end(recorder)
        assert recorder.wait() == 0
        (record,) = Recording(str(path))  # no remark that it was killed
        assert isinstance(record, Recorded)


def test_a_terminal_shows_how_much_time_is_left(
    local_url: str, tmp_path: Path, window: Callable[..., Window], commands: Commands
) -> None:
    path = a_recording(
        tmp_path / "r.jsonl",
        ("2026-01-31T12:00:00Z", b"one"),
        ("2026-01-31T13:02:03.5Z", b"an hour later"),
    )
    import shlex
    import sys

    environment = [f"{name}={value}" for name, value in commands.environment.items()]
    words = [sys.executable, "-m", "kchat", "replay", str(path), "--url", local_url]
    terminal = window(100, 10)
    terminal.type(shlex.join(["env", "-i", *environment, *words]), "Enter")
    wait_until(lambda: "1 sent" in terminal.text() and "1:02:0" in terminal.text(), 30, terminal.text)
    assert "left" in terminal.text()
    terminal.type("C-c")
    wait_until(lambda: "1 sent to chat" in terminal.text(), 30, terminal.text)


def test_a_room_with_a_history_is_recorded_from_it_with_the_times_at_which_messages_were_sent(
    commands: Commands, amqp_url: str, room: str, tmp_path: Path
) -> None:
    settings = Settings.resolve(url=amqp_url, room=room)
    connection, _ = connect(settings, purpose="test")
    settings.transport.history(room).switch_on(connection.channel())
    settings.transport.close(connection)
    sent = [
        Message.compose("ada", str(hour), sent_at=datetime(2026, 1, 31, hour, tzinfo=UTC))
        for hour in range(5)
    ]
    send(amqp_url, room, *(message.body for message in sent))
    path = tmp_path / "r.jsonl"
    done = commands.run_kchat("record", str(path), *place(amqp_url, room), "--last", "3", "--limit", "3")
    assert done.code == 0, done.stderr
    lines = [each for each in Recording(str(path)) if isinstance(each, Recorded)]
    assert [(line.body, line.at) for line in lines] == [
        (message.body, message.sent_at.timestamp()) for message in sent[2:] if message.sent_at
    ]
    held = tmp_path / "held.jsonl"
    done = commands.run_kchat("record", str(held), *place(amqp_url, room), "--last", "2", "--no-follow")
    assert (done.code, [line.body for line in Recording(str(held)) if isinstance(line, Recorded)]) == (
        0,
        [message.body for message in sent[3:]],
    ), done.stderr
    run = ("--last", "3", "--limit", "3", "--jobs", "2", "--shell", "--exec", 'echo "$KCHAT_MESSAGE_TEXT"')
    done = commands.run_kchat("subscribe", *place(amqp_url, room), *run)
    assert (done.code, sorted(done.stdout.split())) == (0, ["2", "3", "4"]), done.stderr
