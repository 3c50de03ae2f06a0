"""A room that several accounts share, and what the file system refuses. Only root can act as others."""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.processes import Commands
from tests.brokers.wait import soon

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other accounts")

ADA, BOB, EVE, GROUP, OTHERS = 54321, 54322, 54323, 54300, 54399

#: Reads lines of JSON, ``[what, url, text]``, does it as that account, and says how that went.
ACCOUNT = """
import ctypes, json, os, sys, time  # a long wait loads ctypes
import kombu
from kchat import Sender, Settings, Subscriber, errors, events
from kchat.doctor import Status, diagnose

def do(what, url, text):
    if what == "leave":
        return kept.pop().close()
    settings = Settings.resolve(url=url, connect_timeout=2)
    if what == "send":
        with Sender(settings, text) as sender:
            sender.send(text)
    elif what == "listen":
        subscriber = Subscriber(settings, "somebody", last=100)
        subscriber.open()
        kept.append(subscriber)
        return [message.text for message in subscriber.receive(timeout=1)]
    else:
        return [f"{each.check}: {each.text} / {each.hint}" for each in diagnose(settings)
                if each.status in (Status.WRONG, Status.NOTE)]

kept = []
do("send", sys.argv[1], "x"); do("listen", sys.argv[1], ""); kept.pop().close()
do("doctor", sys.argv[1], "")  # so that all is imported: another account may not read it
uid, gid, umask = map(int, sys.argv[2:5])
os.setgroups([gid, int(sys.argv[5])]); os.setgid(gid); os.setuid(uid); os.umask(umask)
print("ready", flush=True)
for line in sys.stdin:
    begin = time.monotonic()
    try:
        told = do(*json.loads(line))
    except errors.KchatError as error:
        told = f"{type(error).__name__}: {error}"
    print(json.dumps([told, time.monotonic() - begin]), flush=True)
"""

Act = Callable[..., Any]


@pytest.fixture
def act(commands: Commands, local_url: str) -> Callable[..., Act]:
    """An account: ``act(uid, gid)`` returns what does something as that account, and says how that went."""

    def account(uid: int, gid: int, umask: int = 0o077, also: int = OTHERS) -> Act:
        process = commands.start(
            [sys.executable, "-c", ACCOUNT, local_url, str(uid), str(gid), str(umask), str(also)], stdin=True
        )
        process.wait_for("ready", "stdout")

        def do(what: str, url: str = "", text: str = "") -> Any:
            count = len(process.lines)
            process.write(json.dumps([what, url, text]) + "\n")
            told, seconds = json.loads(process.wait_for_lines(count + 1)[-1])
            assert seconds < soon(8), told
            return told

        return do

    return account


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def shared(folder: Path, mode: int, file_mode: int = 0o660) -> str:
    """A room of ADA's for the group."""
    place = folder / "srv"
    place.mkdir()
    os.chown(place, ADA, GROUP)
    place.chmod(mode)
    room = place / "room.db"
    room.touch()
    os.chown(room, ADA, GROUP)
    room.chmod(file_mode)
    return f"local://{room}"


@pytest.mark.parametrize("mode", [0o2770, 0o770])
def test_a_room_of_a_group_is_everybodys_in_it(act: Callable[..., Act], folder: Path, mode: int) -> None:
    url = shared(folder, mode)
    ada, bob, eve = act(ADA, GROUP), act(BOB, GROUP), act(EVE, OTHERS)
    assert ada("send", url, "of ada") is None
    assert bob("listen", url) == ["of ada"]  # bob makes the log
    modes = {
        each.name: (oct(stat.S_IMODE(each.stat().st_mode)), each.stat().st_gid)
        for each in (folder / "srv").iterdir()
    }
    assert modes == dict.fromkeys(("room.db", "room.db-wal", "room.db-shm"), ("0o660", GROUP))
    assert bob("send", url, "of bob") is None
    assert ada("listen", url) == ["of ada", "of bob"]
    assert [each for each in ada("doctor", url) if "others of this machine" not in each] == []
    told = str(eve("send", url, "of eve"))
    assert "NotAuthorised" in told
    assert "uid 54323" in told
    bob("leave")
    ada("leave")
    assert [each.name for each in (folder / "srv").iterdir()] == ["room.db"]


def test_a_members_first_group_is_not_the_rooms(act: Callable[..., Act], folder: Path) -> None:
    """Without the folder's setgid bit the kernel gives the log the first group of its creator."""
    url = shared(folder, 0o770)
    bob, ada = act(BOB, OTHERS, also=GROUP), act(ADA, GROUP)
    assert bob("listen", url) == []
    assert made(folder) == {(BOB, GROUP, 0o660)}
    assert ada("send", url, "of ada") is None
    assert bob("send", url, "of bob") is None


def test_a_room_that_root_opens_first_stays_its_owners(act: Callable[..., Act], folder: Path) -> None:
    url = shared(folder, 0o777)
    root, ada = act(0, 0), act(ADA, GROUP)
    assert root("listen", url) == []
    assert made(folder) == {(ADA, GROUP, 0o660)}
    assert ada("send", url, "of ada") is None
    assert ada("listen", url) == ["of ada"]


def made(folder: Path) -> set[tuple[int, int, int]]:
    """Owners, groups and modes of what SQLite has made beside the file."""
    status = [(folder / "srv" / name).stat() for name in ("room.db-wal", "room.db-shm")]
    return {(each.st_uid, each.st_gid, stat.S_IMODE(each.st_mode)) for each in status}


def test_new_files_follow_when_the_host_opens_the_room_up(act: Callable[..., Act], folder: Path) -> None:
    url = shared(folder, 0o2770, 0o600)
    ada, bob = act(ADA, GROUP), act(BOB, GROUP)
    assert ada("listen", url) == []
    assert "room.db: " in str(bob("send", url, "of bob"))
    (folder / "srv" / "room.db").chmod(0o660)
    assert "room.db-wal" in str(
        bob("doctor", url)
    )  # named as what is refused until ada's program has seen it
    assert ada("send", url, "of ada") is None
    assert bob("send", url, "of bob") is None


def test_a_refusal_names_the_file_the_account_and_the_remedy(act: Callable[..., Act], folder: Path) -> None:
    url = shared(folder, 0o2770)
    ada, bob = act(ADA, GROUP), act(BOB, GROUP)
    assert ada("listen", url) == []
    place = folder / "srv"
    for name in ("room.db", "room.db-wal", "room.db-shm"):
        before = (place / name).stat().st_mode
        (place / name).chmod(0o600)
        for told in (bob("send", url, "x"), bob("listen", url), bob("doctor", url)):
            assert f"{place / name}: this account (uid {BOB}) may not read and write it" in str(told)
        assert f"chmod g+rw {place / name}" in str(bob("doctor", url))
        (place / name).chmod(before)
    ada("leave")
    place.chmod(0o750)
    for told in (bob("send", url, "x"), bob("listen", url), bob("doctor", url)):
        assert f"{place}: this account (uid {BOB}) may not make SQLite's log in it" in str(told)
    assert "the file's group may not use" in str(ada("doctor", url))
