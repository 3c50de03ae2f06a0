"""An SQLite archive with several processes at it, some of which are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from kchat.archive.record import Record
from kchat.archive.span import HOUR, Span, Zone
from kchat.archive.sqlite.store import SqliteStore
from tests.archive.counting import MONDAY, count, differences, record
from tests.brokers.processes import Commands, Process
from tests.brokers.wait import wait_until

everything, UTC = Span(), Zone("UTC")

WRITER = """
import sys
from pathlib import Path
from kchat.archive.sqlite.store import SqliteStore
from tests.archive.test_sqlite_processes import talk

path, first, step, size = Path(sys.argv[1]), *map(int, sys.argv[2:5])
records = talk()[first::step]
with SqliteStore(path, write=True) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for at in range(0, len(records), size):
        print(store.write(records[at : at + size]), flush=True)
"""


def talk() -> list[Record]:
    """The same 3,000 messages of three hours, in every process."""
    return [
        record(
            number,
            MONDAY + number * 3 * HOUR // 3000,
            username=f"user{number % 7}",
            text=f"hi @user{number % 3}",
        )
        for number in range(3000)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


def start_writer(commands: Commands, path: Path, first: int, step: int, size: int) -> Process:
    """Starts a process that writes every so many messages in batches of a size, once it is told to."""
    return commands.start(
        [commands.interpreter, "-c", WRITER, str(path), *map(str, (first, step, size))],
        stdin=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.fixture
def writers(commands: Commands, path: Path) -> list[Process]:
    """Four processes with every second message each, so that two write each. They make the archive together."""
    started = [start_writer(commands, path, number % 2, 2, 60) for number in range(4)]
    for each in started:
        each.wait_for_lines(1)
    return started


def test_several_processes_write_to_one_archive(writers: list[Process], path: Path) -> None:
    for each in writers:
        each.write("go\n")
    for each in writers:
        assert each.wait(60) == 0, each.stderr
    assert sum(int(line) for each in writers for line in each.lines[1:]) == 3000
    with SqliteStore(path) as store:
        assert differences(store.facts(everything, UTC), count(talk(), everything, UTC)) == {}
        assert {each.key for each in store.records(everything)} == {each.key for each in talk()}


def test_who_reads_while_others_write_sees_whole_batches(writers: list[Process], path: Path) -> None:
    with SqliteStore(path) as store:
        for each in writers:
            each.write("go\n")

        def all_there() -> bool:
            facts = store.facts(everything, UTC)
            messages = sum(person.messages for person in facts.people.values())
            assert messages == sum(map(sum, facts.minutes.values()))
            assert facts.gaps.count == max(messages - 1, 0)
            return messages == 3000

        wait_until(all_there, 60)
    for each in writers:
        assert each.wait(60) == 0, each.stderr


def test_a_killed_writer_leaves_whole_batches_and_what_it_was_told_is_committed(
    commands: Commands, path: Path
) -> None:
    said = talk()
    written = 0
    for lines in (1, 4, 9, 16):
        process = start_writer(commands, path, 0, 1, 40)
        process.wait_for_lines(1)
        process.write("go\n")
        process.wait_for_lines(1 + lines)
        process.kill()
        told = (len(process.lines) - 1) * 40
        with SqliteStore(path) as store:
            kept = list(store.records(everything))
            assert kept == said[: len(kept)]
            assert len(kept) % 40 == 0
            assert len(kept) >= max(told, written)
            assert differences(store.facts(everything, UTC), count(kept, everything, UTC)) == {}
        written = len(kept)
    with SqliteStore(path, write=True) as store:
        assert store.write(said) == 3000 - written
        assert differences(store.facts(everything, UTC), count(said, everything, UTC)) == {}
