"""A bridge: rooms of two brokers as one.

What is said in a room on one broker is published to a room on another, and acknowledged there only when this one has
confirmed it: a durable queue keeps it until then, so neither broker's restart nor the bridge's own end loses any. Each
way has a thread, a subscriber and a sender. It publishes without waiting, and acknowledges in order what was confirmed.

With one side away, the other side's broker keeps what comes: the bridge takes no more than :data:`PREFETCH` messages.

What may come twice is what was confirmed and not yet acknowledged when a bridge was killed, or when the target's
connection broke. It has the same id, so kchat's subscribers leave it out. What the source delivers again after a lost
connection, the bridge leaves out by itself.
"""

from __future__ import annotations

import math
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from threading import Lock, Thread
from typing import TYPE_CHECKING, Self

import amqp.exceptions

from kchat import errors, events
from kchat.client.carried import Carried, Intake, Source, place_of
from kchat.client.connection import broker_errors, connect
from kchat.client.sender import WINDOW, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kchat.client.in_flight import Receipt
    from kchat.config.settings import Settings
    from kchat.message import Message

    OnEvent = Callable[[str, events.Event], None]

USERNAME = "bridge"
"""What stands in the names of its queues, where a transport has the username there."""

PREFETCH = 2 * WINDOW
"""Maximum number of messages that it has taken and not acknowledged: a sender's window, and as many to follow."""

_LOOK = 0.002
"""Seconds between looks for confirmations while nothing else comes."""

_REJECTED_PAUSE = 1.0
"""Seconds until a message that the broker rejected is published again."""


class Way:
    """From one room to another; see :class:`Bridge`, which makes it.

    Attributes:
        source: the room to read.
        target: the room to write.
        durable: the name of the durable queue in the source's room; ``None`` where there are none.
        bridged: number of messages that the target has confirmed.
        refused: number of messages that the target will never take: too large.
        failure: what ended it; ``None`` while it runs, and where it was stopped.
    """

    def __init__(
        self,
        source: Settings,
        target: Settings,
        name: str | None,
        *,
        since: float | None,
        if_kept: bool,
        wait: bool,
        on_event: OnEvent,
    ) -> None:
        here, there = place_of(source), place_of(target)
        if here == there:
            raise errors.SettingsError(
                f"{source} is the same room at both ends", hint="a bridge leads to another room or broker"
            )
        capabilities = source.transport.capabilities
        self.source, self.target = source, target
        self.durable = (name or f"{USERNAME}-{there}") if capabilities.durable else None
        self.bridged = self.refused = 0
        self.failure: BaseException | None = None
        self._since = since
        self._if_kept = if_kept
        self._wait = wait
        self._on_event = on_event
        self._intake = Intake(here, there)
        self._again: deque[tuple[float, Carried]] = deque()
        self._stopping = False
        self._subscriber: Source | None = None
        self._sender = Sender(
            target,
            USERNAME,
            wait=wait,
            reconnect_for=math.inf,
            blocked_for=math.inf,
            on_event=lambda event: on_event(str(target), event),
            headers=_headers,
        )

    @property
    def passed_by(self) -> int:
        """Number of messages that were left out since they had been there before."""
        return self._intake.passed_by

    @property
    def keeps(self) -> bool:
        """Whether what is said while the bridge is away, or cannot go on, is kept for it."""
        return self.durable is not None

    def open(self) -> None:
        """Connect to both rooms. When it returns, nothing that is said in the source's is missed.

        Raises:
            kchat.errors.BrokerError: as of :meth:`kchat.client.subscriber.Subscriber.open` and
                :meth:`kchat.client.sender.Sender.open`.
        """
        self._sender.open(stopping=lambda: self._stopping)
        since = self._since
        if since is not None and self.durable is not None and self._has_queue():
            since = None  # it goes on where it was
        self._subscriber = Source(
            self.source,
            USERNAME,
            durable=self.durable,
            since=since,
            if_kept=self._if_kept,
            prefetch=PREFETCH,
            wait=self._wait,
            on_event=lambda event: self._on_event(str(self.source), event),
        )
        if self._stopping:
            self._subscriber.stop()
        self._subscriber.open()

    def _has_queue(self) -> bool:
        """Whether a bridge of that name was here before."""
        assert self.durable is not None
        settings = self.source.unlocked()
        transport = settings.transport
        connection, broker = connect(settings, purpose="subscribe")
        try:
            with broker_errors(broker, "listen"):
                room, channel = transport.room(settings.room), connection.channel()
                for account in (None, transport.account(connection)):
                    queue = room.durable_queue(self.durable, account=account)(channel)
                    with suppress(amqp.exceptions.NotFound, amqp.exceptions.AccessRefused):
                        queue.queue_declare(passive=True)
                        return True
                return False
        finally:
            transport.drop(connection)

    def run(self) -> None:
        """Carry messages over until :meth:`stop`, and what was taken by then. Its failure is in :attr:`failure`."""
        subscriber = self._subscriber
        assert subscriber is not None
        try:
            for receipt in self._sender.send_many(self._taken(subscriber)):
                self._settle(receipt)
                self._acknowledge(subscriber)
        except BaseException as error:  # noqa: BLE001 - another thread looks at it
            if not (self._stopping and isinstance(error, errors.KchatError)):
                self.failure = error
        finally:
            self._acknowledge(subscriber)
            self.close()

    def _taken(self, subscriber: Source) -> Iterator[Message | None]:
        """What is to be published; ``None`` where confirmations are to be looked for."""
        intake = self._intake
        while not self._stopping or self._again:
            while self._again and (self._stopping or self._again[0][0] <= time.monotonic()):
                yield self._again.popleft()[1]
            busy = intake.in_flight or bool(self._again)
            messages = subscriber.receive(timeout=_LOOK if busy else None)
            if messages:
                position = subscriber.position
                intake.begin(position.connected_at)
                for message in messages:
                    assert isinstance(message, Carried)
                    if (carried := intake.take(message)) is not None:
                        yield carried
                intake.end(position)
                self._acknowledge(subscriber)  # where nothing of it was to be published
            yield None

    def _settle(self, receipt: Receipt) -> None:
        message, error = receipt.message, receipt.error
        assert isinstance(message, Carried)
        if isinstance(error, errors.Rejected):
            # A queue there is full, or being moved. Until it is taken, nothing behind it is acknowledged.
            self._again.append((time.monotonic() + _REJECTED_PAUSE, message))
            return
        if error is None:
            self.bridged += 1
        else:
            self.refused += 1
            self._on_event(str(self.target), events.Notice(f"not bridged: {error}"))
        self._intake.settle(message)

    def _acknowledge(self, subscriber: Source) -> None:
        if (position := self._intake.settled_position()) is not None:
            subscriber.acknowledge(position)

    def stop(self) -> None:
        """Take no more; :meth:`run` ends when what was taken is confirmed. From any thread or a signal handler."""
        self._stopping = True
        if self._subscriber is not None:
            self._subscriber.stop()

    def give_up(self) -> None:
        """Stop, and do not wait for what is not confirmed: its source keeps it."""
        self.stop()
        self._sender.close()

    def close(self) -> None:
        """Close both connections, when it does not run."""
        if self._subscriber is not None:
            self._subscriber.close()
        self._sender.close()


