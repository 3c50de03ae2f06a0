"""The server or the broker goes away and comes back: the pages come back by themselves, with all that was said."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.brokers.rabbitmq import RabbitMQ
from tests.web.guests import Guests, Served, serve_on


def test_pages_come_back_after_the_server_was_killed(served: Served, guests: Guests) -> None:
    ada = guests.visit(served.link(served.invite("ada")))
    grace = guests.visit(served.link(served.invite("grace")))
    ada.write("before")
    grace.wait_for_texts("before")
    served.server.kill()
    for each in (ada, grace):
        each.wait_for_state("reconnecting")
    ada.write("written meanwhile")
    ada.tab.wait_for("document.querySelector('.waiting .message') !== null")
    served.send("host", "said meanwhile")
    served.server.start()
    for each in (ada, grace):
        each.wait_for_state("live")
    grace.write("after")
    for each in (ada, grace):
        each.tab.wait_for_text("after")
        wanted = ["before", "said meanwhile", "written meanwhile", "after"]
        for text in wanted:
            each.wait_for_texts(text)  # once
        assert [text for text in each.texts if text in ("before", "said meanwhile", "after")] == [
            "before",
            "said meanwhile",
            "after",
        ]
        assert each.count(".waiting .message") == 0


def test_a_page_that_was_offline_catches_up(local_served: Served, guests: Guests) -> None:
    ada = guests.visit(local_served.link(local_served.invite("traveller")))
    ada.write("before the tunnel")
    ada.wait_for_texts("before the tunnel")
    ada.tab.go_offline()
    ada.wait_for_state("offline", "reconnecting")
    for number in range(3):
        local_served.send("host", f"in the tunnel {number}")
    ada.tab.go_online()
    ada.wait_for_state("live")
    ada.wait_for_texts("before the tunnel", *(f"in the tunnel {number}" for number in range(3)))


@pytest.mark.skipif(os.environ.get("KCHAT_TEST_WEB") != "all", reason="takes a minute: KCHAT_TEST_WEB=all")
def test_a_page_whose_connection_has_died_silently_says_so(local_served: Served, guests: Guests) -> None:
    ada = guests.visit(local_served.link(local_served.invite("listener")))
    local_served.server.process.signal(signal.SIGSTOP)
    try:
        ada.wait_for_state("reconnecting", seconds=75)
    finally:
        local_served.server.process.signal(signal.SIGCONT)
    ada.wait_for_state("live")


def test_a_graceful_end_is_followed_by_a_return(local_served: Served, guests: Guests) -> None:
    ada = guests.visit(local_served.link(local_served.invite("patient")))
    assert local_served.server.terminate() == 0
    ada.wait_for_state("reconnecting")
    local_served.server.start()
    ada.wait_for_state("live")
    ada.write("still here")
    ada.wait_for_texts("still here")


@pytest.mark.slow
def test_pages_stay_while_the_broker_is_restarted(
    own_rabbitmq: RabbitMQ, guests: Guests, tmp_path: Path
) -> None:
    with serve_on("rabbitmq", tmp_path, own_rabbitmq) as served:
        ada = guests.visit(served.link(served.invite("ada")))
        ada.write("before")
        ada.wait_for_texts("before")
        own_rabbitmq.restart()
        ada.tab.wait_for_text("connected to the broker again", 90)
        ada.write("after")
        ada.wait_for_texts("before", "after")
        assert ada.state == "live"
