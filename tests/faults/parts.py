"""A subscriber and a sender that run in threads while a test breaks what they stand on."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from time import monotonic
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from kchat import KchatError, Message, Receipt, Sender, Settings, Subscriber, events
from tests.brokers.wait import Deadline, soon

E = TypeVar("E", bound=events.Event)


class Told(Generic[E]):
    """An event, and when it came."""

    def __init__(self, event: E, at: float) -> None:
        self.event = event
        self.at = at


class _Running:
    """Something that runs in a thread until it ends, tells events, and may fail."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._changed = threading.Condition()
        self._told: list[Told[Any]] = []
        self._thread = threading.Thread(target=self._guard, daemon=True)

    def _guard(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - the test's thread looks at it
            self.error = error
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        raise NotImplementedError

    def _tell(self, event: events.Event) -> None:
        with self._changed:
            self._told.append(Told(event, monotonic()))
            self._changed.notify_all()

    @property
    def events(self) -> list[str]:
        """The names of all events so far."""
        return [type(told.event).__name__ for told in self._told]

    @property
    def told(self) -> list[Any]:
        """All events so far."""
        return [told.event for told in self._told]

    def wait_for(self, kind: type[E], seconds: float, count: int = 1) -> Told[E]:
        """Waits for the first event, or the ``count``-th, of a kind.

        Raises:
            AssertionError: it did not come in time.
        """
        found: list[Told[E]] = []

        def look() -> bool:
            found[:] = [told for told in self._told if isinstance(told.event, kind)]
            return len(found) >= count

        self._wait(look, seconds, f"{kind.__name__} event {count}")
        return found[count - 1]

    def _wait(self, seen: Any, seconds: float, what: str) -> None:
        deadline = Deadline(soon(seconds))
        with self._changed:
            while not seen():
                assert not deadline.passed, f"no {what} within {seconds:g} s: {self.state()}"
                assert self._thread.is_alive(), f"ended without {what}: {self.state()}"
                self._changed.wait(min(0.2, deadline.left))

    def state(self) -> str:
        """For the error of a test."""
        return f"events {[str(told.event) for told in self._told][-6:]}, error {self.error!r}"

    def join(self, seconds: float) -> None:
        """Waits for its end.

        Raises:
            AssertionError: not in time.
        """
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"still runs after {seconds:g} s: {self.state()}"


class Listening(_Running):
    """A subscriber that receives and acknowledges; a context manager. It is listening when it is entered."""

    def __init__(self, settings: Settings, username: str = "bob", **more: Any) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self._go_on = threading.Event()
        self._go_on.set()
        self._stop = False
        self.subscriber = Subscriber(settings, username, on_event=self._tell, **more)

    def __enter__(self) -> Self:
        self.subscriber.open()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop = True
        self._go_on.set()
        self.join(20)

    def _run(self) -> None:
        try:
            while not self._stop:
                batch = self.subscriber.receive(timeout=0.1)
                self._go_on.wait()
                with self._changed:
                    self.messages += batch
                    self._changed.notify_all()
                self.subscriber.acknowledge()
        finally:
            self.subscriber.close()

    def hold(self) -> None:
        """Has it stop after the next batch, as a display does whose terminal is stopped."""
        self._go_on.clear()

    def go_on(self) -> None:
        """Ends that."""
        self._go_on.set()

    @property
    def texts(self) -> list[str]:
        """What was received, as texts."""
        return [message.text or "" for message in list(self.messages)]

    def wait_for_count(self, count: int, seconds: float) -> float:
        """Waits for a number of messages; returns the time when they were there."""
        self._wait(lambda: len(self.messages) >= count, seconds, f"{count} messages")
        return monotonic()

    def wait_for_text(self, text: str, seconds: float) -> float:
        """Waits for one message; returns the time when it was there."""
        self._wait(lambda: any(each.text == text for each in self.messages), seconds, f"message {text!r}")
        return monotonic()


class Sending(_Running):
    """A sender of a stream of texts; a context manager that ends when all are settled."""

    def __init__(
        self, settings: Settings, messages: Iterable[str | None], username: str = "ada", **more: Any
    ) -> None:
        super().__init__()
        self.receipts: list[Receipt] = []
        self.ended_at = 0.0
        self._messages = messages
        self._sender = Sender(settings, username, on_event=self._tell, **more)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.join(60)

    def _run(self) -> None:
        try:
            with self._sender:
                for receipt in self._sender.send_many(self._messages):
                    with self._changed:
                        self.receipts.append(receipt)
                        self._changed.notify_all()
        except KchatError as error:
            self.error = error
        self.ended_at = monotonic()

    def wait_for_count(self, count: int, seconds: float) -> float:
        """Waits for a number of receipts; returns the time when they were there."""
        self._wait(lambda: len(self.receipts) >= count, seconds, f"{count} receipts")
        return monotonic()

    @property
    def routed(self) -> list[str]:
        """The texts that were confirmed, and not returned."""
        return [
            each.message.text or "" for each in self.receipts if each.confirmed and each.routed is not False
        ]


def lost(sent: Iterable[str], received: Iterable[str]) -> int:
    """How many of what was sent did not arrive."""
    return len(set(sent) - set(received))


def repeats(received: list[str]) -> int:
    """How many arrived more than once."""
    return len(received) - len(set(received))
