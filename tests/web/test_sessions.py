"""Coming in and leaving: a link becomes a cookie once, and who was revoked is out."""

from __future__ import annotations

import http.client
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import pytest

from kchat.config.settings import Settings
from kchat.errors import SettingsError
from kchat.web.access import Caller
from kchat.web.guard import FAILED_LOGINS
from kchat.web.guests import Guest
from kchat.web.hub import Hub
from kchat.web.options import ServeOptions
from kchat.web.sessions import DEVICE_LINKS
from kchat.web.store import GuestStore
from tests.brokers.ports import free_port
from tests.brokers.wait import wait_until
from tests.web.serving import ServeThread, browser, secret_of, serve_thread
from tests.web.serving import cookie_of as sent_cookie

MESSAGES = "api/rooms/chat/messages"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[GuestStore]:
    """The guests, as the host's commands have them."""
    with GuestStore(tmp_path / "web.db") as opened:
        yield opened


@pytest.fixture
def served(local_url: str, store: GuestStore) -> Iterator[ServeThread]:
    """A page of the room ``chat``."""
    with serve_thread(local_url, store.path) as running:
        yield running


def link_of(store: GuestStore, name: str, **more: Any) -> str:
    """A link's secret, for a guest who exists from now on."""
    found = store.find(name)
    made = found or store.add(Guest(0, name, None, None, ("chat",))._replace(**more))
    return store.new_link(made)


def enter(page: httpx.Client, secret: str, nonce: str = "") -> httpx.Response:
    return page.post("api/session", json={"secret": secret, "browser": nonce})


def cookie_of(response: httpx.Response) -> str:
    """The cookie as it was set, with its flags."""
    return response.headers["set-cookie"]


def test_a_link_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(
    served: ServeThread, store: GuestStore
) -> None:
    with browser(served.base) as page:
        came = enter(page, link_of(store, "grace"))
        assert came.status_code == 200
        assert came.json()["username"] == "grace"
        name, *flags = cookie_of(came).split("; ")
        assert re.fullmatch(rf"kchat-{served.port}=[\w-]{{43}}", name)
        flags = [each.lower() for each in flags]
        assert {"httponly", "path=/", "samesite=strict"} < set(flags)
        assert not {"secure", "domain"} & {each.partition("=")[0] for each in flags}
        assert name.partition("=")[2] not in came.text
        assert page.get("api/session").json()["username"] == "grace"


def test_where_pages_are_reached_by_tls_the_cookie_stays_with_tls_and_with_this_host(
    local_url: str, store: GuestStore
) -> None:
    options = ServeOptions(
        [Settings.resolve(url=local_url)],
        public_url="https://chat.example.org",
        port=free_port(),
        behind_proxy=True,
    )
    with serve_thread(local_url, store.path, options=options) as served:
        assert served.link.startswith("https://chat.example.org/#")
        assert store.servers()[0].base == "https://chat.example.org"
        with browser(f"http://127.0.0.1:{options.port}") as proxy:
            came = enter(proxy, secret_of(served.link))
            name, *flags = cookie_of(came).split("; ")
            assert name.startswith("__Host-kchat=")
            assert {"secure", "httponly", "path=/"} < {each.lower() for each in flags}
            assert proxy.get("api/session", headers={"Cookie": name}).status_code == 200
            assert proxy.get("api/session", headers={"Cookie": name[7:]}).status_code == 401


def test_a_second_browser_is_told_what_to_do_and_the_first_may_repeat(
    served: ServeThread, store: GuestStore
) -> None:
    link = link_of(store, "grace")
    with browser(served.base) as first, browser(served.base) as second:
        lost = enter(first, link, "nonce")
        first.cookies.clear()  # the answer was lost on its way
        again = enter(first, link, "nonce")
        assert (lost.status_code, again.status_code) == (200, 200)
        kept = enter(first, link, "nonce")  # a second tab
        assert cookie_of(kept).partition(";")[0] == cookie_of(again).partition(";")[0]
        refused = enter(second, link, "another")
        assert (refused.status_code, "opened before" in refused.json()["error"]) == (401, True)
        assert "ask for another one" in refused.json()["hint"]
        assert "set-cookie" not in refused.headers


def test_a_session_that_somebody_else_planted_is_replaced(served: ServeThread, store: GuestStore) -> None:
    with browser(served.base) as mallory, browser(served.base) as page:
        planted = cookie_of(enter(mallory, link_of(store, "mallory"))).partition(";")[0].partition("=")[2]
        for value in (planted, "a-value-of-mallorys"):
            page.cookies.set(f"kchat-{served.port}", value)
            came = enter(page, link_of(store, "grace"))
            assert came.json()["username"] == "grace"
            fresh = cookie_of(came).partition(";")[0].partition("=")[2]
            assert fresh not in (planted, value)
            page.cookies.clear()


