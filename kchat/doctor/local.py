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

from amqp.exceptions import AMQPError

from kchat import errors
from kchat.client.connection import broker_errors
from kchat.doctor import Check, Options, Outcome, driver, note, ok, skipped, wrong
from kchat.doctor.connected import ConnectedWalk
from kchat.doctor.round_trip import beside_the_room, in_the_room
from kchat.transports.local import file_checks, untrusted
from kchat.transports.local.options import Options as UrlOptions

if TYPE_CHECKING:
    from kchat.config.settings import Settings

_FREE_NOTE, _FREE_WRONG = 100 * 1024 * 1024, 1024 * 1024
"""Bytes free on the disk: below the first it is worth a word, below the second SQLite will soon fail."""

_GROUP = 0o060
"""The bits of a mode by which a group reads and writes."""


class Walk(ConnectedWalk):
    """A walk to a file.

    Arguments:
        settings: the room and its broker.
        options: what to look at.
    """

    def __init__(self, settings: Settings, options: Options) -> None:
        super().__init__(settings, options)
        self.path = Path(settings.broker.path)
        self.real = ""
        """The file that the path leads to; once it is known."""


def file(walk: Walk) -> Outcome:
    """The file is there, or there is a place for it."""
    path = walk.path
    try:
        real = walk.real = file_checks.resolve(str(path))
        status = Path(real).stat()
    except FileNotFoundError:
        folder = next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
        if not folder.is_dir():
            return wrong(f"{folder} is not a folder, so {path} cannot be made")
        return ok(f"{path} is not there yet; the first message or subscriber makes it")
    except OSError as error:
        return wrong(f"{path}: {error.strerror}")
    except (ValueError, AMQPError):
        return wrong(f"{str(path)!r} is not the name of a file")
    if not stat.S_ISREG(status.st_mode):
        return wrong(f"{path} is not a regular file", "name another one: --url local:///path/to/room.db")
    try:
        file_checks.check_kind(real)
        file_checks.check_beside(real)
        file_checks.check_mount(real)
    except AMQPError as error:
        if status.st_size:
            return wrong(error.reply_text)
    return ok(f"{path}, {status.st_size:,} bytes")


def rights(walk: Walk) -> Outcome:
    """This account may write the file, those beside it and its folder, and others may not."""
    path, real = walk.path, walk.real
    folder = next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return wrong(
            f"the file system of {folder} is mounted read-only", "name a file elsewhere: --url local:///..."
        )
    if not path.exists():
        if not os.access(folder, os.W_OK | os.X_OK):
            return wrong(
                f"this account may not make a file in {folder}",
                f"as its owner: {shlex.join(['chmod', 'u+rwx', str(folder)])}",
            )
        return ok("yours to read and write")
    # SQLite has its log and the log's index beside the file, and makes them there.
    refused = file_checks.refusal(real)
    if refused is not None:
        each = refused.reply_text.partition(": ")[0]
        return wrong(refused.reply_text, f"its owner can change that: {_how_to_allow(each)}")
    mode = Path(real).stat().st_mode
    if mode & _GROUP == _GROUP and (left_out := _left_out(real)) is not None:
        return note(f"the file's group may not use {left_out}", f"as its owner: {_how_to_allow(left_out)}")
    if mode & 0o077:
        return note(
            f"others of this machine may open {path} ({stat.filemode(mode)})",
            "chmod 600, unless the room is shared on purpose",
        )
    return ok("yours to read and write")


def _how_to_allow(path: str) -> str:
    """What its owner types."""
    status = Path(path).stat()
    who = "u" if status.st_uid == os.geteuid() else "g"
    what = "rwx" if stat.S_ISDIR(status.st_mode) else "rw"
    group = "chgrp GROUP {0} && " if who == "g" else ""
    return f"{group}chmod {who}+{what} {{0}}".format(shlex.quote(path))


def _left_out(path: str) -> str | None:
    """What members of a shared file's group cannot use, so that they cannot use the room."""
    group = Path(path).stat().st_gid
    folder = Path(path).parent.stat()
    if folder.st_mode & 0o003 != 0o003 and (folder.st_gid != group or folder.st_mode & 0o030 != 0o030):
        return str(Path(path).parent)
    for each in (path + file_checks.LOG, path + file_checks.INDEX):
        if os.path.lexists(each):
            status = os.lstat(each)
            if status.st_gid != group or status.st_mode & _GROUP != _GROUP:
                return each
    return None


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
    if not file_checks.is_room(walk.real):
        return skipped("not a room of kchat's, see below")
    watchdog = untrusted.Watchdog()
    try:
        with closing(
            sqlite3.connect(
                f"file:{quote(walk.real)}?mode=rw", uri=True, timeout=seconds, isolation_level=None
            )
        ) as db:
            watchdog = untrusted.guard(db, UrlOptions.max_message_bytes)
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
    except sqlite3.Error as error:
        watchdog.reraise()
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
        return in_the_room(walk.settings)
    if walk.connection is None:
        return skipped("no file yet")
    try:
        return beside_the_room(walk.settings, walk.connection)
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
