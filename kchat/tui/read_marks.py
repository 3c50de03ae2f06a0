"""Where one left off in each room, from one run to the next: a file of the user's, in the folder for state."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from kchat.config.private_files import check_ours_if_there, locked, user_folder, write_private
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MOST = 500
"""Maximum number of rooms; those that were read the longest time ago are forgotten."""

_LARGEST = 1 << 20
_LOCK_SECONDS = 1.0


class ReadMarks:
    """When the newest message that was read was sent, for each room.

    No mark is worth an error: what cannot be read or written is done without.

    Arguments:
        file: where they are. Default: the user's.
        clock: returns the UNIX time now, in seconds. A later mark was made by a wrong clock, and counts as made now: nothing
            would be new before then. Default: the system's clock.
    """

    def __init__(self, file: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        if file is None:
            with suppress(SettingsError):  # no home
                self._file = user_folder("state") / "read.json"
        self._saved: dict[str, float] = {}

    def load(self) -> Mapping[str, float]:
        """The marks by room, in UNIX seconds."""
        self._saved = self._read()
        return self._saved

    def save(self, marks: Mapping[str, float]) -> None:
        """Note these; those of other rooms, and later ones of other windows, stay."""
        new = {room: at for room, at in marks.items() if at > self._saved.get(room, 0.0)}
        if not new or self._file is None:
            return
        with suppress(OSError, SettingsError), locked(self._file, _LOCK_SECONDS):
            merged = self._read()
            for room, at in new.items():
                merged[room] = max(at, merged.get(room, 0.0))
            newest = sorted(merged.items(), key=lambda mark: mark[1])[-MOST:]
            write_private(self._file, json.dumps(dict(newest), ensure_ascii=False, indent=0).encode())
            self._saved = dict(newest)

    def _read(self) -> dict[str, float]:
        if self._file is None:
            return {}
        try:
            check_ours_if_there(self._file)
            with self._file.open("rb") as stream:
                found = json.loads(stream.read(_LARGEST))
        except (OSError, ValueError, RecursionError):  # SettingsError is a ValueError
            return {}
        if not isinstance(found, dict):
            return {}
        now = self._clock()
        return {
            room: min(float(at), now)
            for room, at in found.items()
            if isinstance(at, int | float) and not isinstance(at, bool) and 0 < at < 1e11
        }
