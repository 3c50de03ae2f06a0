"""Pages in a headless Chromium: looked at, typed into, clicked on, cut off from the network."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.brokers.chromium_process import SECONDS, Chromium, find_chromium
from tests.brokers.closing import Closing
from tests.brokers.wait import wait_until

__all__ = ["Browser", "Chromium", "Page", "Tab", "find_chromium"]

_KEYS = {
    "Enter": (13, "\r"),
    "Tab": (9, ""),
    "Escape": (27, ""),
    "Backspace": (8, ""),
    "ArrowUp": (38, ""),
    "ArrowDown": (40, ""),
    "PageUp": (33, ""),
    "PageDown": (34, ""),
    "Home": (36, ""),
    "End": (35, ""),
    "Space": (32, " "),
}
"""Windows' virtual key code of a key, which Chromium goes by on all systems, and the text that it gives."""

_MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}

_WHERE = """
(() => {
  const found = document.querySelector(%s);
  if (!found) return null;
  found.scrollIntoView({ block: "nearest", behavior: "instant" });
  const box = found.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const top = document.elementFromPoint(x, y);
  return box.width > 0 && top && (found.contains(top) || top.contains(found)) ? [x, y] : null;
})()
"""


class Tab(Closing):
    """A page of a Chromium.

    Arguments:
        chromium: whose it is.
        context: the isolated browser in it (:class:`Browser`). Default: Chromium's own.
    """

    def __init__(self, chromium: Chromium, context: str = "") -> None:
        self._chromium = chromium
        self._session = ""
        where = {"browserContextId": context} if context else {}
        self.target = str(chromium.ask("Target.createTarget", url="about:blank", **where)["targetId"])
        answer = chromium.ask("Target.attachToTarget", targetId=self.target, flatten=True)
        self._session = answer["sessionId"]
        self._ask("Page.enable")

    def close(self) -> None:
        """Closes it."""
        self._chromium.ask("Target.closeTarget", targetId=self.target)

    # ---- where it is

    def open(self, url: str) -> None:
        """Goes to an address."""
        self._ask("Page.navigate", url=url)

    def reload(self) -> None:
        """Loads its page again."""
        self._ask("Page.reload")

    def run(self, script: str) -> Any:
        """Returns the value of some JavaScript.

        Raises:
            RuntimeError: it raised.
        """
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = SECONDS) -> Any:
        """Waits until some JavaScript has a value that is true, and returns it."""
        return wait_until(lambda: self.now(script), seconds, script, pause=0.05)

    def now(self, script: str) -> Any:
        """Returns the value of some JavaScript, as :meth:`run`; None between two pages."""
        try:
            return self.run(script)
        except RuntimeError as error:
            if any(each in str(error) for each in _BETWEEN_PAGES):
                return None
            raise

    @property
    def text(self) -> str:
        """What stands on the page."""
        return str(self.run("document.body.innerText"))

    def wait_for_text(self, words: str, seconds: float = SECONDS) -> None:
        """Waits until these words stand on the page.

        Raises:
            TimeoutError: they do not; it says what stands there.
        """
        wait_until(
            lambda: words in (self.now("document.body?.innerText") or ""),
            seconds,
            lambda: f"{words!r} on the page:\n{self.text[-3000:]}",
            pause=0.05,
        )

    # ---- what a person does

    def focus(self, *, focused: bool = True) -> None:
        """Behaves as the page that a person is at, or as one of another window; several may be the first at a time."""
        self._ask("Emulation.setFocusEmulationEnabled", enabled=focused)

    def click(self, selector: str, seconds: float = SECONDS) -> None:
        """Clicks in the middle of an element, once it is there and nothing covers it."""
        x, y = self.wait_for(_WHERE % json.dumps(selector), seconds)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def scroll(self, selector: str, pixels: int) -> None:
        """Turns the mouse's wheel over an element: down, or up by a negative number."""
        x, y = self.wait_for(_WHERE % json.dumps(selector))
        self._ask("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=pixels)

    def type(self, text: str) -> None:
        """Types text where the cursor is, as a keyboard's input method gives it."""
        self._ask("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Presses and releases a key, such as ``Enter``, ``a`` or ``Shift+Tab``."""
        *held, key = key.split("+")
        code, text = _KEYS[key] if key in _KEYS else (ord(key.upper()), key)
        modifiers = sum(_MODIFIERS[each] for each in held)
        named = {"key": " " if key == "Space" else key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        given = {"text": text} if text and "Control" not in held else {}
        self._ask("Input.dispatchKeyEvent", type="keyDown" if given else "rawKeyDown", **named, **given)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **named)

    # ---- the network and scripts

    def go_offline(self) -> None:
        """Cuts the page off from the network."""
        self._network(offline=True)

    def go_online(self) -> None:
        """Connects the page with the network again."""
        self._network(offline=False)

    def _network(self, *, offline: bool) -> None:
        self._ask("Network.enable")
        self._ask(
            "Network.emulateNetworkConditions",
            offline=offline,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )

    def disable_scripts(self, *, disabled: bool = True) -> None:
        """Runs no script of pages; :meth:`run` still does, but for what waits for a timer."""
        self._ask("Emulation.setScriptExecutionDisabled", value=disabled)

    def watch_loads(self, script: str) -> None:
        """Runs a script at the beginning of each page from the next one on, before the page's own."""
        self._ask("Page.addScriptToEvaluateOnNewDocument", source=script)

    @property
    def cookies(self) -> list[dict[str, Any]]:
        """The cookies of the page, with their attributes as the browser keeps them."""
        return list(self._ask("Network.getCookies")["cookies"])

    # ---- what it looks like

    def picture(self, file: Path, *, whole: bool = False) -> bytes:
        """Writes a screenshot (PNG), also returned.

        Arguments:
            file: to write.
            whole: the page from its top to its bottom. Default: what is in the window.
        """
        data = base64.b64decode(self._ask("Page.captureScreenshot", captureBeyondViewport=whole)["data"])
        file.write_bytes(data)
        return data

    def look_at(
        self,
        width: int,
        height: int,
        *,
        dark: bool = False,
        paper: bool = False,
        scale: float = 1,
        bars: bool = True,
    ) -> None:
        """Makes the window another size, in CSS pixels, and the user one who prefers light or dark pages.

        Arguments:
            width: of the window; below 500 it is a telephone.
            height: of the window.
            dark: whether pages are to be dark. Default: light.
            paper: whether it is not a screen but paper. Default: a screen.
            scale: pixels of the screen per CSS pixel. Default: one.
            bars: whether there are scroll bars. Default: there are.
        """
        self._ask("Emulation.setScrollbarsHidden", hidden=not bars)
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", media="print" if paper else "", features=[scheme])

    def printed(self) -> bytes:
        """The page as it is printed, as PDF, whatever :meth:`look_at` chose."""
        self._ask("Emulation.setEmulatedMedia", media="", features=[])
        answer = self._ask("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        return base64.b64decode(answer["data"])

    @property
    def accessible(self) -> list[tuple[str, str]]:
        """What a screen reader is told: role and name of all that it is not to leave out, in order."""
        nodes = self._ask("Accessibility.getFullAXTree")["nodes"]
        return [
            (str(node["role"]["value"]), str(node.get("name", {}).get("value", "")))
            for node in nodes
            if not node["ignored"]
        ]

    # ---- what happens to it

    def watch(self) -> None:
        """Begins to keep what the page asks for and what its console says."""
        for domain in ("Network", "Log", "Runtime"):
            self._ask(f"{domain}.enable")

    def events(self, *methods: str) -> list[dict[str, Any]]:
        """The parameters of the protocol's events of these kinds, so far."""
        found = self._chromium.events(self._session)
        return [event["params"] for event in found if event["method"] in methods]

    @property
    def requests(self) -> list[str]:
        """The URLs that the page asked for since :meth:`watch`."""
        return [str(each["request"]["url"]) for each in self.events("Network.requestWillBeSent")]

    @property
    def console(self) -> list[str]:
        """What the console said since :meth:`watch`."""
        told = self.events("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [json.dumps(each) for each in told]

    @property
    def dialogs(self) -> list[str]:
        """The texts of dialogs (``alert`` and the like) that the page has opened; each was dismissed."""
        return [str(each["message"]) for each in self.events("Page.javascriptDialogOpening")]

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._chromium.ask(method, self._session, **parameters)


_BETWEEN_PAGES = ("Execution context was destroyed", "Cannot find context", "Inspected target navigated")


class Page(Tab):
    """One page of a Chromium of its own; a context manager.

    Arguments:
        program: of :func:`find_chromium`.
        folder: an empty one, for its profile.
        size: of the window, in pixels.
    """

    def __init__(self, program: str, folder: Path, size: tuple[int, int] = (1280, 1000)) -> None:
        own = Chromium(program, folder, size)
        try:
            super().__init__(own)
        except BaseException:
            own.close()
            raise

    def close(self) -> None:
        """Ends it."""
        self._chromium.close()


class Browser(Closing):
    """A browser with cookies and storage of its own, inside a Chromium; a context manager.

    Arguments:
        chromium: which.
    """

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._context = str(chromium.ask("Target.createBrowserContext")["browserContextId"])
        self._opened: list[Tab] = []
        chromium.ask(
            "Browser.setDownloadBehavior", behavior="deny", browserContextId=self._context, eventsEnabled=True
        )

    def close(self) -> None:
        """Closes its pages and forgets its cookies."""
        self._chromium.ask("Target.disposeBrowserContext", browserContextId=self._context)

    def tab(self, url: str | None = None) -> Tab:
        """Opens a page, watched (:meth:`Tab.watch`).

        Arguments:
            url: to go to. Default: a blank page.
        """
        tab = Tab(self._chromium, self._context)
        self._opened.append(tab)
        tab.watch()
        tab.focus()
        if url is not None:
            tab.open(url)
        return tab

    @property
    def tabs(self) -> list[Tab]:
        """The pages that were opened by :meth:`tab`."""
        return list(self._opened)

    @property
    def popups(self) -> list[str]:
        """The addresses of pages that opened by themselves: windows, workers."""
        own = {each.target for each in self._opened}
        seen = [each["params"] for each in self._chromium.events()]
        return [
            f"{each['targetInfo']['type']} {each['targetInfo']['url']}"
            for each in seen
            if "targetInfo" in each
            and each["targetInfo"].get("browserContextId") == self._context
            and each["targetInfo"]["targetId"] not in own
            and each["targetInfo"]["type"] != "browser_ui"  # Chromium's own
        ]

    @property
    def downloads(self) -> list[str]:
        """The addresses of downloads that began (and were refused), in all browsers of this Chromium."""
        events = self._chromium.events()
        return [
            str(each["params"]["url"]) for each in events if each["method"] == "Browser.downloadWillBegin"
        ]
