"""A room's file that a stranger has made: nothing of ours is touched, nothing hangs, nothing inflates, one clear line."""

from __future__ import annotations

import os
import signal
import sqlite3
import struct
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NoReturn

import kombu
import pytest
from amqp.exceptions import AMQPError, InternalError

from kchat.transports.local import schema, untrusted
from tests.brokers.processes import Commands
from tests.brokers.wait import Deadline, soon, wait_until
from tests.integration.local.conftest import Connect
from tests.integration.local.drive import drain, listen, own_queue, send


@pytest.fixture
def changed(connect: Connect, path: Path) -> Callable[..., None]:
    """Makes a room with a message in it, and lets a stranger change it by SQL."""

    def change(*statements: str) -> None:
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink()
        connection = connect()
        channel = connection.channel()
        channel.exchange_declare("chat", "fanout")
        channel.queue_declare("jobs", durable=True)
        channel.queue_bind("jobs", "chat")
        send(channel, "hello", exchange="chat")
        connection.release()
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA writable_schema = ON")
            for statement in statements:
                db.execute(statement)
            db.execute("PRAGMA journal_mode = DELETE")  # so that all is in the one file

    return change


def attempt(path: Path) -> str:
    """Uses the room as senders, subscribers and workers do; returns what is raised, empty where nothing is."""
    try:
        # Not as Kombu connects, which waits before it tries again.
        with closing(kombu.Connection(f"local://{path}").transport.establish_connection()) as connection:
            channel = connection.channel()
            send(channel, "x", exchange="chat")
            for queue in (own_queue(channel, "chat", x_history_last=10), "jobs"):
                for delivery in take(connection, listen(channel, queue)):
                    assert isinstance(delivery.body, bytes)
                    assert isinstance(delivery.properties, dict)
            channel.queue_delete("jobs")
    except AMQPError as error:
        return str(error).replace("\n", "(a second line)")
    return ""


def take(connection: Any, arrived: list[Any]) -> list[Any]:
    with suppress(TimeoutError):
        while True:
            connection.drain_events(timeout=0)
    return arrived


ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"

FOREIGN_SCHEMAS = {
    "a view for a table": (
        "ALTER TABLE message RENAME TO other",
        (
            "CREATE VIEW message AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
            " SELECT i AS seq, 'chat' AS exchange, '' AS routing_key, 0.0 AS published_at, NULL AS expires_at,"
            " '{}' AS properties, x'78' AS body FROM n"
        ),
    ),
    "a view that inflates": (
        "ALTER TABLE message RENAME TO other",
        (
            "CREATE VIEW message AS SELECT seq, exchange, routing_key, published_at, expires_at, properties,"
            " zeroblob(900000000) AS body FROM other"
        ),
    ),
    "a trigger": (
        f"CREATE TRIGGER t AFTER INSERT ON message BEGIN DELETE FROM queue WHERE id IN ({ENDLESS}); END",
    ),
    "another body of the trigger": (
        "DROP TRIGGER queued_gone",
        "CREATE TRIGGER queued_gone AFTER DELETE ON queued BEGIN DELETE FROM message; END",
    ),
    "no trigger": ("DROP TRIGGER queued_gone",),
    "an index with an expression": ("CREATE INDEX i ON message (length(body) + 1)",),
    "a generated column": ("ALTER TABLE message ADD COLUMN g AS (zeroblob(900000000))",),
    "one column more": ("ALTER TABLE message ADD COLUMN more DEFAULT (1)",),
    "a table more": ("CREATE TABLE more (x)",),
    "a virtual table": ("CREATE VIRTUAL TABLE more USING fts5 (x)",),
    "a check": (
        (
            "UPDATE sqlite_master SET sql = replace(sql, 'body BLOB NOT NULL',"
            " 'body BLOB NOT NULL CHECK (length(body) > 0)') WHERE name = 'message'"
        ),
    ),
    "a collation": (
        (
            "UPDATE sqlite_master SET sql = replace(sql, 'name TEXT NOT NULL UNIQUE', 'name TEXT NOT NULL UNIQUE"
            " COLLATE nocase') WHERE name = 'queue'"
        ),
    ),
    "a schema that is not SQL": (
        "UPDATE sqlite_master SET sql = 'CREATE TABLE oops' WHERE name = 'message'",
    ),
    "a table's pages elsewhere": ("UPDATE sqlite_master SET rootpage = 100000 WHERE name = 'topology'",),
    "statistics": ("ANALYZE",),
    "no version": ("PRAGMA user_version = 0",),
    "a version below the first": ("PRAGMA user_version = -1",),
}


