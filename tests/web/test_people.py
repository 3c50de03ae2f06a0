"""Who is here, for pages and for terminals."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from kchat import Settings
from kchat.client.presence import Presence, who
from kchat.web.store import Guest, GuestStore
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.web.serving import ServeThread, browser, serve_thread


@contextmanager
def open_page(page: httpx.Client) -> Iterator[list[tuple[str, Any]]]:
    """A stream of events, collected in a thread until it is closed."""
    events: list[tuple[str, Any]] = []

    with page.stream("GET", "api/events", timeout=60) as answer:
        answer.raise_for_status()

        def collect() -> None:
            name = ""
            try:
                for line in answer.iter_lines():
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: "):
                        events.append((name, json.loads(line[6:])))
            except (httpx.HTTPError, httpx.StreamError):
                pass  # closed

        thread = threading.Thread(target=collect, name="page of a test", daemon=True)
        thread.start()
        try:
            wait_until(lambda: any(name == "live" for name, _ in events))
            yield events
        finally:
            stream = answer.extensions["network_stream"]
            stream.get_extra_info("socket").shutdown(2)
            thread.join(10)


def invite(served: ServeThread, name: str, account: str | None = None, password: str | None = None) -> str:
    """The link of a new guest."""
    with GuestStore(served.hub.options.store) as store:
        guest = store.add(Guest(0, name, account, password, tuple(served.hub.rooms)))
        return f"{served.base}/#{store.new_link(guest)}"


def names(events: list[tuple[str, Any]]) -> list[str]:
    """The names in the last event of people."""
    told = [value for name, value in events if name == "people"]
    return [f"{each['name']}{each['mark']}" for each in told[-1]["people"]] if told else []


def test_guests_are_here_for_each_other_and_for_terminals_and_leave_with_their_last_page(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        vhost = stack.enter_context(rabbitmq.new_vhost())
        accounts = [stack.enter_context(rabbitmq.new_account(vhost, write=".*")) for _ in range(2)]
        served = stack.enter_context(serve_thread(rabbitmq.url_for(vhost), tmp_path / "web.db"))
        pages = [
            stack.enter_context(
                browser(served.base, invite(served, each.username, each.username, each.password))
            )
            for each in accounts
        ]
        expected = sorted(each.username for each in accounts)
        settings = Settings.resolve(url=rabbitmq.url_for(vhost), room="chat")
        wait_until(lambda: served.hub.people["chat"].known)
        terminal = stack.enter_context(Presence(settings, "terminal"))
        # Who is told of by others is not verified before the next announcement.
        wait_until(lambda: terminal.known, 20)
        with open_page(pages[0]) as events:
            with open_page(pages[1]), open_page(pages[1]):  # two tabs are one guest
                host = f"terminal (via {rabbitmq.username})"
                wait_until(lambda: names(events) == sorted([*expected, host]))
                asked = pages[0].get("api/rooms/chat/people").json()
                assert (asked["room"], asked["count"], asked["more"]) == ("chat", 3, False)

                def verified() -> list[str]:
                    people = terminal.people()
                    here = people.here if people else ()
                    return sorted(each.username for each in here if each.account == each.username)

                wait_until(
                    lambda: verified() == expected, what=lambda: str((terminal.people(), terminal.problem))
                )
                assert {each.username for each in who(settings).here} == {*expected, "terminal"}
                # Neither wrote anything, and each has one connection.
                connections = rabbitmq.management.request("GET", ["vhosts", vhost, "connections"])
                of_guests = [each["user"] for each in connections if each["user"] in expected]
                assert len(of_guests) <= 2
                post = pages[1].post("api/rooms/chat/messages", json={"text": "hello"})
                assert post.status_code == 200
                assert len(served.hub.lanes) == 2
            wait_until(lambda: names(events) == sorted([accounts[0].username, host]), 20)
        wait_until(lambda: verified() == [], 20)


ALL = os.environ.get("KCHAT_TEST_WEB") == "all"


@pytest.mark.parametrize("transport", ["local", "redis", "memory"] if ALL else ["local"])
def test_guests_without_accounts_are_here_by_the_hosts_connection(
    transport: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = {"local": f"local://{tmp_path}/room.db", "memory": "memory://"}.get(transport)
    url = url or request.getfixturevalue("redis_url")
    settings = Settings.resolve(url=url, room="people-of-a-page")
    with serve_thread(url, tmp_path / "web.db", settings.room) as served, ExitStack() as stack:
        ada, bob = (
            stack.enter_context(browser(served.base, invite(served, name))) for name in ("ada", "bob")
        )
        with open_page(ada) as events:
            with open_page(bob):
                wait_until(lambda: names(events) == ["ada", "bob"])
                wait_until(lambda: {each.username for each in who(settings).here} == {"ada", "bob"})
                assert len(served.hub.lanes) == 1
            wait_until(lambda: names(events) == ["ada"], 20)
            wait_until(lambda: {each.username for each in who(settings).here} == {"ada"})
