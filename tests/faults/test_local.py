"""The embedded room: a full disk, a file that goes away or is replaced, processes killed while they write."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from kchat import Blocked, Sender, Settings, Subscriber, events
from tests.brokers.processes import Commands
from tests.faults.parts import Listening

Measured = Callable[..., None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rooms" / "room.db"


@pytest.fixture
def settings(path: Path) -> Settings:
    return Settings.resolve(url=f"local://{path}")


def limited(size: int, *arguments: str) -> list[str]:
    """A kchat command whose files cannot grow beyond a number of bytes: to SQLite, a full disk."""
    script = (
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        "sys.argv[0] = 'kchat'\n"
        "runpy.run_module('kchat', run_name='__main__', alter_sys=False)\n"
    )
    return [sys.executable, "-c", script, *arguments]


def whole(path: Path) -> None:
    """The file has not suffered."""
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_a_full_disk_is_told_and_nothing_is_half_written(
    path: Path, settings: Settings, commands: Commands, measured: Measured
) -> None:
    url = f"local://{path}"
    subscriber = commands.kchat("subscribe", "--url", url, "--mode", "print")
    subscriber.wait_for("listening")
    size = sum(each.stat().st_size for each in path.parent.iterdir()) + 300_000
    began = monotonic()
    sender = commands.start(limited(size, "send", "--url", url, "-"), stdin=True)
    with contextlib.suppress(BrokenPipeError):  # it ends before it has read everything
        sender.write("".join(f"{number} {'x' * 1000}\n" for number in range(2000)))
    assert sender.wait(15) == 1
    took = monotonic() - began
    assert "Traceback" not in sender.stderr
    assert "free some space" in sender.stderr
    confirmed = int(sender.stderr.split(" sent to ")[0].splitlines()[-1].replace(",", ""))
    assert 0 < confirmed < 2000
    # A process with more room continues, and every subscriber has all confirmed messages.
    with Sender(settings, "ada") as unlimited:
        unlimited.send("afterwards")
    subscriber.wait_for("afterwards", "stdout")
    shown = [line for line in subscriber.lines if "xxx" in line]
    assert len(shown) >= confirmed
    assert [f'"message":"{number} x' in line for number, line in enumerate(shown)] == [True] * len(shown)
    whole(path)
    measured(
        "disk full",
        "sender of a stream",
        on="local",
        noticed=took,
        lost=confirmed - min(confirmed, len(shown)),
        note=f"exit 1; {confirmed} confirmed, {len(shown)} there",
    )
    measured("disk full", "subscriber", on="local", lost=0, note="went on")


def test_a_full_disk_is_an_error_of_its_own(settings: Settings, measured: Measured) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Sender(settings, "ada") as sender:
        sender.send("before")
        size = sum(each.stat().st_size for each in Path(settings.broker.path).parent.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            with pytest.raises(Blocked, match="the disk does not take"):
                list(sender.send_many(["x" * 10_000] * 100))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert sender.send("after").confirmed
    measured("disk full, then not", "sender of one message", on="local", note="Blocked, then confirmed")


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_is_gone_is_noticed_and_the_room_begun_again(
    path: Path, settings: Settings, how: str, measured: Measured
) -> None:
    with Listening(settings) as listening, Sender(settings, "ada") as sender:
        sender.send("before")
        listening.wait_for_text("before", 5)
        for each in path.parent.glob(f"{path.name}*"):
            if each.is_file():
                each.unlink()
        if how == "replaced":
            with Sender(settings, "somebody else") as other:
                other.send("in a new file")
        gone_at = monotonic()
        noticed = listening.wait_for(events.Disconnected, 5)
        assert "deleted or replaced" in str(noticed.event)
        back = listening.wait_for(events.Reconnected, 5)
        assert "may have been missed" in str(back.event)
        assert sender.send("after").confirmed
        listening.wait_for_text("after", 5)
    whole(path)
    measured(f"file {how}", "subscriber", on="local", noticed=noticed.at - gone_at, back=back.at - gone_at)
    measured(f"file {how}", "sender of one message", on="local", lost=0)


def test_a_deleted_file_ends_neither_a_subscriber_nor_a_sender(
    path: Path, settings: Settings, measured: Measured
) -> None:
    """The log stays there, as after ``rm room.db``; the first newcomer makes the file again."""
    for number in range(6):
        with Listening(settings) as listening, Sender(settings, "ada") as sender:
            sender.send("before")
            listening.wait_for_text("before", 15)
            path.unlink()
            if number % 2:
                assert sender.send("at once").confirmed
            listening.wait_for(events.Reconnected, 15)
            assert sender.send("after").confirmed
            listening.wait_for_text("after", 15)
        whole(path)
        path.unlink()
    measured("file deleted, its log not", "both", on="local", lost=0)


def test_a_file_that_is_no_room_is_a_clear_error(
    path: Path, commands: Commands, settings: Settings, measured: Measured
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is somebody's diary, not a database\n" * 200)
    for command in (["subscribe"], ["send", "hello"]):
        result = commands.run_kchat(*command, "--url", f"local://{path}")
        assert result.code in (1, 2)
        assert "not an SQLite file" in result.stderr
        assert len(result.stderr.splitlines()) <= 2
    assert path.read_bytes().startswith(b"this is somebody's diary")
    measured("file is not a room", "both", on="local", note="clear error, file untouched")


def test_a_sender_that_is_killed_in_mid_stream_leaves_what_it_said_it_sent(
    path: Path, commands: Commands, settings: Settings, measured: Measured
) -> None:
    with Listening(settings) as listening:
        sender = commands.kchat("send", "--url", f"local://{path}", "-", stdin=True)
        sender.write("".join(f"{number}\n" for number in range(5000)))
        listening.wait_for_count(1000, 15)
        sender.kill()
        with Sender(settings, "ada") as other:
            other.send("afterwards")
        listening.wait_for_text("afterwards", 5)
    shown = listening.texts[:-1]
    assert shown == [str(number) for number in range(len(shown))]
    whole(path)
    measured("kill -9 in mid-stream", "sender of a stream", on="local", lost=0, note="in order, no gaps")


def test_a_killed_subscriber_of_a_lasting_queue_gets_again_what_it_did_not_acknowledge(
    path: Path, commands: Commands, settings: Settings, measured: Measured
) -> None:
    with Subscriber(settings, "bob", durable="archive"):
        pass
    with Sender(settings, "ada") as sender:
        list(sender.send_many(map(str, range(1000))))
    subscriber = commands.kchat(
        "subscribe", "--url", f"local://{path}", "--durable", "archive", "--mode", "json"
    )
    subscriber.wait_for_lines(1)
    subscriber.kill()
    shown = len(subscriber.lines)
    with Listening(settings, durable="archive") as listening:
        listening.wait_for_text("999", 10)
    numbers = [int(text) for text in listening.texts]
    assert numbers == list(range(numbers[0], 1000))
    assert numbers[0] <= shown
    measured("kill -9 while showing", "durable subscriber", on="local", lost=0)
