"""What the tests of Redis share: the transport in plain Kombu, and a look into the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import kombu
import pytest
import redis

from kchat import TRANSPORTS

OURS = TRANSPORTS["redis"].schemes["redis"]
"""The transport's path, to be named to Kombu, whose ``redis`` is its own."""

Open = Callable[[], kombu.Connection]


@pytest.fixture
def ours(redis_url: str) -> Iterator[Open]:
    """Opens plain Kombu connections with kchat's transport."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(kombu.Connection(redis_url, transport=OURS))


@pytest.fixture
def kombus(redis_url: str) -> Iterator[Open]:
    """Opens plain Kombu connections with Kombu's transport."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(kombu.Connection(redis_url))


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    """Redis itself, in the database of the test."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def database(redis_url: str) -> str:
    """The number of the test's database, which stands in the names of Kombu's channels."""
    return redis_url.rpartition("/")[2]
