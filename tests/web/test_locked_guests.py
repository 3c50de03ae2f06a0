"""Another process keeps the guests' file: open pages get what is said, and who needs the file waits for it alone."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from kchat.client.sender import Sender
from kchat.config.settings import Settings
from kchat.web.guests import Valid
from kchat.web.store import GuestStore
from kchat.web.store_access import StoreAccess
from kchat.web.store_file import StoreLocked, StoreUnavailable
from tests.brokers.wait import wait_until
from tests.web.event_streams import stream, texts
from tests.web.serving import ServeThread, guest_browser, serve_thread

KEEPS = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("kept", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process_keeps(file: Path) -> Iterator[None]:
    """Within the block, a process that is not kchat's has the file for itself."""
    with subprocess.Popen(
        [sys.executable, "-c", KEEPS, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "kept\n"
            yield
        finally:
            process.stdin.close()
            process.wait(30)


@pytest.fixture(params=["wal", "delete"])
def served(request: pytest.FixtureRequest, local_url: str, tmp_path: Path) -> Iterator[ServeThread]:
    """A page whose file one can read while another process writes, as kchat makes it, and one where that is not so."""
    file = tmp_path / "web.db"
    GuestStore(file).close()
    db = sqlite3.connect(file)
    assert db.execute(f"PRAGMA journal_mode = {request.param}").fetchone() == (request.param,)
    db.close()
    with serve_thread(local_url, file) as running:
        yield running


@pytest.fixture
def page(served: ServeThread) -> Iterator[httpx.Client]:
    with guest_browser(served) as client:
        yield client


def say(url: str, text: str) -> None:
    with Sender(Settings.resolve(url=url, room="chat"), "terminal") as sender:
        sender.send(text)


def test_an_open_page_goes_on_while_one_that_needs_the_file_waits_for_it(
    served: ServeThread, page: httpx.Client, local_url: str
) -> None:
    file = served.hub.store.path
    served.hub.store.patience = 600.0  # whoever waits in the event loop fails this test
    with stream(page) as events, ThreadPoolExecutor(1) as beside:
        events.until("live")
        with another_process_keeps(file):
            waiting = beside.submit(page.post, "api/session/link", json={})
            wait_until(lambda: served.hub.store.waiting, 10, "the request is at the file")
            say(local_url, "while it is kept")
            assert texts(events.messages(1)) == ["while it is kept"]
            assert httpx.get(f"{served.base}/healthz").status_code == 200
            assert not waiting.done()
        assert waiting.result(30).status_code == 201


def test_who_waits_for_the_file_in_vain_is_told_so_and_may_try_again(
    served: ServeThread, page: httpx.Client
) -> None:
    served.hub.store.patience = 0.2
    with another_process_keeps(served.hub.store.path):
        refused = page.post("api/session/link", json={})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        assert refused.json()["error"] == "the server cannot read or write who its guests are"
        plain = page.post("leave", data={"": ""})
        assert (plain.status_code, "set-cookie" in plain.headers) == (503, False)
    assert page.post("api/session/link", json={}).status_code == 201


def test_one_who_is_revoked_just_before_the_file_is_kept_is_out_when_it_is_not(
    served: ServeThread, page: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests = served.hub.store.now
    valid = guests.valid
    refused: list[StoreLocked] = []

    def locked_once() -> Valid:
        if not refused:
            refused.append(StoreLocked("another process keeps it"))
            raise refused[0]
        return valid()

    with stream(page) as events:
        events.until("live")
        monkeypatch.setattr(guests, "valid", locked_once)  # the change itself has been seen then
        with GuestStore(served.hub.store.path) as host:
            host.revoke("host")
        assert events.until("revoked")[-1].value == {"text": "your invitation has ended"}
    assert refused


def test_changes_that_wait_together_wait_no_longer_than_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []
    wait = GuestStore.wait

    def noting(guests: GuestStore, seconds: float) -> None:
        left.append(seconds)
        wait(guests, seconds)

    async def change_three_times(access: StoreAccess) -> list[object]:
        changes = (access.write(lambda guests: guests.end_session("")) for _ in range(3))
        return list(await asyncio.gather(*changes, return_exceptions=True))

    monkeypatch.setattr(GuestStore, "wait", noting)
    access = StoreAccess(tmp_path / "web.db", patience=1.0)
    try:
        with another_process_keeps(access.path):
            refused = asyncio.run(change_three_times(access))
    finally:
        access.close()
    assert [type(each) for each in refused] == [StoreLocked] * 3
    assert max(left[1:]) < 0.5, "the first one's wait was not counted for the others"


def test_closing_gives_up_what_waits_and_later_requests_are_told_so(tmp_path: Path) -> None:
    async def close_while_it_is_kept(access: StoreAccess) -> list[object]:
        waiting = [asyncio.create_task(access.write(lambda guests: guests.end_session(""))) for _ in range(3)]
        await asyncio.sleep(0)
        assert access.waiting == 3
        waiting[1].cancel()  # its browser hung up
        access.close()
        late = (access.read(lambda guests: guests.guests()), access.write(lambda guests: guests.guests()))
        return list(await asyncio.gather(*waiting, *late, return_exceptions=True))

    access = StoreAccess(tmp_path / "web.db", patience=0.2)
    with another_process_keeps(access.path):
        refused = asyncio.run(close_while_it_is_kept(access))
    kinds = [StoreLocked, asyncio.CancelledError, StoreLocked, StoreUnavailable, StoreUnavailable]
    assert [type(each) for each in refused] == kinds
    assert [str(each).endswith("is closed") for each in refused[3:]] == [True, True]
