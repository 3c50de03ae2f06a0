"""Everybody is at the same file and the same log: under several names, and while parts of it are removed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from amqp.exceptions import ConnectionForced, NotAllowed, RecoverableConnectionError

from kchat.transports.local import connection, polling
from tests.brokers.processes import Commands
from tests.brokers.wait import Deadline, soon, wait_until
from tests.integration.local.conftest import Connect, Work
from tests.integration.local.drive import drain, listen, own_queue, rest, send

PARTS = {"log": ("-wal",), "index": ("-shm",), "both": ("-wal", "-shm")}


def fanout(connection: Any) -> Any:
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    return channel


def history(connect: Connect, **options: Any) -> list[str]:
    """What a newcomer finds."""
    connection = connect(**options)
    channel = fanout(connection)
    texts = rest(connection, listen(channel, own_queue(channel, "chat", x_history_last=10_000_000)))
    connection.release()
    return texts


def is_whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        return bool(db.execute("PRAGMA integrity_check").fetchone() == ("ok",))


# ---- names


def test_a_symbolic_link_leads_to_the_same_log(connect: Connect, path: Path) -> None:
    reader = connect()
    arrived = listen(fanout(reader), own_queue(reader.channel(), "chat"))
    link = path.with_name("link.db")
    link.symlink_to(path.name)
    writer = connect(f"local://{link}")
    send(fanout(writer), *("x" * 10_000 for _ in range(1000)), exchange="chat")
    assert len(drain(reader, arrived, 1000)) == 1000
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "link.db",
        "room.db",
        "room.db-shm",
        "room.db-wal",
    ]
    assert Path(f"{path}-wal").stat().st_size < 6_000_000  # it was started over


def test_a_link_that_leads_elsewhere_later_is_followed_there(connect: Connect, path: Path) -> None:
    link = path.with_name("link.db")
    for name in ("one.db", "two.db"):
        fanout(connect(f"local://{path.with_name(name)}")).connection.client.release()
    link.symlink_to("one.db")
    connection = connect(f"local://{link}")
    channel = fanout(connection)
    send(channel, "into one", exchange="chat")
    link.unlink()
    link.symlink_to("two.db")
    with pytest.raises(ConnectionForced):
        send(channel, "into one?", exchange="chat")
    assert "into one" in history(connect, url=f"local://{path.with_name('one.db')}")


def test_a_link_to_nothing_makes_no_file_elsewhere(connect: Connect, path: Path) -> None:
    path.symlink_to("elsewhere.db")
    with pytest.raises(NotAllowed):
        connect()
    assert not path.with_name("elsewhere.db").exists()


def test_a_file_with_two_names_is_refused_under_both(connect: Connect, path: Path) -> None:
    connect().release()
    other = path.with_name("other.db")
    os.link(path, other)
    for each in (path, other):
        with pytest.raises(NotAllowed, match="2 names"):
            connect(f"local://{each}")
    other.unlink()
    connect()


@pytest.fixture
def mounted(path: Path, connect: Connect) -> Iterator[Path]:
    """The room's file once more, mounted by itself, as for a container."""
    connect().release()
    place = path.parent / "mnt"
    place.mkdir()
    (place / "room.db").touch()
    if subprocess.run(
        ["mount", "--bind", path, place / "room.db"], capture_output=True, check=False
    ).returncode:
        pytest.skip("only root can mount")
    yield place / "room.db"
    subprocess.run(["umount", "-l", place / "room.db"], check=True)


def test_a_file_that_is_mounted_by_itself_is_refused(connect: Connect, path: Path, mounted: Path) -> None:
    send(fanout(connect()), "x", exchange="chat")
    with pytest.raises(NotAllowed, match="mount the folder"):
        connect(f"local://{mounted}")
    assert history(connect) == ["x"]


# ---- the log goes away


@pytest.mark.parametrize("part", PARTS)
def test_a_log_that_is_removed_in_use_costs_nothing(
    connect: Connect, work: Work, path: Path, part: str
) -> None:
    """A subscriber that waits, a sender that goes on, a newcomer that sends, and one that is stopped meanwhile."""
    subscriber = work("subscribe", "chat")
    subscriber.read_line()
    sender = connect()
    channel = fanout(sender)
    stopped = connect()
    arrived = listen(fanout(stopped), own_queue(stopped.channel(), "chat"))
    expected = []
    for number in range(5):
        send(channel, f"{number} before", exchange="chat")
        for suffix in PARTS[part]:
            Path(f"{path}{suffix}").unlink()
        if number % 2:  # each side notices first in half of the cases
            send(channel, f"{number} after", exchange="chat")
            send(fanout(connect()), f"{number} newcomer", exchange="chat")
        else:
            newcomer = work("send", "chat", "", f"{number} newcomer", 1)
            # Those that are there let it in as soon as they notice; they look whenever they wait for messages.
            while not newcomer.lines:
                with suppress(TimeoutError):
                    stopped.drain_events(timeout=0.05)
            send(channel, f"{number} after", exchange="chat")
        expected += [f"{number} {word}" for word in ("before", "after", "newcomer")]
    wanted = sorted(text.removesuffix(" 0") for text in expected)
    wait_until(lambda: len(subscriber.lines) > len(expected), 10)
    for texts in (subscriber.lines[1:], rest(stopped, arrived), history(connect)):
        assert sorted(text.removesuffix(" 0") for text in texts) == wanted
    assert is_whole(path)


