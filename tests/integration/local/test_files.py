"""The file itself: its mode, its end, its limits, and files that are not rooms."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import kombu
import pytest
from amqp.exceptions import (
    AccessRefused,
    AMQPError,
    ConnectionForced,
    InternalError,
    NotAllowed,
    RecoverableConnectionError,
    ResourceError,
)

from kchat.transports.local import schema
from tests.brokers.processes import Commands
from tests.brokers.wait import soon
from tests.integration.local.conftest import Connect
from tests.integration.local.drive import drain, listen, own_queue, rest, send


def test_the_file_is_its_owners_alone(connect: Connect, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        channel = connect(f"local://{tmp_path}/new/folder/room.db").channel()
        send(channel, "x", routing_key=own_queue(channel))
    finally:
        os.umask(before)
    folder = tmp_path / "new" / "folder"
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.rglob("*") if file.is_file()}
    assert {"room.db", "room.db-wal", "room.db-shm"} == modes.keys()
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_any_name_that_a_url_can_carry_will_do(connect: Connect, tmp_path: Path) -> None:
    name = "a b#?%&'\"ü;:@.db"
    channel = connect(f"local://{tmp_path}/{quote(name)}").channel()
    queue = own_queue(channel)
    send(channel, "x", routing_key=queue)
    assert channel.basic_get(queue).body == b"x"
    assert (tmp_path / name).exists()


def test_an_empty_file_becomes_a_room(connect: Connect, path: Path) -> None:
    path.touch()
    connect().channel().queue_declare("q")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


def refusal(path: Path) -> AMQPError:
    """What connecting to that file raises."""
    with pytest.raises(AMQPError) as caught, kombu.Connection(f"local://{path}") as connection:
        connection.connect()
    assert str(path) in str(caught.value)
    return caught.value


@pytest.mark.parametrize("content", [b"this is text\n" * 1000, b"x", os.urandom(10_000)])
def test_a_file_that_is_not_a_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert isinstance(refusal(path), NotAllowed)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE precious (x)")
    db.close()
    content = path.read_bytes()
    assert "another program" in str(refusal(path))
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("step", "words"), [(1, "a newer kchat"), (-1, "move it away for a new one")])
def test_another_versions_file_is_refused_and_left_alone(
    connect: Connect, path: Path, step: int, words: str
) -> None:
    connect().release()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + step}")
    db.close()
    content = path.read_bytes()
    error = refusal(path)
    assert isinstance(error, NotAllowed)
    assert words in str(error)
    assert path.read_bytes() == content


def test_a_folder_is_refused(path: Path) -> None:
    path.mkdir()
    assert isinstance(refusal(path), (NotAllowed, AccessRefused))


def test_a_path_through_a_file_is_refused(path: Path) -> None:
    path.touch()
    assert isinstance(refusal(path / "room.db"), NotAllowed)


def test_a_damaged_file_is_an_error_and_not_an_empty_room(connect: Connect, path: Path) -> None:
    channel = connect().channel()
    channel.exchange_declare("chat", "fanout")
    send(channel, *("x" * 1000 for _ in range(1000)), exchange="chat")
    channel.connection.close()
    content = bytearray(path.read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    path.write_bytes(content)

    def read() -> list[str]:
        connection = connect()
        queue = own_queue(connection.channel(), "chat", x_history_last=1000)
        return rest(connection, listen(connection.channel(), queue))

    with pytest.raises((InternalError, NotAllowed), match=r"damaged|not an SQLite file"):
        read()


# ---- no space


class SmallDisk:
    """A folder on a full, or nearly full, disk: a small file system, or what is like it without root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
        self.mounted = not subprocess.run(mount, capture_output=True, check=False).returncode
        if self.mounted:
            self.ballast = folder / "ballast"
            self.ballast.write_bytes(b"x" * 2_500_000)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, self.limits[1]))

    def make_room(self) -> None:
        """From now on, there is some."""
        if self.mounted:
            self.ballast.unlink()
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)

    def close(self) -> None:
        """As it was before."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)
        if self.mounted:
            subprocess.run(["umount", "-l", self.folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk with about a megabyte left."""
    folder = tmp_path / "small"
    folder.mkdir()
    disk = SmallDisk(folder)
    try:
        yield disk
    finally:
        disk.close()


def test_a_full_disk_is_a_clear_error_and_nothing_is_half_written(
    connect: Connect, small_disk: SmallDisk
) -> None:
    url = f"local://{small_disk.folder}/room.db"
    connection, listener = connect(url), connect(url)
    channel = listener.channel()
    channel.exchange_declare("chat", "fanout")
    channel.queue_declare("lasting", durable=True)
    channel.queue_bind("lasting", "chat")
    arrived = listen(channel, own_queue(channel, "chat"))
    sender, sent = connection.channel(), 0

    def fill() -> None:
        nonlocal sent
        for sent in range(10_000):
            send(sender, f"{sent} " + "x" * 1000, exchange="chat")

    with pytest.raises(ResourceError, match=r"no space left|does not take") as caught:
        fill()
    assert str(small_disk.folder) in str(caught.value)
    assert 0 < sent < 10_000

    texts = rest(listener, arrived)
    assert [int(text.split()[0]) for text in texts] == list(range(sent))
    assert listener.connection.store.value("SELECT count(*) FROM queued") == sent
    assert listener.connection.store.value("PRAGMA integrity_check") == "ok"


def test_a_disk_that_has_room_again_takes_messages_again(connect: Connect, small_disk: SmallDisk) -> None:
    channel = connect(f"local://{small_disk.folder}/room.db").channel()
    channel.exchange_declare("chat", "fanout")
    with pytest.raises(ResourceError):
        send(channel, *("x" * 10_000 for _ in range(1000)), exchange="chat")
    small_disk.make_room()
    send(channel, "x", exchange="chat")


