"""Two browsers and a terminal in one room."""

from __future__ import annotations

import json
import time

import pytest

from tests.brokers.wait import wait_until
from tests.web.guests import Guests, Served, Visit


def test_two_guests_and_a_terminal_talk_in_one_room(served: Served, guests: Guests) -> None:
    terminal = served.subscribe()
    ada = guests.visit(served.link(served.invite("ada")))
    grace = guests.visit(served.link(served.invite("grace")))
    ada.write("hello from ada")
    grace.wait_for_texts("hello from ada")
    grace.write("hello from grace")
    ada.wait_for_texts("hello from ada", "hello from grace")
    served.send("host", "hello from a terminal")
    for visit in (ada, grace):
        visit.wait_for_texts("hello from ada", "hello from grace", "hello from a terminal")
    assert ada.row("hello from ada")["mine"]
    assert not grace.row("hello from ada")["mine"]
    told = [json.loads(line) for line in terminal.wait_for_lines(3)]
    assert [each["message"] for each in told] == [
        "hello from ada",
        "hello from grace",
        "hello from a terminal",
    ]
    if served.kind == "rabbitmq":
        assert [each["verified"] for each in told[:2]] == [True, True]
        assert [each["account"] for each in told[:2]] == ["ada", "grace"]
        assert [grace.row(f"hello from {each}")["mark"] for each in ("ada", "grace")] == ["", ""]
    terminal.end()


def test_a_guest_finds_the_history_and_each_message_once(served: Served, guests: Guests) -> None:
    served.send("host", "before anybody came")
    late = guests.visit(served.link(served.invite("late")))
    late.wait_for_texts("before anybody came")
    late.tab.reload()
    late.wait_for_state("live")
    late.wait_for_texts("before anybody came")


def test_the_address_has_no_secret_any_more_and_a_link_opens_one_browser(
    local_served: Served, guests: Guests
) -> None:
    link = local_served.link(local_served.invite("once"))
    first = guests.visit(link)
    assert first.tab.run("location.href") == f"{local_served.base}/"
    assert link.partition("#")[2] not in json.dumps(
        first.tab.run("[{...localStorage}, {...sessionStorage}, document.cookie]")
    )
    second = Visit(guests.browser().tab(link))
    second.wait_for_state("door")
    second.tab.wait_for_text("opened before")
    assert second.tab.cookies == []


def test_an_expired_link_says_so(local_served: Served, guests: Guests) -> None:
    link = local_served.link(local_served.invite("late", expires=time.time() - 1))
    visit = Visit(guests.browser().tab(link))
    visit.wait_for_state("door")
    visit.tab.wait_for_text("expired")
    assert visit.tab.cookies == []


def test_a_page_without_a_cookie_shows_the_door(local_served: Served, guests: Guests) -> None:
    visit = Visit(guests.browser().tab(local_served.base + "/"))
    visit.wait_for_state("door")
    assert visit.count(".message") == 0


def test_a_guest_of_a_room_that_is_not_served_is_told(local_served: Served, guests: Guests) -> None:
    visit = Visit(guests.browser().tab(local_served.link(local_served.invite("astray", "elsewhere"))))
    visit.wait_for_state("closed")
    visit.tab.wait_for_text("none of your rooms")


def test_a_guest_who_is_revoked_is_told_in_both_tabs(local_served: Served, guests: Guests) -> None:
    link = local_served.link(local_served.invite("gone"))
    browser = guests.browser()
    tabs = [guests.visit(link, browser), guests.visit(local_served.base + "/", browser)]
    with local_served.server.guests() as store:
        assert store.revoke("gone")
    for each in tabs:
        each.wait_for_state("closed")
        each.tab.wait_for_text("our invitation has ended")
    assert tabs[0].tab.run("fetch('api/session').then((answer) => answer.status)") == 401
    tabs[0].tab.reload()
    tabs[0].wait_for_state("door")


