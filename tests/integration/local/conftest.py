"""Connections to an embedded room of the test's own, here and in other processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import kombu
import pytest

from kchat import transports
from tests.brokers.processes import Commands, Process

WORKER = Path(__file__).with_name("worker.py")

Connect = Callable[..., Any]
Work = Callable[..., Process]


@pytest.fixture(autouse=True)
def registered() -> None:
    """Kombu knows the transport as ``local``."""
    transports.register()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The room's file, which is not there yet."""
    return tmp_path / "room.db"


@pytest.fixture
def connect(local_url: str) -> Iterator[Connect]:
    """Connects to the room, with transport options as keywords; closes what is still open at the end."""
    with ExitStack() as stack:

        def open_one(url: str = local_url, **options: Any) -> Any:
            connection = kombu.Connection(url, transport_options=options)
            stack.callback(connection.release)
            connection.connect()
            return connection

        yield open_one


@pytest.fixture
def connection(connect: Connect) -> Any:
    """A connection to the room."""
    return connect()


@pytest.fixture
def channel(connection: Any) -> Any:
    """A channel of :func:`connection`."""
    return connection.channel()


@pytest.fixture
def work(commands: Commands, local_url: str) -> Work:
    """Starts ``worker.py`` on the room in another process: ``work("subscribe", "chat")``."""
    return lambda *arguments, **options: commands.python(WORKER, local_url, *map(str, arguments), **options)
