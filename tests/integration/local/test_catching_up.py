"""A subscriber of an embedded room that loses its connection goes on behind the last message that it has read."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import kombu
import pytest

from kchat import Sender, Settings, Subscriber, events
from kchat.transports import TRANSPORTS
from kchat.transports.local import clock
from tests.brokers.wait import wait_until


class Link:
    """A name for a room's file, which can lead elsewhere for a while: whoever uses the file is disconnected by that."""

    def __init__(self, folder: Path) -> None:
        self.room, self.elsewhere = folder / "room.db", folder / "elsewhere.db"
        self._path = folder / "link.db"
        self._lead_to(self.room)
        with Sender(self.settings(self.room), "ada") as sender:
            sender.send("the room is there")
        with Subscriber(self.settings(self.elsewhere), "bob"):
            pass  # which makes it

    def settings(self, path: Path | None = None) -> Settings:
        return Settings.resolve(url=f"local://{path or self._path}", room="chat")

    def _lead_to(self, path: Path) -> None:
        new = self._path.with_suffix(".new")
        new.symlink_to(path)
        new.rename(self._path)

    def cut(self) -> None:
        self._lead_to(self.elsewhere)

    def mend(self) -> None:
        self._lead_to(self.room)


class Reader:
    """A subscriber that reads all the time, and what it was told."""

    def __init__(self, settings: Settings, **more: object) -> None:
        self.texts: list[str | None] = []
        self.told: list[events.Event] = []
        self.subscriber = Subscriber(settings, "bob", on_event=self.told.append, **more)  # type: ignore[arg-type]
        self.subscriber.open()
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended:
            self.texts += [message.text for message in self.subscriber.receive(timeout=0.05)]
            self.subscriber.acknowledge()

    def count(self, kind: type[events.Event]) -> int:
        return sum(isinstance(event, kind) for event in self.told)

    @property
    def back(self) -> list[events.Reconnected]:
        return [event for event in self.told if isinstance(event, events.Reconnected)]

    def close(self) -> None:
        self._ended = True
        self._thread.join(20)
        self.subscriber.close()


@pytest.fixture
def link(tmp_path: Path) -> Link:
    return Link(tmp_path)


@pytest.fixture
def reader(link: Link) -> Iterator[Reader]:
    reader = Reader(link.settings())
    yield reader
    reader.close()


def cut(link: Link, reader: Reader) -> None:
    """Cuts, and returns when the reader has noticed, and is listening elsewhere."""
    back = len(reader.back)
    link.cut()
    wait_until(lambda: len(reader.back) > back, 20, "the reader to be listening elsewhere")


def mend(link: Link, reader: Reader) -> events.Reconnected:
    """Mends, and returns what the reader says when it is back."""
    back = len(reader.back)
    link.mend()
    wait_until(lambda: len(reader.back) > back, 20, "the reader to be back")
    return reader.back[-1]


