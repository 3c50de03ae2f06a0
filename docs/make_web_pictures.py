"""Make the pictures of the page: the real `kchat serve` on an embedded room with three people, and Chromium.

python docs/make_web_pictures.py            # those that README and docs/ show, into docs/pictures
python docs/make_web_pictures.py FOLDER     # all views, to be looked at
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import kchat  # noqa: E402 - needs the line above
from tests.brokers.chromium import Page, find_chromium  # noqa: E402
from tests.brokers.processes import Commands  # noqa: E402
from tests.web.serving import ServeProcess  # noqa: E402

PICTURES = ROOT / "docs/pictures"
PHONE, DESK = (360, 740), (1280, 800)
COLOURS = 255
"""In a picture's palette."""

TALK: tuple[tuple[int, str, str], ...] = (
    (1504, "ada", "the broker moves on Monday"),
    (1503, "bob", "good, then we have the weekend to try it"),
    (6, "bob", "did anybody look at the pull request? It has been there for a week"),
    (5, "cy", "I did, and left two remarks:\n- the timeout is in seconds\n- the name"),
    (4, "cy", "@ada did you see https://example.org/pull/1234 ?"),
)
"""How many minutes ago, who, and what."""
SAID = "let me have a look"
"""What ada, whose page it is, writes there."""

WRITE = f"""
    document.getElementById('text').value = '{SAID}';
    document.getElementById('text').dispatchEvent(new Event('input'));
    document.getElementById('write').requestSubmit();
"""


class View(NamedTuple):
    """A picture.

    Attributes:
        name: of its file.
        size: of the window, in CSS pixels.
        dark: whether the user prefers dark pages.
        messages: in the room: ``few``, ``three`` or ``many``.
        state: ``live``, ``reconnecting``, or ``plain`` for the page without JavaScript.
        kept: whether README or docs/ show it.
    """

    name: str
    size: tuple[int, int]
    dark: bool
    messages: str
    state: str = "live"
    kept: bool = False


VIEWS = (
    View("web-phone", PHONE, dark=False, messages="few"),
    View("web-phone-dark", PHONE, dark=True, messages="few", kept=True),
    View("web-desk", DESK, dark=False, messages="few", kept=True),
    View("web-desk-dark", DESK, dark=True, messages="few"),
    View("web-three-phone", PHONE, dark=False, messages="three"),
    View("web-three-desk-dark", DESK, dark=True, messages="three"),
    View("web-many-phone", PHONE, dark=False, messages="many"),
    View("web-many-phone-dark", PHONE, dark=True, messages="many"),
    View("web-many-desk", DESK, dark=False, messages="many"),
    View("web-many-desk-dark", DESK, dark=True, messages="many"),
    View("web-plain-phone", PHONE, dark=False, messages="few", state="plain", kept=True),
    View("web-plain-desk-dark", DESK, dark=True, messages="few", state="plain"),
    View("web-reconnecting-phone", PHONE, dark=False, messages="few", state="reconnecting"),
    View("web-reconnecting-phone-dark", PHONE, dark=True, messages="few", state="reconnecting", kept=True),
    View("web-reconnecting-desk", DESK, dark=False, messages="few", state="reconnecting"),
)


def fill(url: str, messages: str) -> None:
    """Say something in a room."""
    talk = TALK[2:] if messages == "three" else TALK
    if messages == "many":
        talk = tuple(
            ((500 - number) * 10, TALK[number % 5][1], f"{number + 1}: {TALK[number % 5][2]}")
            for number in range(500)
        )
    now = datetime.now().astimezone()
    with kchat.connect(url, username="host") as room:
        for minutes, name, text in talk:
            room.send(kchat.Message.compose(name, text, sent_at=now - timedelta(minutes=minutes)))


@contextmanager
def served(folder: Path, messages: str) -> Iterator[ServeProcess]:
    """A server of a room in which something was said, and bob and cy listen."""
    home = folder / messages
    home.mkdir()
    url = f"local://{home}/room.db"
    fill(url, messages)
    commands = Commands(home)
    try:
        for name in ("bob", "cy"):
            commands.kchat("subscribe", "--quiet", "--url", url, "--username", name)
        server = ServeProcess(commands, url, "--username", "ada")
        server.start()
        yield server
    finally:
        commands.end()


def show(browser: Page, view: View, server: ServeProcess) -> None:
    """Bring the page into the state of a view; the browser is in already."""
    scripts = view.state != "plain"
    browser._ask("Emulation.setScriptExecutionDisabled", value=not scripts)  # noqa: SLF001 - the tests' own
    browser.look_at(*view.size, dark=view.dark, scale=2 if view.size == PHONE else 1, bars=False)
    browser.open(f"{server.base}/" if scripts else f"{server.base}/plain#text")
    if scripts:
        browser.wait_for(
            "document.body?.dataset.state === 'live' && document.querySelector('.rows .message') !== null"
        )
        browser.wait_for("document.querySelectorAll('#people li').length > 2")
        browser.run("document.getElementById('log').scrollTop = 1e9")
        browser.wait_for("document.getAnimations().every((each) => each.playState === 'finished')")
        if view.state == "reconnecting":
            server.kill()
            browser.wait_for("document.getElementById('status').innerText.trim() !== ''")
    else:
        browser.wait_for("document.readyState === 'complete' && document.querySelector('form') !== null")


def take(browser: Page, file: Path) -> None:
    """Write a picture with a palette, which is a third of the size."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Image.open(io.BytesIO(browser.picture(Path(folder) / "whole.png"))).convert("RGB")
    whole.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size / 1000:.0f} KB")


def main() -> int:
    """All of them, or those that are shown."""
    chromium = find_chromium()
    if chromium is None:
        print("Chromium is not installed", file=sys.stderr)
        return 1
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    views = [view for view in VIEWS if folder or view.kept]
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kchat-pictures-")))
        for messages in dict.fromkeys(view.messages for view in views):
            with served(home, messages) as server, Page(chromium, home / f"profile-{messages}") as browser:
                browser.open(server.link)
                browser.wait_for("document.body?.dataset.state === 'live'")
                if messages == "few":
                    browser.run(WRITE)
                    browser.wait_for("document.querySelector('.rows .mine') !== null")
                for view in views:
                    if view.messages == messages:
                        show(browser, view, server)
                        take(browser, (folder or PICTURES) / f"{view.name}.png")
                        if view.state == "reconnecting":
                            server.start()  # on the same port, with the same guests
    return 0


if __name__ == "__main__":
    sys.exit(main())
