"""Embedded rooms that are well, and such as are broken in one way each: is that way the one that is named?"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from kchat import Message, Sender, Settings, Subscriber
from tests.brokers.processes import Commands
from tests.cli.doctor.asking import Doctor, by_check


def test_an_embedded_room_on_which_all_is_well(doctor: Doctor, local_url: str) -> None:
    settings = Settings.resolve(url=local_url)
    assert doctor("--url", local_url)["ok"]
    assert not Path(settings.broker.path).exists()  # nothing is made
    with Sender(settings, "ada") as sender:
        sender.send("hello")
    with Subscriber(settings, "bob", last=10) as subscriber:
        told = doctor("--url", local_url)
        assert told["ok"], told
        assert [message.text for message in subscriber.receive(timeout=30)] == ["hello"]
        assert subscriber.receive(timeout=0.2) == []
    assert by_check(told)["round trip"]["status"] == "ok"


def local_room(url: str) -> Path:
    settings = Settings.resolve(url=url)
    with Sender(settings, "ada") as sender:
        sender.send(Message.compose("ada", "hello"))
    return Path(settings.broker.path)


def test_a_file_that_is_not_a_room(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but a text of some length\n" * 100)
    check, text = doctor.first("--url", f"local://{tmp_path}/text.db")
    assert check == "schema"
    assert "not an SQLite file" in text
    check, _ = doctor.first("--url", f"local://{tmp_path}")
    assert check == "file"
    check, _ = doctor.first("--url", f"local://{tmp_path}/text.db/room.db")
    assert check == "file"


def test_a_file_that_somebody_keeps_locked(doctor: Doctor, local_url: str) -> None:
    path = local_room(local_url)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        check, text = doctor.first("--url", local_url)
    assert check == "lock"
    assert "locked" in text


IN_A_BAD_PLACE = """
import os, resource, sys
from kchat import Settings, Sender
from kchat.doctor import Status, diagnose

def first(url):
    for finding in diagnose(Settings.resolve(url=url, connect_timeout=1)):
        if finding.status is Status.WRONG:
            return f"{finding.check}: {finding.text}"
    return "well"

assert first(sys.argv[1]) == "well"  # so that all is imported: a stranger may not read it
if sys.argv[3] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
elif not os.geteuid():
    os.setgid(65534)
    os.setuid(65534)
print(first(sys.argv[2]))
"""


def test_a_file_that_is_not_ours_to_write(commands: Commands) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = f"local://{folder}/own.db"
        path = local_room(f"local://{folder}/room.db")
        local_room(own)
        path.chmod(0o444)
        folder.chmod(0o555)
        try:
            stranger = commands.python(IN_A_BAD_PLACE, own, f"local://{path}", "stranger")
            assert stranger.wait() == 0, stranger.stderr
        finally:
            folder.chmod(0o700)
    assert stranger.stdout.startswith("rights: "), stranger.stdout


def test_a_disk_that_takes_nothing_more(commands: Commands, local_url: str, tmp_path: Path) -> None:
    own = f"local://{tmp_path}/own.db"
    local_room(own)
    local_room(local_url)
    process = commands.python(IN_A_BAD_PLACE, own, local_url, "full")
    assert process.wait() == 0, process.stderr
    assert process.stdout.startswith(("round trip: ", "schema: ")), process.stdout
    assert "disk" in process.stdout or "space" in process.stdout
