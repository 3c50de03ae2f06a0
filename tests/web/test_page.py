"""The page in a real Chromium: drafts, the place while looking back, what comes twice, long and unsent messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.links import LINKS
from tests.web.talk import Talk, a_talk

pytestmark = pytest.mark.xdist_group("chromium")


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """One for all tests of this file: rooms and messages add up."""
    with a_talk(tmp_path_factory.mktemp("page")) as made:
        yield made


def test_the_secret_of_the_link_is_nowhere_in_the_browser(talk: Talk) -> None:
    secret = talk.served.link.partition("#")[2]
    assert talk.page.run("location.href") == f"{talk.served.base}/"
    assert secret not in talk.page.run(
        "JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie"
    )


def test_a_message_is_shown_once_though_it_comes_twice(talk: Talk) -> None:
    talk.say("once", "once", "after it", ids=("same-id-1", "same-id-1", "other-id-1"))
    talk.wait_for_text("after it")
    assert talk.texts().count("once") == 1
    talk.page.run("dispatchEvent(new Event('online'))")  # the stream comes again
    talk.say("after the stream came again")
    talk.wait_for_text("after the stream came again")
    assert talk.texts().count("once") == 1


def test_an_own_message_is_firm_when_it_is_in_the_room_and_stays_there_once(talk: Talk) -> None:
    talk.send("my own")
    talk.wait("document.querySelector('.rows .mine') && !document.querySelector('.waiting .message')")
    assert talk.texts().count("my own") == 1
    talk.reload()
    assert talk.texts(".rows .mine") == ["my own"], "it is not one's own after a reload"


def test_drafts_are_kept_for_each_room_and_over_a_reload(talk: Talk) -> None:
    talk.write("for chat")
    talk.page.run("document.querySelector('#rooms button:nth-child(2)').click()")
    assert talk.page.run("document.getElementById('text').value") == ""
    talk.write("for ops")
    talk.reload()
    assert talk.page.run("document.getElementById('room').textContent") == "ops"
    assert talk.page.run("document.getElementById('text').value") == "for ops"
    talk.write("")
    talk.page.run("document.querySelector('#rooms button:nth-child(1)').click()")
    assert talk.page.run("document.getElementById('text').value") == "for chat"
    talk.write("")


def test_what_could_not_be_sent_outlasts_a_reload_and_is_sent_then_once(talk: Talk) -> None:
    talk.page.run("window.fetch = () => Promise.reject(new TypeError('away'))")
    talk.send("kept one")
    talk.send("kept two")
    talk.wait("document.querySelector('.waiting .pending .state') !== null")
    assert talk.texts(".waiting .pending") == ["kept one", "kept two"]
    talk.reload()
    talk.wait_for_text("kept two")
    found = [text for text in talk.texts() if text.startswith("kept")]
    assert found == ["kept one", "kept two"]
    assert talk.page.run("Object.keys(localStorage).filter((key) => key.includes('/out/')).length") == 0


def test_a_refused_message_says_why_and_can_be_sent_again_or_removed(talk: Talk) -> None:
    talk.page.run(
        "window.real = window.fetch; window.fetch = () => Promise.resolve("
        'new Response(\'{"error": "too long"}\', {status: 413}))'
    )
    talk.send("refused one")
    talk.send("refused two")
    talk.wait("document.querySelectorAll('.failed').length === 2")
    assert talk.page.run("document.querySelector('.failed .reason').textContent") == "Not sent: too long"
    talk.page.run("window.fetch = window.real")
    talk.page.run("document.querySelectorAll('.failed')[1].querySelector('.remove').click()")
    talk.page.run("document.querySelector('.failed .again').click()")
    talk.wait_for_text("refused one")
    assert not talk.texts(".waiting")
    assert "refused two" not in talk.texts()


def test_a_long_message_is_folded_and_can_be_unfolded(talk: Talk) -> None:
    talk.say("\n".join(f"line {number}" for number in range(200)))
    talk.wait("document.querySelector('.more') !== null")
    height = (
        "document.querySelector('.folded, .more').closest('.message').querySelector('.text').clientHeight"
    )
    folded = talk.page.run(height)
    assert talk.page.run("document.querySelector('.more').textContent") == "Show all 200 lines"
    talk.page.run("document.querySelector('.more').click()")
    assert talk.page.run(height) > 2 * folded
    assert talk.page.run("document.querySelector('.more').getAttribute('aria-expanded')") == "true"
    talk.page.run("document.querySelector('.more').click()")
    assert talk.page.run(height) == folded


def test_who_looks_back_keeps_the_place_and_is_told_what_is_new(talk: Talk) -> None:
    talk.say(*(f"number {number}" for number in range(60)))
    talk.wait_for_text("number 59")
    talk.page.run("document.getElementById('log').scrollTop -= 900")
    talk.wait("!document.getElementById('newer').hidden")
    place = "document.getElementById('log').scrollTop"
    before = talk.page.run(place)
    talk.say("new one", "new two")
    talk.wait("document.getElementById('newer').textContent === '2 new'")
    assert talk.page.run(place) == before
    assert talk.page.run("document.title") == "(2) chat"
    assert talk.page.run("document.querySelector('.new-line').nextElementSibling.innerText").endswith(
        "new one"
    )
    talk.page.run("document.getElementById('newer').click()")
    talk.wait("document.getElementById('newer').hidden && document.title === 'chat'")


def test_another_room_counts_what_is_unread_and_says_when_it_names_one(talk: Talk) -> None:
    talk.say("for ops", "host, look here", room="ops")
    badge = "document.querySelector('#rooms button:nth-child(2) .badge').textContent"
    talk.wait(f"{badge} === '@2'")
    talk.page.run("document.querySelector('#rooms button:nth-child(2)').click()")
    assert talk.texts()[-2:] == ["for ops", "host, look here"]
    assert talk.page.run("document.querySelector('.mention .you').textContent") == "host"
    assert talk.page.run("document.querySelector('.new-line') !== null")
    talk.page.run("document.querySelector('#rooms button:nth-child(1)').click()")


def test_links_lead_to_what_is_read_in_them(talk: Talk) -> None:
    talk.say(*LINKS)
    talk.wait_for_text(list(LINKS)[-1])
    found = talk.page.run(
        "Object.fromEntries([...document.querySelectorAll('.rows .text')].map((each) => [each.textContent,"
        " [...each.querySelectorAll('a')].map((link) => [link.getAttribute('href'), link.textContent, link.rel])]))"
    )
    rel = "noopener noreferrer nofollow"
    assert {text: found[text] for text in LINKS} == {
        text: [[link, link, rel] for link in links] for text, links in LINKS.items()
    }


def test_the_history_is_not_announced_and_what_comes_later_is(talk: Talk) -> None:
    talk.page.run("document.body.dataset.state = 'old'; location.reload()")
    script = (
        "new Promise((done) => { const log = document.getElementById('log');"
        " const seen = []; new MutationObserver((all) => all.forEach((each) => each.addedNodes.length"
        " && seen.push(log.getAttribute('aria-live')))).observe(log, {childList: true, subtree: true});"
        " const look = () => log.getAttribute('aria-live') === 'polite' ? done(seen) : setTimeout(look, 20); look(); })"
    )
    talk.wait("document.getElementById('log') !== null && document.body.dataset.state !== 'old'")
    assert "polite" not in talk.page.run(script)
    talk.live()


def test_what_is_new_is_told_above_the_input_however_many_lines_it_has(talk: Talk) -> None:
    talk.write("\n".join("abcdef"))
    talk.page.run("document.getElementById('log').scrollTop -= 900")
    talk.wait("!document.getElementById('newer').hidden")
    lower = "document.getElementById('newer').getBoundingClientRect().bottom"
    assert talk.page.run(f"{lower} <= document.getElementById('write').getBoundingClientRect().top")
    talk.write("")
    talk.page.run("document.getElementById('newer').click()")


def test_looking_back_loads_older_messages_and_keeps_the_place(talk: Talk) -> None:
    talk.page.run("document.querySelector('#rooms button:nth-child(2)').click()")
    talk.say(*(f"old {number}" for number in range(120)), room="ops")
    talk.wait_for_text("old 119")
    talk.reload()
    assert talk.texts()[0] == "old 70", "the page begins with the last fifty"
    place = (
        "(() => { const row = [...document.querySelectorAll('.rows .message')].find((each) =>"
        " each.querySelector('.text').textContent === 'old 72'); return Math.round(row.getBoundingClientRect().top); })()"
    )
    before = talk.page.run(f"document.getElementById('log').scrollTop = 40; {place}")
    talk.wait_for_text("old 20")
    assert abs(talk.page.run(place) - before) <= 1, "scroll positions are whole pixels"
    assert talk.texts()[:100] == [f"old {number}" for number in range(20, 120)]
    talk.page.run("document.getElementById('log').scrollTop = 0")
    talk.wait("document.querySelector('.top').textContent !== ''")
    assert talk.texts()[:2] == ["for ops", "host, look here"]
    assert len(talk.page.run("[...document.querySelectorAll('.day')].map((each) => each.textContent)")) == 1
    talk.page.run("document.querySelector('#rooms button:nth-child(1)').click()")


def test_a_new_link_after_the_end_of_the_session_lets_one_write_again(talk: Talk) -> None:
    with talk.served.guests() as guests:
        host = guests.find("host")
        assert host is not None
        guests.revoke("host")
        talk.wait("document.body.dataset.state === 'closed'")
        status = "document.getElementById('status')"
        assert "has ended" in talk.page.run(f"{status}.textContent")
        assert talk.page.run(f"{status}.className") == "bad"
        assert talk.page.run("document.getElementById('text').readOnly")
        link = f"{talk.served.base}/#{guests.new_link(guests.add(host))}"
    talk.page.run(f"{status}.querySelector('button').click()")
    talk.page.run(
        f"document.getElementById('link').value = {json.dumps(link)};"
        " document.getElementById('door-form').requestSubmit()"
    )
    talk.live()
    talk.send("in again")
    talk.wait_for_text("in again")
    assert not talk.texts(".waiting")


def test_files_of_the_page_that_fail_are_told_in_the_console(talk: Talk, tmp_path: Path) -> None:
    talk.page.watch()
    talk.reload()
    assert talk.page.console == []
    talk.page.picture(tmp_path / "page.png")


def test_the_people_panel_takes_the_focus_and_escape_gives_it_back(talk: Talk) -> None:
    talk.page.look_at(360, 740)
    talk.page.click("#people-button")
    assert talk.page.run("document.activeElement.id") == "side"
    talk.page.press("Tab")
    assert (
        talk.page.run("document.activeElement.id") == "device"
    )  # above the list of people, however long that is
    talk.page.press("Escape")
    assert talk.page.run("document.activeElement.id") == "people-button"
    talk.page.look_at(1280, 800)


def test_a_link_of_no_use_is_told_to_one_who_is_in(talk: Talk) -> None:
    talk.page.run(f"location.hash = '{'A' * 43}'")
    talk.wait("document.getElementById('status').textContent.includes('did not open')")
    talk.wait("document.body.dataset.state === 'live'")
    assert "you are in already" in talk.page.run("document.getElementById('status').textContent")


def test_scroll_bars_have_the_pages_colours(talk: Talk) -> None:
    # Firefox's are white on a dark page where the desktop is light.
    colour = "getComputedStyle(document.getElementById('log')).scrollbarColor"
    seen = set()
    for dark in (False, True):
        talk.page.look_at(1280, 800, dark=dark)
        seen.add(talk.page.run(colour))
    assert len(seen) == 2


MANY_PEOPLE = """
const listen = EventSource.prototype.addEventListener;
EventSource.prototype.addEventListener = function (name, call) {
  listen.call(this, name, (event) => {
    if (name === "people") return;
    const data = JSON.parse(event.data);
    for (const room of data.rooms ?? []) room.people = { count: 1000, more: true, people: [{ name: "ada", mark: "" }] };
    call({ data: JSON.stringify(data), lastEventId: event.lastEventId });
  });
};
"""


def test_people_who_are_not_named_are_counted(talk: Talk) -> None:
    talk.page.watch_loads(MANY_PEOPLE)
    talk.reload()
    told = "[document.getElementById('count').textContent, document.getElementById('unknown').textContent]"
    assert talk.page.run(told) == ["1,000+ here", "and 999 more"]
