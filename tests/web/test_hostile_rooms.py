"""Hostile names of rooms through a real browser: in the title, in the list and in labels, and as places to write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kchat.config.settings import Settings
from kchat.errors import SettingsError
from kchat.web.hub import Hub
from kchat.web.options import Limits, ServeOptions
from tests.web.elsewhere import Elsewhere
from tests.web.guests import Guests
from tests.web.plain.pages import read
from tests.web.serving import ServeThread, browser, serve_thread
from tests.web.test_hostile_page import check_nothing_happened

ROOMS = (
    "tea",
    "<script>window.owned=1</script>",
    "<img src=http://evil.example/x onerror='window.owned=1'>",
    "</title></h1></nav><svg onload=alert(1)>",
    '"\'><b aria-label="owned" autofocus onfocus=alert(1)>',
    "javascript:alert(1)",
    "http://evil.example/",
    "//evil.example/..%2f%2e%2e/",
    "../../api/session",
    "a/../b?room=tea&after=1#write",
    "messages/events",
    "a//b/",
    "__proto__",
    "constructor",
    "&lt;b&gt; ${alert(1)} $name %00 \\",
    "new",
    "(3) tea",
    "you are host",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "Z" + "\u0351\u0343\u0325" * 40,
    "W" * 255,
)

TABS = "[...document.querySelectorAll('#rooms button')]"
WRONG = """
(() => {
  const wrong = [];
  const inside = (element, outer) => {
    const [box, edge] = [element.getBoundingClientRect(), outer.getBoundingClientRect()];
    const [wide, high] = [box.left >= edge.left - 1 && box.right <= edge.right + 1, box.top >= edge.top - 1];
    return wide && high && box.bottom <= edge.bottom + 1;
  };
  const page = document.documentElement;
  if (page.scrollWidth > innerWidth) wrong.push(["the page is wider than the window", page.scrollWidth]);
  const header = document.querySelector("header");
  for (const id of ["room", "me", "people-button"])
    if (!inside(document.getElementById(id), header)) wrong.push(["leaves the header", id]);
  for (const tab of document.querySelectorAll("#rooms button"))
    for (const each of tab.querySelectorAll("*")) {
      if (each.tagName !== "SPAN") wrong.push(["an element of its own", each.tagName, tab.textContent]);
      if (!each.hidden && each.className !== "unseen" && !inside(each, tab)) wrong.push(["leaves its tab", tab.textContent]);
    }
  if (document.querySelectorAll("header *").length !== 5) wrong.push(["more in the header", header.innerHTML]);
  return wrong;
})()
"""


@pytest.fixture
def served(local_url: str, tmp_path: Path) -> Iterator[ServeThread]:
    options = ServeOptions([], limits=Limits(burst=2 * len(ROOMS)))
    with serve_thread(local_url, tmp_path / "web.db", *ROOMS, options=options) as running:
        yield running


def test_hostile_names_of_rooms_stay_names(served: ServeThread, guests: Guests, elsewhere: Elsewhere) -> None:
    asked = len(elsewhere.asked)
    visit = guests.visit(served.link)
    tab = visit.tab
    assert tab.run(f"{TABS}.map((each) => each.firstElementChild.textContent)") == list(ROOMS)
    for number, name in enumerate(ROOMS):
        tab.look_at(*((360, 740) if number % 2 else (1280, 800)))
        tab.run(f"{TABS}[{number}].click()")
        shown = "[document.title, document.getElementById('room').textContent, document.getElementById('label').textContent]"
        assert tab.run(shown) == [name, name, f"Message to {name}"]
        assert tab.run("document.getElementById('text').placeholder") == f"Message to {name}"
        visit.write(f"into room {number}")
        visit.wait_for_texts(f"into room {number}")
        assert visit.texts == [f"into room {number}"], name
        assert tab.run(WRONG) == [], name
    assert ("textbox", f"Message to {ROOMS[-1]}") in tab.accessible
    check_nothing_happened(visit, guests, elsewhere, asked, served)
    tab.reload()  # the room that was open, its draft and what was read are kept under its name
    visit.wait_for_state("live")
    assert tab.run("document.getElementById('room').textContent") == ROOMS[-1]
    assert tab.run("document.title") == ROOMS[-1]


def test_hostile_names_of_rooms_stay_names_without_javascript(served: ServeThread) -> None:
    with browser(served.base) as client:
        door = read(client.get("/plain"))
        client.post("/enter", data={**door.fields, "link": served.link})
        seen = {tag for tag, _ in read(client.get("/plain")).tags}
        for name in ROOMS:
            page = read(client.get("/plain", params={"room": name}))
            assert {tag for tag, _ in page.tags} == seen, name
            assert page.fields["room"] == name
            sent = client.post("/send", data={**page.fields, "text": "here"})
            assert sent.status_code == 303
            again = client.get(f"/{sent.headers['location'].partition('#')[0]}")
            assert [row["text"] for row in read(again).rows] == ["here"], name
            assert not [
                at for tag, at in page.tags if tag == "a" and not str(at["href"]).startswith("plain?")
            ]


@pytest.mark.parametrize("name", [".", ".."])
def test_a_room_that_no_address_leads_to_is_refused(local_url: str, tmp_path: Path, name: str) -> None:
    settings = [Settings.resolve(url=local_url, room=name)]
    with pytest.raises(SettingsError, match="no address of a page"):
        Hub(ServeOptions(settings, "host", store=tmp_path / "web.db"))
