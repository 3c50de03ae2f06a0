"""`kchat serve` for tests: as a real process with a home of its own, and in this process, in a thread."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from kchat.config.settings import Settings
from kchat.web.hub import Hub
from kchat.web.options import ServeOptions
from kchat.web.server import WebServer
from kchat.web.store import GuestStore
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands, Process
from tests.brokers.wait import soon

SECONDS = 60.0
"""How long a test waits for a server to start or to end."""


class ServeProcess:
    """`kchat serve` as a process: to be ended, killed and started again on the same port, with the same guests.

    Arguments:
        commands: starts it, in a home that several may share.
        url: of the broker.
        arguments: more options, such as ``--room``.
        port: of the page. Default: a free one.
        environment: added to that of the command.

    Attributes:
        process: the running command.
        link: what it printed at its last start.
        store: the file with its guests.
    """

    def __init__(
        self,
        commands: Commands,
        url: str,
        *arguments: str,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.commands = commands
        self.url = url
        self.port = port or free_port()
        self.store = commands.home / f"web-{self.port}.db"
        self.process: Process
        self.link = ""
        self._arguments = arguments
        self._environment = environment

    @property
    def base(self) -> str:
        """The page's address, without a slash at its end."""
        return self.link.partition("/#")[0] if self.link else f"http://127.0.0.1:{self.port}"

    def launch(self) -> Process:
        """Starts it and does not wait for the link."""
        self.process = self.commands.kchat(
            *("serve", "--url", self.url, "--port", str(self.port), "--store", str(self.store)),
            *self._arguments,
            env=self._environment,
        )
        return self.process

    def start(self) -> None:
        """Starts it and waits until the page is open."""
        self.link = self.launch().read_line(SECONDS)

    def terminate(self) -> int:
        """Ends it by SIGTERM, and returns its exit code."""
        self.process.terminate()
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        """Ends it by ``kill -9``."""
        self.process.kill()

    def guests(self) -> GuestStore:
        """Its guests' file, to be closed by the caller: a context manager."""
        return GuestStore(self.store)


@contextmanager
def serve_process(
    commands: Commands,
    url: str,
    *arguments: str,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[ServeProcess]:
    """A running `kchat serve` as a process, killed at the end. Arguments: see :class:`ServeProcess`."""
    served = ServeProcess(commands, url, *arguments, port=port, environment=environment)
    served.start()
    try:
        yield served
    finally:
        served.kill()


class ServeThread:
    """A server in a thread of this process: uvicorn on a real socket.

    Attributes:
        server: what runs.
        link: opens the room once, as the host.
        told: the lines for the host.
        log: those about requests.
    """

    def __init__(self, options: ServeOptions) -> None:
        self.told: list[str] = []
        self.log: list[str] = []
        self.server = WebServer(options, self.told.append, self.log.append)
        self.link = ""
        self._told: queue.SimpleQueue[str | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="kchat serve of a test", daemon=True)

    @property
    def base(self) -> str:
        """The page's address, without a slash at its end."""
        return self.link.partition("/#")[0]

    @property
    def port(self) -> int:
        """The page's port."""
        return urlsplit(self.link).port or 0

    @property
    def hub(self) -> Hub:
        """What is served. Of the server's thread: a test looks only."""
        return self.server.hub

    def start(self) -> None:
        """Starts it and waits until the page is open."""
        self._thread.start()
        told = self._told.get(timeout=soon(SECONDS))
        if isinstance(told, BaseException):
            raise told
        self.link = told

    def stop(self) -> None:
        """Ends it as SIGTERM does, and waits for that."""
        self.server.stop()
        self._thread.join(soon(SECONDS))
        assert not self._thread.is_alive(), "the server goes on"

    def _run(self) -> None:
        try:
            asyncio.run(self.server.run(self._told.put))
        except BaseException as error:  # noqa: BLE001 - for the test that waits
            self._told.put(error)


@contextmanager
def serve_thread(
    url: str, store: Path, *rooms: str, options: ServeOptions | None = None
) -> Iterator[ServeThread]:
    """A running server in a thread of this process.

    Arguments:
        url: of the broker.
        store: the file for its guests.
        rooms: that it serves. Default: ``chat``.
        options: others, of which the rooms, the store and (where it is the default one) the port are replaced.
    """
    rooms = rooms or ("chat",)
    settings = [Settings.resolve(url=url, room=room) for room in rooms]
    given = options or ServeOptions(settings)
    port = free_port() if given.port == ServeOptions.port else given.port
    served = ServeThread(
        replace(given, settings=settings, store=store, port=port, username=given.username or "host")
    )
    served.start()
    try:
        yield served
    finally:
        served.stop()


def cookie_of(client: httpx.Client) -> str:
    """The cookie of a client that is in, as it is sent: its name and value."""
    ((name, value),) = client.cookies.items()
    return f"{name}={value}"


def secret_of(link: str) -> str:
    """The secret of a link."""
    return urlsplit(link).fragment


@contextmanager
def browser(base: str, link: str = "") -> Iterator[httpx.Client]:
    """A client that behaves as a page of this server does: it sends ``Origin``, and keeps the cookie.

    Arguments:
        base: the page's address.
        link: is opened, if there is one.
    """
    parts = urlsplit(base)
    with httpx.Client(
        base_url=base, headers={"Origin": f"{parts.scheme}://{parts.netloc}"}, timeout=SECONDS
    ) as client:
        if link:
            client.post("api/session", json={"secret": secret_of(link)}).raise_for_status()
        yield client


@contextmanager
def guest_browser(served: ServeProcess | ServeThread, link: str = "") -> Iterator[httpx.Client]:
    """A client that has opened a link of a server. Default: the host's."""
    with browser(served.base, link or served.link) as client:
        yield client
