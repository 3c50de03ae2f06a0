"""The doctor's checks of a room in a file."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import stat
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from amqp.exceptions import AMQPError

from kchat import errors
from kchat.transports import durable
from kchat.transports.checks import Check, Outcome, Walk, note, ok, skipped, wrong

from . import files, schema, untrusted
from .options import Options
from .process_locks import open_file

_FREE_NOTE, _FREE_WRONG = 100 * 1024 * 1024, 1024 * 1024
"""Bytes free on the disk: below the first the user should know, below the second SQLite will soon fail."""

_GROUP = 0o060
"""The bits of a mode by which a group reads and writes."""

_ELSEWHERE = "name another file with {url}: local:///path/to/room.db"


def checks(walk: Walk) -> Sequence[Check]:
    """The checks, in order; arguments as of :meth:`kchat.transports.base.Transport.checks`."""
    local = _Local(walk)
    return (
        Check("settings"),
        Check("file", ("settings",), local.file),
        Check("rights", ("file",), local.rights),
        Check("disk", ("file",), local.disk),
        Check("lock", ("rights",), local.lock),
        Check("schema", ("rights", "lock"), local.schema),
        Check("durable", ("schema",), local.durable),
        Check("round trip", ("schema", "disk"), local.round_trip),
    )


class _Local:
    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._path = Path(walk.broker.path)
        self._real = ""
        """The file that the path leads to, after the check ``file``."""

    @property
    def _folder(self) -> Path:
        """The nearest one that exists."""
        return next((parent for parent in self._path.absolute().parents if parent.exists()), Path("/"))

    def file(self) -> Outcome:
        """The file exists, or can be created."""
        path = self._path
        try:
            real = self._real = files.resolve(str(path))
            status = Path(real).stat()
        except FileNotFoundError:
            if not self._folder.is_dir():
                return wrong(f"{self._folder} is not a folder, so {path} cannot be created")
            return ok(f"{path} does not exist yet; the first message or subscriber creates it")
        except OSError as error:
            return wrong(f"{path}: {error.strerror}")
        except (ValueError, AMQPError):
            return wrong(f"{str(path)!r} is not the name of a file")
        if not stat.S_ISREG(status.st_mode):
            return wrong(f"{path} is not a regular file", _ELSEWHERE)
        try:
            files.check(real)
            files.check_beside(real)
            files.check_mount(real)
        except AMQPError as error:
            if status.st_size:
                return wrong(error.reply_text)
        return ok(f"{path}, {status.st_size:,} bytes")

    def rights(self) -> Outcome:
        """This account may write the file, those beside it and its folder, and others may not."""
        path, real, folder = self._path, self._real, self._folder
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return wrong(f"the file system of {folder} is mounted read-only", _ELSEWHERE)
        if not path.exists():
            if not os.access(folder, os.W_OK | os.X_OK):
                return wrong(
                    f"this account may not create a file in {folder}",
                    f"as its owner: {shlex.join(['chmod', 'u+rwx', str(folder)])}",
                )
            return ok("yours to read and write")
        # SQLite has its log and the log's index beside the file, and creates them there.
        if (refused := files.refusal(real)) is not None:
            each = refused.reply_text.partition(": ")[0]
            return wrong(refused.reply_text, f"its owner can change that: {_how_to_allow(each)}")
        mode = Path(real).stat().st_mode
        if mode & _GROUP == _GROUP and (left_out := _left_out(real)) is not None:
            return note(
                f"the file's group may not use {left_out}", f"as its owner: {_how_to_allow(left_out)}"
            )
        if mode & 0o077:
            return note(
                f"others of this machine may open {path} ({stat.filemode(mode)})",
                "chmod 600, unless the room is shared on purpose",
            )
        return ok("yours to read and write")

    def disk(self) -> Outcome:
        """The disk has space left."""
        free = shutil.disk_usage(self._folder).free
        text = f"{free / 1_000_000:,.0f} MB free at {self._folder}"
        if free < _FREE_WRONG:
            return wrong(f"no space left: {text}", f"free some, or {_ELSEWHERE}")
        return note(text, "the disk is nearly full") if free < _FREE_NOTE else ok(text)

    def lock(self) -> Outcome:
        """It is our turn to write within the time to connect. Nothing is written."""
        if not self._path.exists():
            return skipped("no file yet")
        if not _is_room(self._real):
            return skipped("not a kchat room, see below")
        seconds = self._walk.settings.connect_timeout
        try:
            db, watchdog = untrusted.connect(self._real, "mode=rw", Options.max_message_bytes, seconds)
        except AMQPError as error:
            return skipped(error.reply_text)
        try:
            with closing(db):
                db.execute("BEGIN IMMEDIATE")
                db.execute("ROLLBACK")
        except sqlite3.Error as error:
            watchdog.reraise()
            if "locked" in str(error):
                return wrong(
                    f"another program has kept the file locked for {seconds:g} s",
                    f"which one: {shlex.join(['fuser', str(self._path)])}",
                )
            # The next check describes other faults in better words.
            return skipped(str(error))
        return ok("nobody keeps it locked")

    def schema(self) -> Outcome:
        """The file is a room that this kchat can read."""
        if not self._path.exists():
            return skipped("no file yet")
        self._walk.connection.channel()
        return ok("a room, of a version that this kchat reads")

    def durable(self) -> Outcome:
        """Somebody reads the room's durable subscriptions."""
        walk = self._walk
        if not self._path.exists():
            return skipped("no file yet")
        policy = walk.broker.transport.durable(walk.settings.room)
        return durable.check(policy.subscriptions(walk.settings, walk.broker, walk.connection))

    def round_trip(self) -> Outcome:
        """A message sent comes back."""
        if not self._path.exists() and not self._walk.options.send_test:
            return skipped("no file yet")
        try:
            return self._walk.round_trip()
        except errors.Closed as error:
            return wrong(str(error), "is the disk full, or the file gone?")


def _is_room(path: str) -> bool:
    """Whether it says of itself that it is a room, or may do so in its log. Nothing is known of its content then."""
    file = open_file(path)
    try:
        beginning = os.pread(file.fd, 72, 0)
    finally:
        file.release()
    return not beginning or files.has_log(path) or beginning[68:] == schema.APPLICATION_ID.to_bytes(4, "big")


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
    for each in (path + files.LOG, path + files.INDEX):
        if os.path.lexists(each):
            status = os.lstat(each)
            if status.st_gid != group or status.st_mode & _GROUP != _GROUP:
                return each
    return None
