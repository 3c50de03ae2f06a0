"""The page without JavaScript: coming in and leaving."""

from __future__ import annotations

import re

import httpx
import pytest

from kchat.web.store import GuestStore
from tests.web.plain.pages import read
from tests.web.serving import ServeThread, browser, cookie_of


def test_a_link_that_is_pasted_whole_or_as_its_secret_opens_the_room(served: ServeThread) -> None:
    with GuestStore(served.hub.store.path) as store:
        (host,) = store.guests()
        links = [store.new_link(host) for _ in range(2)]
    for link in (f" {served.base}/#{links[0]}\r\n", links[1]):
        with browser(served.base) as client:
            assert client.post("/enter", data={"browser": "", "link": link}).status_code == 303
            assert read(client.get("/plain")).fields["room"] == "tea"


def test_a_double_click_on_open_is_in(served: ServeThread) -> None:
    with browser(served.base) as client:
        form = {**read(client.get("/plain")).fields, "link": served.link}
        assert [client.post("/enter", data=form).status_code for _ in range(2)] == [303, 303]


@pytest.mark.parametrize("link", ["", "nonsense", "http://127.0.0.1/#", "x" * 5000])
def test_a_link_that_opens_nothing_says_so_on_the_page(served: ServeThread, link: str) -> None:
    with browser(served.base) as client:
        answer = client.post("/enter", data={"browser": "", "link": link})
        assert answer.status_code in (401, 422)
        assert read(answer).problem
        assert "set-cookie" not in answer.headers


def test_leaving_ends_the_session(guest: httpx.Client) -> None:
    name, _, cookie = cookie_of(guest).partition("=")
    assert guest.post("/leave", data={"": ""}).headers["location"] == "plain"
    assert "link" in read(guest.get("/plain")).fields
    guest.cookies.set(name, cookie)
    assert guest.get("/api/session").status_code == 401


def test_a_first_visit_by_another_sites_link_asks_again_by_itself(served: ServeThread) -> None:
    with browser(served.base) as client:
        from_elsewhere = read(client.get("/plain", headers={"Sec-Fetch-Site": "cross-site"}))
        refreshed = [found for tag, found in from_elsewhere.tags if found.get("http-equiv") == "refresh"]
        assert [each["content"] for each in refreshed] == ["0"]
        again = read(client.get("/plain", headers={"Sec-Fetch-Site": "same-origin"}))
        assert not [found for tag, found in again.tags if found.get("http-equiv") == "refresh"]


def test_the_page_with_javascript_leads_here_where_there_is_none(served: ServeThread) -> None:
    with browser(served.base) as client:
        page = client.get("/").text
    (inside,) = re.findall(r"<noscript>(<meta [^>]*>)</noscript>", page)
    assert inside == '<meta http-equiv="refresh" content="0; url=plain">'
