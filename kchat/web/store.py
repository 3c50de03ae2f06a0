"""The guests of a server, with their links, tokens and sessions: one SQLite file, which only the host can read.

Secrets are kept as digests (SHA-256 of 32 random bytes: nothing to guess, so nothing to slow down). The passwords of the
guests' broker accounts are kept as they are, since the server has to log in with them; who can read the file is the host.
``kchat invite`` and ``kchat revoke`` change the file while ``kchat serve`` runs.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from kchat.config.private_files import user_folder
from kchat.web.guests import Guest as Guest  # noqa: PLC0414 - to import from here too
from kchat.web.guests import LinkRefused as LinkRefused  # noqa: PLC0414
from kchat.web.guests import Open, Served, Valid
from kchat.web.guests import Session as Session  # noqa: PLC0414
from kchat.web.store_file import BUSY_SECONDS, open_file, roll_back, translated

LINK_SECONDS = 7 * 86400.0
"""For which a link can be opened, unless said otherwise."""

SESSION_SECONDS = 30 * 86400.0
"""For which a browser stays in, unless the guest's time is over before."""

REPEAT_SECONDS = 600.0
"""For which the browser that has opened a link may do so again: the answer may have been lost on its way."""

REPEATS = 5
"""How often it may."""

MOST_SESSIONS = 50
"""Of one guest; the oldest one ends when there is another."""

_TELL_SECONDS = 86400.0
"""For which a link that has expired is kept, so that who opens it is told so."""

_SERVERS = 20
"""Addresses of servers that are remembered."""

_GUEST = "id, username, account, password, rooms, may_read, may_send, broker, expires, is_host, ended"


def default_store() -> Path:
    """The user's own file."""
    return user_folder("data") / "web.db"


