"""A recording: what was said in a room, byte for byte and with the time of each message, as a file of JSON lines.

A line is an object with these keys, in this order:

- ``at``: when the message came, RFC 3339 in UTC with microseconds, by the recorder's clock. Of messages that had waited in
  the room's history or in a durable queue: when they were sent, by their senders' clocks, as far as that is in order;
- ``room``;
- ``username`` and ``id`` as in :class:`kchat.Message`, or null;
- ``account``: the authenticated account, if the broker has checked it, or null;
- ``content_type``: the broker's property of that name, or null;
- ``body``: the body, if it is UTF-8; else ``body_base64`` in its place.

Whatever else a line has is left alone. A line is written whole and handed to the system before its message is acknowledged,
so a recorder that is killed loses nothing that the broker does not still have.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import sys
from base64 import b64encode
from contextlib import suppress
from time import monotonic, time
from typing import TYPE_CHECKING

from kchat.client.compression import packer
from kchat.errors import SettingsError
from kchat.message import rfc3339

if TYPE_CHECKING:
    from kchat.client.compression import Packer
    from kchat.message import Message

STANDARD = "-"
"""The file's name that means standard output, or input."""

_LIVE_AFTER = 0.2
"""Seconds between two messages after which the later one did not wait for the recorder."""

_FIRST = 2.0
"""... and until the first one."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Recorder:
    """Writes a recording. It is what :func:`kchat.display.loop.listen` takes as a display.

    Each :meth:`flush` hands over to the system what came: from then on a recorder that is killed has lost nothing of it.
    What a machine keeps that loses its power is another matter. With ``sync`` it is on the disk (fsync) when :meth:`flush`
    returns; without, when :meth:`close` does.

    Arguments:
        path: the file; it must not be there yet, or be empty. ``-`` is standard output. By its end, ``.gz`` or ``.zst``, it
            is compressed.
        room: the room's name.
        waited: whether messages may have waited for the recorder: in the room's history, in a durable queue.
        sync: whether what is acknowledged afterwards has to outlive a loss of power. Default: it does not.
    """

    def __init__(self, path: str, room: str, *, waited: bool = False, sync: bool = False) -> None:
        self.path = path
        self.count = 0
        """Number of messages that are written."""
        self._room = room
        self._sync = sync
        self._held: list[str] = []
        self._packer: Packer | None = None
        self._descriptor = -1
        self._is_file = False
        self._end = 0
        self._at = 0.0
        self._waited = waited
        self._origin = time() - monotonic()
        self._last = 0.0

    def open(self, title: str = "") -> None:  # noqa: ARG002 - a display's
        """Make the file, where that is not done, and be ready for the messages that come from now on.

        Raises:
            kchat.errors.SettingsError: there is a recording already, or no such folder, or no module to compress it.
        """
        if self._packer is None:
            self._packer = packer(self.path)
            self._descriptor = _new_file(self.path)
            self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._last = monotonic() + _FIRST - _LIVE_AFTER

    def show(self, message: Message) -> None:
        """Take a message."""
        line: dict[str, object] = {
            "at": rfc3339.precise(self._place(message)),
            "room": self._room,
            "username": message.username,
            "id": message.id,
            "account": message.account,
            "content_type": message.content_type,
        }
        try:
            line["body"] = message.body.decode()
        except UnicodeDecodeError:
            line["body_base64"] = b64encode(message.body).decode()
        self._held.append(_encode(line))

    def _place(self, message: Message) -> float:
        """The message's time: never before that of the one in front of it."""
        now = monotonic()
        at = self._origin + now
        if self._waited:
            if now - self._last > _LIVE_AFTER:
                self._waited = False
            else:
                self._last = now
                if message.sent_at is not None:
                    at = min(at, message.sent_at.timestamp())
        self._at = max(self._at, at)
        return self._at

    def flush(self) -> bool:
        """Write what came; see above.

        Raises:
            OSError: the disk is full, say. What was written before it is whole.
        """
        if not self._held or self._packer is None:
            return True
        lines, self._held = self._held, []
        self._write(self._packer.pack(("\n".join(lines) + "\n").encode("ascii")))
        if self._sync and self._is_file:
            os.fsync(self._descriptor)
        self.count += len(lines)
        return True

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except BaseException:
            self._packer = None  # nothing can be added behind a gap
            if self._is_file:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, self._end)
                    os.lseek(self._descriptor, self._end, os.SEEK_SET)
            raise
        self._end += len(data)

    def status(self, text: str) -> None:
        """Nothing: what happens to the connection is not said in the room."""

    def close(self) -> None:
        """Write what came, and end the file. Safe to repeat. Raises as :meth:`flush`."""
        if self._descriptor < 0:
            return
        try:
            self.flush()
            if self._packer is not None and self._end:
                self._write(self._packer.end())
            if self._is_file:
                os.fsync(self._descriptor)
        finally:
            self._packer = None
            if self.path != STANDARD:
                os.close(self._descriptor)
            self._descriptor = -1


def _new_file(path: str) -> int:
    if path == STANDARD:
        return sys.stdout.fileno()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however that ends
            if os.fstat(descriptor).st_size:
                raise SettingsError(f"{path} is there already", hint="choose another name, or remove it")
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise SettingsError(
                f"another process is recording to {path}", hint="choose another name"
            ) from error
        raise
    return descriptor
