"""The page for everybody: axe-core's rules, a keyboard alone, and what a screen reader is told."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kchat.client.sender import Sender
from kchat.config.settings import Settings
from kchat.message import Message
from tests.brokers.chromium import Tab
from tests.web.guests import Guests, Served, Visit, serve_on

THOROUGH = os.environ.get("KCHAT_TEST_WEB") == "all"
VIEWS: tuple[tuple[int, int, bool], ...] = ((1280, 800, False), (360, 740, True))
if THOROUGH:
    VIEWS = tuple((*size, dark) for size in ((1280, 800), (360, 740), (3840, 2160)) for dark in (False, True))


@cache
def axe() -> str:
    """The library, for :meth:`Tab.run`: the page's CSP lets no other script in."""
    return (importlib.resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")


def violations(tab: Tab) -> list[tuple[str, str, list[str]]]:
    """What axe-core finds wrong: rule, why, and where."""
    tab.run(axe())
    found = tab.run("axe.run().then((results) => results.violations)")
    return [
        (
            each["id"],
            each["help"],
            [f"{node['html'][:150]} {node['failureSummary'][:300]}" for node in each["nodes"][:3]],
        )
        for each in found
    ]


def check(tab: Tab, what: str, views: tuple[tuple[int, int, bool], ...] = VIEWS) -> None:
    """No violations, light and dark, on a desktop and on a telephone."""
    for width, height, dark in views:
        tab.look_at(width, height, dark=dark)
        assert violations(tab) == [], (what, width, height, "dark" if dark else "light")


def fill(served: Served, count: int, text: str = "hello reader, message {} https://example.org/") -> None:
    with Sender(Settings.resolve(url=served.url, room="chat"), "ada") as sender:
        for number in range(count):
            sender.send(Message.compose(f"guest {number % 7}", text.format(number)))


@pytest.fixture
def local_served(tmp_path: Path) -> Iterator[Served]:
    """A server of the test's own, whose room is empty."""
    with serve_on("local", tmp_path, None) as running:
        yield running


@pytest.fixture
def visit(local_served: Served, guests: Guests) -> Visit:
    return guests.visit(local_served.link(local_served.invite("reader")))


def test_an_empty_room_and_the_door_have_no_violations(
    visit: Visit, local_served: Served, guests: Guests
) -> None:
    check(visit.tab, "empty room")
    door = Visit(guests.browser().tab(local_served.base + "/"))
    door.wait_for_state("door")
    check(door.tab, "door")


def test_messages_people_failures_and_the_end_have_no_violations(visit: Visit, local_served: Served) -> None:
    fill(local_served, 3)
    visit.write("my own")
    visit.wait_for_texts("my own")
    check(visit.tab, "a few messages")
    visit.tab.look_at(360, 740)
    visit.tab.click("#people-button")
    check(visit.tab, "people")
    visit.tab.click("#people-button")
    visit.tab.run("window.true_fetch = fetch; window.fetch = async () => new Response('{}', {status: 500})")
    visit.tab.look_at(1280, 800)
    visit.tab.wait_for(
        "document.documentElement.style.cssText.includes('800px')"
    )  # the page has fitted itself
    visit.write("never sent")
    visit.tab.wait_for("document.querySelector('.failed') !== null")
    check(visit.tab, "failed message")
    with local_served.server.guests() as store:
        store.revoke("reader")
    visit.wait_for_state("closed")
    check(visit.tab, "revoked")


def test_five_hundred_messages_have_no_violations(visit: Visit, local_served: Served) -> None:
    fill(local_served, 500)
    visit.tab.wait_for("document.querySelectorAll('#log .message').length >= 500")
    check(
        visit.tab, "500 messages", VIEWS if THOROUGH else VIEWS[-1:]
    )  # takes seconds, most of them for contrast


def test_the_door_without_scripts_has_no_violations(local_served: Served, guests: Guests) -> None:
    tab = guests.browser().tab(local_served.base + "/plain")
    tab.click("#link")
    assert tab.run("document.scripts.length") == 0
    check(tab, "door without scripts")


def test_the_room_without_scripts_has_no_violations(visit: Visit, local_served: Served) -> None:
    fill(local_served, 3)
    visit.write("my own")
    visit.wait_for_texts("my own")
    tab = visit.tab
    tab.open(f"{local_served.base}/plain")
    tab.wait_for("document.querySelectorAll('.message').length === 4 && document.readyState === 'complete'")
    assert tab.run("document.scripts.length") == 0
    for each in ("#leave details", "aside details"):
        tab.run(f"document.querySelector('{each}').open = true")
    check(tab, "room without scripts")
    with local_served.server.guests() as store:
        store.revoke("reader")
    tab.run("document.getElementById('text').value = 'not lost'; document.getElementById('write').submit()")
    tab.wait_for("document.getElementById('kept') !== null")
    check(tab, "door without scripts, with what was not sent")


FOCUSED = """
(() => {
  const at = document.activeElement;
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(at);
  const ring = (outlineStyle !== "none" && outlineWidth !== "0px") || boxShadow !== "none";
  return { at: at.id || at.className || at.tagName, ring };
})()
"""


def test_a_keyboard_alone_does_everything(visit: Visit, local_served: Served) -> None:
    tab = visit.tab
    fill(local_served, 60, "line {}")
    visit.tab.wait_for("document.querySelectorAll('#log .message').length >= 60")
    assert tab.run(FOCUSED)["at"] == "text"  # one can write at once
    tab.type("by keys")
    tab.press("Enter")
    visit.wait_for_texts("by keys")
    # Back from the text to the log, whose scroll position keys move.
    seen: list[Any] = []
    for _ in range(40):
        tab.press("Shift+Tab")
        seen.append(tab.run(FOCUSED))
        if seen[-1]["at"] == "log":
            break
    assert seen[-1]["at"] == "log", seen
    assert all(each["ring"] for each in seen), seen
    end = tab.run("document.getElementById('log').scrollTop")
    tab.press("Home")
    tab.wait_for(f"document.getElementById('log').scrollTop < {end}")
    tab.wait_for("!document.getElementById('newer').hidden")
    local_served.send("host", "said while reading back")
    tab.wait_for_text("1 new")
    tab.run("document.getElementById('newer').focus()")
    tab.press("Enter")
    tab.wait_for("document.getElementById('newer').hidden")
    # The people list, by its button, and away by Escape.
    tab.run("document.getElementById('people-button').focus()")
    tab.press("Enter")
    tab.wait_for("document.getElementById('people-button').getAttribute('aria-expanded') === 'true'")
    tab.press("Escape")
    tab.wait_for("document.getElementById('people-button').getAttribute('aria-expanded') === 'false'")
    assert tab.run(FOCUSED)["at"] == "people-button"
    tab.press("Escape")
    assert tab.run(FOCUSED)["at"] == "text"


def test_a_screen_reader_is_told_new_messages_and_not_the_history(visit: Visit, local_served: Served) -> None:
    fill(local_served, 5)
    visit.tab.wait_for("document.querySelectorAll('#log .message').length >= 5")
    # Kept from the first moment of the next load: the value with which each message was added.
    visit.tab.watch_loads(
        """
        window.announced = [];
        new MutationObserver((changes) => {
          const log = document.getElementById("log");
          for (const change of changes) for (const node of change.addedNodes)
            if (log?.contains(node) && node.nodeType === 1 && (node.matches(".message") || node.querySelector(".message")))
              announced.push([log.getAttribute("aria-live"), node.textContent]);
        }).observe(document, { childList: true, subtree: true });
        """
    )
    visit.tab.reload()
    visit.wait_for_state("live")
    visit.tab.wait_for("announced.length > 0")
    assert {live for live, _ in visit.tab.run("announced")} == {"off"}
    visit.tab.wait_for("document.getElementById('log').getAttribute('aria-live') === 'polite'")
    local_served.send("host", "news for everybody")
    visit.wait_for_texts("news for everybody")
    assert [live for live, text in visit.tab.run("announced") if "news for everybody" in text] == ["polite"]
    assert ("log", "Messages") in visit.tab.accessible
    assert ("textbox", "Message to chat") in visit.tab.accessible
