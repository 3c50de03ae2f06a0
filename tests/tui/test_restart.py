"""Three people write without a pause while the broker restarts, twice: nothing is lost, and nothing is there twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from threading import Thread

import pytest

from kchat.message import Message
from kchat.tui.inbox import Inbox
from kchat.tui.options import ChatOptions
from kchat.tui.people import nobody_knows
from kchat.tui.read_marks import ReadMarks
from kchat.tui.session import Session
from kchat.tui.unseen import Unseen
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.tui.chatting import settings

ROUNDS = 2


class Person:
    """Somebody with a window that nobody looks at.

    Arguments:
        url: of the broker.
        name: of the person.
    """

    def __init__(self, url: str, name: str) -> None:
        marks = ReadMarks(Path("/dev/null/none"))
        options = ChatOptions([settings(url)], name, marks=marks, presence_of=nobody_knows)
        self.name = name
        self.session = Session(options, Inbox())
        self.session.start()
        self.written: list[str] = []

    def look(self) -> None:
        self.session.take()
        self.session.tick()

    def write(self) -> None:
        self.written.append(f"{self.name} {len(self.written)}")
        self.session.say(self.session.current, self.written[-1])

    def read(self) -> list[str]:
        timeline = self.session.current.timeline
        entries = [timeline[place] for place in range(timeline.first, timeline.end)]
        return [entry.text for entry in entries if not entry.is_note]

    @property
    def is_connected(self) -> bool:
        self.look()
        return self.session.current.joined and not self.session.current.status

    @property
    def is_done(self) -> bool:
        self.look()
        return not len(self.session.current.outbox)


def test_nothing_is_lost_and_nothing_is_there_twice(own_rabbitmq: RabbitMQ) -> None:
    with own_rabbitmq.new_vhost() as vhost:
        people = [Person(own_rabbitmq.url_for(vhost), name) for name in ("ada", "bob", "cy")]
        wait_until(lambda: all(person.is_connected for person in people), 20)
        for _ in range(ROUNDS):
            for command in ("stop_app", "start_app"):
                _write_while(people, own_rabbitmq, command)
            wait_until(lambda: all(person.is_connected for person in people), 60)
            wait_until(lambda: all(person.is_done for person in people), 60)
        written = {text for person in people for text in person.written}

        def lost() -> dict[str, set[str]]:
            for person in people:
                person.look()
            return {person.name: missing for person in people if (missing := written - {*person.read()})}

        wait_until(lambda: not lost(), 20, lambda: f"lost: {lost()}")
        for person in people:
            twice = [text for text, count in Counter(person.read()).items() if count > 1]
            assert twice == []
            own = [text for text in person.read() if text.startswith(person.name)]
            assert own == person.written
            assert person.session.close(10).unsent == ()


def _write_while(people: list[Person], rabbitmq: RabbitMQ, command: str) -> None:
    thread = Thread(target=rabbitmq.ctl, args=(command,))
    thread.start()
    while thread.is_alive():
        for person in people:
            person.look()
            person.write()
        thread.join(0.05)


def test_what_came_back_just_before_may_not_have_come_to_others() -> None:
    now = [100.0]
    unseen = Unseen(lambda: now[0])
    long_ago, just_now = Message.compose("ada", "long ago"), Message.compose("ada", "just now")
    for message in (long_ago, just_now):
        unseen.begin(message)
        unseen.confirm(message)
        unseen.arrive([message])
        now[0] += 6.0
    unseen.doubt(0.0)
    now[0] += 60.0
    unseen.doubt(0.0)  # the connection was lost again, before anything could be sent
    assert unseen.in_doubt() is just_now
    unseen.confirm(just_now)
    assert unseen.in_doubt() is None
    assert unseen.has_arrived(just_now)


def test_what_is_confirmed_after_the_loss_that_others_had_too_is_in_doubt() -> None:
    unseen = Unseen()
    late, unconfirmed = Message.compose("ada", "late"), Message.compose("ada", "unconfirmed")
    unseen.begin(late)
    unseen.begin(unconfirmed)
    unseen.arrive([unconfirmed])
    unseen.doubt(0.0)
    unseen.confirm(late)
    assert unseen.in_doubt() is late
    unseen.confirm(late)
    assert unseen.in_doubt() is unconfirmed
    unseen.confirm(unconfirmed)
    assert unseen.in_doubt() is None


def test_what_came_back_is_not_in_doubt() -> None:
    now = [100.0]
    unseen = Unseen(lambda: now[0])
    seen, lost, forged, old = (Message.compose("ada", text) for text in ("seen", "lost", "forged", "old"))
    for message in (seen, lost, forged):
        unseen.begin(message)
        unseen.confirm(message)
    unseen.arrive([seen, Message.compose("ada", "other", id=forged.id)])
    now[0] += 10.0
    unseen.begin(old)
    assert unseen.in_doubt() is None
    unseen.doubt(0.0)
    assert unseen.has_arrived(seen)
    assert unseen.in_doubt() is lost
    unseen.confirm(lost)
    assert unseen.in_doubt() is forged
    unseen.forget(forged)
    assert unseen.in_doubt() is None  # one that was never confirmed is tried again by whoever sends it


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_what_was_confirmed_long_before_is_not_in_doubt(seconds: float) -> None:
    unseen = Unseen()
    message = Message.compose("ada", "hello")
    unseen.begin(message)
    unseen.confirm(message)
    unseen.doubt(seconds)
    assert (unseen.in_doubt() is None) == (seconds > 0)