class GuestStore:
    """The file. For one thread; a context manager. Every method raises as its constructor.

    Arguments:
        path: of the file. Default: the user's own. It is made where it does not exist.
        wait: how long to wait for another process that keeps it, in seconds; :meth:`wait` changes that.
        clock: returns the UNIX time now, in seconds. It may be set meanwhile. Default: the system's clock.

    Raises:
        kchat.errors.SettingsError: others can read it, it is something else, it is damaged, or a newer kchat made it.
        kchat.web.store_file.StoreLocked: another process keeps it.
        kchat.web.store_file.StoreUnavailable: the disk is full.
    """

    def __init__(
        self,
        path: Path | None = None,
        wait: float = BUSY_SECONDS,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self.path = default_store() if path is None else path
        self._wait = wait
        self._db = open_file(self.path, wait)
        self._file = self._identity()
        self._version = self._data_version()

    @classmethod
    def existing(cls, path: Path | None = None) -> GuestStore | None:
        """The file, unless there is none; arguments and errors as of the class."""
        found = default_store() if path is None else path
        return cls(found) if found.exists() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def wait(self, seconds: float) -> None:
        """How long to wait from now on for another process that keeps the file: the next statement, in seconds."""
        self._wait = seconds
        self._run(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    # ---- what other processes do

    def changed(self) -> bool:
        """Whether another process has changed the file since the last call; one that was put in its place is opened."""
        if self._identity() != self._file:
            db = open_file(self.path, self._wait)  # before the old one is given up: it may not be ours
            self._db.close()
            self._db, self._file = db, self._identity()
            self._version = self._data_version()
            return True
        before, self._version = self._version, self._data_version()
        return self._version != before

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _data_version(self) -> int:
        return int(self._rows("PRAGMA data_version")[0][0])

    # ---- the host's side

    def note_served(self, served: Served) -> None:
        """Remember where a server is, for ``kchat invite --web``."""
        with self._writing():
            self._run(
                "INSERT OR REPLACE INTO servers (base, broker, rooms, username, started) VALUES (?, ?, ?, ?, ?)",
                served.base,
                served.broker,
                json.dumps(served.rooms),
                served.username,
                served.started,
            )
            self._run(
                "DELETE FROM servers WHERE base NOT IN (SELECT base FROM servers ORDER BY started DESC LIMIT ?)",
                _SERVERS,
            )

    def servers(self) -> list[Served]:
        """The servers that have used the file, the one that was started last first."""
        rows = self._rows("SELECT base, broker, rooms, username, started FROM servers ORDER BY started DESC")
        return [Served(row[0], row[1], tuple(json.loads(row[2])), row[3], row[4]) for row in rows]

    def add(self, guest: Guest) -> Guest:
        """Add a guest, or change the one of that name at that broker; returns it with its id."""
        self._run(
            "INSERT INTO guests (username, account, password, rooms, may_read, may_send, broker, created, expires, is_host)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (broker, username) DO UPDATE SET"
            " account = excluded.account, password = excluded.password, rooms = excluded.rooms,"
            " may_read = excluded.may_read, may_send = excluded.may_send, expires = excluded.expires,"
            " is_host = excluded.is_host, ended = NULL",
            guest.username,
            guest.account,
            guest.password,
            json.dumps(guest.rooms),
            guest.may_read,
            guest.may_send,
            guest.broker,
            self._clock(),
            guest.expires,
            guest.is_host,
        )
        (found,) = self._guests("broker = ? AND username = ?", guest.broker, guest.username)
        return found

    def find(self, username: str, broker: str | None = None) -> Guest | None:
        """The guest of a name, also one that was ended; at this broker alone, if one is named."""
        found = [each for each in self.guests(broker) if each.username == username]
        return found[0] if found else None

    def guests(self, broker: str | None = None) -> list[Guest]:
        """All guests by name, also those that were ended; at this broker alone, if one is named."""
        if broker is None:
            return self._guests("TRUE")
        return self._guests("broker = ?", broker)

    def new_link(self, guest: Guest, expires: float | None = None, base: str | None = None) -> str:
        """A secret that opens the page once, at the latest at this time: UNIX seconds. Default: for a week.

        ``base``: of the server that gives it by itself (:attr:`Served.base`): one server has one of them.
        """
        with self._writing():
            if base is not None:
                self._run(
                    "DELETE FROM secrets WHERE guest = ? AND kind = 'link' AND used IS NULL AND base = ?",
                    guest.id,
                    base,
                )
            ends = self._clock() + LINK_SECONDS if expires is None else expires
            return self._new("link", guest, ends, base=base)

    def new_token(self, guest: Guest, expires: float | None = None) -> str:
        """A secret for a program, until the guest ends. It is recognised, by people and by scanners for lost secrets."""
        return self._new("token", guest, expires, begins="kchat_")

    def end(self, guest: Guest) -> None:
        """End all links, tokens and sessions of a guest, in one step, and keep what its account is.

        After that :meth:`forget`, when the account is gone: who is interrupted in between can go on.
        """
        with self._writing():
            self._run("UPDATE guests SET ended = ?, password = NULL WHERE id = ?", self._clock(), guest.id)
            self._run("DELETE FROM secrets WHERE guest = ?", guest.id)

    def forget(self, guest: Guest) -> None:
        """Delete a guest, with all links, tokens and sessions."""
        self._run("DELETE FROM guests WHERE id = ?", guest.id)

    def revoke(self, username: str) -> bool:
        """Delete the guests of a name, with all links, tokens and sessions; returns whether there were any."""
        return self._run("DELETE FROM guests WHERE username = ?", username).rowcount > 0

    def opened(self, guest: Guest) -> Open:
        """How many sessions, links and tokens of a guest are valid."""
        counts = dict(
            self._rows(
                "SELECT kind, count(*) FROM secrets WHERE guest = ? AND used IS NULL AND coalesce(expires, 9e99) > ?"
                " GROUP BY kind",
                guest.id,
                self._clock(),
            )
        )
        if guest.ended or guest.is_over(self._clock()):
            return Open()
        return Open(counts.get("session", 0), counts.get("link", 0), counts.get("token", 0))

    # ---- the server's side

    def exchange(self, secret: str, browser: str = "", current: str = "") -> tuple[str, Session]:
        """Exchange the secret of a link for that of a session.

        Arguments:
            secret: of the link.
            browser: what the browser calls itself; by that it may repeat the exchange for ten minutes.
            current: the secret of the session that the browser has; it is returned where the link has opened that one.

        Raises:
            LinkRefused: the link opens nothing, or nothing any more. A link that is unknown costs one look.
        """
        digest, by = _digest(secret), _digest(browser)
        if not self._rows("SELECT 1 FROM secrets WHERE digest = ? AND kind = 'link'", digest):
            raise _refused("this link is not valid, or has expired")
        now = self._clock()
        with self._writing():
            rows = self._rows(
                "SELECT guest, expires, used, browser, opened FROM secrets WHERE digest = ? AND kind = 'link'",
                digest,
            )
            if not rows:
                raise _refused("this link is not valid, or has expired")
            number, expires, used, opener, times = rows[0]
            (guest,) = self._guests("id = ?", number)
            if expires <= now or guest.is_over(now) or guest.ended:
                raise _refused("this link has expired")
            if used is not None:
                if not (browser and opener == by and abs(now - used) < REPEAT_SECONDS and times <= REPEATS):
                    raise _refused(
                        "this link was opened before, and each link opens once",
                        'ask for another one, or make one by "Another device" where you are signed in',
                    )
                session = self.session(current) if current else None
                if session is not None and session.link == digest:
                    return current, session
            self._run(
                "UPDATE secrets SET used = coalesce(used, ?), browser = ?, opened = opened + 1 WHERE digest = ?",
                now,
                by,
                digest,
            )
            made = self._new("session", guest, now + SESSION_SECONDS, link=digest)
            session = self.session(made)
            assert session is not None
            return made, session

    def session(self, secret: str, kind: str = "session") -> Session | None:
        """Whose a session's (or a ``token``'s) secret is; None for nobody's, or nobody's any more."""
        digest = _digest(secret)
        rows = self._rows(
            "SELECT guest, created, expires, link FROM secrets WHERE digest = ? AND kind = ?", digest, kind
        )
        if not rows:
            return None
        number, created, expires, link = rows[0]
        found = self._guests("id = ? AND ended IS NULL", number)
        if not found:
            return None
        (guest,) = found
        ends = [each for each in (expires, guest.expires) if each is not None]
        if ends and min(ends) <= self._clock():
            return None
        return Session(digest, guest, created, min(ends, default=None), link)

    def valid(self) -> Valid:
        """All sessions, tokens and guests that have neither ended nor expired."""
        now = self._clock()
        guests = self._rows(
            "SELECT id FROM guests WHERE ended IS NULL AND coalesce(expires, 9e99) > ?",
            now,
        )
        opened = self._rows(
            "SELECT digest FROM secrets JOIN guests ON guests.id = guest WHERE kind != 'link' AND ended IS NULL"
            " AND min(coalesce(secrets.expires, 9e99), coalesce(guests.expires, 9e99)) > ?",
            now,
        )
        return Valid(frozenset(each[0].hex() for each in opened), frozenset(each[0] for each in guests))

    def next_end(self) -> float:
        """When the next guest, session or token expires, UNIX seconds; infinite if none does."""
        (found,) = self._rows(
            "SELECT min((SELECT coalesce(min(expires), 9e99) FROM guests WHERE expires > ?),"
            " (SELECT coalesce(min(expires), 9e99) FROM secrets WHERE expires > ?))",
            now := self._clock(),
            now,
        )[0]
        return float(found)

    def end_session(self, secret: str) -> None:
        """Forget a session."""
        self._run("DELETE FROM secrets WHERE digest = ? AND kind = 'session'", _digest(secret))

    # ---- SQL

    def _new(
        self,
        kind: str,
        guest: Guest,
        expires: float | None,
        *,
        begins: str = "",
        link: bytes | None = None,
        base: str | None = None,
    ) -> str:
        secret = begins + secrets.token_urlsafe(32)
        now = self._clock()
        with self._writing():
            self._run("DELETE FROM secrets WHERE expires < ?", now - _TELL_SECONDS)
            if kind == "session":
                self._run(
                    "DELETE FROM secrets WHERE digest IN (SELECT digest FROM secrets WHERE guest = ? AND kind = ?"
                    " ORDER BY created > ?, created DESC LIMIT -1 OFFSET ?)",
                    guest.id,
                    kind,
                    now,  # what is younger was made before the clock was set back
                    MOST_SESSIONS - 1,
                )
            values = (_digest(secret), kind, guest.id, now, expires, link, base)
            names = "digest, kind, guest, created, expires, link, base"
            self._run(f"INSERT INTO secrets ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)", *values)  # noqa: S608
        return secret

    def _guests(self, where: str, *values: object) -> list[Guest]:
        rows = self._rows(f"SELECT {_GUEST} FROM guests WHERE {where} ORDER BY username, broker", *values)  # noqa: S608
        return [_guest(row) for row in rows]

    def _run(self, sql: str, *values: object) -> sqlite3.Cursor:
        with translated(self.path):
            return self._db.execute(sql, values)

    def _rows(self, sql: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]  # SQLite's
        with translated(self.path):
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """All or nothing, and no other process in between. Within another one, it is part of that."""
        if self._db.in_transaction:
            yield
            return
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            roll_back(self._db)
            raise


def _refused(text: str, hint: str = "ask for another one") -> LinkRefused:
    return LinkRefused(text, hint=hint)


def _guest(row: tuple) -> Guest:  # type: ignore[type-arg]
    number, username, account, password, rooms, may_read, may_send, broker, expires, is_host, ended = row
    return Guest(
        number,
        username,
        account,
        password,
        tuple(json.loads(rooms)),
        bool(may_read),
        bool(may_send),
        broker,
        expires,
        bool(is_host),
        ended is not None,
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
