"""The file with the page's guests: what links, sessions and tokens open, and what becomes of the file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kchat.errors import KchatError, SettingsError
from kchat.web import store as module
from kchat.web.guests import Guest, LinkRefused, Served, Valid
from kchat.web.store import GuestStore
from kchat.web.store_file import VERSION, StoreUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kchat" / "web.db"


@pytest.fixture
def store(path: Path) -> Iterator[GuestStore]:
    with GuestStore(path) as opened:
        yield opened


def guest(name: str = "ada", **more: Any) -> Guest:
    return Guest(0, name, None, None, ("chat",))._replace(**more)


# ---- links, sessions, tokens


def test_a_link_opens_once_and_the_browser_that_opened_it_may_repeat_that(store: GuestStore) -> None:
    link = store.new_link(store.add(guest()))
    secret, session = store.exchange(link, "browser")
    assert session.guest.username == "ada"
    lost, _ = store.exchange(link, "browser")
    assert lost != secret
    assert store.exchange(link, "browser", secret) == (secret, session)  # that answer was not lost
    for browser in ("another", ""):
        with pytest.raises(LinkRefused, match="opened before") as refused:
            store.exchange(link, browser)
        assert "ask for another one" in refused.value.hint


def test_a_link_that_a_browser_without_a_name_opened_is_not_repeated(store: GuestStore) -> None:
    link = store.new_link(store.add(guest()))
    store.exchange(link)
    with pytest.raises(LinkRefused, match="opened before"):
        store.exchange(link)


def test_repeating_ends_after_some_times_and_after_ten_minutes(
    store: GuestStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = store.add(guest())
    often, late = store.new_link(ada), store.new_link(ada)
    for _ in range(1 + module.REPEATS):
        store.exchange(often, "browser")
    with pytest.raises(LinkRefused, match="opened before"):
        store.exchange(often, "browser")
    store.exchange(late, "browser")
    monkeypatch.setattr(module, "REPEAT_SECONDS", 0.0)
    with pytest.raises(LinkRefused, match="opened before"):
        store.exchange(late, "browser")


def test_what_is_unknown_expired_or_of_another_kind_opens_nothing(store: GuestStore) -> None:
    ada, past = store.add(guest()), time.time() - 1
    secret, _ = store.exchange(store.new_link(ada))
    token = store.new_token(ada)
    for wrong in ("", "x", secret, token, "\ud800", "a" * 10_000):
        with pytest.raises(LinkRefused, match="not valid"):
            store.exchange(wrong)
    with pytest.raises(LinkRefused, match="expired"):
        store.exchange(store.new_link(ada, past))
    with pytest.raises(LinkRefused, match="expired"):
        store.exchange(store.new_link(store.add(guest("bob", expires=past))))
    assert store.session(token) is None
    assert store.session(secret, "token") is None
    assert store.session(token, "token") is not None
    assert store.session("") is None


def test_all_that_a_guest_has_ends_with_the_guest(store: GuestStore) -> None:
    for ending in (store.end, store.forget, lambda each: store.revoke(each.username)):
        ada = store.add(guest())
        secret, _ = store.exchange(store.new_link(ada))
        token, link = store.new_token(ada), store.new_link(ada)
        ending(ada)
        assert store.valid() == Valid(frozenset(), frozenset())
        assert (store.session(secret), store.session(token, "token")) == (None, None)
        with pytest.raises(LinkRefused):
            store.exchange(link)
        store.revoke("ada")


def test_an_ended_guest_keeps_its_account_but_not_its_password(store: GuestStore) -> None:
    store.end(store.add(guest(account="ada", password="secret")))
    left = store.find("ada")
    assert left is not None
    assert (left.ended, left.account, left.password) == (True, "ada", None)
    assert not store.add(guest(account="ada", password="another")).ended


def test_a_guests_number_is_never_anothers(store: GuestStore) -> None:
    first = store.add(guest())
    store.forget(first)
    assert store.add(guest("bob")).id != first.id


def test_an_expiring_guest_ends_its_sessions_and_the_next_end_is_known(store: GuestStore) -> None:
    assert store.next_end() > 1e99
    ends = time.time() + 60
    ada = store.add(guest(expires=ends))
    _, session = store.exchange(store.new_link(ada))
    assert session.expires == ends
    assert store.next_end() == ends
    store.add(guest(expires=time.time() - 1))
    assert store.valid() == Valid(frozenset(), frozenset())


def test_a_clock_that_is_set_back_opens_no_link_again_and_ends_no_session_that_was_opened_after_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 2)
    now = [10_000_000.0]
    with GuestStore(path, clock=lambda: now[0]) as store:
        ada = store.add(guest())
        link = store.new_link(ada)
        early = [store.exchange(each, "a browser")[0] for each in (link, store.new_link(ada))]
        now[0] -= 86_400
        with pytest.raises(LinkRefused, match="opened before"):
            store.exchange(link, "a browser")
        late = []
        for _ in range(2):
            late.append(store.exchange(store.new_link(ada), "a browser")[0])
            now[0] += 1
        assert [store.session(each) is not None for each in (*early, *late)] == [False, False, True, True]


def test_one_guest_has_a_limited_number_of_sessions_and_the_oldest_one_ends(
    store: GuestStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 3)
    ada = store.add(guest())
    made = [store.exchange(store.new_link(ada))[0] for _ in range(5)]
    assert [store.session(each) is not None for each in made] == [False, False, True, True, True]
    assert store.opened(ada) == (3, 0, 0)


def test_expired_secrets_are_pruned(store: GuestStore, path: Path) -> None:
    ada = store.add(guest())
    for _ in range(3):
        store.new_link(ada, time.time() - 2 * 86400)
    store.new_link(ada)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM secrets").fetchone() == (1,)
    db.close()


def test_a_servers_own_link_replaces_the_one_before_and_no_other(store: GuestStore) -> None:
    ada, bob = store.add(guest()), store.add(guest("bob"))
    first = store.new_link(ada, base="http://a")
    others = [store.new_link(ada, base="http://b"), store.new_link(ada), store.new_link(bob, base="http://a")]
    second = store.new_link(ada, base="http://a")
    with pytest.raises(LinkRefused):
        store.exchange(first)
    assert [store.exchange(link)[1].guest.username for link in (*others, second)] == [
        "ada",
        "ada",
        "bob",
        "ada",
    ]


def test_the_same_name_at_two_brokers_is_two_guests(store: GuestStore) -> None:
    here, there = store.add(guest(broker="amqp://a")), store.add(guest(broker="amqp://b"))
    assert here.id != there.id
    assert store.find("ada", "amqp://b") == there
    assert store.guests("amqp://a") == [here]


def test_servers_are_remembered_by_their_address_and_not_without_end(store: GuestStore) -> None:
    for number in range(30):
        store.note_served(Served(f"http://{number}", "local:///x", ("chat",), "host", float(number)))
    store.note_served(Served("http://29", "local:///x", ("a\nb", "tea"), "host", 99.0))
    found = store.servers()
    assert len(found) == 20
    assert found[0] == Served("http://29", "local:///x", ("a\nb", "tea"), "host", 99.0)


# ---- the file


def test_no_secret_is_in_the_file_and_nobody_else_can_read_it(path: Path) -> None:
    old = os.umask(0)
    try:
        with GuestStore(path) as store:
            ada = store.add(guest())
            link = store.new_link(ada)
            secret, _ = store.exchange(link, "nonce-of-a-page")
            token = store.new_token(ada)
            files = list(path.parent.iterdir())
            assert len(files) > 1
            for file in files:
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
                for each in (link, secret, token, "nonce-of-a-page"):
                    assert each.encode() not in file.read_bytes(), file
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(old)


def test_a_file_that_others_can_read_or_change_is_refused(path: Path) -> None:
    GuestStore(path).close()
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(SettingsError, match="others can") as refused:
            GuestStore(path)
        assert "chmod" in refused.value.hint


def test_a_file_of_an_older_kchat_gets_the_new_column_and_keeps_its_guests(path: Path) -> None:
    with GuestStore(path) as store:
        ada = store.add(guest())
        link, token = store.new_link(ada), store.new_token(ada)
    for has_column in (False, True):  # version 1 had it for a while, too
        with closing(sqlite3.connect(path)) as db:
            if not has_column:
                db.execute("ALTER TABLE secrets DROP COLUMN base")
            db.execute("PRAGMA user_version = 1")
        with closing(sqlite3.connect(path, isolation_level=None)) as older, GuestStore(path) as store:
            store.new_link(ada, base="http://here")
            assert store.session(token, "token") is not None
            older.execute(
                "INSERT INTO secrets (digest, kind, guest, created) VALUES (x'00', 'session', 1, 1)"
            )
            older.execute("DELETE FROM secrets WHERE digest = x'00'")
            assert older.execute("PRAGMA user_version").fetchone() == (VERSION,)
    with GuestStore(path) as store:
        assert store.exchange(link)[1].guest == ada


def test_what_is_not_such_a_file_is_refused_and_not_changed(path: Path) -> None:
    path.parent.mkdir()
    foreign = path.with_name("foreign.db")
    db = sqlite3.connect(foreign)
    db.execute("CREATE TABLE guests (id)")
    db.commit()
    db.close()
    newer = path.with_name("newer.db")
    GuestStore(newer).close()
    db = sqlite3.connect(newer)
    db.execute("PRAGMA user_version = 99")
    db.close()
    text = path.with_name("text.db")
    text.write_bytes(b"not a database at all " * 100)
    folder = path.with_name("folder.db")
    folder.mkdir()
    for file, told in (
        (foreign, "is not a file with"),
        (newer, "a newer kchat"),
        (text, "is not a file with"),
        (folder, "folder.db"),
    ):
        before = file.read_bytes() if file.is_file() else b""
        file.chmod(0o700 if file.is_dir() else 0o600)
        with pytest.raises(KchatError, match=told):
            GuestStore(file)
        assert (file.read_bytes() if file.is_file() else b"") == before


def test_a_damaged_file_is_one_error(path: Path) -> None:
    with GuestStore(path) as store:
        for number in range(300):
            store.new_link(store.add(guest(f"guest{number}")))
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(SettingsError, match=r"damaged|not a file"), GuestStore(path) as store:
        store.guests()


def test_a_full_disk_is_one_error_and_what_was_there_is_there_still(store: GuestStore, path: Path) -> None:
    ada = store.add(guest())
    secret, _ = store.exchange(store.new_link(ada))
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        for number in range(10_000):
            store.add(guest(f"guest{number}"))

    with pytest.raises(StoreUnavailable, match="no space left"):
        fill()
    with GuestStore(path) as other:
        assert other.session(secret) is not None
    store._db.execute("PRAGMA max_page_count = 100000")
    store.end(ada)
    assert store.session(secret) is None


def test_a_file_that_another_process_keeps_is_one_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kchat.web.store_file.BUSY_SECONDS", 0.1)
    with GuestStore(path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process"):
            store.add(guest())
        other.execute("ROLLBACK")
        other.close()
        assert store.add(guest()).username == "ada"


def test_what_another_process_changes_is_noticed_and_a_file_put_in_its_place_is_opened(path: Path) -> None:
    with GuestStore(path) as store, GuestStore(path) as other:
        secret, _ = store.exchange(store.new_link(store.add(guest())))
        assert not store.changed()
        other.revoke("ada")
        assert store.changed()
        assert not store.changed()
        assert store.session(secret) is None
        kept, _ = store.exchange(store.new_link(store.add(guest())))
        path.rename(path.with_name("moved.db"))
        for left in (path.with_name("web.db-wal"), path.with_name("web.db-shm")):
            left.unlink()
        assert store.changed()
        assert store.session(kept) is None
        assert path.exists()


_MAKE = """
import sys
from kchat.web.guests import Guest
from kchat.web.store import GuestStore
from pathlib import Path
from typing import Any
with GuestStore(Path(sys.argv[1])) as store:
    for number in range(20):
        store.new_link(store.add(Guest(0, f"{sys.argv[2]}-{number}", None, None, ("chat",))))
"""


def test_processes_that_make_the_file_at_once_make_one(path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", _MAKE, str(path), str(number)]) for number in range(4)
    ]
    assert [each.wait(60) for each in processes] == [0] * 4
    with GuestStore(path) as store:
        assert len(store.guests()) == 80


_KILLED = """
import os, signal, sys
from kchat.web.guests import Guest
from kchat.web.store import GuestStore
from pathlib import Path
from typing import Any
store = GuestStore(Path(sys.argv[1]))
ada = store.add(Guest(0, "ada", None, None, ("chat",)))
print(store.new_link(ada), flush=True)
store._run("BEGIN IMMEDIATE")
store.forget(ada)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_leaves_all_or_nothing(path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(path)], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -9
    with GuestStore(path) as store:
        assert store.exchange(killed.stdout.strip())[1].guest.username == "ada"


def test_a_copy_of_the_file_is_a_file(store: GuestStore, path: Path) -> None:
    store.add(guest())
    copy = path.with_name("copy.db")
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(path, copy)
    with GuestStore(copy) as other:
        assert [each.username for each in other.guests()] == ["ada"]
