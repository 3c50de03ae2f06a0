"""The guests of a server, with their links, tokens and sessions: one SQLite file, which only the host can read.

Secrets are kept as digests (SHA-256 of 32 random bytes: nothing to guess, so nothing to slow down). The passwords of the
guests' broker accounts are kept as they are, since the server has to log in with them; who can read the file is the host.
``kchat invite`` and ``kchat revoke`` change the file while ``kchat serve`` runs.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple, Self

from kchat.config.private_files import user_folder
from kchat.errors import KchatError, SettingsError

LINK_SECONDS = 7 * 86400.0
"""For which a link can be opened, unless said otherwise."""

SESSION_SECONDS = 30 * 86400.0
"""For which a browser stays in, unless the guest's time is over before."""

REPEAT_SECONDS = 600.0
"""For which the browser that has opened a link may do so again: the answer may have been lost on its way."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS guests (
    id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, account TEXT, password TEXT, rooms TEXT NOT NULL,
    may_read INTEGER NOT NULL, may_send INTEGER NOT NULL, broker TEXT NOT NULL, created REAL NOT NULL, expires REAL
);
CREATE TABLE IF NOT EXISTS secrets (
    digest BLOB PRIMARY KEY, kind TEXT NOT NULL, guest INTEGER NOT NULL REFERENCES guests ON DELETE CASCADE,
    created REAL NOT NULL, expires REAL NOT NULL, used REAL, browser BLOB
) WITHOUT ROWID;
"""


class Guest(NamedTuple):
    """Somebody who may open the page.

    Attributes:
        id: of the guest, in the store.
        username: the name in what is sent.
        account: the account at the broker; None for the host's.
        password: of the account.
        rooms: the rooms that are open to the guest.
        may_read: whether the guest sees what is said.
        may_send: whether the guest can say something.
        broker: where the account is.
        expires: when it ends, UNIX seconds; None for never.
    """

    id: int
    username: str
    account: str | None
    password: str | None
    rooms: tuple[str, ...]
    may_read: bool = True
    may_send: bool = True
    broker: str = ""
    expires: float | None = None


class Session(NamedTuple):
    """A browser that has opened a link, or a program with a token.

    Attributes:
        digest: of its secret.
        guest: whose it is.
        created: UNIX seconds.
        expires: likewise.
    """

    digest: bytes
    guest: Guest
    created: float
    expires: float


class LinkRefused(KchatError):
    """A link that opens nothing: unknown, expired, revoked, or opened elsewhere."""


def default_store() -> Path:
    """The user's own file."""
    return user_folder("data") / "web.db"


