"""A page's stream of events, read as a browser reads it: for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx

from tests.brokers.wait import soon


class Event(NamedTuple):
    """One event."""

    name: str
    value: dict[str, Any]
    id: str


class EventStream:
    """An open stream.

    Attributes:
        last_id: as ``EventSource`` keeps it.
        retry: milliseconds after which the page comes back.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.last_id = ""
        self.retry: int | None = None
        self._lines = response.iter_lines()

    def events(self) -> Iterator[Event]:
        """Each event, until the stream ends."""
        name, data = "message", ""
        for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data = value
            elif field == "retry":
                self.retry = int(value)
            elif field == "id":
                self.last_id = value
            elif not line and data:
                yield Event(name, json.loads(data), self.last_id)
                name, data = "message", ""

    def until(self, name: str) -> list[Event]:
        """The events up to one of this name, included."""
        found = []
        for event in self.events():
            found.append(event)
            if event.name == name:
                return found
        raise AssertionError(f"the stream ended before {name}: {found}")

    def messages(self, number: int) -> list[Event]:
        """The events up to this number of messages."""
        found: list[Event] = []
        events = self.events()
        while sum(each.name == "message" for each in found) < number:
            found.append(next(events))
        return found


def texts(events: list[Event]) -> list[str]:
    """The texts of the messages among events."""
    return [each.value["text"] for each in events if each.name == "message"]


@contextmanager
def stream(
    client: httpx.Client, path: str = "api/events", after: str = "", **query: str
) -> Iterator[EventStream]:
    """Opens a stream; ``after`` is sent as ``Last-Event-ID``."""
    headers = {"Last-Event-ID": after} if after else {}
    with client.stream(
        "GET", path, headers=headers, params=query, timeout=httpx.Timeout(soon(30))
    ) as response:
        assert response.status_code == 200, response.read()
        yield EventStream(response)
