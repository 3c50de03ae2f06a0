"""One way of a bridge: from a room on one broker to a room on another; see :mod:`kchat.client.bridge`."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from kchat import errors, events
from kchat.client.backoff import Backoff
from kchat.client.carried import Carried, Intake, Source, place_of
from kchat.client.connection import STOP_LOOK
from kchat.client.first_carry import FirstCarry
from kchat.client.sender import WINDOW, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kchat.client.in_flight import Receipt
    from kchat.config.settings import Settings
    from kchat.message import Message

    OnEvent = Callable[[str, events.Event], None]

_T = TypeVar("_T")

logger = logging.getLogger(__name__)

USERNAME = "bridge"
"""What stands in the names of its queues, where a transport has the username there."""

PREFETCH = 2 * WINDOW
"""Maximum number of messages that it has taken and not acknowledged: a sender's window, and as many to follow."""

_LOOK = 0.002
"""Seconds between looks for confirmations while nothing else comes."""

_LEAVE_AFTER = 60.0
"""Seconds without the target after which it leaves the source's queue until the target is back. A broker takes the queue
from a reader that acknowledges nothing for long (RabbitMQ: 30 minutes,
https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout), and drops what it has delivered too often
(https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling); and another bridge may reach the target."""

_REJECTED_PAUSE = 1.0
"""Seconds until a message that the broker rejected is published again."""

_HISTORY_LOOK = 0.2
"""Seconds between looks whether all of the history was carried, when nothing comes."""

_MARK_AGAIN = 5.0
"""Seconds until it is tried again to note that."""


