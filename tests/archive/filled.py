"""Archives with messages in them, for tests of what asks them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kchat.archive.opening import open_store
from kchat.archive.record import Record
from tests.unit.archive.facts_of import said

TALK = [
    said("2026-03-02 09:00:00", "ada", "hello @bob, the broker is up", verified=True),
    said("2026-03-02 09:00:10", "bob", "hi", verified=True),
    said("2026-03-02 09:00:40", "bob", "@Ada and @nobody?", client="others"),
    said("2026-03-02 10:00:00", "cy", "which broker?"),
    said("2026-03-02 10:29:59", "ada", "@bob knows the broker"),
    said("2026-03-04 23:30:00", "ada", "night"),
    said("2026-03-05 00:00:00", None, "raw"),
]
"""Seven messages in three conversations, of three people and somebody without a name."""


def fill(path: Path, records: Iterable[Record] = TALK, *, texts: bool | None = None) -> Path:
    """Write messages to an archive in a file, a new one or not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, records, texts=texts)
    return path


def write(path: Path | str, records: Iterable[Record] = TALK, *, texts: bool | None = None) -> None:
    """Write messages to any archive."""
    with open_store(path, write=True, texts=texts) as store:
        store.write(list(records))
