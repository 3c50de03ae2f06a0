"""Which archive a name means: :func:`open_store`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kchat.config.private_files import user_folder
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from kchat.archive.store import Store

CLICKHOUSE = ("clickhouse", "clickhouses")
"""The schemes of ClickHouse's URLs; with an ``s``, TLS."""


def default_path() -> Path:
    """Where an archive is that was given no name: ``archive.db`` in the user's data directory.

    Raises:
        kchat.errors.SettingsError: no home folder is known.
    """
    return user_folder("data") / "archive.db"


def open_store(name: str | Path | None = None, *, write: bool = False, texts: bool | None = None) -> Store:
    """Open an archive.

    Arguments:
        name: the path of an SQLite file, ``clickhouse://user:password@host:9000/database``, or ``clickhouses://`` for TLS.
            Default: :func:`default_path`.
        write: whether to write; an archive that is not there is made. Default: it is only read, and has to be there.
        texts: whether the archive keeps texts, said when it is made; another archive's is not changed, and asking for
            the other thing is an error. Default: whatever it does; a new one keeps them.

    Raises:
        kchat.errors.SettingsError: the name is none, or means no archive of kchat's.
        kchat.errors.MissingExtra: the driver is not installed.
        kchat.errors.ArchiveUnavailable: the server is away.
        kchat.errors.ArchiveError: it refuses.
    """
    if isinstance(name, str) and "://" in name:
        scheme = name.partition("://")[0].lower()
        if scheme not in CLICKHOUSE:
            raise SettingsError(
                f"no archive is kept on {scheme}://",
                hint="name a file, or clickhouse://user@host:9000/default",
            )
        from kchat.archive.clickhouse.store import ClickHouseStore

        return ClickHouseStore(name, write=write, texts=texts)
    from kchat.archive.sqlite.store import SqliteStore

    return SqliteStore(default_path() if name is None else Path(name), write=write, texts=texts)
