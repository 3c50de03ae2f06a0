"""A program that knows who is here: `room.people()`, its event, and both for asyncio."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import kchat
from kchat import events
from kchat.client.presence import Presence
from tests.brokers.wait import wait_until


@pytest.fixture(params=["memory", "local"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A room of the test's own, where people announce themselves, and where the file knows."""
    return {"memory": f"memory://{tmp_path.name}", "local": f"local://{tmp_path}/room.db"}[request.param]


def people_of(room: kchat.Room) -> list[str] | None:
    """The names that a room knows to be here."""
    people = room.people()
    return None if people is None else people.names


def test_a_room_knows_who_is_here_and_tells_when_that_changes(url: str, room: str) -> None:
    told: list[events.People] = []
    threads: set[str] = set()

    def tell(event: events.Event) -> None:
        if isinstance(event, events.People):
            told.append(event)
            threads.add(threading.current_thread().name)

    with kchat.connect(url, room=room, username="ada", presence=True, on_event=tell) as own:
        with kchat.connect(url, room=room, username="bob", presence=True):
            wait_until(lambda: people_of(own) == ["ada", "bob"], 10)
        wait_until(lambda: people_of(own) == ["ada"], 10)
        wait_until(lambda: told and told[-1].names == ["ada"], 10)
    assert ["ada", "bob"] in [each.names for each in told]
    assert str(told[-1]) == "1 here"
    assert threads == {"kchat presence"}
    assert own.people() is None


def test_one_who_is_hidden_knows_and_is_not_known_and_one_without_presence_is_neither(
    url: str, room: str
) -> None:
    with (
        kchat.connect(url, room=room, username="silent") as silent,
        kchat.connect(url, room=room, username="hidden", presence=True, hidden=True) as hidden,
        kchat.connect(url, room=room, username="ada", presence=True) as ada,
    ):
        wait_until(lambda: people_of(hidden) == ["ada"], 10)
        wait_until(lambda: people_of(ada) == ["ada"], 10)
        assert silent.people() is None
    with ada:  # another visit
        wait_until(lambda: people_of(ada) == ["ada"], 10)


def test_an_event_that_a_program_fails_at_ends_nothing(url: str, room: str) -> None:
    def fail(_: events.People) -> None:
        raise ValueError("the program's own fault")

    with kchat.connect(url, room=room, username="ada", presence=True) as ada:
        with Presence(ada.settings, "watcher", hidden=True, on_people=fail) as watcher:
            wait_until(lambda: (seen := watcher.people()) is not None and seen.names == ["ada"], 10)
            assert watcher.problem is None
        assert watcher.people() is None


def test_a_room_for_asyncio_knows_who_is_here_and_tells_in_the_loops_thread(url: str, room: str) -> None:
    threads: set[threading.Thread] = set()

    async def main() -> None:
        both = asyncio.Event()

        def tell(event: events.Event) -> None:
            threads.add(threading.current_thread())
            if isinstance(event, events.People) and event.names == ["ada", "bob"]:
                both.set()

        async with (
            kchat.aio.connect(url, room=room, username="ada", presence=True, on_event=tell) as ada,
            kchat.aio.connect(url, room=room, username="bob", presence=True),
        ):
            await asyncio.wait_for(both.wait(), 30)
            people = ada.people()
            assert people is not None
            assert people.count == 2

    asyncio.run(main())
    assert threads == {threading.main_thread()}
