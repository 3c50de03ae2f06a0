"""What nobody has read: the line above it, the button that leads there, and the counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.talk import Talk, a_talk

pytestmark = pytest.mark.xdist_group("chromium")

PLACE = """
(() => {
  const [log, line] = [document.getElementById("log"), document.querySelector(".new-line")];
  const [view, box] = [log.getBoundingClientRect(), line.getBoundingClientRect()];
  if (box.bottom > view.bottom) return "below";
  return box.top < view.top ? "above" : "in view";
})()
"""
FIRST = "document.querySelector('.new-line').nextElementSibling.querySelector('.text').textContent"
BUTTON = "document.getElementById('newer').textContent"
AT_END = "document.getElementById('newer').hidden"
OPS = "#rooms button:nth-child(2)"


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """One for all tests of this file. Each ends at the end of the room ``chat``, with all of it read."""
    with a_talk(tmp_path_factory.mktemp("unread")) as made:
        made.say(*(f"before {number}" for number in range(30)))
        made.wait_for_text("before 29")
        yield made


def press(talk: Talk) -> None:
    talk.page.click("#newer")


def press_to_the_end(talk: Talk, title: str = "chat") -> None:
    press(talk)
    talk.wait(f"{AT_END} && document.title === '{title}'")


def test_the_button_leads_to_the_first_unread_message_and_then_to_the_end(talk: Talk) -> None:
    talk.page.run("document.getElementById('log').scrollTop -= 900")
    talk.wait(f"!{AT_END}")
    talk.say(*(f"new {number}" for number in range(30)))
    talk.wait(f"{BUTTON} === '30 new'")
    assert talk.page.run(PLACE) == "below"
    press(talk)
    talk.wait(f"{PLACE} === 'in view'")
    assert talk.page.run(FIRST) == "new 0"
    assert talk.page.run(f"[{BUTTON}, document.title, {AT_END}]") == ["30 new", "(30) chat", False]
    press_to_the_end(talk)


def test_a_few_unread_messages_are_read_by_one_press(talk: Talk) -> None:
    talk.page.run("document.getElementById('log').scrollTop -= 900")
    talk.wait(f"!{AT_END}")
    talk.say("few 0", "few 1")
    talk.wait(f"{BUTTON} === '2 new'")
    press_to_the_end(talk)
    assert talk.page.run(PLACE) == "in view"


def test_a_room_with_more_unread_messages_than_fit_opens_at_the_first(talk: Talk) -> None:
    talk.say("read in time", room="ops")
    talk.page.click(OPS)
    talk.wait_for_text("read in time")
    talk.page.click("#rooms button:nth-child(1)")
    talk.say(*(f"ops {number}" for number in range(30)), room="ops")
    talk.wait(f"document.querySelector('{OPS} .badge').textContent === '30'")
    talk.page.click(OPS)
    assert talk.page.run(f"[{PLACE}, {FIRST}, document.title]") == ["in view", "ops 0", "(30) ops"]
    press_to_the_end(talk, "ops")
    talk.page.click("#rooms button:nth-child(1)")
    talk.wait("document.title === 'chat'")


def test_a_page_in_the_background_stays_at_the_first_unread_message(talk: Talk) -> None:
    hide = (
        "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    talk.page.run(hide % "true")
    talk.say(*(f"unseen {number}" for number in range(30)))
    talk.wait("document.title === '(30) chat'")
    talk.page.run(hide % "false")
    assert talk.page.run(f"[{PLACE}, {FIRST}, document.title]") == ["in view", "unseen 0", "(30) chat"]
    talk.page.run("delete document.hidden")
    press_to_the_end(talk)


def test_who_writes_is_at_the_end_and_has_read_all(talk: Talk) -> None:
    talk.page.run("document.getElementById('log').scrollTop -= 900")
    talk.wait(f"!{AT_END}")
    talk.say(*(f"missed {number}" for number in range(30)))
    talk.wait("document.title === '(30) chat'")
    talk.send("an answer")
    talk.wait_for_text("an answer")
    talk.wait(f"{AT_END} && document.title === 'chat'")


def test_who_comes_back_is_at_the_first_unread_message_and_finds_older_ones_above(talk: Talk) -> None:
    talk.page.open("about:blank")
    talk.wait("location.protocol === 'about:'")
    away = (f"away {number}{' @host' * (number == 5)}" for number in range(70))
    talk.say(*away)  # a page begins with the last fifty
    talk.page.open(f"{talk.served.base}/")
    talk.live()
    talk.wait("document.title === '(70) chat'")
    assert talk.page.run(FIRST) == "away 0"
    talk.wait("document.querySelector('#rooms .badge').textContent === '@70'")
    press_to_the_end(talk)


def test_older_messages_are_asked_for_again_after_an_answer_that_was_cut_off(talk: Talk) -> None:
    talk.say(*(f"kept {number}" for number in range(70)))
    talk.wait_for_text("kept 69")
    talk.reload()
    talk.wait_for_text("kept 69")
    assert "kept 0" not in talk.texts()
    cut = "async (...asked) => String(asked[0]).includes('before=') ? (cut = new Response('{')) : whole(...asked)"
    talk.page.run(f"[cut, whole] = [null, fetch]; fetch = {cut}; void (log.scrollTop = 0)")
    talk.wait("cut?.bodyUsed")
    talk.page.run("fetch = whole; void 0")
    talk.wait(
        "log.scrollTop ^= 1, [...log.querySelectorAll('.text')].some((each) => each.textContent === 'kept 0')"
    )
    talk.page.press("Escape")
    talk.wait(AT_END)