class GuestStore:
    """The file. For one thread; a context manager.

    Arguments:
        path: of the file. Default: the user's own.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = default_store() if path is None else path
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self.path.touch(mode=0o600)
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=10)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise SettingsError(f"the guests' file {self.path} cannot be opened: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def version(self) -> int:
        """Another number after another process has changed the file."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    # ---- the host's side

    def add(self, guest: Guest) -> Guest:
        """Add a guest, or change the one of that name; returns it with its id."""
        row = (
            guest.username,
            guest.account,
            guest.password,
            "\n".join(guest.rooms),
            guest.may_read,
            guest.may_send,
            guest.broker,
            time.time(),
            guest.expires,
        )
        self._db.execute(
            "INSERT INTO guests (username, account, password, rooms, may_read, may_send, broker, created, expires)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (username) DO UPDATE SET account = excluded.account,"
            " password = excluded.password, rooms = excluded.rooms, may_read = excluded.may_read,"
            " may_send = excluded.may_send, broker = excluded.broker, expires = excluded.expires",
            row,
        )
        found = self.find(guest.username)
        assert found is not None
        return found

    def find(self, username: str) -> Guest | None:
        """The guest of a name."""
        return next((each for each in self.guests() if each.username == username), None)

    def guests(self) -> list[Guest]:
        """All guests, by name."""
        rows = self._db.execute(
            "SELECT id, username, account, password, rooms, may_read, may_send, broker, expires FROM guests"
            " ORDER BY username"
        )
        return [_guest(row) for row in rows]

    def new_link(self, guest: Guest, expires: float | None = None) -> str:
        """A secret that opens the page once."""
        return self._new("link", guest, time.time() + LINK_SECONDS if expires is None else expires)

    def new_token(self, guest: Guest, expires: float | None = None) -> str:
        """A secret for a program, until it is revoked."""
        return self._new("token", guest, time.time() + 10 * 365 * 86400 if expires is None else expires)

    def revoke(self, username: str) -> bool:
        """End a guest, with all links, tokens and sessions; returns whether there was one."""
        return self._db.execute("DELETE FROM guests WHERE username = ?", (username,)).rowcount > 0

    # ---- the server's side

    def exchange(self, secret: str, browser: str = "") -> tuple[str, Session]:
        """Exchange the secret of a link for that of a session.

        Arguments:
            secret: of the link.
            browser: what the browser calls itself; by that it may repeat the exchange for ten minutes.

        Raises:
            LinkRefused: the link opens nothing, or nothing any more.
        """
        now = time.time()
        digest, by = _digest(secret), _digest(browser)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            row = self._db.execute(
                "SELECT guest, expires, used, browser FROM secrets WHERE digest = ? AND kind = 'link'",
                (digest,),
            ).fetchone()
            if row is None:
                raise LinkRefused("this link is not valid, or not any more", hint="ask for another one")
            if row[1] <= now:
                raise LinkRefused("this link has expired", hint="ask for another one")
            if row[2] is not None and not (browser and row[3] == by and now - row[2] < REPEAT_SECONDS):
                raise LinkRefused(
                    "this link was opened before, and each link opens once", hint="ask for another one"
                )
            self._db.execute(
                "UPDATE secrets SET used = coalesce(used, ?), browser = ? WHERE digest = ?", (now, by, digest)
            )
            (guest,) = self._guests("id = ?", row[0])
            made = self._new("session", guest, now + SESSION_SECONDS)
        finally:
            self._db.execute("COMMIT")
        session = self.session(made)
        if session is None:
            raise LinkRefused("this link has expired", hint="ask for another one")
        return made, session

    def session(self, secret: str, kind: str = "session") -> Session | None:
        """Whose a session's (or a ``token``'s) secret is; None for nobody's, or nobody's any more."""
        row = self._db.execute(
            "SELECT guest, created, expires FROM secrets WHERE digest = ? AND kind = ?",
            (_digest(secret), kind),
        ).fetchone()
        if row is None:
            return None
        (guest,) = self._guests("id = ?", row[0])
        expires = min(row[2], row[2] if guest.expires is None else guest.expires)
        return None if expires <= time.time() else Session(_digest(secret), guest, row[1], expires)

    def is_alive(self, digest: str) -> bool:
        """Whether a session or token (:attr:`Session.digest`, in hexadecimal) is still valid."""
        row = self._db.execute(
            "SELECT min(secrets.expires, coalesce(guests.expires, secrets.expires)) FROM secrets"
            " JOIN guests ON guests.id = guest WHERE digest = ?",
            (bytes.fromhex(digest),),
        ).fetchone()
        return row is not None and row[0] > time.time()

    def end_session(self, secret: str) -> None:
        """Forget a session."""
        self._db.execute("DELETE FROM secrets WHERE digest = ? AND kind = 'session'", (_digest(secret),))

    def _new(self, kind: str, guest: Guest, expires: float) -> str:
        secret = secrets.token_urlsafe(32)
        self._db.execute(
            "INSERT INTO secrets (digest, kind, guest, created, expires) VALUES (?, ?, ?, ?, ?)",
            (_digest(secret), kind, guest.id, time.time(), expires),
        )
        return secret

    def _guests(self, where: str, *values: object) -> list[Guest]:
        rows = self._db.execute(
            "SELECT id, username, account, password, rooms, may_read, may_send, broker, expires FROM guests"  # noqa: S608
            f" WHERE {where}",
            values,
        )
        return [_guest(row) for row in rows]


def _guest(row: tuple) -> Guest:  # type: ignore[type-arg]
    return Guest(
        row[0], row[1], row[2], row[3], tuple(row[4].split("\n")), bool(row[5]), bool(row[6]), row[7], row[8]
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