class Way:
    """From one room to another; see :class:`kchat.client.bridge.Bridge`, which makes it.

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
        self._first = None if self.durable is None or since is None else FirstCarry(source, self.durable)
        self._history_ends: int | None = None  # the number of what was taken when all of it was
        self._mark_due = 0.0
        self._if_kept = if_kept
        self._wait = wait
        self._on_event = on_event
        self._intake = Intake(here, there)
        self._again: deque[tuple[float, Carried]] = deque()
        self._stopping = False
        self._away_since: float | None = None
        self._has_left = False
        self._subscriber: Source | None = None
        self._sender = Sender(
            target,
            USERNAME,
            wait=wait,
            reconnect_for=math.inf,
            blocked_for=math.inf,
            on_event=self._on_sender_event,
            headers=_headers,
        )

    @property
    def passed_by(self) -> int:
        """Number of messages that were left out since they had been there before."""
        return self._intake.passed_by

    @property
    def queue_name(self) -> str:
        """The name of its queue on the source's broker; empty before :meth:`open`."""
        return "" if self._subscriber is None else self._subscriber.queue_name

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
        if self._first is not None and self._since is not None:
            # None: it goes on where it was
            self._since = self._patiently(partial(self._first.begin, self._since))
        self._open_source(self._since)
        if self.carries_history and self._first is not None and not self._patiently(self._first.is_marked):
            self._first = None  # while this one waited for the queue, another bridge carried it
            assert self._subscriber is not None
            self._subscriber.close()
            self._open_source(None)

    def _open_source(self, since: float | None) -> None:
        self._subscriber = self._new_source(since, wait=self._wait)
        try:
            self._subscriber.open()
        except errors.Unavailable as error:
            if self.durable is not None and repr(self.durable) in str(error):  # another bridge reads it
                error.hint = errors.Hint(
                    "stop the other bridge, give this one another name, or let it stand by: it waits"
                )
            raise

    @property
    def carries_history(self) -> bool:
        """Whether it has yet to carry some of the history that is read beside the queue."""
        return self._first is not None and self._first.marked

    def _new_source(self, since: float | None, *, wait: bool) -> Source:
        source = Source(
            self.source,
            USERNAME,
            durable=self.durable,
            since=since,
            if_kept=self._if_kept,
            prefetch=PREFETCH,
            wait=wait,
            on_event=lambda event: self._on_event(str(self.source), event),
        )
        if self._stopping:
            source.stop()
        return source

    def _on_sender_event(self, event: events.Event) -> None:
        self._on_event(str(self.target), event)
        if isinstance(event, events.Disconnected):
            self._away_since = time.monotonic()
        elif isinstance(event, events.Reconnected):
            self._away_since = None
        elif isinstance(event, events.Reconnecting) and self._away_since is not None:
            away = time.monotonic() - self._away_since
            if away >= _LEAVE_AFTER:
                self._leave()

    def _leave(self) -> None:
        """Leave the source's queue, where it keeps the messages meanwhile. In the thread that publishes."""
        if self.durable is not None and self._subscriber is not None and not self._has_left:
            self._has_left = True
            self._subscriber.close()
            self._on_event(
                str(self.source),
                events.Notice(f"left {self.source}, whose queue keeps the messages meanwhile"),
            )

    def _return(self) -> None:
        """The target is back: read the queue again, as soon as its broker lets us."""
        self._has_left = False
        # What was taken of the history is published; the rest is read again with the beginning.
        carries = self.carries_history and self._history_ends is None
        self._subscriber = self._new_source(self._since if carries else None, wait=True)
        if self._stopping:  # also in that moment
            self._subscriber.stop()
        self._on_event(str(self.source), events.Notice(f"reading {self.source} again"))

    def _patiently(self, ask: Callable[[], _T]) -> _T:
        """What the source's broker answers; raises as :meth:`open`."""
        backoff = Backoff()
        while True:
            try:
                return ask()
            except errors.Unreachable as error:
                if not self._wait or isinstance(error, errors.Untrusted):
                    raise
                pause = backoff.fail()
                self._on_event(str(self.source), events.Reconnecting(error, pause, backoff.attempt))
            while backoff.remaining() > 0:
                if self._stopping:
                    raise errors.Closed(f"{self.source} was left before it was joined")
                time.sleep(min(backoff.remaining(), STOP_LOOK))

    def _look_at_history(self) -> None:
        """Where the target has all of the history, note that at the source."""
        ends = self._history_ends
        if ends is None or self._first is None or not self._intake.is_settled(ends):
            return
        if time.monotonic() >= self._mark_due:
            self._mark_due = time.monotonic() + _MARK_AGAIN
            try:
                self._first.end()
            except errors.BrokerError as error:
                logger.debug("%s", error)  # it is not there now
            else:
                self._first = None

    def run(self) -> None:
        """Carry messages over until :meth:`stop`, and what was taken by then. Its failure is in :attr:`failure`."""
        try:
            for receipt in self._sender.send_many(self._taken()):
                self._settle(receipt)
                self._acknowledge()
        except BaseException as error:  # noqa: BLE001 - another thread looks at it
            if not (self._stopping and isinstance(error, errors.KchatError)):
                self.failure = error
        finally:
            self._acknowledge()
            self._mark_due = 0.0
            self._look_at_history()
            self.close()

    def _taken(self) -> Iterator[Message | None]:
        """What is to be published; ``None`` where confirmations are to be looked for."""
        intake = self._intake
        while not self._stopping or self._again:
            while self._again and (self._stopping or self._again[0][0] <= time.monotonic()):
                yield self._again.popleft()[1]
            if self._has_left:
                self._return()
            subscriber = self._subscriber
            assert subscriber is not None
            busy = intake.in_flight or bool(self._again)
            patience = _HISTORY_LOOK if self.carries_history else None
            messages = subscriber.receive(timeout=_LOOK if busy else patience)
            if messages:
                position = subscriber.position
                intake.begin(position.connected_at)
                for message in messages:
                    assert isinstance(message, Carried)
                    if (carried := intake.take(message)) is not None:
                        yield carried
                intake.end(position)
                self._acknowledge()  # where nothing of it was to be published
            if self.carries_history:
                if self._history_ends is None and not subscriber.begins_with_history:
                    self._history_ends = intake.taken
                self._look_at_history()
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

    def _acknowledge(self) -> None:
        if (position := self._intake.settled_position()) is not None and self._subscriber is not None:
            self._subscriber.acknowledge(position)

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
