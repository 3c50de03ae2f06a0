"""Archives: what was said in rooms, kept outside them to be asked.

>>> from kchat import archive
>>> with archive.open("archive.db") as kept:
...     stats = kept.stats(zone="Europe/Berlin")
...     print(stats.messages, stats.top[0].username)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kchat.archive.archive import Archive

__all__ = ["open", "to_arrow"]


def open(name: str | Path | None = None) -> Archive:  # noqa: A001 - as gzip.open and others: archive.open
    """Open an archive to ask it.

    Arguments:
        name: the path of an SQLite file, or ``clickhouse://user:password@host:9000/database``. Default: ``archive.db`` in
            the user's data directory.

    Raises:
        kchat.errors.SettingsError: the name is none, or means no archive of kchat's.
        kchat.errors.MissingExtra: the driver is not installed.
        kchat.errors.ArchiveError: it cannot be read.
    """
    from kchat.archive.archive import Archive

    return Archive(name)


def to_arrow(items: Iterable[Any], kind: type | None = None) -> Any:
    """An Arrow table of figures of one kind, such as ``stats.per_date`` or ``stats.top``.

    Its ``to_pandas()`` makes a data frame of it where pandas is installed. Messages: ``kept.to_arrow()``.

    Arguments:
        items: the figures.
        kind: their type, such as :class:`kchat.archive.stats.Day`, so that a table of none has columns, too. Default:
            that of the first one.

    Returns:
        A ``pyarrow.Table`` with a column for each attribute.

    Raises:
        kchat.errors.MissingExtra: pyarrow is not installed.
    """
    from kchat.archive.tidy import to_arrow as make

    return make(items, kind)
