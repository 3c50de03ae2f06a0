"""Headless Chromium, driven over its debugging pipe: no driver, no websocket.

https://chromedevtools.github.io/devtools-protocol/, with ``--remote-debugging-pipe``: JSON, each message ended by a zero
byte, in on descriptor 3 and out on descriptor 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.brokers.wait import Deadline, soon, wait_until

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 30.0

# Puts the pipes where Chromium looks for them. A shell may know no descriptors above nine.
_PUT_PIPES = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(each), fcntl.F_DUPFD_CLOEXEC, 10) for each in sys.argv[1:3]]
for place, end in enumerate(ends, 3):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_chromium() -> str | None:
    """Returns the path of a Chromium, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One page of a Chromium of its own; a context manager.

    Arguments:
        program: of :func:`find_chromium`.
        folder: an empty one, for its profile.
        size: of the window, in pixels.
    """

    def __init__(self, program: str, folder: Path, size: tuple[int, int] = (1280, 1000)) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        self._in, self._out = ours_in, ours_out
        command = [
            program,
            "--headless",
            "--remote-debugging-pipe",
            "--no-sandbox",  # a container's root has no other way; the page is a broker's of this machine
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            f"--user-data-dir={folder}",
            f"--window-size={size[0]},{size[1]}",
            "about:blank",
        ]
        words = [sys.executable, "-c", _PUT_PIPES, str(theirs_in), str(theirs_out), *command]
        self._process = subprocess.Popen(
            words,
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._number = 0
        self._rest = b""
        self._events: list[dict[str, Any]] = []
        self._session = ""
        try:
            target = self._ask("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self._ask("Page.enable")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait(10)
        os.close(self._in)
        os.close(self._out)

    def open(self, url: str) -> None:
        """Goes to an address."""
        self._ask("Page.navigate", url=url)

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
        return wait_until(lambda: self.run(script), seconds, script, pause=0.1)

    @property
    def text(self) -> str:
        """What stands on the page."""
        return str(self.run("document.body.innerText"))

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

    def watch(self) -> None:
        """Begins to keep what the page asks for and what its console says."""
        for domain in ("Network", "Log", "Runtime"):
            self._ask(f"{domain}.enable")

    @property
    def requests(self) -> list[str]:
        """The URLs that the page asked for since :meth:`watch`."""
        return [
            str(event["params"]["request"]["url"])
            for event in self._events
            if event["method"] == "Network.requestWillBeSent"
        ]

    @property
    def console(self) -> list[str]:
        """What the console said since :meth:`watch`."""
        told = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [json.dumps(event["params"]) for event in self._events if event["method"] in told]

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        request = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._out, json.dumps(request).encode() + b"\0")
        deadline = Deadline(soon(SECONDS))
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            if "method" in answer:
                self._events.append(answer)

    def _next(self, deadline: Deadline) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], deadline.left)[0]:
                raise TimeoutError("Chromium does not answer")
            data = os.read(self._in, 1 << 20)
            if not data:
                raise RuntimeError("Chromium has ended")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))