def test_what_is_too_old_when_a_reader_is_back_is_told_and_not_shown(
    link: Link, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sender(link.settings(link.room), "ada") as sender:
        sender.send("before")
        wait_until(lambda: reader.texts == ["before"], 20)
        cut(link, reader)
        assert all(receipt.confirmed for receipt in sender.send_many(map(str, range(70))))
    # Ten days later, in a room that keeps messages for seven.
    wall, kernel = time.time, clock._kernel
    monkeypatch.setattr(time, "time", lambda: wall() + 864_000.0)
    monkeypatch.setattr(clock, "_kernel", lambda: kernel() + 864_000.0)
    event = mend(link, reader)
    assert (event.caught_up, event.missing) == (0, 70)
    with Sender(link.settings(link.room), "ada") as sender:
        sender.send("after")
    wait_until(lambda: reader.texts[-1] == "after", 20)
    assert reader.texts == ["before", "after"]


def test_a_reader_catches_up_with_what_was_sent_while_it_was_away(link: Link, reader: Reader) -> None:
    with Sender(link.settings(link.room), "ada") as sender:
        sender.send("before")
        wait_until(lambda: reader.texts == ["before"], 20)
        cut(link, reader)
        assert all(receipt.confirmed for receipt in sender.send_many(map(str, range(700))))
        event = mend(link, reader)
        assert (event.caught_up, event.missing) == (700, 0)
        assert "700 messages caught up" in str(event)
        sender.send("after")
        wait_until(lambda: reader.texts[-1] == "after", 20)
        assert reader.texts == ["before", *map(str, range(700)), "after"]
        cut(link, reader)
        assert mend(link, reader).caught_up == 0


def test_a_reader_that_has_read_nothing_yet_catches_up_from_where_it_began(
    link: Link, reader: Reader
) -> None:
    cut(link, reader)
    with Sender(link.settings(link.room), "ada") as sender:
        sender.send("a")
        sender.send("b")
    assert mend(link, reader).caught_up == 2
    wait_until(lambda: len(reader.texts) >= 2, 20)
    assert reader.texts == ["a", "b"]


def test_a_stream_of_messages_without_ids_is_read_once_and_in_order_however_often_it_is_cut(
    link: Link, reader: Reader
) -> None:
    stop = threading.Event()
    sent = 0

    def publish() -> None:
        nonlocal sent
        url = f"local://{link.room}"
        with kombu.Connection(url, transport=TRANSPORTS["local"].schemes["local"]) as connection:
            channel = connection.channel()
            while not stop.is_set():
                channel.basic_publish(channel.prepare_message(str(sent)), exchange="chat")
                sent += 1
                time.sleep(0)

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        for _ in range(3):
            cut(link, reader)
            mend(link, reader)
    finally:
        stop.set()
        thread.join(20)
    wait_until(lambda: len(reader.texts) >= sent, 30, "all that was sent")
    assert reader.texts == [str(number) for number in range(sent)]


def test_what_was_pruned_meanwhile_is_said_with_its_number(tmp_path: Path, link: Link) -> None:
    with Sender(link.settings(link.room), "ada") as sender:
        from kchat.client.connection import connect

        connection, _ = connect(link.settings(link.room), purpose="history")
        TRANSPORTS["local"].history("chat").switch_on(connection.channel(), keep=7 * 86400, max_size=200_000)
        connection.release()
        reader = Reader(link.settings())
        try:
            cut(link, reader)
            list(sender.send_many(map(str, range(5000))))
            event = mend(link, reader)
            wait_until(lambda: bool(reader.texts) and reader.texts[-1] == "4999", 20)
        finally:
            reader.close()
    assert event.caught_up == len(reader.texts) < 5000
    assert event.missing == 5000 - len(reader.texts) > 0
    assert f"{event.missing:,} messages lost" in str(event)
    assert reader.count(events.Dropped) == 0


def test_history_that_was_asked_for_is_read_to_its_end_after_a_cut(link: Link) -> None:
    with Sender(link.settings(link.room), "ada") as sender:
        list(sender.send_many(map(str, range(3000))))
        told: list[events.Event] = []
        texts: list[str | None] = []
        with Subscriber(link.settings(), "bob", last=2000, on_event=told.append, prefetch=10) as subscriber:
            texts += [message.text for message in subscriber.receive(timeout=20, limit=10)]
            subscriber.acknowledge()
            link.cut()
            wait_until(lambda: _reads_on(subscriber, texts, told, 1), 20)
            sender.send("live")
            link.mend()
            wait_until(lambda: _reads_on(subscriber, texts, told, 2) and "live" in texts, 20)
    assert texts == [*map(str, range(1000, 3000)), "live"]


def _reads_on(subscriber: Subscriber, texts: list[str | None], told: list[events.Event], back: int) -> bool:
    texts += [message.text for message in subscriber.receive(timeout=0.05, limit=10)]
    subscriber.acknowledge()
    return sum(isinstance(event, events.Reconnected) for event in told) >= back


def test_a_copy_of_the_file_is_read_on_and_a_new_room_from_its_beginning(link: Link, reader: Reader) -> None:
    room = link.settings(link.room)
    with Sender(room, "ada") as sender:
        sender.send("before")
    wait_until(lambda: reader.texts == ["before"], 20)
    copy = link.room.with_suffix(".copy")
    for suffix in ("", "-wal"):
        shutil.copy(f"{link.room}{suffix}", f"{copy}{suffix}")
    with Sender(link.settings(copy), "ada") as sender:
        sender.send("while it was away")
    # Nobody uses it any more, so its log is in it.
    copy.rename(link.room)
    wait_until(lambda: bool(reader.back), 20)
    assert reader.back[0].caught_up == 1
    back = len(reader.back)
    link.room.unlink()
    with Sender(room, "ada") as sender:
        sender.send("in a new file")
    wait_until(lambda: len(reader.back) > back, 20)
    assert "may have been missed" in str(reader.back[-1])
    wait_until(lambda: reader.texts[-1] == "in a new file", 20)
    assert reader.texts == ["before", "while it was away", "in a new file"]


@pytest.mark.parametrize(
    "new", [["new"], ["new 0", "new 1", "new 2", "new 3", "new 4"]], ids=["fewer", "more"]
)
def test_a_reader_goes_on_in_a_file_that_was_put_back_to_an_earlier_state(
    link: Link, reader: Reader, new: list[str]
) -> None:
    room = link.settings(link.room)
    before = link.room.with_suffix(".before")
    with closing(sqlite3.connect(link.room)) as source, closing(sqlite3.connect(before)) as target:
        source.backup(target)
    with Sender(room, "ada") as sender:
        list(sender.send_many(["a", "b", "c"]))
    wait_until(lambda: reader.texts == ["a", "b", "c"], 20)
    cut(link, reader)
    for suffix in ("-wal", "-shm"):
        Path(f"{link.room}{suffix}").unlink(missing_ok=True)
    link.room.write_bytes(before.read_bytes())  # the same file
    # Their numbers are those of what was read.
    with Sender(room, "eve") as sender:
        list(sender.send_many(new))
    assert mend(link, reader).caught_up is None
    with Sender(room, "eve") as sender:
        sender.send("the end")
    wait_until(lambda: reader.texts[-1] == "the end", 20)
    shown = new if len(new) < 3 else []  # where there are more, nobody knows where it parted
    assert reader.texts in (["a", "b", "c", "the end"], ["a", "b", "c", *shown, "the end"])
