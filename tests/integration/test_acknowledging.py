"""What a subscriber acknowledges, and when: seen by what a durable queue delivers to the next one."""

from __future__ import annotations

import pytest

from kchat import Closed, Sender, Settings, Subscriber
from kchat.client.acknowledgements import BATCH
from kchat.client.gathering import LARGE
from kchat.client.subscriber_connection import SubscriberConnection
from kchat.display.loop import listen
from kchat.message import Message
from tests.brokers.wait import Deadline, soon

ROOMS = ["local", "amqp"]


@pytest.fixture(params=ROOMS)
def settings(request: pytest.FixtureRequest) -> Settings:
    """A room in a file, and one on RabbitMQ."""
    return Settings.resolve(url=request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def acknowledged(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The tags of all acknowledgements from now on."""
    tags: list[object] = []
    acknowledge = SubscriberConnection.acknowledge

    def noted(self: SubscriberConnection, tag: object) -> None:
        tags.append(tag)
        acknowledge(self, tag)

    monkeypatch.setattr(SubscriberConnection, "acknowledge", noted)
    return tags


def archive(settings: Settings, prefetch: int = 500) -> Subscriber:
    return Subscriber(settings, "bob", durable="archive", prefetch=prefetch)


def fill(settings: Settings, count: int) -> list[str]:
    """Make the durable queue, and leave a number of messages in it."""
    archive(settings).__enter__().close()
    texts = [str(number) for number in range(count)]
    with Sender(settings, "ada") as sender:
        assert all(receipt.confirmed for receipt in sender.send_many(texts))
    return texts


def some(subscriber: Subscriber, count: int) -> list[str]:
    """Receive a number of messages."""
    texts: list[str] = []
    deadline = Deadline(soon(20))
    while len(texts) < count:
        texts += [each.text for each in subscriber.receive(timeout=deadline.left, limit=count - len(texts))]
    return texts


def left(settings: Settings) -> list[str]:
    """What the lasting queue still holds."""
    with archive(settings) as subscriber:
        return [each.text for each in subscriber.receive(timeout=1)]


def test_waiting_in_vain_acknowledges_nothing(settings: Settings) -> None:
    texts = fill(settings, 5)
    with archive(settings) as subscriber:
        assert some(subscriber, 5) == texts
        assert subscriber.receive(timeout=0.2) == []
    assert left(settings) == texts


def test_a_repeat_is_acknowledged_though_nobody_is_shown_it(settings: Settings) -> None:
    fill(settings, 0)
    message = Message.compose("ada", "hello")
    with archive(settings) as subscriber, Sender(settings, "ada") as sender:
        sender.send(message)
        assert some(subscriber, 1) == ["hello"]
        subscriber.acknowledge()
        sender.send(message)
        assert subscriber.receive(timeout=1) == []
    assert left(settings) == []


def test_a_repeat_behind_what_is_being_worked_on_waits_for_that(settings: Settings) -> None:
    fill(settings, 0)
    message = Message.compose("ada", "hello")
    with archive(settings) as subscriber, Sender(settings, "ada") as sender:
        sender.send(message)
        assert some(subscriber, 1) == ["hello"]
        sender.send(message)
        assert subscriber.receive(timeout=1) == []
    assert "hello" in left(settings)


def test_a_program_that_leaves_the_loop_gets_its_last_message_again(settings: Settings) -> None:
    texts = fill(settings, 5)
    with archive(settings) as subscriber:
        for message in subscriber:
            if message.text == "2":
                break
    assert left(settings) == texts[2:]


def test_a_loop_acknowledges_many_at_once(settings: Settings, acknowledged: list[object]) -> None:
    texts = fill(settings, 1000)
    seen: list[str] = []
    with archive(settings) as subscriber:
        for message in subscriber:
            seen.append(message.text)
            if len(seen) == len(texts):
                break
    assert seen == texts
    assert len(acknowledged) < len(texts) / 10


def test_a_loop_acknowledges_what_it_has_seen_before_it_waits(settings: Settings) -> None:
    fill(settings, 1)

    with archive(settings) as subscriber, Sender(settings, "ada") as sender:
        loop = iter(subscriber)
        next(loop)
        sender.send("another")
        next(loop)  # acknowledges the first one
        subscriber._connection.drop()  # as if it were killed here
    assert left(settings) == ["another"]


def test_a_position_on_a_lost_connection_acknowledges_nothing_on_the_next_one(settings: Settings) -> None:
    fill(settings, 2)
    with archive(settings) as subscriber:
        assert some(subscriber, 1) == ["0"]
        before = subscriber.position
        subscriber._connection.fail(Closed("cut"))
        assert some(subscriber, 1) == ["1"]  # the first one comes again, and is known
        subscriber.acknowledge(before._replace(tag=subscriber.position.tag))
        subscriber.finish(before._replace(tag=subscriber.position.tag))
    assert "1" in left(settings)


def test_finished_messages_are_acknowledged_when_a_subscriber_is_closed(settings: Settings) -> None:
    texts = fill(settings, 5)
    with archive(settings) as subscriber:
        for text in texts:
            message = subscriber.receive_one(timeout=30)
            assert message is not None
            assert message.text == text
    assert left(settings) == texts[-1:]


class Quiet:
    """A display that shows nothing."""

    def open(self, title: str) -> None: ...

    def show(self, message: Message) -> None: ...

    def flush(self) -> bool:
        return True

    def status(self, text: str) -> None: ...

    def close(self) -> None: ...


class Late(Quiet):
    """A display that brings out what it was given when it is flushed for the third time."""

    def __init__(self, acknowledged: list[object]) -> None:
        self.acknowledged = acknowledged
        self.left = 0
        self.early: list[object] = []

    def show(self, message: Message) -> None:
        self.left = 3

    def flush(self) -> bool:
        if self.left:
            self.left -= 1
            self.early += self.acknowledged
        return not self.left


@pytest.mark.parametrize("limit", [3, 1000])
def test_messages_that_a_display_has_not_written_are_not_acknowledged(
    settings: Settings, acknowledged: list[object], limit: int
) -> None:
    fill(settings, 3)
    acknowledged.clear()
    display = Late(acknowledged)
    with archive(settings) as subscriber:
        assert listen(subscriber, display, limit=limit, idle_timeout=1) == 3
    assert not display.early
    assert left(settings) == []


@pytest.mark.parametrize("prefetch", [1, 7, 500])
def test_a_loop_acknowledges_before_the_broker_holds_messages_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, prefetch: int
) -> None:
    count = 300
    fill(settings, count)
    in_vain: list[object] = []
    receive = Subscriber.receive

    def noted(self: Subscriber, timeout: float | None = None, limit: int = BATCH) -> list[Message]:
        messages = receive(self, timeout, limit)
        if not messages:
            in_vain.append(timeout)
        return messages

    monkeypatch.setattr(Subscriber, "receive", noted)
    with archive(settings, prefetch) as subscriber:
        assert listen(subscriber, Quiet(), limit=count) == count
    assert len(in_vain) < count / prefetch / 4 + 3
    assert left(settings) == []


def test_of_large_messages_no_more_is_taken_in_than_is_handed_over_at_once(settings: Settings) -> None:
    fill(settings, 0)
    with Sender(settings, "ada") as sender:
        assert all(receipt.confirmed for receipt in sender.send_many("x" * (128 << 10) for _ in range(200)))
    held, came, deadline = [], 0, Deadline(soon(30))
    with archive(settings) as subscriber:
        while came < 200:
            came += len(subscriber.receive(timeout=deadline.left))
            held.append(sum(len(each.body) for each in subscriber._connection.arrived))
            subscriber.acknowledge()
    # What one look brings in comes on top of it.
    assert max(held) <= 3 * LARGE
