"""The page without JavaScript: what its forms post."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from kchat.web.store import GuestStore
from tests.brokers.wait import wait_until
from tests.web.plain.pages import read, say, texts
from tests.web.serving import ServeThread


def test_a_form_sends_and_leads_back_to_the_room(guest: httpx.Client) -> None:
    answer = say(guest, "one\r\ntwo <b>&amp;")
    place = urlsplit(answer.headers["location"])
    assert (answer.status_code, place.path, parse_qs(place.query)["room"]) == (303, "plain", ["tea"])
    assert texts(guest) == ["one\ntwo <b>&amp;"]


def test_a_form_that_is_posted_twice_sends_once(guest: httpx.Client) -> None:
    page = read(guest.get("/plain"))
    form = {**page.fields, "text": "once"}
    assert [guest.post("/send", data=form).status_code for _ in range(2)] == [303, 303]
    say(guest, "then")
    assert texts(guest) == ["once", "then"]


def test_a_room_with_a_slash_has_a_form_of_its_own(guest: httpx.Client) -> None:
    assert say(guest, "here", "a/b c").status_code == 303
    wait_until(lambda: texts(guest, "a/b c") == ["here"], 10)
    assert texts(guest, "tea") == []
    links = [found["href"] for tag, found in read(guest.get("/plain")).tags if tag == "a"]
    assert any(link and "room=a%2Fb%20c" in link for link in links)


def test_what_is_not_sent_stays_in_the_field_under_the_same_id(
    guest: httpx.Client, served: ServeThread
) -> None:
    limit = served.hub.options.limits.message_bytes
    page = read(guest.get("/plain"))
    for text in (
        "\n<é" + "x" * limit,
        "\u20ac" * limit,
        "\n" * (limit - 1) + "\u20ac",
    ):  # the last fill the field
        answer = guest.post("/send", data={**page.fields, "text": text})
        shown = read(answer)
        assert answer.status_code == 413
        assert "too long" in shown.problem
        assert (shown.fields["text"], shown.fields["id"]) == (text, page.fields["id"])


def test_a_flood_is_told_to_wait_and_its_text_is_kept(guest: httpx.Client, served: ServeThread) -> None:
    answers = [say(guest, f"message {number}") for number in range(served.hub.options.limits.burst + 3)]
    refused = [each for each in answers if each.status_code == 429]
    assert refused
    assert int(refused[0].headers["retry-after"]) >= 1
    assert read(refused[0]).fields["text"].startswith("message ")
    assert "wait" in read(refused[0]).problem


def test_a_form_that_was_sent_with_another_text_gets_a_new_id(guest: httpx.Client) -> None:
    form = read(guest.get("/plain")).fields
    guest.post("/send", data={**form, "text": "first"})
    answer = guest.post("/send", data={**form, "text": "second"})
    shown = read(answer)
    assert (answer.status_code, shown.fields["text"]) == (409, "second")
    assert shown.fields["id"] != form["id"]
    assert guest.post("/send", data=shown.fields).status_code == 303


def test_one_who_was_revoked_sees_the_door_and_the_text(guest: httpx.Client, served: ServeThread) -> None:
    form = read(guest.get("/plain")).fields
    with GuestStore(served.hub.store.path) as store:
        (host,) = store.guests()
        store.revoke(host.username)
    answer = guest.post("/send", data={**form, "text": "<not> lost"})
    shown = read(answer)
    assert (answer.status_code, shown.fields["kept"]) == (401, "<not> lost")
    assert shown.problem


@pytest.mark.parametrize("path", ["/enter", "/send", "/leave"])
def test_a_form_of_another_sites_page_is_refused(guest: httpx.Client, path: str) -> None:
    form = {**read(guest.get("/plain")).fields, "text": "forged", "link": "x"}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    ):
        assert guest.post(path, data=form, headers=headers).status_code == 403
    del guest.headers["Origin"]
    assert guest.post(path, data=form, headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
    assert guest.post(path, data=form).status_code == 403
    assert guest.post(path, data=form, headers={"Authorization": "Bearer x"}).status_code == 403
    assert texts(guest) == []


@pytest.mark.parametrize("path", ["/enter", "/send", "/leave"])
@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b'{"text":"x"}', 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("application/x-www-form-urlencoded", b"text=%ff%fe", 400),
        ("application/x-www-form-urlencoded", b"text=\xff", 400),
        ("application/x-www-form-urlencoded", b"&".join([b"a=b"] * 20), 400),
        ("application/x-www-form-urlencoded", b"text=" + b"x" * 1_000_000, 413),
    ],
)
def test_what_is_not_a_form_is_refused(
    guest: httpx.Client, path: str, kind: str, body: bytes, status: int
) -> None:
    assert guest.post(path, content=body, headers={"Content-Type": kind}).status_code == status
    assert texts(guest) == []
