"""Which archive a name means: :func:`open_store`."""

from __future__ import annotations

from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from kchat.client.backoff import Backoff
from kchat.config.private_files import user_folder
from kchat.errors import ArchiveUnavailable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

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


def wait_for_store(
    name: str | Path | None = None,
    *,
    texts: bool | None = None,
    tell: Callable[[ArchiveUnavailable, float, int], object] = lambda *_: None,
) -> Store:
    """As :func:`open_store`, to write; where the archive is away, that is tried again until it is there.

    Arguments:
        name: as there.
        texts: likewise.
        tell: told of each attempt that failed: why, the seconds until the next one, and how many there were.

    Raises:
        kchat.errors.KchatError: as there, but for ArchiveUnavailable.
    """
    backoff = Backoff()
    while True:
        try:
            return open_store(name, write=True, texts=texts)
        except ArchiveUnavailable as error:
            pause = backoff.fail()
            tell(error, pause, backoff.attempt)
            sleep(pause)
