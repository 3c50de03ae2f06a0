"""Plain Kombu on a Pub/Sub emulator: connections of a project that no other test uses."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import kombu
import pytest

from kchat import transports
from tests.brokers.pubsub import Emulator, own_pubsub_emulator  # noqa: F401 - a fixture
from tests.integration.pubsub.driving import Connect


@pytest.fixture(autouse=True)
def _kombu_knows_pubsub() -> None:
    transports.register()


@pytest.fixture
def project(pubsub_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """A project on the shared emulator, to which this process's connections lead."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator.address)
    return pubsub_emulator.new_project()


@pytest.fixture
def connect(project: str) -> Iterator[Connect]:
    """Makes connected connections to the project; takes transport options."""
    with ExitStack() as stack:

        def make(**options: Any) -> kombu.Connection:
            connection = stack.enter_context(
                kombu.Connection(f"pubsub://{project}", transport_options=options)
            )
            connection.connect()
            return connection

        yield make


@pytest.fixture
def channel(connect: Connect) -> Any:
    """A channel of a connection of its own."""
    return connect().channel()


@pytest.fixture
def name() -> Callable[[str], str]:
    """Makes names that no other test uses."""
    return lambda prefix: f"{prefix}-{secrets.token_hex(4)}"
