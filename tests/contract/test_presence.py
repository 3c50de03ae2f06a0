"""Coming, going, being killed, being away, and a broker that goes and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kchat import SettingsError, Subscriber
from tests.brokers.processes import Commands, Process
from tests.brokers.wait import soon, wait_until
from tests.contract.conftest import Can
from tests.contract.people import SECONDS, People, people_at
from tests.contract.places import Place


@pytest.mark.promise("Ctrl+C ends a subscriber within 2 s")
def test_a_subscriber_ends_soon(people: People, room: str, can: Can) -> None:
    if not can("processes"):
        return
    listener = people.process_listener(room)
    people.say(room, "hello")
    listener.hear(1)
    started = time.monotonic()
    listener.leave()
    assert time.monotonic() - started < soon(2)
    assert "Traceback" not in listener.process.stderr


@pytest.mark.promise("leaving and kill -9 leave nothing that grows")
@pytest.mark.parametrize("end", [Process.interrupt, Process.kill])
def test_a_subscriber_leaves_nothing_behind(
    people: People, place: Place, room: str, can: Can, end: Callable[[Process], None]
) -> None:
    if not can("processes"):
        return
    listener = people.process_listener(room)
    people.say(room, "hello")
    assert listener.texts(1) == ["hello"]
    end(listener.process)
    wait_until(
        lambda: not place.leftovers(room), SECONDS, lambda: f"nothing to be left: {place.leftovers(room)}"
    )


@pytest.mark.slow
@pytest.mark.promise("back after a restart, and says so")
def test_a_restart_of_the_broker_is_survived(
    own_place: Place, commands: Commands, room: str, can: Can
) -> None:
    if not can("survives_restart"):
        return
    with people_at(own_place, commands) as people:
        listener = people.process_listener(room)
        people.say(room, "before")
        assert listener.texts(1) == ["before"]
        if own_place.restart():
            told = listener.process.wait_for("listening again", seconds=60)
            assert "connection lost" in told
        people.say(room, "after")
        assert listener.texts(2)[-1] == "after"
        assert listener.process.running


@pytest.mark.promise("--durable keeps messages while away")
def test_a_durable_subscriber_misses_nothing(people: People, place: Place, room: str, can: Can) -> None:
    if not can("durable"):
        with pytest.raises(SettingsError, match="durable"):
            Subscriber(place.settings(room), "bob", durable="archive")
        refused = people.run("subscribe", "--url", place.way.url, "--room", room, "--durable", "archive")
        assert refused.wait() == 2
        assert "durable" in refused.stderr
        return
    first = people.process_listener(room, "--durable", "archive")
    people.say(room, "1")
    assert first.texts(1) == ["1"]
    first.leave()
    people.say(room, "2", "3")
    second = people.process_listener(room, "--durable", "archive")
    assert second.texts(2) == ["2", "3"]
    second.leave()


@pytest.mark.slow
@pytest.mark.promise("--durable outlives kill -9")
def test_messages_sent_after_a_durable_subscriber_was_killed_wait_for_the_next(
    request: pytest.FixtureRequest, people: People, place: Place, room: str, can: Can
) -> None:
    if not can("durable"):
        return
    first = people.process_listener(room, "--durable", "archive")
    people.say(room, "1")
    assert first.texts(1) == ["1"]
    first.process.kill()
    assert "nothing to sweep" in people.run("sweep", "--url", place.way.url, "--room", room, "--list").stdout
    if place.kills_unnoticed:
        request.node.user_properties.append(("not here", place.kills_unnoticed))
        return
    people.say(room, "2")
    second = people.process_listener(room, "--durable", "archive")
    # What was shown a moment before the kill may not have been acknowledged; then it comes once more, and first.
    wait_until(lambda: "2" in second.texts(1), SECONDS)
    assert second.texts(1) in (["2"], ["1", "2"])
