"""The page without JavaScript: what it shows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import httpx

from kchat import Message, connect
from kchat.web.guests import Guest
from kchat.web.store import GuestStore
from tests.brokers.wait import wait_until
from tests.hostile.corpus import TEXTS
from tests.hostile.safe import why_unsafe
from tests.web.event_streams import stream
from tests.web.links import LINKS
from tests.web.plain.pages import MARKUP, read, say, send_hostile, texts
from tests.web.serving import ServeThread, browser


def test_a_page_has_the_last_fifty(guest: httpx.Client, room_url: str) -> None:
    with connect(room_url, room="tea", username="ada") as room:
        for number in range(60):
            room.send(f"message {number}")
    wait_until(lambda: texts(guest)[-1:] == ["message 59"], 20)
    assert texts(guest) == [f"message {number}" for number in range(10, 60)]


def test_one_who_may_only_read_has_no_form_and_one_who_may_only_send_no_messages(served: ServeThread) -> None:
    with GuestStore(served.hub.store.path) as store:
        made = [
            store.add(Guest(0, f"guest-{read}", None, None, ("tea",), may_read=read, may_send=not read))
            for read in (True, False)
        ]
        links = [f"{served.base}/#{store.new_link(each)}" for each in made]
    with browser(served.base) as client:
        client.post("/enter", data={"browser": "", "link": links[0]})
        assert "text" not in read(client.get("/plain")).fields
        assert client.post("/send", data={"room": "tea", "text": "no", "id": ""}).status_code == 403
    with browser(served.base) as client:
        client.post("/enter", data={"browser": "", "link": links[1]})
        assert say(client, "not to be read").status_code == 303
        page = read(client.get("/plain"))
        assert page.rows == []
        assert "text" in page.fields


def test_a_room_that_is_not_open_is_not_found(guest: httpx.Client) -> None:
    answer = guest.get("/plain", params={"room": "<script>"})
    assert (answer.status_code, "<script>" in answer.text) == (404, False)
    assert read(answer).problem


def test_links_lead_to_what_is_read_in_them(guest: httpx.Client, room_url: str) -> None:
    with connect(room_url, room="tea", username="ada") as room:
        for text in LINKS:
            room.send(text)
    wait_until(lambda: texts(guest)[-1:] == list(LINKS)[-1:], 20)
    page = read(guest.get("/plain"))
    assert texts(guest) == list(LINKS), "a text stays what it is"
    assert [each["href"] for each in page.links] == [link for links in LINKS.values() for link in links]
    safe = {"target": "_blank", "rel": "noopener noreferrer nofollow"}
    assert all(each == {"href": each["href"], **safe} for each in page.links)


def test_times_and_days_say_that_they_are_utc(guest: httpx.Client, room_url: str) -> None:
    east = timezone(timedelta(hours=9))
    with connect(room_url, room="tea", username="ada") as room:
        for sent in (datetime(2026, 3, 1, 8, 30, tzinfo=east), datetime(2026, 3, 1, 9, 5, tzinfo=east)):
            room.send(Message.compose("ada", f"at {sent:%H:%M} in the east", sent_at=sent))
    wait_until(lambda: len(texts(guest)) == 2, 20)
    answer = guest.get("/plain")
    assert read(answer).times == ["2026-02-28T23:30:00.000Z", "2026-03-01T00:05:00.000Z"]
    assert re.findall(r"<time [^>]*>([^<]*)</time>", answer.text) == ["23:30 UTC", "00:05 UTC"]
    days = re.findall(r'<div class="day"><span>([^<]*)</span>', answer.text)
    assert days == ["Saturday 28 February 2026 (UTC)", "Sunday 1 March 2026 (UTC)"]


def test_messages_of_one_sender_within_minutes_stand_under_one_name(
    guest: httpx.Client, room_url: str
) -> None:
    said = (("ada", 0), ("ada", 4), ("ada", 10), ("bob", 10), ("ada", 11))
    with connect(room_url, room="tea", username="ada") as room:
        for name, minute in said:
            sent = datetime(2026, 3, 1, 8, minute, tzinfo=UTC)
            room.send(Message.compose(name, "hello", sent_at=sent))
    wait_until(lambda: len(texts(guest)) == len(said), 20)
    rows = re.findall(r'<div class="message([^"]*)">', guest.get("/plain").text)
    assert rows == ["", " same", "", "", ""]


def test_a_page_says_who_is_here(served: ServeThread, guest: httpx.Client) -> None:
    with GuestStore(served.hub.store.path) as store:
        ada = store.add(Guest(0, "<b>ada", None, None, ("tea",), broker=served.hub.place))
        link = f"{served.base}/#{store.new_link(ada)}"
    assert "0 here" in guest.get("/plain").text
    with browser(served.base, link) as another, stream(another) as events:
        events.until("live")
        wait_until(lambda: read(guest.get("/plain")).people == ["<b>ada"], 20)
        assert "1 here" in guest.get("/plain").text


def test_nothing_of_the_hostile_corpus_gets_out_of_its_row(guest: httpx.Client, room_url: str) -> None:
    sample = [*MARKUP, *(text for text in TEXTS.values() if text.strip())]
    plain = {tag for tag, _ in read(guest.get("/plain")).tags} | {"div", "bdi", "span", "time"}
    sent = 0
    for at in range(0, len(sample), 45):
        some = sample[at : at + 45]
        send_hostile(room_url, [*some, f"end {at}"])
        wait_until(lambda at=at: texts(guest)[-1:] == [f"end {at}"], 30)  # type: ignore[misc]
        sent += len(some) + 1
        shown = read(guest.get("/plain"))
        assert {tag for tag, _ in shown.tags} <= plain
        attributes = {name for _, found in shown.tags for name in found}
        assert not {each for each in attributes if each.startswith("on") or each in ("style", "src")}
        assert len(shown.rows) == min(50, sent)
        for row in shown.rows:
            assert set(row) == {"name", "mark", "text"}
            assert not why_unsafe(row["name"] + row["mark"], newlines=False)
            assert not why_unsafe(row["text"], tabs=True)
        for link in shown.links:
            assert str(link["href"]).startswith(("http://", "https://"))
        for text in set(some) & set(MARKUP):
            assert any(
                row["text"] == text and text.startswith(row["name"].rstrip("…")) for row in shown.rows
            ), text