@pytest.mark.parametrize("part", PARTS)
def test_an_idle_subscriber_is_told_of_a_removed_log_by_the_kernel(
    connect: Connect, path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    idle = connect()
    arrived = listen(fanout(idle), own_queue(idle.channel(), "chat"))
    with pytest.raises(TimeoutError):
        idle.drain_events(timeout=1)  # until the kernel is asked
    for module in (connection, polling):
        monkeypatch.setattr(module, "ASLEEP", 1000)  # no look by itself
    openings = idle.connection.store.openings
    for suffix in PARTS[part]:
        Path(f"{path}{suffix}").unlink()
    deadline = Deadline(soon(10))
    while idle.connection.store.openings == openings and not deadline.passed:
        with suppress(TimeoutError):
            idle.drain_events(timeout=0.05)
    assert idle.connection.store.openings > openings
    send(fanout(connect()), "hello", exchange="chat")
    assert drain(idle, arrived, 1) == ["hello"]


@pytest.mark.parametrize("way", [Path.unlink, lambda path: path.rename(f"{path}.old")])
def test_an_idle_subscriber_is_told_of_a_deleted_or_renamed_file_by_the_kernel(
    connect: Connect, path: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[[Path], object]
) -> None:
    idle = connect()
    listen(fanout(idle), own_queue(idle.channel(), "chat"))
    with pytest.raises(TimeoutError):
        idle.drain_events(timeout=1)
    for module in (connection, polling):
        monkeypatch.setattr(module, "ASLEEP", 1000)
    way(path)
    with pytest.raises(ConnectionForced):
        idle.drain_events(timeout=30)


def test_a_stream_loses_and_doubles_nothing_while_its_log_is_removed_again_and_again(
    connect: Connect, work: Work, path: Path
) -> None:
    fanout(connect())
    subscribers = [work("subscribe", "chat") for _ in range(2)]
    for subscriber in subscribers:
        subscriber.read_line()
    senders = [work("flood", "chat"), work("stream", "chat")]
    for number in range(10):
        for sender in senders:
            sender.wait_for_lines(len(sender.lines) + 100)
        for suffix in PARTS[("log", "index", "both")[number % 3]]:
            Path(f"{path}{suffix}").unlink(missing_ok=True)
    for sender in senders:
        sender.wait_for_lines(len(sender.lines) + 100)
        sender.kill()
        assert not sender.stderr
    counts = [max(int(line) for line in sender.lines[1:]) + 1 for sender in senders]
    wanted = Counter(str(number) for count in counts for number in range(count))
    texts = Counter(history(connect))
    assert not wanted - texts
    # The two of one number are the two senders'.
    assert not texts - Counter(dict.fromkeys(texts, 2))
    for subscriber in subscribers:
        subscriber.wait_for_lines(1 + wanted.total())
        assert not wanted - Counter(subscriber.lines)
    assert is_whole(path)


def test_messages_lost_with_a_removed_log_are_reported(
    connect: Connect, path: Path, commands: Commands
) -> None:
    connection = connect()
    channel = fanout(connection)
    send(channel, "x", exchange="chat")
    Path(f"{path}-wal").unlink()
    Path(f"{path}-shm").unlink()
    # Another program, which knows nothing of kchat's locks.
    other = commands.python(OTHER_PROGRAM, str(path))
    other.wait_for("written", "stdout")
    with pytest.raises(ConnectionForced, match="may be lost"):
        send(channel, "y", exchange="chat")


OTHER_PROGRAM = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
db.execute("CREATE TABLE other (x)")
db.commit()
print("written", flush=True)
time.sleep(60)
"""


def test_a_newcomer_waits_for_whoever_uses_a_removed_log_and_says_so(
    connect: Connect, work: Work, path: Path
) -> None:
    holder = work("subscribe", "chat")
    holder.read_line()
    holder.pause()
    Path(f"{path}-wal").unlink()
    with pytest.raises(RecoverableConnectionError, match="a log of it that was removed"):
        connect(busy_timeout=0.3)
    holder.resume()
    send(fanout(connect()), "x", exchange="chat")
    assert holder.wait_for_lines(2)[1:] == ["x"]


def test_all_connections_of_a_process_wait_where_another_process_holds_a_removed_log(
    connect: Connect, work: Work, path: Path
) -> None:
    """The log is copied by the first process, so a stopped one holds up newcomers only, and not for ever."""
    ours = [fanout(connect(busy_timeout=0.3)) for _ in range(3)]
    holder = work("subscribe", "chat")
    holder.read_line()
    holder.pause()
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    for channel in ours:
        send(channel, "x", exchange="chat")
    holder.resume()
    assert holder.wait_for_lines(4)[1:] == ["x"] * 3
    assert history(connect) == ["x"] * 3


# ---- the file goes away


def test_the_log_of_a_deleted_file_is_not_the_next_ones(connect: Connect, path: Path) -> None:
    for _ in range(10):
        old = connect()
        channel = fanout(old)
        send(channel, *("x" * 1000 for _ in range(50)), exchange="chat")
        path.unlink()
        new = fanout(connect())
        send(new, "for the new ones", exchange="chat")
        with pytest.raises(ConnectionForced):
            send(channel, "y", exchange="chat")
        assert history(connect) == ["for the new ones"]
        old.release()
        new.connection.close()
        assert is_whole(path)
        path.unlink()
