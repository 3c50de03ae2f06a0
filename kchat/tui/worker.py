"""A room's work at its broker, in threads: one receives, one sends, and one fetches older messages when asked."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

from kchat import errors, events
from kchat.tui.reports import Arrived, Failed, Happened, Joined, NotSent, Older, Sent
from kchat.tui.unseen import Unseen

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.client.sender import Sender
    from kchat.client.subscriber import Subscriber
    from kchat.config.settings import Settings
    from kchat.message import Message
    from kchat.transports.durable import Durable
    from kchat.tui.inbox import Inbox

TOGETHER = 0.04
"""Seconds from one report of messages to the next, unless a whole batch is there: each takes the window from its keys."""

_OLDER_PAUSE = 2.0
"""Seconds without a message after which the history is read."""

REJOIN = 11.0
"""Seconds after a lost connection is back before it is sent what was written meanwhile, where the room has no history:
others, who lost theirs too, try every 5 s at the least, and an attempt that a starting broker leaves open takes 5 s more."""

IN_DOUBT = 30.0
"""Seconds before a lost connection is noticed, within which a message that was confirmed may have been lost with it."""

_NEVER = float("inf")
_LONGEST_WAIT = 3600.0  # what Python waits for has to be finite
_PAUSE = 1.0  # seconds after an attempt to send that failed
_TRIES = 3  # attempts while this side is connected
_LOST = (errors.NotConfirmed, errors.Closed, errors.Unreachable, errors.Blocked)


class Worker:
    """Reads and writes one room. :meth:`send`, :meth:`fetch_older` and :meth:`stop` return at once.

    Arguments:
        settings: the room and its brokers.
        username: stands in the queue's name, and in what is sent.
        inbox: gets the reports.
        durable, last, since, if_kept: as of :class:`~kchat.client.subscriber.Subscriber`.
        wait: retry for ever when no broker can be reached at the start. Default: fail. Later, it always retries.
    """

    def __init__(
        self,
        settings: Settings,
        username: str,
        inbox: Inbox,
        *,
        durable: str | Durable | None = None,
        last: int | None = None,
        since: float | None = None,
        if_kept: bool = False,
        wait: bool = False,
    ) -> None:
        self._settings = settings
        self._username = username
        self._inbox = inbox
        self._durable, self._last, self._since, self._if_kept = durable, last, since, if_kept
        self._wait = wait
        self._unseen = Unseen()
        # None where there may be something in doubt to send again.
        self._outgoing: SimpleQueue[Message | None] = SimpleQueue()
        self._subscriber: Subscriber | None = None
        self._sender: Sender | None = None
        self._stopped = Event()
        self._fetching = False
        self._losses = 0  # how often the connection was lost
        self._ready_at = 0.0  # when it may be sent, by the monotonic clock
        self._wake = Event()
        self._threads: list[Thread] = []

    @property
    def room(self) -> str:
        """The room's name."""
        return self._settings.room

    def start(self) -> None:
        """Begin to join."""
        self._run(self._receive, "receive")

    def send(self, message: Message) -> None:
        """Send a message after those before it: at once, or when the connection is back."""
        self._outgoing.put(message)

    def fetch_older(self, number: int, ends: Callable[[Message], bool]) -> None:
        """Fetch messages of the history. One fetch at a time: another one meanwhile is ignored.

        Arguments:
            number: of the newest messages to look through.
            ends: whether a message is the oldest that is known, and nothing after it is needed; called in another thread.
        """
        if not self._fetching and not self._stopped.is_set():
            self._fetching = True
            self._run(lambda: self._fetch(number, ends), "history")

    def stop(self) -> None:
        """Leave; what is being sent is given up where the broker does not answer. :meth:`join` waits for that."""
        self._stopped.set()
        self._wake.set()
        self._outgoing.put(None)
        self._run(self._close, "leave")

    def join(self, seconds: float) -> None:
        """Wait until it has left, but no longer than this."""
        for thread in self._threads[-1:]:
            thread.join(seconds)

    def _run(self, job: Callable[[], object], name: str) -> None:
        def guarded() -> None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - a traceback would be written over the window
                fault = errors.KchatError(
                    f"a fault in kchat: {error!r}", "see it with: kchat --debug subscribe"
                )
                self._inbox.put(Failed(self.room, fault, joined=True))

        # A daemon: the window's end does not wait for a broker that does not answer.
        thread = Thread(target=guarded, name=f"kchat {name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _close(self) -> None:
        if self._subscriber is not None:
            self._subscriber.stop()
        if self._sender is not None:
            self._sender.close()
        if self._subscriber is not None:
            self._subscriber.close()

    # ---- receiving

    def _receive(self) -> None:
        from kchat.client.acknowledgements import BATCH
        from kchat.client.subscriber import Subscriber

        joined = False
        try:
            self._settings.transport.require()
            subscriber = self._subscriber = Subscriber(
                self._settings,
                self._username,
                durable=self._durable,
                last=self._last,
                since=self._since,
                if_kept=self._if_kept,
                wait=self._wait,
                on_event=lambda event: self._tell(event, sending=False),
            )
            if self._stopped.is_set():
                return
            subscriber.open()
            joined = True
            self._inbox.put(Joined(self.room, subscriber.has_history))
            self._run(self._send_all, "send")
            while not subscriber.stopped:
                messages = subscriber.receive()
                received_at = monotonic()
                self._unseen.arrive(messages)
                if messages and not self._stopped.is_set():
                    self._inbox.put(Arrived(self.room, messages))
                    subscriber.acknowledge()
                    if len(messages) < BATCH and not subscriber.has_arrived:
                        self._stopped.wait(max(0.0, received_at + TOGETHER - monotonic()))
        except errors.KchatError as error:
            if not self._stopped.is_set():
                self._inbox.put(Failed(self.room, error, joined))

    @property
    def _has_history(self) -> bool:
        return self._subscriber is not None and self._subscriber.has_history

    def _tell(self, event: events.Event, *, sending: bool) -> None:
        if not sending and isinstance(event, events.Disconnected):
            self._ready_at = _NEVER
            if not self._has_history:
                self._unseen.doubt(monotonic() - IN_DOUBT)
            self._losses += 1
        elif not sending and isinstance(event, events.Reconnected):
            # A room with a history has what they missed.
            self._ready_at = monotonic() + (0.0 if self._has_history else REJOIN)
            self._wake.set()
            self._outgoing.put(None)
        self._inbox.put(Happened(self.room, event, sending))

    def _fetch(self, number: int, ends: Callable[[Message], bool]) -> None:
        """Read the history with a subscriber of its own, which leaves again."""
        from kchat.client.subscriber import Subscriber

        found: list[Message] = []
        failed = False
        try:
            with Subscriber(self._settings, self._username, last=number) as subscriber:
                while not self._stopped.is_set() and (messages := subscriber.receive(_OLDER_PAUSE)):
                    found += messages
                    if any(map(ends, messages)):
                        break
        except errors.KchatError:
            failed = True  # the connection's own subscriber tells what is wrong
        finally:
            self._fetching = False
        self._inbox.put(Older(self.room, None if failed else found))

    # ---- sending

    def _send_all(self) -> None:
        """Send what is written, one message after the other: nothing overtakes what has to be tried again."""
        from kchat.client.sender import Sender

        # It gives up at once, and here it is tried again: not before those are back who were there to read it.
        sender = self._sender = Sender(
            self._settings,
            self._username,
            reconnect_for=0.0,
            on_event=lambda event: self._tell(event, sending=True),
        )
        while not self._stopped.is_set():
            message = self._outgoing.get()
            report = self._send(sender, message)
            if report is not None:
                self._inbox.put(report)

    def _send(self, sender: Sender, message: Message | None) -> Sent | NotSent | None:
        """Send a message, under the same id until the broker has it, and before it what is in doubt.

        Arguments:
            sender: sends it.
            message: it; ``None`` for what is in doubt alone.

        Returns:
            How it went; ``None`` where there is nothing to tell, or this has ended before.
        """
        failures = 0
        while self._wait_for_others():
            losses = self._losses
            if message is not None:
                self._unseen.begin(message)
            try:
                self._send_again(sender)
                if message is None:
                    return None
                receipt = sender.send(message)
            except _LOST as error:
                if message is not None and self._unseen.has_arrived(message):
                    return Sent(
                        self.room, message.id or "", routed=True
                    )  # which is as good as a confirmation
                failures = failures + 1 if losses == self._losses else 0
                if failures >= _TRIES:
                    return None if message is None else NotSent(self.room, message.id or "", error)
                self._wake.wait(_PAUSE)
            except errors.KchatError as error:
                assert message is not None
                return NotSent(self.room, message.id or "", error)
            else:
                self._unseen.confirm(message)
                return Sent(self.room, message.id or "", receipt.routed)
        return None

    def _send_again(self, sender: Sender) -> None:
        """Send what was confirmed before the connection was lost and is in doubt: it may be in no queue any more.

        Under the same id, by which recipients know it if they have it.
        """
        while not self._stopped.is_set() and (message := self._unseen.in_doubt()) is not None:
            try:
                receipt = sender.send(message)
            except _LOST:
                raise
            except errors.KchatError as error:
                self._unseen.forget(message)
                self._inbox.put(NotSent(self.room, message.id or "", error))
            else:
                self._unseen.confirm(message)
                self._inbox.put(Sent(self.room, message.id or "", receipt.routed))

    def _wait_for_others(self) -> bool:
        """Wait until this side is connected, and others had time to be; returns whether it has not been stopped."""
        while not self._stopped.is_set():
            wait = self._ready_at - monotonic()
            if wait <= 0:
                return True
            self._wake.clear()
            self._wake.wait(min(wait, _LONGEST_WAIT))
        return False