def test_a_browser_is_in_at_two_servers_of_one_machine(store: GuestStore, tmp_path: Path) -> None:
    with (
        serve_thread(f"local://{tmp_path}/one.db", store.path) as one,
        serve_thread(f"local://{tmp_path}/two.db", store.path) as two,
        httpx.Client(timeout=60) as page,  # it sends a host's cookies to all its ports, as browsers do
    ):
        for served in (one, two):
            headers = {"Origin": served.base}
            came = page.post(
                f"{served.base}/api/session", json={"secret": secret_of(served.link)}, headers=headers
            )
            assert came.status_code == 200
        for served in (one, two):
            assert page.get(f"{served.base}/api/session").status_code == 200
        assert len(page.cookies) == 2


def test_who_opens_another_guests_link_is_that_guest_and_the_old_pages_end(
    served: ServeThread, store: GuestStore
) -> None:
    with browser(served.base) as page:
        enter(page, link_of(store, "ada"))
        with page.stream("GET", "api/events") as events:
            lines = events.iter_lines()
            assert "event: live" in lines
            assert enter(page, link_of(store, "grace")).json()["username"] == "grace"
            assert "event: revoked" in lines
            assert "signed out" in next(lines)
        assert page.get("api/session").json()["username"] == "grace"


def test_links_that_open_nothing_are_limited_and_neither_good_links_before_nor_cookies_are(
    served: ServeThread, store: GuestStore
) -> None:
    good = link_of(store, "grace")
    with browser(served.base, served.link) as member, browser(served.base) as page:
        for number in range(FAILED_LOGINS + 5):
            assert enter(page, link_of(store, f"guest{number}")).status_code == 200
        statuses = {enter(page, f"guess-{number}").status_code for number in range(FAILED_LOGINS + 5)}
        assert statuses == {401, 429}
        refused = enter(page, good)
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
        assert member.get("api/session").status_code == 200


def test_leaving_ends_the_session_and_its_other_pages(served: ServeThread, store: GuestStore) -> None:
    with browser(served.base) as page, browser(served.base) as phone:
        enter(page, link_of(store, "grace"))
        enter(phone, link_of(store, "grace"))
        cookie = page.cookies[f"kchat-{served.port}"]
        with page.stream("GET", "api/events") as events:
            lines = events.iter_lines()
            assert "event: live" in lines
            left = page.delete("api/session")
            assert left.status_code == 204
            assert "max-age=0" in cookie_of(left).lower()
            assert "event: revoked" in lines
        page.cookies.set(f"kchat-{served.port}", cookie)
        assert page.get("api/session").status_code == 401
        assert page.delete("api/session").status_code == 204
        assert phone.get("api/session").status_code == 200


def test_a_guest_makes_a_link_for_one_more_device_and_not_many(
    served: ServeThread, store: GuestStore
) -> None:
    ends = time.time() + 60
    with browser(served.base) as page, browser(served.base) as phone:
        enter(page, link_of(store, "grace", expires=ends))
        made = page.post("api/session/link")
        assert made.status_code == 201
        assert made.json()["link"] == f"{served.base}/#{made.json()['secret']}"
        assert made.json()["until"] == page.get("api/session").json()["until"]
        assert enter(phone, made.json()["secret"]).json()["username"] == "grace"
        statuses = [phone.post("api/session/link").status_code for _ in range(DEVICE_LINKS + 1)]
        assert statuses == [201] * DEVICE_LINKS + [429]
    with browser(served.base) as nobody:
        assert nobody.post("api/session/link").status_code == 401


def test_a_message_whose_body_is_on_its_way_when_its_guest_is_revoked_is_not_sent(
    served: ServeThread, store: GuestStore
) -> None:
    with browser(served.base) as page:
        enter(page, link_of(store, "grace"))
        cookie = sent_cookie(page)
    body = json.dumps({"text": "too late"}).encode()
    connection = http.client.HTTPConnection(urlsplit(served.base).netloc, timeout=30)
    headers = {"Cookie": cookie, "Origin": served.base, "Content-Type": "application/json"}
    for text in ("in time", None):
        connection.putrequest("POST", f"/{MESSAGES}")
        for name, value in headers.items():
            connection.putheader(name, value)
        sent = body if text is None else json.dumps({"text": text}).encode()
        connection.putheader("Content-Length", str(len(sent)))
        connection.endheaders()
        connection.send(sent[:5])
        if text is None:
            store.revoke("grace")
        connection.send(sent[5:])
        answered = connection.getresponse()
        answered.read()
        assert answered.status == (401 if text is None else 200), text
    connection.close()
    with browser(served.base, served.link) as host:
        wait_until(lambda: "in time" in host.get(MESSAGES).text)
        assert "too late" not in host.get(MESSAGES).text


