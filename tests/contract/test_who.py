"""Who is here: those who listen, whether they leave, are killed or are cut off, and nobody else's clients see any of it."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread
from typing import Self

import pytest

import kchat
from kchat import Settings, SettingsError
from kchat.client.announcer import MINUTE, MOST_IN_A_MINUTE
from kchat.client.connection import connect
from kchat.client.presence import PATIENCE, Presence, who
from kchat.message.announcement import GONE, Announcement
from kchat.transports import protocols
from tests.brokers.processes import Commands
from tests.brokers.wait import wait_until
from tests.contract.conftest import Can
from tests.contract.people import SECONDS, People, people_at
from tests.contract.places import Place


class Watcher:
    """Somebody hidden who knows who is here."""

    def __init__(self, settings: Settings) -> None:
        self.seen: list[list[str]] = []
        self._presence = Presence(settings, "watcher", hidden=True, on_people=self._note)

    def _note(self, people: kchat.events.People) -> None:
        self.seen.append(people.names)

    def __enter__(self) -> Self:
        self._presence.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._presence.close()

    @property
    def names(self) -> list[str] | None:
        """Whom it knows to be here."""
        people = self._presence.people()
        return None if people is None else people.names

    def wait_until_connected(self) -> None:
        """Waits until it has asked."""
        wait_until(lambda: self.names is not None, SECONDS)

    def wait_for(self, *names: str, seconds: float = SECONDS) -> None:
        """Waits until those and nobody else are here."""
        wait_until(lambda: self.names == list(names), seconds, lambda: f"{list(names)}, but {self.seen}")


@contextmanager
def here(place: Place, people: People, room: str, *names: str) -> Iterator[None]:
    """Those who listen: processes, or where only one process meets, rooms in this one."""
    with ExitStack() as stack:
        for name in names:
            if place.across_processes:
                stack.callback(people.process_listener(room, username=name).leave)
            else:
                stack.enter_context(kchat.connect(place.way.url, room=room, username=name, presence=True))
        yield


def refused(people: People, place: Place, room: str) -> None:
    """Makes sure that a transport without presence says so, and that a subscriber does not mind."""
    asked = people.run("who", "--url", place.way.url, "--room", room)
    assert asked.wait() == 2
    (line, _) = asked.stderr.splitlines()
    assert "does not know who is here" in line
    with pytest.raises(SettingsError, match="does not know who is here"):
        who(place.settings(room))
    with pytest.raises(SettingsError, match="does not know who is here"):
        kchat.connect(place.way.url, room=room, presence=True)
    listener = people.process_listener(room)
    listener.leave()
    assert len(listener.process.stderr.splitlines()) == 1


@pytest.mark.promise("who is here is known, and seen by nobody else")
def test_those_who_listen_are_here_and_the_room_hears_nothing_of_it(
    people: People, place: Place, room: str, can: Can
) -> None:
    if not can("presence"):
        refused(people, place, room)
        return
    heard = people.listener(room, *(["--hidden"] if place.across_processes else []), username="hidden")
    with Watcher(place.settings(room)) as watcher, here(place, people, room, "bob", "ada"):
        watcher.wait_for("ada", "bob")
        people.say(room, "hello", username="sender")
        if place.across_processes:
            asked = people.run("who", "--url", place.way.url, "--room", room, "--json")
            found = json.loads(asked.stdout)
            assert [each["username"] for each in found["here"]] == ["ada", "bob"]
            assert (found["count"], found["more"]) == (2, False)
        else:
            assert who(place.settings(room)).names == ["ada", "bob"]
        assert watcher.names == ["ada", "bob"]
    assert heard.texts(1) == ["hello"]


@pytest.mark.promise("who leaves is gone at once; two windows are one person")
def test_one_who_leaves_is_gone_at_once_and_one_with_two_windows_with_the_second(
    people: People, place: Place, room: str, can: Can
) -> None:
    if not can("presence"):
        return
    with Watcher(place.settings(room)) as watcher, here(place, people, room, "bob"):
        watcher.wait_for("bob")
        with here(place, people, room, "ada"):
            with here(place, people, room, "ada"):
                watcher.wait_for("ada", "bob")
            with here(place, people, room, "cy"):
                watcher.wait_for("ada", "bob", "cy")
        watcher.wait_for("bob", seconds=5)


@pytest.mark.promise("who says so is not heard often")
@pytest.mark.slow
def test_who_was_killed_is_gone_after_a_minute_and_nobody_speaks_often_meanwhile(
    people: People, place: Place, room: str, can: Can
) -> None:
    if not can("presence") or not can("processes"):
        return
    settings = place.settings(room)
    with ExitStack() as stack:
        tap = stack.enter_context(Tap(settings))
        watcher = stack.enter_context(Watcher(settings))
        ada, bob = (people.process_listener(room, username=name) for name in ("ada", "bob"))
        watcher.wait_for("ada", "bob")
        bob.process.kill()
        gone_by = time.monotonic() + MINUTE
        for _ in range(5):  # questions take effect neither on who is here nor on how often that is said
            with Watcher(settings) as curious:
                curious.wait_until_connected()
        watcher.wait_for("ada", seconds=gone_by - time.monotonic())
        assert ada.process.running
    for sent in tap.heard.values():
        # A second less: what is heard late comes sooner after the one before.
        busiest = max(sum(start <= at < start + MINUTE - 1 for at in sent) for start in sent)
        assert busiest <= MOST_IN_A_MINUTE
    assert len(tap.heard) <= 2  # but those who ask


@pytest.mark.slow
@pytest.mark.promise("who is here comes back after a restart")
def test_those_who_are_here_say_so_again_after_a_restart_of_the_broker(
    own_place: Place, commands: Commands, room: str, can: Can
) -> None:
    if not can("survives_restart") or not can("presence"):
        return
    with people_at(own_place, commands) as people, Watcher(own_place.settings(room)) as watcher:
        listener = people.process_listener(room, username="ada")
        watcher.wait_for("ada")
        if own_place.restart():
            listener.process.wait_for("listening again", seconds=60)
        # One who has not heard of her before.
        with Watcher(own_place.settings(room)) as newcomer:
            newcomer.wait_for("ada", seconds=PATIENCE)
            watcher.wait_for("ada")
            listener.leave()
            newcomer.wait_for(seconds=5)
            watcher.wait_for(seconds=5)


@pytest.mark.promise("an account that may only send gets no error of presence")
def test_an_account_that_may_only_send_is_told_that_presence_is_not_available(
    people: People, place: Place, room: str, can: Can
) -> None:
    if not can("presence") or not can("send_only"):
        return
    listener = people.process_listener(room)
    with place.send_only(room) as way:
        asked = people.run("who", "--url", way.url, "--room", room)
        assert asked.wait() == 1
        assert "presence not available" in asked.stderr
        assert people.try_to_say(way, room, "hello").wait() == 0
    assert listener.texts(1) == ["hello"]


class Tap:
    """What is announced in a room, by session: when it was heard. In a thread of its own, so as not to be late."""

    def __init__(self, settings: Settings) -> None:
        self.heard: dict[str, list[float]] = defaultdict(list)
        self._settings = settings
        self._stop = Event()
        self._thread = Thread(target=self._listen)

    def __enter__(self) -> Self:
        policy = self._settings.transport.presence(self._settings.room)
        if policy.announces:
            self._connection, _ = connect(self._settings, purpose="tap")
            channel, account = self._connection.channel(), self._settings.transport.account(self._connection)
            channel.auto_decode = False
            queue, _ = policy.join(channel, "tap", None, account=account)
            queue.consume("tap", self._note, no_ack=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
            self._settings.transport.drop(self._connection)

    def _listen(self) -> None:
        while not self._stop.is_set():
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=0.1)

    def _note(self, delivery: protocols.Delivery) -> None:
        body = delivery.body
        said = Announcement.decode(body if isinstance(body, bytes) else body.encode())
        assert said is not None
        if said.username and said.presence != GONE:
            self.heard[said.session].append(time.monotonic())