def test_two_tabs_of_one_guest_show_the_same_and_mark_both_as_own(
    local_served: Served, guests: Guests
) -> None:
    browser = guests.browser()
    one = guests.visit(local_served.link(local_served.invite("twice")), browser)
    other = guests.visit(local_served.base + "/", browser)
    one.write("from the one tab")
    other.wait_for_texts("from the one tab")
    other.write("from the other tab")
    for each in (one, other):
        each.wait_for_texts("from the one tab", "from the other tab")
    assert other.row("from the other tab")["mine"]
    assert one.row("from the one tab")["mine"]


def test_a_draft_outlives_the_page(local_served: Served, guests: Guests) -> None:
    visit = guests.visit(local_served.link(local_served.invite("drafter")))
    visit.tab.click("#text")
    visit.tab.type("half a sen")
    visit.tab.reload()
    visit.wait_for_state("live")
    visit.tab.wait_for("document.getElementById('text').value === 'half a sen'")
    visit.tab.click("#text")
    visit.tab.press("Enter")
    visit.wait_for_texts("half a sen")
    visit.tab.reload()
    visit.wait_for_state("live")
    assert visit.tab.run("document.getElementById('text').value") == ""


def test_several_rooms_are_tabs_with_what_is_unread(served: Served, guests: Guests) -> None:
    visit = guests.visit(served.link(served.invite("both", "chat", "tea")))
    served.send("host", "tea is ready", "tea")
    visit.tab.wait_for(
        "[...document.querySelectorAll('#rooms .badge')].some((each) => each.textContent === '1')"
    )
    assert "tea is ready" not in visit.texts
    visit.tab.click("#rooms > button:nth-child(2)")
    visit.wait_for_texts("tea is ready")
    visit.write("thank you")
    visit.wait_for_texts("tea is ready", "thank you")
    only_chat = guests.visit(served.link(served.invite("guest-of-chat")))
    assert only_chat.tab.run("document.getElementById('rooms').hidden")
    status = "fetch('api/rooms/tea/messages').then((answer) => answer.status)"
    assert only_chat.tab.run(status) == 404


def test_a_flood_waits_and_arrives_whole(local_served: Served, guests: Guests) -> None:
    visit = guests.visit(local_served.link(local_served.invite("flooder")))
    texts = [f"flood {number}" for number in range(13)]
    for each in texts:
        visit.tab.type(each)
        visit.tab.press("Enter")
    visit.tab.wait_for_text("too many messages")
    visit.wait_for_texts(*texts)
    assert visit.count(".waiting .message") == 0


def test_a_message_that_is_too_long_is_not_sent_and_is_kept(local_served: Served, guests: Guests) -> None:
    visit = guests.visit(local_served.link(local_served.invite("novelist")))
    long = "x" * (16 * 1024 + 1)
    visit.write(long)
    visit.tab.wait_for_text("1 byte too long")
    assert visit.tab.run("document.getElementById('text').value.length") == len(long)
    script = """
    fetch("api/rooms/chat/messages", {method: "POST", headers: {"content-type": "application/json"},
      body: JSON.stringify({text: "x".repeat(%d)})}).then((answer) => answer.status)
    """
    assert visit.tab.run(script % len(long)) == 413
    assert visit.tab.run(script % 2_000_000) == 413


@pytest.mark.parametrize("how", ["offline", "refused"])
def test_a_message_that_cannot_be_sent_is_kept_and_sent_later(
    local_served: Served, guests: Guests, how: str
) -> None:
    visit = guests.visit(local_served.link(local_served.invite(f"unlucky-{how}")))
    text = f"in spite of all, {how}"
    if how == "offline":
        visit.tab.go_offline()
        visit.wait_for_state("offline", "reconnecting")
        visit.write(text)
        visit.tab.wait_for("document.querySelector('.waiting .pending') !== null")
        visit.tab.go_online()
        visit.wait_for_state("live")
    else:
        visit.tab.run(
            "window.true_fetch = fetch; window.fetch = async () => new Response('{}', {status: 500})"
        )
        visit.write(text)
        visit.tab.wait_for("document.querySelector('.waiting .failed') !== null")
        visit.tab.run("window.fetch = true_fetch")
        visit.tab.click(".failed .again")
    visit.wait_for_texts(text)
    wait_until(lambda: visit.count(".waiting .message") == 0, 10, "an empty outbox")