def test_the_hosts_link_replaces_the_one_before_and_its_session_survives_a_restart(
    local_url: str, store: GuestStore
) -> None:
    options = ServeOptions([], port=free_port())
    with serve_thread(local_url, store.path, options=options) as first:
        unopened = first.link
    with (
        serve_thread(local_url, store.path, options=options) as second,
        browser(second.base, second.link) as host,
    ):
        assert enter(host, secret_of(unopened)).status_code == 401
        _, _, cookie = sent_cookie(host).partition("=")
    with serve_thread(local_url, store.path, options=options) as third, browser(third.base) as host:
        host.cookies.set(f"kchat-{third.port}", cookie)
        assert host.get("api/session").status_code == 200
        (kept,) = store.guests()
        assert (kept.is_host, store.opened(kept)) == (True, (1, 1, 0))


def test_a_guest_of_another_broker_is_not_let_into_a_room_of_the_same_name(
    served: ServeThread, store: GuestStore
) -> None:
    with browser(served.base) as page:
        enter(page, link_of(store, "ada"))
        assert page.get("api/session").status_code == 200
        stranger = store.add(Guest(0, "eve", None, None, ("chat",), broker="amqp://elsewhere:5672"))
        refused = enter(page, store.new_link(stranger))
        assert (refused.status_code, "another server" in refused.json()["error"]) == (401, True)
        token = store.new_token(stranger)
        assert page.get(MESSAGES, headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_guests_page_ends_in_time_though_the_clock_was_ahead_meanwhile(
    local_url: str, store: GuestStore
) -> None:
    now = [10_000_000.0]
    options = ServeOptions([Settings.resolve(url=local_url)], "host", store=store.path)
    hub = Hub(options, clock=lambda: now[0])
    with closing(hub.store):
        ends = now[0] + 3600
        guests = hub.store.now
        ada = guests.add(Guest(0, "ada", None, None, ("chat",), expires=ends))
        _, session = guests.exchange(guests.new_link(ada, ends))
        hub._look_at_guests()
        now[0] = ends + 60
        hub._look_at_guests()
        now[0] = ends - 60  # it was set right, and ada's page came back
        told: list[bytes] = []
        page: Any = SimpleNamespace(caller=Caller.of(session, by_cookie=True), end=told.append)
        hub._streams = cast("set[Any]", (page,))
        hub._look_at_guests()
        assert told == []
        now[0] = ends
        hub._look_at_guests()
        assert [b"your invitation has ended" in each for each in told] == [True]


def test_links_and_cookies_last_by_the_clock_that_the_guests_file_goes_by(
    served: ServeThread, store: GuestStore
) -> None:
    ahead = time.time() + 5 * 86400
    with browser(served.base) as page, pytest.MonkeyPatch.context() as patched:
        patched.setattr(served.hub, "clock", lambda: ahead)
        came = enter(page, link_of(store, "grace", expires=ahead + 600))
        assert "; Max-Age=600;" in cookie_of(came)
        until = datetime.fromisoformat(page.post("api/session/link").json()["until"])
        assert abs(until.timestamp() - (ahead + 600)) < 1


def test_a_host_whose_name_is_or_looks_like_a_guests_is_refused(
    local_url: str, store: GuestStore, tmp_path: Path
) -> None:
    settings = [Settings.resolve(url=local_url)]
    hub = Hub(ServeOptions(settings, "somebody", store=store.path))
    place = hub.place
    hub.store.close()
    store.add(Guest(0, "grace", None, None, ("chat",), broker=place))
    for name in ("grace", "Grace", "gr\u0430ce"):
        with pytest.raises(SettingsError, match="guest grace"):
            Hub(replace(ServeOptions(settings, name), store=store.path))


def test_a_file_that_fails_is_an_error_of_the_server_and_the_next_request_may_work(
    local_url: str, store: GuestStore
) -> None:
    link = link_of(store, "grace")
    with serve_thread(local_url, store.path) as served, browser(served.base) as page:
        served.hub.store.patience = 0.1
        locking = sqlite3.connect(store.path, isolation_level=None)
        locking.execute("BEGIN IMMEDIATE")
        failed = enter(page, link, "nonce")
        assert (failed.status_code, "guests" in failed.json()["error"]) == (503, True)
        assert str(store.path) not in failed.text
        assert page.post("enter", data={"link": link, "browser": "nonce"}).status_code == 503
        assert [str(store.path) in line for line in served.told] == [True]  # the host is told, once a minute
        locking.execute("ROLLBACK")
        locking.close()
        assert enter(page, link, "nonce").status_code == 200


def test_two_servers_with_the_same_broker_and_file_both_let_the_host_in(
    local_url: str, store: GuestStore
) -> None:
    with (
        serve_thread(local_url, store.path, "chat") as one,
        serve_thread(local_url, store.path, "chat", "tea") as other,
    ):
        for served, rooms in ((one, ["chat"]), (other, ["chat", "tea"])):
            with browser(served.base, served.link) as page:
                described = page.get("api/session").json()
                assert [each["name"] for each in described["rooms"]] == rooms
                for room in rooms:
                    assert page.post(f"api/rooms/{room}/messages", json={"text": "hello"}).status_code == 200
