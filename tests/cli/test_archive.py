"""``kchat archive``, as a process, on every broker."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from kchat import Message, Sender, Settings, archive
from kchat.archive.record import Record
from kchat.client import durable
from kchat.client.connection import connect
from tests.brokers.processes import Commands, Process
from tests.brokers.pubsub import Emulator
from tests.brokers.wait import wait_until
from tests.cli.terminal import answer

LISTENING = "listening on"

FOREIGN = [b"", b"\x00\xff\xfe", b"plain text", b'{"username":"ada","message":"no id"}']

LEAVES_AFTER = """\
import sys
from kchat.archive import archiver
archiver.LEAVE_AFTER = float(sys.argv[1])
from kchat.cli import main
main(sys.argv[2:])
"""


class Rooms:
    """Rooms of a broker, and an archive.

    Arguments:
        url: of the broker.
        room: the first room's name.
        folder: for the archive.
        environment: of the commands.
    """

    def __init__(
        self,
        commands: Commands,
        url: str,
        room: str,
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.url = url
        self.room = room
        self.path = folder / "archive.db"
        self.settings = Settings.resolve(url=url, room=room)
        self.commands = commands
        self.environment = dict(environment or {})

    def words(self, *words: str, rooms: tuple[str, ...] = ()) -> list[str]:
        named = [word for room in rooms or (self.room,) for word in ("-r", room)]
        return ["archive", "--to", str(self.path), "--url", self.url, *named, *words]

    def start(self, *words: str, rooms: tuple[str, ...] = ()) -> Process:
        process = self.commands.kchat(*self.words(*words, rooms=rooms), env=self.environment)
        process.wait_for(LISTENING)
        return process

    def send(self, *texts: str | bytes | Message, room: str = "", username: str = "ada") -> None:
        with Sender(Settings.resolve(url=self.url, room=room or self.room), username) as sender:
            messages = [
                each if isinstance(each, str | Message) else Message(None, "", body=each) for each in texts
            ]
            assert all(receipt.confirmed for receipt in sender.send_many(messages))

    def records(self) -> list[Record]:
        with archive.open(self.path) as found:
            return list(found.records())

    def count(self) -> int:
        with archive.open(self.path) as found:
            return sum(found.rooms().values())

    def wait_for(self, count: int) -> None:
        wait_until(lambda: self.count() >= count, 30, lambda: f"{count} messages; there are {self.count()}")

    def waiting(self) -> tuple[int, int]:
        """How many messages are ready in RabbitMQ's durable queue, and how many read it."""
        connection, _ = connect(self.settings, purpose="test")
        try:
            room = self.settings.transport.room(self.room)
            found = room.durable_queue("archive")(connection.channel()).queue_declare(passive=True)
            return found.message_count, found.consumer_count
        finally:
            connection.release()

    def wait_for_waiting(self, messages: int, readers: int) -> None:
        wait_until(lambda: self.waiting() == (messages, readers), 20, lambda: f"there are {self.waiting()}")


def ended(process: Process, code: int = 0) -> str:
    """End it as Ctrl+C does; returns what it wrote."""
    process.interrupt()
    assert process.wait() == code, process.stderr
    return process.stderr


