"""What the contract's tests need to know of a broker, beyond its URL."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from kchat import TRANSPORTS, Settings, Transport
from tests.brokers.proxy import Proxy


@dataclass(frozen=True)
class Way:
    """A way to a broker: a URL, and what a process needs in its environment besides."""

    url: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """A way to a broker that can be cut, and mended again."""

    way: Way
    cut: Callable[[], object]
    mend: Callable[[], object]


class Place(abc.ABC):
    """A broker in which nobody but the test is.

    Arguments:
        way: to it, with all rights.
    """

    name: ClassVar[str]
    """Of the transport, as in the registry."""

    no_history_off: ClassVar[str] = ""
    """Why a room's history cannot be switched off on this broker, unlike on others that its transport reaches."""

    least_keep: ClassVar[float] = 1.0
    """Seconds that a room's history keeps messages, at least."""

    keeps_foreign: ClassVar[bool] = True
    """Whether a room's history holds what programs publish that know nothing of kchat."""

    kills_unnoticed: ClassVar[str] = ""
    """Why this broker, unlike others that its transport reaches, goes on sending to a process that was killed."""

    management_url: str | None = None
    """Of its management API, where it has one."""

    sends: ClassVar[int] = 400
    """How many messages each of eight threads sends at once: as many as a slow broker takes within seconds."""

    def __init__(self, way: Way) -> None:
        self.way = way

    @property
    def info(self) -> Transport:
        """The registry's line."""
        return TRANSPORTS[self.name]

    @property
    def across_processes(self) -> bool:
        """Whether processes can meet there. Where not, one process plays all the parts."""
        return not self.info.in_one_process

    def settings(self, room: str, **more: Any) -> Settings:
        """Returns settings for one room, whatever the environment says."""
        return Settings.resolve(url=self.way.url, room=room, **more)

    @classmethod
    @contextmanager
    @abc.abstractmethod
    def shared(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        """Gives a place on the broker that all tests share."""

    @classmethod
    @contextmanager
    @abc.abstractmethod
    def own(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        """Gives a place on a broker that the test may restart."""

    @abc.abstractmethod
    def publish(self, room: str, body: bytes) -> None:
        """Publishes bytes as a program would that knows nothing of kchat."""

    @abc.abstractmethod
    def leftovers(self, room: str) -> list[str]:
        """Returns what there is for the room's subscribers and takes in messages: queues, subscriptions."""

    @contextmanager
    def link(self) -> Iterator[Link | None]:
        """Gives a way that can be cut, by default over TCP to the URL's port; ``None`` where that is not possible."""
        url = urlsplit(self.way.url)
        if url.port is None:
            yield None
            return
        with Proxy(url.port, url.hostname or "127.0.0.1") as proxy:
            account = f"{url.netloc.rpartition('@')[0]}@" if "@" in url.netloc else ""
            through = url._replace(netloc=f"{account}{proxy.host}:{proxy.port}").geturl()
            yield Link(Way(through, self.way.environment), proxy.refuse, proxy.restore)

    @abc.abstractmethod
    def restart(self) -> bool:
        """Restarts the broker by ``kill -9``; returns whether its clients notice."""

    @abc.abstractmethod
    def send_only(self, room: str) -> AbstractContextManager[Way]:
        """Gives a way on which nothing can be done but sending to that room, which exists."""

    @abc.abstractmethod
    def nowhere(self) -> Way:
        """Returns a way of this transport's kind that leads to no broker."""