def test_a_file_size_limit_is_a_clear_error(commands: Commands, local_url: str) -> None:
    script = """
import resource, sys
import kombu
from amqp.exceptions import ResourceError
from kchat import transports

transports.register()
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
with kombu.Connection(sys.argv[1]) as connection:
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    try:
        while True:
            channel.basic_publish(channel.prepare_message(b"x" * 1000), exchange="chat")
    except ResourceError as error:
        print(error)
"""
    process = commands.python(script, local_url)
    assert process.wait() == 0, process.stderr
    assert "room.db: " in process.stdout


# ---- no permission

STRANGER = """
import os, sys
import kombu
from amqp.exceptions import AccessRefused
from kchat import transports

def publish(url):
    with kombu.Connection(url) as connection:
        channel = connection.channel()
        channel.basic_publish(channel.prepare_message(b"y"), exchange="amq.fanout")

transports.register()
publish(sys.argv[1])  # so that all is imported: a stranger may not read it
if not os.geteuid():
    os.setgid(65534)
    os.setuid(65534)
try:
    publish(sys.argv[2])
except AccessRefused as error:
    print(error)
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o555), (0o000, 0o755), (0o600, 0o000)])
def test_a_room_that_is_not_ours_to_write_says_so(
    connect: Connect,
    commands: Commands,
    local_url: str,
    public_folder: Path,
    file_mode: int,
    folder_mode: int,
) -> None:
    folder = public_folder / "rooms"
    room = folder / "room.db"
    connect(f"local://{room}").release()
    room.chmod(file_mode)
    folder.chmod(folder_mode)
    try:
        stranger = commands.python(STRANGER, local_url, f"local://{room}")
        assert stranger.wait() == 0, stranger.stderr
        assert stranger.stdout.startswith((f"{room}: ", f"{folder}: ")), stranger.stderr
    finally:
        folder.chmod(0o700)


# ---- gone, or another


def test_a_deleted_file_is_noticed_by_a_sender(connect: Connect, path: Path) -> None:
    connection = connect()
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    send(channel, "x", exchange="chat")
    path.unlink()
    with pytest.raises(ConnectionForced, match="deleted or replaced") as caught:
        send(channel, *("y" for _ in range(100_000)), exchange="chat")
    assert str(path) in str(caught.value)
    assert not connection.connected
    with pytest.raises(ConnectionForced):
        send(channel, "z", exchange="chat")
    fresh = connect()
    fresh.channel().exchange_declare("chat", "fanout")
    assert path.exists()


def test_a_deleted_file_is_noticed_by_a_waiting_subscriber(connect: Connect, path: Path) -> None:
    connection = connect()
    channel = connection.channel()
    listen(channel, own_queue(channel))
    path.unlink()
    with pytest.raises(ConnectionForced):
        connection.drain_events(timeout=soon(5))


def test_a_replaced_file_is_noticed_and_the_new_one_stays_whole(connect: Connect, path: Path) -> None:
    old = connect()
    channel = old.channel()
    channel.exchange_declare("chat", "fanout")
    channel.queue_declare("q", durable=True)
    arrived = listen(channel, own_queue(channel, "chat"))
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    new = connect().channel()
    new.exchange_declare("chat", "fanout")
    send(new, "for the new ones", exchange="chat")
    with pytest.raises(RecoverableConnectionError):
        drain(old, arrived, 1)
    with pytest.raises(RecoverableConnectionError):
        channel.queue_declare("q", durable=True)
    old.release()
    send(new, "still whole", exchange="chat")
    connection = connect()
    again = listen(connection.channel(), own_queue(connection.channel(), "chat", x_history_last=9))
    assert rest(connection, again) == ["for the new ones", "still whole"]
    assert new.connection.store.value("PRAGMA integrity_check") == "ok"


def test_kombu_comes_back_by_itself_after_the_file_was_deleted(connect: Connect, path: Path) -> None:
    connection = connect()
    exchange = kombu.Exchange("chat", "fanout", durable=False)
    producer = connection.Producer(exchange=exchange)
    producer.publish("before")
    path.unlink()
    listener = connect()
    queue = kombu.Queue("", exchange, exclusive=True, auto_delete=True, durable=False)
    arrived: list[Any] = []
    patience = {"interval_start": 0, "max_retries": 3}
    with listener.Consumer(queue, on_message=arrived.append):
        for number in range(100):
            producer.publish(str(number), content_type="text/plain", retry=True, retry_policy=patience)
        # It may take a moment to notice; what was published meanwhile went with the file.
        drain(listener, arrived, 1)
        assert rest(listener, arrived)[-1] == "99"


def test_closing_twice_and_using_it_afterwards(connect: Connect) -> None:
    connection = connect()
    inner = connection.connection
    channel = connection.channel()
    inner.close()
    inner.close()
    with pytest.raises(RecoverableConnectionError, match="closed"):
        inner.channel()
    with pytest.raises(RecoverableConnectionError, match="closed"):
        channel.queue_declare("q")
    with pytest.raises(RecoverableConnectionError, match="closed"):
        inner.drain_events(timeout=0)


def test_a_closed_connection_leaves_no_file_open(connect: Connect, path: Path) -> None:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("only Linux lists a process's files")
    connect().release()
    before = len(list(folder.iterdir()))
    for _ in range(5):
        connection = connect()
        channel = connection.channel()
        listen(channel, own_queue(channel))
        connection.release()
    assert len(list(folder.iterdir())) == before
    assert sorted(file.name for file in path.parent.iterdir() if file.is_file()) == ["room.db"]