def fill_disk(process: Process) -> None:
    """Let no file that a process writes grow, as on a full disk."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))


def free_disk(process: Process) -> None:
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture(params=["local", "amqp", "pubsub"])
def rooms(
    request: pytest.FixtureRequest,
    commands: Commands,
    room: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Rooms:
    """On each transport that has durable queues."""
    if request.param == "pubsub":
        emulator: Emulator = request.getfixturevalue("pubsub_emulator")
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
        return Rooms(commands, emulator.url(emulator.new_project()), room, tmp_path, emulator.environment)
    return Rooms(commands, request.getfixturevalue(f"{request.param}_url"), room, tmp_path)


@pytest.fixture
def local(commands: Commands, local_url: str, room: str, tmp_path: Path) -> Rooms:
    return Rooms(commands, local_url, room, tmp_path)


@pytest.fixture
def amqp(commands: Commands, amqp_url: str, room: str, tmp_path: Path) -> Rooms:
    return Rooms(commands, amqp_url, room, tmp_path)


def test_what_is_said_is_archived_also_while_nobody_archives(rooms: Rooms) -> None:
    process = rooms.start()
    rooms.send("one", *FOREIGN, username="ada")
    rooms.wait_for(5)
    said = ended(process)
    assert f"archiving to {rooms.path}" in said
    assert f"5 messages archived to {rooms.path}" in said
    rooms.send("two", username="bob")
    process = rooms.start()
    rooms.wait_for(6)
    assert "1 message archived" in ended(process)

    found = {record.text: record for record in rooms.records()}
    assert found.keys() == {"one", "", "\x00\\xff\\xfe", "plain text", "no id", "two"}
    one = found["one"]
    assert (one.room, one.username, one.client) == (rooms.room, "ada", "kchat")
    assert one.key == f"i:{one.id}"
    assert one.sent_at is not None
    assert one.at == min(one.sent_at, one.received_at)
    assert (one.account, one.verified) == (("rmq", False) if rooms.url.startswith("amqp") else (None, False))
    assert found["two"].username == "bob"
    assert {found[text].username for text in ("", "plain text")} == {None}
    assert found["no id"].client == "others"


def test_nothing_that_arrives_ends_it(local: Rooms) -> None:
    bodies = [
        b'{"username":"a","message":"b","x":"\\ud800","\\udfff":[1e308,123456789012345678901234567890]}',
        b'{"username":"\\u0000","message":"\\ud800 @\\u0000 @' + b"a" * 70_000 + b'"}',
        b'{"username":"","message":"","id":"\\u0000"}',
        b'{"username":"a","message":"b","sent_at":"1970-01-01T00:00:00Z","id":"1"}',
        b'{"username":"a","message":"b","sent_at":"2999-12-31T23:59:59Z","id":"2"}',
        b'{"username":"' + b"u" * 300_000 + b'","message":"' + b"@b " * 300_000 + b'"}',
        b"\xed\xa0\x80",
        b"[" * 100_000,
    ]
    process = local.start("--limit", str(len(bodies)))
    local.send(*bodies)
    assert process.wait() == 0, process.stderr
    assert len(local.records()) == len(bodies)
    with archive.open(local.path) as found:
        assert found.stats().messages == len(bodies)


def test_several_rooms_are_archived_by_one_process(rooms: Rooms) -> None:
    others = (rooms.room, f"{rooms.room}-b", f"{rooms.room}-c")
    process = rooms.start(rooms=others)
    for room in others:
        rooms.send(f"in {room}", room=room)
    rooms.wait_for(3)
    assert "3 messages archived" in ended(process)
    assert {(record.room, record.text) for record in rooms.records()} == {
        (room, f"in {room}") for room in others
    }


def test_the_end_is_a_number_of_messages_or_a_silence(local: Rooms) -> None:
    process = local.start("--limit", "2")
    local.send("one", "two", "three")
    assert process.wait() == 0
    assert "2 messages archived" in process.stderr
    process = local.start("--limit", "5", "--idle-timeout", "0.5")
    assert process.wait() == 3
    assert "1 message archived" in process.stderr
    assert [record.text for record in local.records()] == ["one", "two", "three"]


def test_sigterm_ends_it_with_0_and_everything_is_committed(local: Rooms) -> None:
    process = local.start()
    local.send(*map(str, range(500)))
    process.terminate()
    assert process.wait() == 0
    left = Settings.resolve(url=local.url, room=local.room)
    (queue,) = durable.subscriptions(left)
    assert queue.messages is not None
    assert local.count() + queue.messages == 500


# ---- history


def switch_history_on(rooms: Rooms) -> None:
    connection, _ = connect(rooms.settings, purpose="test")
    rooms.settings.transport.history(rooms.room).switch_on(connection.channel())
    connection.release()


@pytest.mark.parametrize("broker", ["local", "amqp"])
def test_it_begins_with_the_history_and_what_comes_both_ways_is_there_once(
    broker: str, request: pytest.FixtureRequest
) -> None:
    rooms: Rooms = request.getfixturevalue(broker)
    if broker == "amqp":
        switch_history_on(rooms)
    elif broker == "local":
        rooms.settings.transport  # noqa: B018 - its room is its history
    before = [f"before {number}" for number in range(600)]
    rooms.send(*before, FOREIGN[3])
    process = rooms.start("--since", "1h")
    rooms.send("after")
    rooms.wait_for(602)
    assert "602 messages archived" in ended(process)
    assert sorted(str(record.text) for record in rooms.records()) == sorted([*before, "no id", "after"])
    process = rooms.start("--since", "1h", "--idle-timeout", "1")
    assert process.wait() == 0
    assert "0 messages archived" in process.stderr
    assert "there already" not in process.stderr, "it has read the history again"


def test_a_history_that_was_not_read_to_its_end_is_read_again(amqp: Rooms) -> None:
    switch_history_on(amqp)
    amqp.send(*map(str, range(3000)))
    process = amqp.start("--since", "1h", "--limit", "1000")
    assert process.wait() == 0
    process = amqp.start("--since", "1h")
    amqp.wait_for(3000)
    ended(process)
    assert sorted(int(str(record.text)) for record in amqp.records()) == list(range(3000))


def test_a_room_without_a_history_says_so(amqp: Rooms) -> None:
    result = amqp.commands.run_kchat(*amqp.words("--since", "1h"))
    assert result.code == 2
    assert "has no history: its host has not switched it on" in result.stderr


# ---- while the archive is away


def test_while_the_disk_is_full_messages_wait_in_the_broker(amqp: Rooms) -> None:
    process = amqp.start()
    amqp.send("one")
    amqp.wait_for(1)
    fill_disk(process)
    amqp.send("two", "three")
    told = process.wait_for("in the broker")
    assert "the archive is away: " in told
    assert "2 messages wait in the broker" in told or "1 message waits in the broker" in told
    amqp.send("four")
    assert amqp.count() == 1
    free_disk(process)
    process.wait_for("the archive is back after")
    amqp.wait_for(4)
    assert "4 messages archived" in ended(process)
    assert [record.text for record in amqp.records()] == ["one", "two", "three", "four"]
    amqp.wait_for_waiting(0, 0)


def test_ctrl_c_while_the_disk_is_full_ends_it_and_nothing_is_lost(amqp: Rooms) -> None:
    process = amqp.start()
    fill_disk(process)
    amqp.send("one", "two")
    process.wait_for("the archive is away")
    said = ended(process)
    assert "0 messages archived" in said
    assert "what else there is waits in the broker" in said
    amqp.wait_for_waiting(2, 0)
    process = amqp.start("--limit", "2")
    assert process.wait() == 0
    assert [record.text for record in amqp.records()] == ["one", "two"]


def test_where_the_archive_is_away_for_long_it_leaves_the_queue_until_it_is_back(amqp: Rooms) -> None:
    process = amqp.commands.python(LEAVES_AFTER, "0.5", *amqp.words())
    process.wait_for(LISTENING)
    fill_disk(process)
    amqp.send("one", "two")
    process.wait_for("whose queue keeps the messages meanwhile")
    amqp.wait_for_waiting(2, 0)
    amqp.send("three")
    free_disk(process)
    process.wait_for("again")
    amqp.wait_for(3)
    said = ended(process)
    assert "reading " in said
    assert [record.text for record in amqp.records()] == ["one", "two", "three"]
    amqp.wait_for_waiting(0, 0)


def test_its_connection_lives_while_the_archive_is_away_and_it_is_full(amqp: Rooms) -> None:
    process = amqp.commands.python(LEAVES_AFTER, "3", *amqp.words("--heartbeat", "1"))
    process.wait_for(LISTENING)
    fill_disk(process)
    amqp.send(*map(str, range(3_000)))
    told = process.wait_for("whose queue keeps the messages meanwhile")
    assert "connection lost" not in told
    free_disk(process)
    amqp.wait_for(3_000)
    assert "connection lost" not in ended(process)
    assert sorted(int(str(record.text)) for record in amqp.records()) == list(range(3_000))


def test_ctrl_c_ends_one_that_has_left(amqp: Rooms) -> None:
    process = amqp.commands.python(LEAVES_AFTER, "0.5", *amqp.words())
    process.wait_for(LISTENING)
    fill_disk(process)
    amqp.send("one")
    process.wait_for("whose queue keeps the messages meanwhile")
    ended(process)
    amqp.wait_for_waiting(1, 0)


def test_an_archive_that_is_away_at_the_start_is_an_error_or_is_waited_for(local: Rooms) -> None:
    def begin(*words: str) -> Process:
        kchat = [sys.executable, "-m", "kchat", *local.words(*words)]
        return local.commands.start(["sh", "-c", 'ulimit -S -f 0; exec "$@"', "sh", *kchat])

    process = begin()
    assert process.wait() == 1
    assert str(local.path) in process.stderr
    assert len(process.stderr.splitlines()) <= 2
    process = begin("--wait")
    process.wait_for("the archive is away, trying again in")
    free_disk(process)
    process.wait_for(LISTENING)
    local.send("one")
    local.wait_for(1)
    ended(process)


# ---- several archivers


def test_two_share_a_subscription_if_both_say_so(amqp: Rooms) -> None:
    first, second = amqp.start("--shared"), amqp.start("--shared")
    amqp.send(*map(str, range(2000)))
    amqp.wait_for(2000)
    said = ended(first) + ended(second)
    assert said.count(" 0 messages archived") == 0
    assert sorted(int(str(record.text)) for record in amqp.records()) == list(range(2000))


def test_a_second_one_is_refused_if_they_do_not(amqp: Rooms) -> None:
    process = amqp.start()
    result = amqp.commands.run_kchat(*amqp.words())
    assert (result.code, len(result.stderr.splitlines())) == (1, 2), result.stderr
    assert "somebody else is reading the durable queue 'archive'" in result.stderr
    assert "--shared" in result.stderr
    ended(process)


# ---- what is kept


def test_without_texts_lengths_and_keyed_hashes_are_kept(local: Rooms) -> None:
    process = local.start("--no-text", "--limit", "3")
    local.send("a word", "a word", "other")
    assert process.wait() == 0
    records = local.records()
    assert [record.text for record in records] == [None] * 3
    assert [record.length for record in records] == [6, 6, 5]
    first, second, third = (record.digest for record in records)
    assert first == second != third
    assert b"a word" not in b"".join(path.read_bytes() for path in local.path.parent.glob("archive.db*"))
    process = local.start("--idle-timeout", "0.2")  # it goes on without
    assert process.wait() == 0


def test_an_archive_with_texts_does_not_become_one_without(local: Rooms) -> None:
    process = local.start("--idle-timeout", "0.1")
    assert process.wait() == 0
    result = local.commands.run_kchat(*local.words("--no-text"))
    assert (result.code, len(result.stderr.splitlines())) == (2, 2), result.stderr
    assert "keeps texts" in result.stderr


def test_messages_that_are_too_old_are_deleted_at_the_start(local: Rooms) -> None:
    old, new = time.time() - 91 * 86_400, time.time()
    process = local.start("--limit", "2", rooms=(local.room, "other"))
    for room in (local.room, "other"):
        local.send(composed("old", old), room=room)
    assert process.wait() == 0
    process = local.start("--keep", "90d", "--limit", "1")
    local.send(composed("new", new))
    assert process.wait() == 0
    assert "1 older one deleted" in process.stderr
    assert {(record.room, record.text) for record in local.records()} == {
        (local.room, "new"),
        ("other", "old"),
    }


def composed(text: str, at: float) -> Message:
    from datetime import UTC, datetime

    return Message.compose("ada", text, sent_at=datetime.fromtimestamp(at, UTC))


# ---- forgetting somebody


@pytest.fixture
def filled(local: Rooms) -> Rooms:
    """An archive with messages of two people in two rooms."""
    process = local.start("--limit", "5", rooms=(local.room, "other"))
    local.send("one", "two", username="ada")
    local.send("three", username="bob")
    local.send("four", room="other", username="ada")
    local.send("five", room="other", username="bob")
    assert process.wait() == 0
    return local


def forget(rooms: Rooms, *words: str) -> list[str]:
    return ["archive", "--to", str(rooms.path), "--forget", *words]


def test_somebodys_messages_are_deleted(filled: Rooms, commands: Commands) -> None:
    result = commands.run_kchat(*forget(filled, "ada", "-r", filled.room, "--yes"))
    assert (result.code, f"deleted 2 messages of ada from {filled.room} in" in result.stderr) == (0, True)
    result = commands.run_kchat(*forget(filled, "ada", "--yes"))
    assert (result.code, "deleted 1 message of ada from" in result.stderr) == (0, True), result.stderr
    assert sorted(str(record.text) for record in filled.records()) == ["five", "three"]
    result = commands.run_kchat(*forget(filled, "ada", "--yes"))
    assert (result.code, "there are no messages of ada in" in result.stderr) == (0, True), result.stderr
    with archive.open(filled.path) as found:
        assert [active.username for active in found.stats().top] == ["bob"]


def test_at_a_terminal_forgetting_asks_and_a_script_has_to_say_yes(filled: Rooms, commands: Commands) -> None:
    result = commands.run_kchat(*forget(filled, "ada"))
    assert (result.code, "--yes" in result.stderr) == (2, True), result.stderr
    code, shown = answer(forget(filled, "ada"), "n\n")
    assert (code, "Delete all messages of ada from" in shown) == (1, True), shown
    assert filled.count() == 5
    code, shown = answer(forget(filled, "ada"), "y\n")
    assert code == 0, shown
    assert filled.count() == 2


def test_nobody_is_forgotten_in_an_archive_that_is_not_there(local: Rooms, commands: Commands) -> None:
    result = commands.run_kchat(*forget(local, "ada", "--yes"))
    assert (result.code, "there is no archive" in result.stderr) == (2, True), result.stderr
    assert not local.path.exists()


# ---- ClickHouse


def test_an_archive_in_clickhouse_is_filled_and_forgets(
    local: Rooms, commands: Commands, clickhouse: str
) -> None:
    process = commands.kchat(
        "archive", "--to", clickhouse, "--url", local.url, "-r", local.room, "--limit", "4"
    )
    process.wait_for(LISTENING)
    local.send("one", FOREIGN[3], username="ada")
    local.send("two", "three", username="bob")
    assert process.wait() == 0, process.stderr
    assert "4 messages archived to clickhouse://" in process.stderr
    with archive.open(clickhouse) as found:
        assert sorted(str(record.text) for record in found.records()) == ["no id", "one", "three", "two"]
    result = commands.run_kchat("archive", "--to", clickhouse, "--forget", "bob", "--yes")
    assert (result.code, "deleted 2 messages of bob from clickhouse://" in result.stderr) == (0, True)
    with archive.open(clickhouse) as found:
        assert sorted(str(record.text) for record in found.records()) == ["no id", "one"]


def test_a_clickhouse_that_is_away_is_an_error_of_two_lines(local: Rooms, commands: Commands) -> None:
    url = "clickhouse://ada:secret@localhost:1/default"
    result = commands.run_kchat("archive", "--to", url, "--url", local.url)
    assert (result.code, len(result.stderr.splitlines())) in ((1, 1), (1, 2)), result.stderr
    assert "localhost:1" in result.stderr
    assert "secret" not in result.stderr


# ---- errors


def test_the_archive_is_in_the_data_folder_unless_it_is_named(local: Rooms, commands: Commands) -> None:
    process = commands.kchat("archive", "--url", local.url, "--idle-timeout", "0.1")
    assert process.wait() == 0
    path = commands.home / "data" / "kchat" / "archive.db"
    assert f"0 messages archived to {path}" in process.stderr
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--url", "memory://"], 2, "ends with this process"),
        (["--url", "redis://localhost:1/"], 2, "the redis transport has no durable queues"),
        (["--to", "mysql://host/archive"], 2, "no archive is kept on mysql://"),
        (["--to", "/dev/null/archive.db"], 2, "/dev/null/archive.db"),
        (["--yes"], 2, "--yes goes with --forget"),
        (["--forget", "ada", "--limit", "3"], 2, "--limit has no effect with --forget"),
        (["--limit", "3", "forget"], 2, "No such command 'forget'"),
        (["-r", "amqp://ada:secret@host/"], 2, "takes a name"),
        (["--url", "amqp://rmq:secret@localhost:1/"], 1, "localhost:1"),
    ],
)
def test_errors_are_one_or_two_lines_and_make_no_archive(
    commands: Commands, words: list[str], code: int, told: str
) -> None:
    result = commands.run_kchat("archive", *words)
    assert (result.code, result.stdout) == (code, ""), result.stderr
    assert told in result.stderr
    assert "secret" not in result.stderr
    assert len(result.stderr.splitlines()) <= 3
    if code == 2:
        assert not (commands.home / "data" / "kchat" / "archive.db").exists()


def test_a_file_that_is_no_archive_is_left_alone(local: Rooms) -> None:
    local.path.write_text("my diary\n")
    result = local.commands.run_kchat(*local.words())
    assert (result.code, "is not an archive of kchat" in result.stderr) == (2, True), result.stderr
    assert local.path.read_text() == "my diary\n"
