"""A headless Chromium's process, and its debugging pipe: no driver, no websocket.

https://chromedevtools.github.io/devtools-protocol/, with ``--remote-debugging-pipe``: JSON, each message ended by a zero
byte, in on descriptor 3 and out on descriptor 4.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.brokers.closing import Closing
from tests.brokers.wait import Deadline, soon

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60.0

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


class Chromium(Closing):
    """A Chromium with a profile of its own; a context manager.

    Arguments:
        program: of :func:`find_chromium`.
        folder: an empty one, for its profile.
        size: of the window, in pixels.
        leads_to: addresses (``HOST`` or ``HOST:PORT``) by the names that lead there; with them no other name leads anywhere.
            Default: as the machine resolves names.
    """

    def __init__(
        self,
        program: str,
        folder: Path,
        size: tuple[int, int] = (1280, 1000),
        leads_to: Mapping[str, str] | None = None,
    ) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        self._in, self._out = ours_in, ours_out
        command = [
            program,
            "--headless",
            "--remote-debugging-pipe",
            "--no-sandbox",  # a container's root has no other way; the pages are of servers of this machine
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-extensions",
            "--disable-sync",
            "--no-first-run",
            "--no-proxy-server",
            f"--user-data-dir={folder}",
            f"--window-size={size[0]},{size[1]}",
        ]
        if leads_to is not None:
            rules = [f"MAP {name} {place}" for name, place in leads_to.items()]
            rules += ["MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1", "EXCLUDE localhost"]
            command.append(f"--host-resolver-rules={', '.join(rules)}")
        words = [
            sys.executable,
            "-c",
            _PUT_PIPES,
            str(theirs_in),
            str(theirs_out),
            *command,
            "about:blank",
        ]
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
        self._events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        try:
            self.ask("Target.setDiscoverTargets", discover=True)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait(60)
        os.close(self._in)
        os.close(self._out)

    def ask(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Asks for something and returns the answer.

        Arguments:
            method: of the protocol.
            session: of the target that is asked. Default: Chromium itself.
            parameters: of the method.

        Raises:
            RuntimeError: Chromium refuses it, or has ended.
            TimeoutError: Chromium does not answer.
        """
        number = self._request(method, session, parameters)
        deadline = Deadline(soon(SECONDS))
        while True:
            answer = self._next(deadline)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self._keep(answer)

    def events(self, session: str = "") -> list[dict[str, Any]]:
        """What has happened so far to a target, or (default) to Chromium itself: the protocol's events."""
        while b"\0" in self._rest or select.select([self._in], [], [], 0)[0]:
            self._keep(self._next(Deadline(soon(SECONDS))))
        return self._events[session]

    def _request(self, method: str, session: str, parameters: dict[str, Any]) -> int:
        self._number += 1
        request: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            request["sessionId"] = session
        data = json.dumps(request).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        return self._number

    def _keep(self, answer: dict[str, Any]) -> None:
        if "method" not in answer:
            return  # to a request that nobody waits for
        session = answer.get("sessionId", "")
        self._events[session].append(answer)
        if answer["method"] == "Page.javascriptDialogOpening":  # until it is closed the page does nothing
            self._request("Page.handleJavaScriptDialog", session, {"accept": False})

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
