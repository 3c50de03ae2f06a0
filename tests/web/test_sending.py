"""What POST promises, on real brokers."""

from __future__ import annotations

import asyncio
import os
import secrets
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from kchat import Settings, Subscriber
from kchat.web.lanes import Lane
from kchat.web.store import Guest, GuestStore
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon, wait_until
from tests.contract.people import drain
from tests.web.serving import ServeThread, browser, serve_thread

ROOMS = "chat", "other"


def _has_two(page: httpx.Client, room: str) -> bool:
    return len(texts(page, room)) == 2


@pytest.fixture
def served(rabbitmq: RabbitMQ, tmp_path: Path) -> Iterator[ServeThread]:
    """A server of two rooms on a virtual host of its own."""
    with (
        rabbitmq.new_vhost() as vhost,
        serve_thread(rabbitmq.url_for(vhost), tmp_path / "web.db", *ROOMS) as served,
    ):
        yield served


def invite(served: ServeThread, name: str, account: str | None = None, password: str | None = None) -> str:
    """The link of a new guest."""
    with GuestStore(served.hub.options.store) as store:
        guest = store.add(Guest(0, name, account, password, tuple(served.hub.rooms)))
        return f"{served.base}/#{store.new_link(guest)}"


def post(page: httpx.Client, text: str, room: str = "chat", **more: str) -> httpx.Response:
    return page.post(f"api/rooms/{room}/messages", json={"text": text, **more})


def texts(page: httpx.Client, room: str = "chat") -> list[str]:
    return [each["text"] for each in page.get(f"api/rooms/{room}/messages").json()["messages"]]


def senders(rabbitmq: RabbitMQ, vhost: str, account: str) -> int:
    """Number of connections of an account to a virtual host."""
    found = rabbitmq.management.request("GET", ["vhosts", vhost, "connections"])
    return sum(each.get("user") == account for each in found)


def test_a_guest_with_tabs_and_rooms_has_one_connection_and_a_verified_name(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        vhost = stack.enter_context(rabbitmq.new_vhost())
        account = stack.enter_context(rabbitmq.new_account(vhost, write=".*"))
        url = rabbitmq.url_for(vhost)
        served = stack.enter_context(serve_thread(url, tmp_path / "web.db", *ROOMS))
        links = [invite(served, account.username, account.username, account.password) for _ in range(2)]
        pages = [stack.enter_context(browser(served.base, link)) for link in links]
        for number, page in enumerate(pages):
            for room in ROOMS:
                assert post(page, f"{number} in {room}", room).status_code == 200
        for room in ROOMS:
            wait_until(partial(_has_two, pages[0], room))
            found = pages[0].get(f"api/rooms/{room}/messages").json()["messages"]
            assert [each["text"] for each in found] == [f"0 in {room}", f"1 in {room}"]
            assert all(each["verified"] and each["account"] == account.username for each in found)
        wait_until(lambda: senders(rabbitmq, vhost, account.username) == 1)
        assert len(served.hub.lanes) == 1


def test_a_message_of_many_frames_arrives_whole(served: ServeThread) -> None:
    text = "\u00e9" * 8000  # 16,000 bytes; a guest's connection has frames of 8 KiB
    with browser(served.base, served.link) as page:
        assert post(page, text).status_code == 200
        wait_until(lambda: texts(page) == [text])


def test_a_sender_that_switches_rooms_makes_nobody_believe_that_messages_are_missing(
    rabbitmq: RabbitMQ, served: ServeThread
) -> None:
    told: list[object] = []
    settings = served.hub.rooms["chat"].settings
    with (
        Subscriber(settings, "reader", on_event=told.append) as reader,
        browser(served.base, served.link) as page,
    ):
        for number in range(4):
            for room in ROOMS:
                assert post(page, str(number), room).status_code == 200
        heard = [each.text for each in drain(reader, 4)]
    assert heard == ["0", "1", "2", "3"]
    assert told == []


def test_one_id_is_one_message_however_often_and_at_once_it_is_posted(served: ServeThread) -> None:
    message_id = str(uuid.uuid4())
    with browser(served.base, served.link) as page, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: post(page, "once", id=message_id), range(16)))
        assert {each.status_code for each in answers} == {200}
        assert len({each.text for each in answers}) == 1
        assert answers[0].json()["id"] == message_id
        assert post(page, "another", id=message_id).status_code == 409
        assert post(page, "once", "other", id=message_id).status_code == 409
        assert post(page, "end").status_code == 200
        wait_until(lambda: "end" in texts(page))
        assert texts(page) == ["once", "end"]