def test_tables_that_kchat_has_not_made_are_refused_and_the_file_is_left_alone(
    changed: Callable[..., None], path: Path
) -> None:
    wrong = {}
    for name, statements in FOREIGN_SCHEMAS.items():
        changed(*statements)
        content, begin = path.read_bytes(), time.monotonic()
        told = attempt(path)
        if ("room" not in told and "damaged" not in told) or "(a second line)" in told:
            wrong[name] = told or "accepted"
        elif path.read_bytes() != content or list(path.parent.iterdir()) != [path]:
            wrong[name] = "changed"
        elif time.monotonic() - begin > soon(5):
            wrong[name] = "slow"
    assert not wrong


VALUES = ("NULL", "'text'", "x'00ff'", "1.5", "-1", "9223372036854775807", "zeroblob(70000)")


def test_a_value_of_any_kind_anywhere_ends_in_one_clear_line(
    changed: Callable[..., None], path: Path
) -> None:
    changed()
    original = path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [
            (table, row[1])
            for table in tables
            for row in db.execute(f"PRAGMA table_info({table})").fetchall()
        ]
    wrong = {}
    for table, column in columns:
        for value in VALUES:
            path.write_bytes(original)
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                # Also where a constraint forbids it: who writes the bytes of a file is held by none.
                db.execute("PRAGMA writable_schema = ON")
                db.execute(
                    "UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '')"
                    " WHERE type = 'table' AND sql NOT LIKE '%WITHOUT%'"
                )
                db.execute("PRAGMA writable_schema = RESET")
                try:
                    if not db.execute(f"UPDATE {table} SET {column} = {value}").rowcount:
                        db.execute(f"INSERT INTO {table} ({column}) VALUES ({value})")
                except sqlite3.Error:
                    continue
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("PRAGMA writable_schema = ON")
                for name, sql in made():
                    db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, name))
            try:
                attempt(path)
            except Exception as error:  # noqa: BLE001 - each is a traceback for somebody
                wrong[f"{table}.{column} = {value}"] = repr(error)
            for suffix in ("-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
    assert not wrong


def made() -> list[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as db:
        schema.create(db)
        return db.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL").fetchall()


# ---- names in the file, and files beside it


def precious(folder: Path) -> Path:
    """A folder of the reader's with files that nobody may touch."""
    folder.mkdir()
    (folder / "diary").write_text("dear diary")
    (folder / "empty").touch()
    return folder


def test_a_name_in_the_file_leads_to_no_file(
    changed: Callable[..., None], path: Path, tmp_path: Path
) -> None:
    mine = precious(tmp_path / "mine")
    names = [
        str(mine / "empty"),
        str(mine / "diary"),
        "../mine/empty",
        "mine/empty",
        "..",
        ".",
        "",
        "0" * 16,
        "/",
    ]
    rows = [
        f"INSERT INTO queue (name, durable, auto_delete, arguments, used_at) VALUES ('{name}', 1, 0, '{{}}', 0)"
        for name in names
    ]
    changed(
        *rows,
        *(
            f"INSERT INTO consumer SELECT min(id), {number}, '{name}' FROM queue"
            for number, name in enumerate(names)
        ),
    )
    assert attempt(path) == ""
    assert {each.name: each.read_text() for each in mine.iterdir()} == {"diary": "dear diary", "empty": ""}


def test_another_file_in_the_place_of_the_log_is_refused_and_left_alone(
    changed: Callable[..., None], path: Path, tmp_path: Path
) -> None:
    mine = precious(tmp_path / "mine")
    makers: dict[str, Callable[[Path], Any]] = {
        "a symbolic link": lambda file: file.symlink_to(mine / "diary"),
        "a symbolic link to nothing": lambda file: file.symlink_to(mine / "new"),
        "a hard link": lambda file: os.link(mine / "diary", file),
        "a pipe": os.mkfifo,
        "a folder": lambda file: file.mkdir(),
    }
    for suffix in ("-wal", "-shm", "-journal"):
        for name, make in makers.items():
            changed()
            make(Path(f"{path}{suffix}"))
            told = attempt(path)
            assert f"{path}{suffix}" in told, (suffix, name, told)
            Path(f"{path}{suffix}").rmdir() if name == "a folder" else Path(f"{path}{suffix}").unlink()
            assert {each.name: each.read_text() for each in mine.iterdir()} == {
                "diary": "dear diary",
                "empty": "",
            }


def test_a_journal_beside_the_file_deletes_no_file(
    changed: Callable[..., None], path: Path, tmp_path: Path
) -> None:
    """SQLite deletes the "super-journal" that a rollback journal names (https://www.sqlite.org/fileformat2.html)."""
    mine = precious(tmp_path / "mine")
    changed()
    victim = str(mine / "diary").encode()
    checksum = sum(victim) & 0xFFFFFFFF
    pages = path.stat().st_size // 4096
    header = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + struct.pack(">IIIII", 0, 1, pages, 512, 4096)
    record = struct.pack(">I", 0x40000000 // 4096 + 1) + victim
    record += struct.pack(">II", len(victim), checksum) + b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
    journal = Path(f"{path}-journal")
    journal.write_bytes(header.ljust(512, b"\0") + record)
    assert "journal" in attempt(path)
    assert (mine / "diary").exists()
    # The attack is one: without kchat's look it works.
    with closing(sqlite3.connect(path)) as db:
        db.execute("SELECT * FROM sqlite_master").fetchall()
    assert not (mine / "diary").exists()


def test_a_file_with_a_logs_name_is_not_taken_for_a_deleted_rooms(path: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal"):
        other = Path(f"{path}{suffix}")
        other.write_text("dear diary")
        assert "in the way" in attempt(path)
        assert other.read_text() == "dear diary"
        assert not path.exists()
        other.unlink()


# ---- what inflates, and what never ends


def test_a_body_over_the_limit_is_not_read_and_the_reader_is_told(connect: Connect, path: Path) -> None:
    writer, reader = connect(), connect(max_message_bytes=1000)
    channel = writer.channel()
    channel.exchange_declare("chat", "fanout")
    arrived = listen(reader.channel(), own_queue(reader.channel(), "chat"))
    send(channel, "before", "x" * 1001, "after", exchange="chat")
    texts = drain(reader, arrived, 3)
    assert (texts[0], texts[2]) == ("before", "after")
    assert "too large" in texts[1]


def test_a_huge_body_takes_no_memory(changed: Callable[..., None], path: Path, commands: Commands) -> None:
    changed(
        "INSERT INTO message SELECT seq + 1, exchange, routing_key, published_at, NULL, properties,"
        " zeroblob(300000000) FROM message"
    )
    subscriber = commands.python(PEAK, f"local://{path}")
    assert subscriber.wait(30) == 0, subscriber.stderr
    count, peak = map(int, subscriber.lines[-1].split())
    assert count == 2
    assert peak < 150_000


PEAK = """
import re, sys
from kchat import Settings, Subscriber
with Subscriber(Settings.resolve(url=sys.argv[1]), "bob", last=10) as subscriber:
    messages = subscriber.receive(timeout=30)
print(len(messages), *re.findall(r"VmHWM: *[^0-9]*([0-9]+)", open("/proc/self/status").read()))
"""


def tangled(path: Path) -> None:
    """Make the tree of messages one whose pages lead to the same pages again and again: a walk that takes years."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (size,) = db.execute("PRAGMA page_size").fetchone()
        db.execute("CREATE TABLE more (x)")
        db.executemany("INSERT INTO more VALUES (zeroblob(?))", [(size,)] * 20)
        db.execute("DROP TABLE more")
        db.execute("PRAGMA secure_delete = OFF")
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'queued_ready'").fetchone()
        (count,) = db.execute("PRAGMA page_count").fetchone()
        free = list(range(count - 12, count + 1))
    content = bytearray(path.read_bytes())
    pages, key = [root, *free], b"\x03\x03\x09\x09"
    for number, page in enumerate(pages[:-1]):
        following = pages[number + 1]
        # An interior page of an index: each cell is a child's page and the key (1, 1).
        cell = struct.pack(">I", following) + key
        cells = 300
        begin = size - cells * len(cell)
        header = struct.pack(">BHHHBI", 2, 0, cells, begin, 0, following)
        pointers = b"".join(struct.pack(">H", begin + each * len(cell)) for each in range(cells))
        content[(page - 1) * size : page * size] = (header + pointers).ljust(begin, b"\0") + cell * cells
    leaf = struct.pack(">BHHHBH", 10, 0, 1, size - len(key), 0, size - len(key))
    content[(pages[-1] - 1) * size : pages[-1] * size] = leaf.ljust(size - len(key), b"\0") + key
    path.write_bytes(content)


def has_open(pid: int, path: Path) -> bool:
    return any(os.path.realpath(each) == str(path) for each in Path(f"/proc/{pid}/fd").iterdir())


def test_ctrl_c_ends_what_a_strangers_file_keeps_busy(
    changed: Callable[..., None], path: Path, commands: Commands
) -> None:
    changed()
    tangled(path)
    subscriber = commands.kchat("subscribe", "--url", f"local://{path}", "--durable", "jobs")
    wait_until(lambda: has_open(subscriber.pid, path), 20, "the file to be opened")
    busy = Deadline(1)
    wait_until(lambda: busy.passed or not subscriber.running)
    assert subscriber.running, subscriber.stderr  # it counts what is in the queue
    os.kill(subscriber.pid, signal.SIGINT)
    assert subscriber.wait() in (0, 130), subscriber.stderr  # and not 1, as if the file were to blame
    assert "Traceback" not in subscriber.stderr


def test_what_a_signal_handler_raises_while_sqlite_works_is_raised_when_that_has_stopped(path: Path) -> None:
    sqlite3.connect(path).close()
    db, watchdog = untrusted.connect(str(path), "mode=rw", 1000)
    working = threading.Event()
    db.create_function("works", 0, working.set)

    def interrupt() -> None:
        working.wait()
        os.kill(os.getpid(), signal.SIGUSR1)

    def handle(*_: object) -> NoReturn:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, handle)
    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        watchdog.begin()
        with closing(db), pytest.raises(sqlite3.OperationalError, match="interrupted"):
            db.execute(
                "WITH RECURSIVE endless(x) AS (SELECT works() UNION ALL SELECT 1 FROM endless) SELECT count(*) FROM endless"
            )
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(Interrupted):
        watchdog.reraise()


class Interrupted(Exception):
    """What the handler of a program's own raises."""


def test_work_that_never_ends_is_ended(
    changed: Callable[..., None], path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed()
    tangled(path)
    monkeypatch.setattr(untrusted, "WORK_SECONDS", 0.2)
    with pytest.raises(InternalError, match="busy for too long"):
        connect().channel().queue_declare("jobs", passive=True)


def test_a_zero_byte_in_the_name_is_one_clear_line(commands: Commands) -> None:
    for command in (["send", "hello"], ["subscribe"], ["doctor"]):
        result = commands.run_kchat(*command, "--url", "local:///a%00b")
        assert result.code in (1, 2)
        assert "Traceback" not in result.stderr
        assert "zero byte" in result.stderr or "not the name of a file" in result.stdout