def _headers(message: Message) -> Mapping[str, str]:
    assert isinstance(message, Carried)
    return message.headers


class Bridge:
    """Rooms of two brokers as one. A context manager: it carries messages over while it is entered.

    A message keeps its id and its text. Where the source's broker has checked whose it is, that account goes into the
    body (:mod:`kchat.message.bridged`), since the broker of the target knows the bridge's account only. A header says in
    which rooms a message has been, and so it goes to none of them again.

    Where the source has durable queues, nothing is lost: what is said while the bridge is not running waits for it, until
    another bridge of that name runs. Elsewhere, it misses what is said while it is not running.

    Arguments:
        source: the broker to read from, and its room.
        target: the broker to write to, and its room.
        rooms: names of rooms on the source's broker, and what each is called on the target's. Default: the one of the
            settings.
        both: whether it carries messages the other way, too. Default: no.
        name: of the durable queues that keep what is said while the bridge is not running. Default: made of the room
            that they are for, so that two bridges from one room to different ones have each its own.
        since: begin with what the rooms hold since then, in UNIX seconds, unless a bridge of that name was here before;
            the other way only if the room there has a history. Default: with what is said from now on.
        wait: keep trying for ever when no broker can be reached at the start. Default: fail.
        on_event: called with the room and broker, as text, and what happens to a connection to it
            (:mod:`kchat.events`), in the thread of the way that it belongs to, one at a time.

    Raises:
        kchat.errors.SettingsError: both ends are the same room, or a transport cannot do what is asked.
    """

    def __init__(
        self,
        source: Settings,
        target: Settings,
        *,
        rooms: Mapping[str, str] | None = None,
        both: bool = False,
        name: str | None = None,
        since: float | None = None,
        wait: bool = False,
        on_event: OnEvent = lambda where, event: None,  # noqa: ARG005 - nobody is told
    ) -> None:
        self._telling = Lock()
        self._on_event = on_event
        pairs = [
            (replace(source, room=one), replace(target, room=other))
            for one, other in (rooms or {source.room: target.room}).items()
        ]
        self.ways = [
            Way(one, other, name, since=since, if_kept=bool(back), wait=wait, on_event=self._tell)
            for pair in pairs
            for back, (one, other) in enumerate((pair, pair[::-1]) if both else (pair,))
        ]
        """Each from a room to another."""
        self._threads: list[Thread] = []

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, where: str, event: events.Event) -> None:
        with self._telling:
            self._on_event(where, event)

    def open(self) -> None:
        """Connect, and begin. When it returns, nothing that is said is missed.

        Raises:
            kchat.errors.BrokerError: a room cannot be reached, or may not be read or written.
            kchat.errors.Closed: it was stopped meanwhile.
        """
        try:
            for way in self.ways:
                way.open()
        except BaseException:
            self.close()
            raise
        for way in self.ways:
            thread = Thread(target=self._run, args=(way,), name="kchat bridge", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, way: Way) -> None:
        way.run()
        if way.failure is not None:
            self.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has come to its end; returns whether it has.

        Arguments:
            timeout: seconds. Default: for ever.

        Raises:
            Exception: what ended one of its ways; the others are stopped then.
        """
        ends = math.inf if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if timeout is None else max(0.0, ends - time.monotonic()))
            if thread.is_alive():
                return False
        for way in self.ways:
            if way.failure is not None:
                raise way.failure
        return True

    def stop(self) -> None:
        """Take no more messages, and end when those that were taken are confirmed; see :meth:`wait`. From any thread."""
        for way in self.ways:
            way.stop()

    def close(self, timeout: float = 1.0) -> None:
        """Stop, and give up after a while: what is not confirmed stays where it is, and is taken by the next bridge.

        Arguments:
            timeout: seconds until then. Default: one.
        """
        self.stop()
        ends = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        for way in self.ways:
            way.give_up()
        for thread in self._threads:
            thread.join()
        for way in self.ways:
            way.close()