def test_posts_of_one_guest_go_out_in_the_order_in_which_they_come(
    served: ServeThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = served.hub.lane

    async def post_all(cookies: httpx.Cookies) -> None:
        loop, come = asyncio.get_running_loop(), asyncio.Semaphore(0)

        def noting(*asked: Any) -> Lane:
            loop.call_soon_threadsafe(come.release)
            return lane(*asked)

        monkeypatch.setattr(served.hub, "lane", noting)
        # A connection for each: one that took over another's would overtake those who are still connecting.
        async with httpx.AsyncClient(
            base_url=served.base,
            cookies=cookies,
            headers={"Origin": served.base},
            limits=httpx.Limits(max_keepalive_connections=0),
            timeout=60,
        ) as page:
            started = []
            for number in range(8):
                started.append(
                    asyncio.create_task(page.post("api/rooms/chat/messages", json={"text": str(number)}))
                )
                await asyncio.wait_for(come.acquire(), soon(30))
            for answer in await asyncio.gather(*started):
                answer.raise_for_status()

    with browser(served.base, served.link) as page:
        asyncio.run(post_all(page.cookies))
        wait_until(lambda: len(texts(page)) == 8)
        assert texts(page) == [str(number) for number in range(8)]


def test_an_account_that_the_broker_no_longer_lets_in_is_told_403(
    rabbitmq: RabbitMQ, served: ServeThread
) -> None:
    account = f"grace-{secrets.token_hex(4)}"
    link = invite(served, account, account, "a password that is not valid")
    with browser(served.base, link) as page:
        answer = post(page, "hello")
        assert answer.status_code == 403
        assert "does not let you in" in answer.json()["error"]
        assert "password" not in answer.text
        assert len(served.hub.lanes) == 0


def test_guests_on_local_share_the_hosts_connection(tmp_path: Path) -> None:
    with (
        serve_thread(f"local://{tmp_path}/room.db", tmp_path / "web.db", *ROOMS) as served,
        ExitStack() as stack,
    ):
        pages = [stack.enter_context(browser(served.base, invite(served, name))) for name in ("ada", "bob")]
        for page in pages:
            for room in ROOMS:
                assert post(page, "hello", room).status_code == 200
        assert len(served.hub.lanes) == 1
        wait_until(lambda: len(texts(pages[0])) == 2)
        names = [each["username"] for each in pages[0].get("api/rooms/chat/messages").json()["messages"]]
        assert names == ["ada", "bob"]


@pytest.mark.skipif(
    os.environ.get("KCHAT_TEST_WEB") != "all", reason="takes half a minute: KCHAT_TEST_WEB=all"
)
def test_a_post_during_a_restart_of_the_broker_is_answered_and_may_be_repeated(
    own_rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    with (
        serve_thread(own_rabbitmq.url, tmp_path / "web.db") as served,
        browser(served.base, served.link) as page,
    ):
        assert post(page, "before").status_code == 200
        own_rabbitmq.kill()
        message_id = str(uuid.uuid4())
        with ThreadPoolExecutor(2) as threads:
            both = [threads.submit(post, page, "after", id=message_id) for _ in range(2)]
            for answer in (each.result() for each in both):
                assert answer.status_code in (503, 504)
                assert int(answer.headers["retry-after"]) > 0
        own_rabbitmq.start()
        wait_until(lambda: served.hub.rooms["chat"].connected, 60)
        wait_until(lambda: post(page, "after", id=message_id).status_code == 200, 60, pause=1)
        assert post(page, "end").status_code == 200
        wait_until(lambda: "end" in texts(page))
        assert texts(page).count("after") == 1


def test_a_server_that_ends_has_sent_what_was_under_way(rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    with rabbitmq.new_vhost() as vhost:
        settings = Settings.resolve(url=rabbitmq.url_for(vhost), room="chat")
        with Subscriber(settings, "reader") as reader, ThreadPoolExecutor(4) as threads:
            with (
                serve_thread(rabbitmq.url_for(vhost), tmp_path / "web.db") as served,
                browser(served.base, served.link) as page,
            ):
                answers = [threads.submit(post, page, str(number)) for number in range(8)]
                answers[0].result()
            sent = {
                str(number)
                for number, each in enumerate(answers)
                if each.exception() is None and each.result().status_code == 200
            }
            heard: set[str] = set()
            while not heard >= sent:
                heard |= {each.text for each in drain(reader, 1)}
            assert "0" in sent


def test_a_server_that_ends_beside_a_silent_broker_says_what_was_sent_and_what_was_not(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        vhost = stack.enter_context(rabbitmq.new_vhost())
        proxy = stack.enter_context(Proxy(rabbitmq.port, rabbitmq.host))
        url = rabbitmq.url_for(vhost).replace(f":{rabbitmq.port}/", f":{proxy.port}/")
        assert str(proxy.port) in url
        served = stack.enter_context(serve_thread(url, tmp_path / "web.db"))
        page = stack.enter_context(browser(served.base, served.link))
        assert post(page, "before").status_code == 200
        proxy.black_hole()
        threads = stack.enter_context(ThreadPoolExecutor(3))
        posts = [threads.submit(post, page, str(number)) for number in range(3)]
        (lane,) = served.hub.lanes
        wait_until(lambda: lane.waiting == 3)
        served.stop()
        answers = [each.result() for each in posts]
        assert sorted(each.status_code for each in answers) == [503, 503, 504]
        assert all(each.json()["error"] and each.headers["retry-after"] for each in answers)


def test_a_message_that_waits_for_the_broker_is_not_sent_after_its_guest_was_revoked(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        vhost = stack.enter_context(rabbitmq.new_vhost())
        proxy = stack.enter_context(Proxy(rabbitmq.port, rabbitmq.host))
        url = rabbitmq.url_for(vhost).replace(f":{rabbitmq.port}/", f":{proxy.port}/")
        served = stack.enter_context(serve_thread(url, tmp_path / "web.db"))
        page = stack.enter_context(browser(served.base, invite(served, "ada")))
        threads = stack.enter_context(ThreadPoolExecutor(1))
        proxy.refuse()
        waiting = threads.submit(post, page, "too late")
        wait_until(lambda: [each.waiting for each in served.hub.lanes] == [1])
        with GuestStore(served.hub.options.store) as store:
            assert store.revoke("ada")
        wait_until(lambda: not served.hub._sending)
        proxy.restore()
        assert waiting.result().status_code == 403
        with browser(served.base, served.link) as host:
            # The room has no history, and the server may not hear it yet.
            wait_until(lambda: post(host, "end").is_success and "end" in texts(host), pause=0.6)
            assert set(texts(host)) == {"end"}
