"""A sender and a subscriber that several threads of a program use."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from threading import Event, Thread
from time import monotonic

import pytest

from kchat import Receipt, Sender, Settings, Subscriber, errors
from kchat.display.loop import listen
from kchat.message import Message
from tests.brokers.wait import soon, wait_until

THREADS, EACH = 8, 50
SECONDS = 60.0


@pytest.fixture(params=["amqp", "redis", "local"])
def settings(request: pytest.FixtureRequest, room: str) -> Settings:
    """A room on each kind of broker."""
    url = request.getfixturevalue(f"{request.param}_url")
    return Settings.resolve(url=url, room=room, confirm_timeout=30)


def in_threads(*work: Callable[[], None]) -> None:
    """Runs each in a thread of its own, and waits for all; what one raises is raised."""
    failures: list[BaseException] = []

    def run(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    threads = [Thread(target=run, args=(one,), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    ends = monotonic() + SECONDS
    for thread in threads:
        thread.join(max(0.0, ends - monotonic()))
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if failures:
        raise failures[0]


def received(subscriber: Subscriber, count: int) -> Counter[str]:
    """The texts of the next messages, and how often each came."""
    texts: Counter[str] = Counter()
    ends = monotonic() + SECONDS
    while texts.total() < count and monotonic() < ends:
        texts.update(message.text for message in subscriber.receive(timeout=1))
        subscriber.acknowledge()
    return texts


def test_each_thread_gets_the_receipts_of_its_own_messages(settings: Settings) -> None:
    with Subscriber(settings, "listener") as subscriber, Sender(settings, "shared") as sender:

        def send(number: int) -> None:
            for count in range(EACH):
                text = f"{number} {count}"
                receipt = sender.send(text)
                assert receipt.message.text == text
                assert receipt.confirmed

        in_threads(*(lambda number=number: send(number) for number in range(THREADS)))
        texts = received(subscriber, THREADS * EACH)
    assert texts == Counter({f"{number} {count}": 1 for number in range(THREADS) for count in range(EACH)})


def test_threads_send_while_one_runs_a_stream(settings: Settings) -> None:
    with Subscriber(settings, "listener") as subscriber, Sender(settings, "shared") as sender:
        receipts: list[Receipt] = []

        def stream() -> None:
            receipts.extend(sender.send_many(f"stream {count}" for count in range(500)))

        def send() -> None:
            for count in range(20):
                assert sender.send(f"one {count}").confirmed

        in_threads(stream, send)
        texts = received(subscriber, 520)
    assert [each.message.text for each in receipts] == [f"stream {count}" for count in range(500)]
    assert texts.total() == len(texts) == 520


def test_a_second_stream_is_refused_by_one_clear_error(local_url: str) -> None:
    with Sender(Settings.resolve(url=local_url), "shared") as sender:
        stream = sender.send_many(["one", "two"])
        next(stream)

        def second() -> None:
            with pytest.raises(RuntimeError, match="another thread runs send_many"):
                list(sender.send_many(["three"]))

        in_threads(second)
        assert len(list(stream)) == 1

        def third() -> None:
            assert len(list(sender.send_many(["four"]))) == 1

        in_threads(third)


def test_a_stream_is_told_that_another_thread_gave_its_messages_up(
    local_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Sender(Settings.resolve(url=local_url), "shared")
    with sender:
        asked, answered = Event(), Event()

        def texts() -> Iterator[str]:
            yield "one"
            asked.set()
            assert answered.wait(SECONDS)
            yield "two"

        def stream() -> None:
            with pytest.raises(errors.NotConfirmed, match="not confirmed"):
                list(sender.send_many(texts()))

        def fail() -> None:
            assert asked.wait(SECONDS)
            # As a lost connection that is not to be mended does it, with what is in flight.
            monkeypatch.setattr(sender._connection, "submit", broken)
            with pytest.raises(errors.NotConfirmed):
                sender.send("three")
            monkeypatch.undo()
            answered.set()

        def broken(message: Message, receipts: deque[Receipt]) -> None:
            sender._in_flight.add(message, receipts)
            raise errors.NotConfirmed("gone")

        in_threads(stream, fail)


@pytest.mark.parametrize("end", [Subscriber.stop, Subscriber.close], ids=["stop", "close"])
def test_another_thread_ends_a_quiet_subscriber(
    settings: Settings, end: Callable[[Subscriber], None]
) -> None:
    for loop in (
        list,
        lambda subscriber: subscriber.receive(),
        lambda subscriber: listen(subscriber, _Nowhere()),
    ):
        subscriber = Subscriber(settings, "listener")
        subscriber.open()
        thread = Thread(target=loop, args=(subscriber,), daemon=True)
        thread.start()
        began = monotonic()
        end(subscriber)
        thread.join(SECONDS)
        assert not thread.is_alive()
        assert monotonic() - began < soon(5)
        assert subscriber.stopped
        subscriber.close()


def test_a_subscriber_that_waits_for_its_broker_can_be_closed() -> None:
    from tests.brokers.ports import free_port

    settings = Settings.resolve(url=f"amqp://guest:guest@127.0.0.1:{free_port()}/")
    waiting = Event()
    subscriber = Subscriber(settings, "listener", wait=True, on_event=lambda _: waiting.set())
    thread = Thread(target=subscriber.receive, daemon=True)
    thread.start()
    assert waiting.wait(SECONDS)
    subscriber.close()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_a_stopped_subscriber_goes_on_when_it_is_opened_again(local_url: str) -> None:
    settings = Settings.resolve(url=local_url)
    with Subscriber(settings, "listener") as subscriber, Sender(settings, "ada") as sender:
        sender.send("one")
        subscriber.stop()
        assert subscriber.receive(timeout=1) == []
        subscriber.open()
        assert [each.text for each in subscriber.receive(timeout=30)] == ["one"]


def test_a_subscriber_that_is_woken_returns_without_a_message_and_goes_on(settings: Settings) -> None:
    with Subscriber(settings, "listener") as subscriber, Sender(settings, "ada") as sender:
        got: list[list[Message]] = []
        thread = Thread(target=lambda: got.append(subscriber.receive()), daemon=True)
        thread.start()
        subscriber.wake()
        thread.join(SECONDS)
        assert got == [[]]
        subscriber.wake()
        assert subscriber.receive() == []
        sender.send("one")
        assert [each.text for each in subscriber.receive(timeout=30)] == ["one"]


def test_waking_a_subscriber_does_not_end_iteration(settings: Settings) -> None:
    with Subscriber(settings, "listener") as subscriber, Sender(settings, "ada") as sender:
        said: list[str] = []
        thread = Thread(target=lambda: said.extend(message.text for message in subscriber), daemon=True)
        thread.start()
        for text in ("one", "two"):
            subscriber.wake()
            sender.send(text)
            wait_until(lambda text=text: said[-1:] == [text], SECONDS, text)  # type: ignore[misc]  # its own text
        subscriber.stop()
        thread.join(SECONDS)
        assert said == ["one", "two"]


def test_waking_ends_a_pause_before_the_next_attempt_to_connect() -> None:
    from tests.brokers.ports import free_port

    settings = Settings.resolve(url=f"amqp://guest:guest@127.0.0.1:{free_port()}/")
    waiting = Event()
    subscriber = Subscriber(settings, "listener", wait=True, on_event=lambda _: waiting.set())
    got: list[list[Message]] = []
    thread = Thread(target=lambda: got.append(subscriber.receive()), daemon=True)
    thread.start()
    assert waiting.wait(SECONDS)
    subscriber.wake()
    thread.join(SECONDS)
    assert got == [[]]
    subscriber.close()


class _Nowhere:
    """A display that shows nothing."""

    def open(self, title: str) -> None: ...
    def show(self, message: Message) -> None: ...
    def status(self, text: str) -> None: ...
    def flush(self) -> bool:
        return True

    def close(self) -> None: ...
