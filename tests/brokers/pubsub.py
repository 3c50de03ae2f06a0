"""A Pub/Sub emulator for the tests: the one in the environment, else by Docker, else the machine's ``gcloud``.

The emulator is Google's own. It differs from the service in its speed and in what it lacks (``seek``, updating labels,
filtering, counting outstanding messages); a test that allows for that says so.
"""

from __future__ import annotations

import abc
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # it has no types
import pytest

from tests.brokers.daemon import Daemon
from tests.brokers.docker import COMPOSE, Compose, compose_up
from tests.brokers.found import NotHere, first_that_starts
from tests.brokers.ports import free_port, listens
from tests.brokers.require import missing
from tests.brokers.shared import one_for_all
from tests.brokers.wait import wait_until

HOST = "127.0.0.1"
START_SECONDS = 60.0
"""How long the emulator may take to start: 2 to 8 s on an idle machine."""

STARTS = 3
"""Attempts to start it on the machine: gcloud has been seen to end, or to hang, before the emulator listened."""


class Emulator(abc.ABC):
    """One Pub/Sub emulator.

    Arguments:
        address: ``host:port``, fit for ``PUBSUB_EMULATOR_HOST``.
        origin: where it came from, for the summary.
    """

    def __init__(self, address: str, origin: str) -> None:
        host, _, port = address.rpartition(":")
        self.address = address
        self.host = host
        self.port = int(port)
        self.origin = origin

    def __repr__(self) -> str:
        return f"<Pub/Sub emulator at {self.address} from {self.origin}>"

    @staticmethod
    def new_project() -> str:
        """Returns a project that no other test uses; the emulator takes any."""
        return f"kchat-{secrets.token_hex(4)}"

    def url(self, project: str) -> str:
        """Returns the URL of a project; it leads here where the environment has :attr:`environment`."""
        return f"pubsub://{project}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to come here rather than to Google."""
        return {"PUBSUB_EMULATOR_HOST": self.address}

    def wait_until_ready(self) -> None:
        """Returns when it answers gRPC."""
        with grpc.insecure_channel(self.address) as channel:
            grpc.channel_ready_future(channel).result(START_SECONDS)

    def restart(self) -> None:
        """Ends the emulator by ``kill -9`` and starts it again on the same port, empty."""
        self.kill()
        self.start()

    @abc.abstractmethod
    def start(self) -> None:
        """Starts it and returns when it answers."""

    @abc.abstractmethod
    def kill(self) -> None:
        """Ends it by ``kill -9``."""


class ForeignEmulator(Emulator):
    """The emulator of ``PUBSUB_EMULATOR_HOST``, or one that another worker has started. It is not ours to stop."""

    def start(self) -> None:
        missing(f"the emulator of {self.origin} is not ours to start; unset it")

    def kill(self) -> None:
        missing(f"the emulator of {self.origin} is not ours to stop; unset it")


class MachineEmulator(Emulator):
    """The machine's own ``gcloud beta emulators pubsub start`` on a free port."""

    def __init__(self, folder: Path) -> None:
        gcloud = shutil.which("gcloud")
        if gcloud is None:
            raise NotHere("gcloud is not installed")
        installed = Path(gcloud).resolve().parents[1] / "platform" / "pubsub-emulator"
        if not installed.is_dir():
            raise NotHere("gcloud's Pub/Sub emulator is not installed")
        port = free_port(HOST)
        super().__init__(f"{HOST}:{port}", gcloud)
        data = folder / "data"  # gcloud fails where it is not there
        data.mkdir(parents=True, exist_ok=True)
        settings = f"--host-port={self.address} --project=kchat --data-dir={data}"
        self._log = folder / "pubsub.log"
        self._server = Daemon([gcloud, "beta", "emulators", "pubsub", "start", *settings.split()], self._log)

    def start(self) -> None:
        for attempt in range(STARTS):
            self._server.start()
            try:
                wait_until(
                    lambda: listens(self.host, self.port) or not self._server.running,
                    START_SECONDS,
                    f"the emulator to listen; its output is in {self._log}",
                )
            except TimeoutError:
                if attempt == STARTS - 1:
                    raise
            else:
                if self._server.running:
                    break
            self._server.kill()
        assert self._server.running, (
            f"the emulator has ended: {self._log.read_text(errors='replace')[-2000:]}"
        )
        self.wait_until_ready()

    def kill(self) -> None:
        self._server.kill()
        wait_until(lambda: not listens(self.host, self.port), 10, "the killed emulator's port to close")


class DockerEmulator(Emulator):
    """An emulator in a container."""

    def __init__(self, compose: Compose, port: int) -> None:
        super().__init__(f"{HOST}:{port}", "Docker")
        self._compose = compose

    def start(self) -> None:
        self._compose.run("start", "pubsub")
        self.wait_until_ready()

    def kill(self) -> None:
        self._compose.run("kill", "pubsub")


@contextmanager
def find_pubsub(folder: Path) -> Iterator[Emulator]:
    """Gives an emulator that tests share: of ``PUBSUB_EMULATOR_HOST``, by Docker, or the machine's."""
    if address := os.environ.get("PUBSUB_EMULATOR_HOST"):
        foreign = ForeignEmulator(address, "PUBSUB_EMULATOR_HOST")
        foreign.wait_until_ready()
        yield foreign
        return
    with one_for_all(
        "pubsub",
        lambda: start_pubsub(folder),
        lambda emulator: {"address": emulator.address, "origin": emulator.origin},
        lambda described: ForeignEmulator(**described),
    ) as emulator:
        yield emulator


def start_pubsub(folder: Path) -> AbstractContextManager[Emulator]:
    """Gives an emulator that a test may kill and start: by Docker, else the machine's."""
    return first_that_starts("Pub/Sub emulator", docker=_by_docker, machine=lambda: _by_machine(folder))


@contextmanager
def _by_docker() -> Iterator[Emulator]:
    port = free_port(HOST)
    variables = {"KCHAT_BIND": HOST, "KCHAT_PUBSUB_PORT": str(port)}
    with compose_up([COMPOSE / "pubsub.yml"], "KCHAT_PUBSUB_NAME", variables) as compose:
        emulator = DockerEmulator(compose, port)
        emulator.wait_until_ready()
        yield emulator


@contextmanager
def _by_machine(folder: Path) -> Iterator[Emulator]:
    emulator = MachineEmulator(folder)
    try:
        emulator.start()
        yield emulator
    finally:
        emulator.kill()


@pytest.fixture(scope="session")
def pubsub_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The Pub/Sub emulator that all tests share. Not to be stopped: see `own_pubsub_emulator`."""
    with find_pubsub(tmp_path_factory.mktemp("pubsub")) as emulator:
        yield emulator


@pytest.fixture
def own_pubsub_emulator(tmp_path: Path) -> Iterator[Emulator]:
    """A Pub/Sub emulator that the test may kill and start."""
    with start_pubsub(tmp_path / "pubsub") as emulator:
        yield emulator
