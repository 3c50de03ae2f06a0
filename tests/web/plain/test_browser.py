"""The page without JavaScript in Chromium with scripts off."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from tests.brokers.chromium import Page, find_chromium
from tests.brokers.require import missing
from tests.brokers.wait import wait_until
from tests.web.plain.pages import MARKUP, send_hostile
from tests.web.serving import ServeThread


def test_a_browser_without_scripts_comes_in_writes_and_leaves(
    served: ServeThread, room_url: str, tmp_path: Path
) -> None:
    program = find_chromium()
    if program is None:
        missing("Chromium is not installed")
    send_hostile(room_url, list(MARKUP))
    with Page(program, tmp_path / "profile") as page:
        page._ask("Emulation.setScriptExecutionDisabled", value=True)
        page.watch()
        page.look_at(360, 740)
        page.open(f"{served.base}/")
        page.wait_for("location.pathname === '/plain' && !!document.getElementById('link')")
        fill(page, "link", served.link)
        click(page, "#enter button")
        page.wait_for("document.querySelectorAll('.message').length")
        assert page.run("document.querySelectorAll('.message').length") == len(MARKUP)
        assert (
            page.run("document.querySelectorAll('#log :is(script,img,svg,style,form,h1,base)').length") == 0
        )
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        fill(page, "text", "written without scripts")
        click(page, "#send")
        page.wait_for("location.search.includes('room=tea') && location.hash === '#write'")
        wait_until(lambda: look_again(page) and "written without scripts" in page.text, 20)
        if folder := os.environ.get("KCHAT_TEST_PICTURES"):
            page.picture(Path(folder) / "plain-360x740.png")
        assert page.run("document.querySelectorAll('.mine').length") == 1
        elsewhere = f'data:text/html,<a href="{served.base}/PATH" rel="noreferrer">a link on another site</a>'
        for path in ("", "plain?room=a%2Fb%20c"):  # the cookie does not come with the first request
            # A page that is still on its way here would take the place of that one: it is opened until it stands.
            wait_until(partial(stands, page, elsewhere.replace("PATH", path)), 30, pause=0.3)
            click(page, "a")
            page.wait_for("!!document.getElementById('write')")
        assert page.run("document.getElementById('room').textContent") == "a/b c"
        click(page, "#leave summary")
        assert "need a new link" in page.text
        click(page, "#leave button")
        page.wait_for("!!document.getElementById('link')")
        asked = {urlsplit(each).netloc for each in page.requests if not each.startswith("data:")}
        assert asked == {urlsplit(served.base).netloc}
        assert not [each for each in page.console if "error" in each.lower()], page.console


def stands(page: Page, url: str) -> bool:
    if page.run("location.protocol === 'data:' && !!document.querySelector('a')"):
        return True
    page.open(url)
    return False


def fill(page: Page, field: str, text: str) -> None:
    page.run(f"document.getElementById({json.dumps(field)}).focus()")
    page._ask("Input.insertText", text=text)


def click(page: Page, selector: str) -> None:
    """A real click, by the mouse: no script of the page's is needed for it. Where it lands is measured until it stays."""
    where = (
        f"(() => {{ const found = document.querySelector({json.dumps(selector)}); found.scrollIntoView({{block: 'center'}});"
        " const box = found.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    page.wait_for("document.readyState === 'complete'")
    before: list[list[float]] = [[]]

    def stays() -> bool:
        before.append(page.run(where))
        return before[-1] == before[-2]

    wait_until(stays, 20, pause=0.1)
    x, y = before[-1]
    for kind in ("mousePressed", "mouseReleased"):
        page._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def look_again(page: Page) -> bool:
    before = page.run("location.href")
    click(page, ".again")
    page.wait_for(f"location.href !== {json.dumps(before)} && document.readyState === 'complete'")
    return True
