"""The walk to a room in a file."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from kchat import errors
from kchat.connection import broker_errors
from kchat.doctor import Check, Options, Outcome, driver, note, ok, skipped, trips, wrong
from kchat.doctor.connected import ConnectedWalk

if TYPE_CHECKING:
    from kchat.settings import Settings

_FREE_NOTE, _FREE_WRONG = 100 * 1024 * 1024, 1024 * 1024
"""Bytes free on the disk: below the first it is worth a word, below the second SQLite will soon fail."""


class Walk(ConnectedWalk):
    """A walk to a file.

    Arguments:
        settings: the room and its broker.
        options: what to look at.
    """

    def __init__(self, settings: Settings, options: Options) -> None:
        super().__init__(settings, options)
        self.path = Path(settings.broker.path)


def file(walk: Walk) -> Outcome:
    """The file is there, or there is a place for it."""
    path = walk.path
    try:
        status = path.stat()
    except FileNotFoundError:
        place = next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
        if not place.is_dir():
            return wrong(f"{place} is no folder, so {path} cannot be made")
        return ok(f"{path} is not there yet; the first message or subscriber makes it")
    except OSError as error:
        return wrong(f"{path}: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        return wrong(f"{path} is no file", "name another one: --url local:///path/to/room.db")
    return ok(f"{path}, {status.st_size:,} bytes")


def rights(walk: Walk) -> Outcome:
    """This account may write the file and its folder, and others may not."""
    path = walk.path
    folder = next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return wrong(
            f"the file system of {folder} is mounted read-only", "name a file elsewhere: --url local:///..."
        )
    # SQLite writes its log beside the file.
    for each in (folder, path):
        if each.exists() and not os.access(each, os.W_OK | (os.X_OK if each.is_dir() else os.R_OK)):
            owner = each.stat()
            mode = stat.filemode(owner.st_mode)
            return wrong(
                f"this account may not write {each} ({mode}, of uid {owner.st_uid})",
                f"as its owner: {shlex.join(['chmod', 'u+rw', str(each)])}",
            )
    if path.exists() and path.stat().st_mode & 0o077:
        mode = stat.filemode(path.stat().st_mode)
        return note(
            f"others of this machine may open {path} ({mode})",
            "chmod 600, unless the room is shared on purpose",
        )
    return ok("yours to read and write")


def disk(walk: Walk) -> Outcome:
    """There is space left."""
    folder = next((parent for parent in walk.path.absolute().parents if parent.exists()), Path("/"))
    free = shutil.disk_usage(folder).free
    text = f"{free / 1_000_000:,.0f} MB free at {folder}"
    if free < _FREE_WRONG:
        return wrong(f"no space left: {text}", "free some, or name a file elsewhere: --url local:///...")
    return note(text, "the disk is nearly full") if free < _FREE_NOTE else ok(text)


def lock(walk: Walk) -> Outcome:
    """It is our turn to write within the time that a message may take. Nothing is written."""
    if not walk.path.exists():
        return skipped("no file yet")
    seconds = walk.settings.connect_timeout
    try:
        with closing(
            sqlite3.connect(
                f"file:{quote(str(walk.path))}?mode=rw", uri=True, timeout=seconds, isolation_level=None
            )
        ) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
    except sqlite3.Error as error:
        if "locked" in str(error):
            return wrong(
                f"another program has kept the file locked for {seconds:g} s",
                f"which one: {shlex.join(['fuser', str(walk.path)])}",
            )
        # What else is wrong with it, the next step tells in better words.
        return skipped(str(error))
    return ok("nobody keeps it locked")


def schema(walk: Walk) -> Outcome:
    """The file is a room that this kchat can read."""
    if not walk.path.exists():
        return skipped("no file yet")
    if failure := walk.failure():
        raise failure
    assert walk.connection is not None
    with broker_errors(walk.broker, "open the room"):
        walk.connection.channel()
    return ok("a room, of a version that this kchat reads")


def round_trip(walk: Walk) -> Outcome:
    """A message sent comes back."""
    if walk.options.send_test:
        return trips.in_the_room(walk.settings)
    if walk.connection is None:
        return skipped("no file yet")
    try:
        return trips.beside_the_room(walk.settings, walk.connection)
    except errors.Closed as error:
        return wrong(str(error).removeprefix(f"{walk.broker}: "), "is the disk full, or the file gone?")


CHECKS = (
    Check("settings", driver),
    Check("file", file, needs=("settings",)),
    Check("rights", rights, needs=("file",)),
    Check("disk", disk, needs=("file",)),
    Check("lock", lock, needs=("rights",)),
    Check("schema", schema, needs=("rights", "lock")),
    Check("round trip", round_trip, needs=("schema", "disk")),
)
