"""The broker goes away, or lets the server in no more: pages stay, are told, and catch up."""

from __future__ import annotations

from pathlib import Path

import httpx
import kombu
import pytest

from kchat.client.sender import Sender
from kchat.config.settings import Settings
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.web.event_streams import Event, EventStream, stream, texts
from tests.web.serving import ServeThread, guest_browser, serve_thread

pytestmark = pytest.mark.slow  # as long as RabbitMQ takes to start


def until_connected(opened: EventStream) -> list[Event]:
    """The events up to the one by which the room is connected again."""
    found: list[Event] = []
    for event in opened.events():
        found.append(event)
        if event.name == "connection" and event.value["connected"]:
            return found
    raise AssertionError(f"the stream has ended: {found}")


def until_text(opened: EventStream, text: str) -> list[Event]:
    """The events up to a message."""
    found: list[Event] = []
    for event in opened.events():
        found.append(event)
        if event.name == "message" and event.value["text"] == text:
            return found
    raise AssertionError(f"the stream has ended: {found}")


def is_healthy(served: ServeThread) -> bool:
    """Whether ``/healthz`` says so."""
    return httpx.get(f"{served.base}/healthz", timeout=60).status_code == 200


def test_a_page_stays_while_the_broker_restarts_and_is_told_that_it_may_have_missed_some(
    own_rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    settings = Settings.resolve(url=own_rabbitmq.url, room="restarted-web")
    with (
        serve_thread(own_rabbitmq.url, tmp_path / "web.db", "restarted-web") as served,
        guest_browser(served) as page,
        stream(page) as opened,
        stream(page) as other,
    ):
        opened.until("live")
        other.until("live")
        own_rabbitmq.kill()
        wait_until(lambda: not is_healthy(served), what="/healthz says that it is not connected")
        own_rabbitmq.start()
        events = until_connected(opened)
        assert [each.value["connected"] for each in events if each.name == "connection"] == [False, True]
        with Sender(settings, "ada") as sender:
            sender.send("back")
        told = until_text(opened, "back")
        assert [each.name for each in told if each.name in {"missed", "message"}] == ["missed", "message"]
        assert is_healthy(served)
        with stream(page, after=other.last_id) as again:
            late = again.until("live")
        assert [each.name for each in late if each.name in {"missed", "message"}] == ["missed", "message"]


def test_a_page_gets_what_the_history_holds_after_a_restart_of_the_broker(
    own_rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    settings = Settings.resolve(url=own_rabbitmq.url, room="kept-web")
    with kombu.Connection(own_rabbitmq.url) as connection:
        settings.transport.history("kept-web").switch_on(connection.channel())
    with (
        serve_thread(own_rabbitmq.url, tmp_path / "web.db", "kept-web") as served,
        guest_browser(served) as page,
        stream(page) as opened,
    ):
        opened.until("live")
        with Sender(settings, "ada") as sender:
            sender.send("before")
        events = until_text(opened, "before")
        # Mnesia, RabbitMQ's store of what is declared, writes to the disk with a delay; that is not what is tested.
        own_rabbitmq.evaluate("catch mnesia:sync_log().")
        own_rabbitmq.kill()
        own_rabbitmq.start()
        events += until_connected(opened)
        with Sender(settings, "ada") as sender:
            sender.send("after")
        events += until_text(opened, "after")
        assert texts(events) == ["before", "after"]
        assert not [each for each in events if each.name == "missed"]
    with (
        serve_thread(own_rabbitmq.url, tmp_path / "web.db", "kept-web") as served,
        guest_browser(served) as page,
    ):
        with stream(page, after=opened.last_id) as again:
            assert [each.name for each in again.until("live")] == ["hello", "live"]
        with stream(page) as fresh:
            assert texts(fresh.until("live")) == ["before", "after"]


def test_a_page_is_told_that_the_host_is_let_in_no_more_and_when_it_is_again(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    with (
        rabbitmq.new_vhost() as vhost,
        rabbitmq.new_account(vhost, configure=".*", write=".*", read=".*") as host,
        serve_thread(host.url, tmp_path / "web.db", "private") as served,
        guest_browser(served) as page,
        stream(page) as opened,
    ):
        opened.until("live")
        rabbitmq.management.delete_user(host.username)  # which ends its connections
        wait_until(lambda: served.hub.rooms["private"].problem, 30, "the room cannot be read")
        assert not is_healthy(served)
        rabbitmq.management.add_user(host.username, host.password, "")
        rabbitmq.management.permit(vhost, host.username, ".*", ".*", ".*")
        events = until_connected(opened)
        assert "missed" in [each.name for each in events]
        with Sender(Settings.resolve(url=host.url, room="private"), "ada") as sender:
            sender.send("again")
        until_text(opened, "again")
        assert is_healthy(served)
