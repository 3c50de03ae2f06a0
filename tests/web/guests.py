"""Guests at the room's page in a browser: what they see, and what they do."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kchat.web.store import Guest
from tests.brokers.chromium import Browser, Chromium, Tab
from tests.brokers.processes import Commands, Process
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.web.serving import ServeProcess

ROWS = """
[...document.querySelectorAll("#log .rows > .message")].map((row) => ({
  id: row.dataset.id,
  name: row.querySelector(".name").textContent,
  mark: row.querySelector(".mark")?.textContent ?? "",
  text: row.querySelector(".text").textContent,
  mine: row.classList.contains("mine"),
}))
"""


class Served:
    """A running server on one kind of broker, with guests.

    Attributes:
        kind: ``local`` or ``rabbitmq``.
        url: of the broker, by the host's account.
        server: the process.
    """

    def __init__(self, kind: str, url: str, server: ServeProcess, node: RabbitMQ | None, vhost: str) -> None:
        self.kind = kind
        self.url = url
        self.server = server
        self._node = node
        self._vhost = vhost
        self._accounts: list[str] = []

    @property
    def base(self) -> str:
        """The page's address, without a slash at its end."""
        return self.server.base

    @property
    def commands(self) -> Commands:
        """Starts more commands."""
        return self.server.commands

    def invite(self, username: str, *rooms: str, expires: float | None = None, **more: Any) -> str:
        """A link for a guest, who has an account of that name where the broker has accounts.

        Arguments:
            username: of the guest.
            rooms: that are open to it. Default: ``chat``.
            expires: until when the link opens the page, UNIX seconds.
            more: of the guest (:class:`kchat.web.store.Guest`).
        """
        account = password = None
        if self._node is not None:
            account, password = username, secrets.token_urlsafe(9)
            self._node.management.add_user(account, password)
            self._node.management.permit(self._vhost, account, ".*", ".*", ".*")
            self._accounts.append(account)
        with self.server.guests() as store:
            guest = store.add(Guest(0, username, account, password, rooms or ("chat",), **more))
            return store.new_link(guest, expires)

    def link(self, secret: str) -> str:
        """The address that a guest opens."""
        return f"{self.base}/#{secret}"

    def send(self, username: str, text: str, room: str = "chat") -> None:
        """Sends a message from a terminal, by the host's account."""
        done = self.commands.run_kchat(
            "send", text, "--url", self.url, "--room", room, "--username", username
        )
        assert done.code == 0, done.stderr

    def subscribe(self, *options: str) -> Process:
        """Listens in a terminal, in JSON."""
        process = self.commands.kchat(
            "subscribe", "--url", self.url, "--username", "terminal", "--mode", "json", *options
        )
        process.wait_for("listening")
        return process

    def close(self) -> None:
        """Forgets the guests' accounts."""
        if self._node is not None and self._node.running:
            for account in self._accounts:
                self._node.management.delete_user(account)


@contextmanager
def serve_on(
    kind: str, folder: Path, node: RabbitMQ | None, *arguments: str, own: bool = False
) -> Iterator[Served]:
    """A running server.

    Arguments:
        kind: ``local`` or ``rabbitmq``.
        folder: an empty one, for homes and rooms.
        node: the RabbitMQ, if it is to be on that.
        arguments: of ``kchat serve``.
        own: whether the broker is the test's own, which may be killed.
    """
    with ExitStack() as stack:
        home = folder / "home"
        home.mkdir()
        commands = Commands(home)
        stack.callback(commands.end)
        vhost = ""
        if node is None:
            url = f"local://{folder}/room.db"
        else:
            vhost = stack.enter_context(node.new_vhost())
            url = node.url_for(vhost)
            on = commands.run_kchat("history", "on", "--url", url, "--keep", "1h", seconds=60)
            assert on.code == 0, on.stderr
        server = ServeProcess(commands, url, "--username", "host", *arguments)
        server.start()
        served = Served(kind, url, server, node, vhost)
        stack.callback(served.close)
        yield served


class Visit:
    """One page of the room, open in a browser."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab

    @property
    def state(self) -> str:
        """What the page says of its connection."""
        return str(self.tab.now("document.body?.dataset.state ?? ''"))

    def wait_for_state(self, *states: str, seconds: float = 30) -> None:
        """Waits until the page is in one of these states."""
        wait_until(
            lambda: self.state in states,
            seconds,
            lambda: f"{states}; it is {self.state}: {self.tab.text[-500:]}; console: {self.tab.console[-5:]}",
            0.05,
        )

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The messages of the room that is shown."""
        return list(self.tab.now(ROWS) or [])

    @property
    def texts(self) -> list[str]:
        """Their texts."""
        return [str(each["text"]) for each in self.rows]

    def wait_for_texts(self, *texts: str) -> None:
        """Waits until the room has each of these once, in this order, among others."""

        def seen() -> bool:
            return [each for each in self.texts if each in texts] == list(texts)

        wait_until(seen, 30, lambda: f"{texts} in {self.texts[-20:]}; page: {self.tab.text[-800:]}", 0.05)

    def write(self, text: str) -> None:
        """Types a message and sends it by Enter."""
        self.tab.click("#text")
        self.tab.type(text)
        self.tab.press("Enter")

    def row(self, text: str) -> dict[str, Any]:
        """The one row with this text."""
        (found,) = [each for each in self.rows if each["text"] == text]
        return dict(found)

    def count(self, selector: str) -> int:
        """How many elements there are."""
        return int(self.tab.run(f"document.querySelectorAll({json.dumps(selector)}).length"))


class Guests:
    """Browsers for one test; closed after it."""

    def __init__(self, chromium: Chromium, pictures: Path) -> None:
        self._chromium = chromium
        self._pictures = pictures
        self.browsers: list[Browser] = []

    def browser(self) -> Browser:
        """A browser that knows nothing yet."""
        self.browsers.append(Browser(self._chromium))
        return self.browsers[-1]

    def visit(self, address: str, browser: Browser | None = None) -> Visit:
        """A page that has opened an address and is in the room.

        Arguments:
            address: of the page, with the secret of a link or without.
            browser: which. Default: a new one.
        """
        visit = Visit((browser or self.browser()).tab(address))
        visit.wait_for_state("live")
        return visit

    def close(self, *, failed: bool) -> None:
        """Closes all; a screenshot of each page is kept where the test has failed."""
        for number, browser in enumerate(self.browsers):
            if failed:
                for place, tab in enumerate(browser.tabs):
                    tab.picture(self._pictures / f"browser-{number}-page-{place}.png")
            browser.close()
