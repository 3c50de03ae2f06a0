"""A room's work at its broker, in threads: one receives, one sends, and one fetches older messages when asked."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from kchat import errors
from kchat.tui.reports import Arrived, Failed, Happened, Joined, NotSent, Older, Sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.client.sender import Sender
    from kchat.client.subscriber import Subscriber
    from kchat.config.settings import Settings
    from kchat.events import Event
    from kchat.message import Message
    from kchat.tui.inbox import Inbox

_OLDER_PAUSE = 2.0
"""Seconds without a message after which the history is read."""


class Worker:
    """Reads and writes one room. :meth:`send`, :meth:`fetch_older` and :meth:`stop` return at once.

    Arguments:
        settings: the room and its brokers.
        username: stands in the queue's name, and in what is sent.
        inbox: gets the reports.
        durable, last, since: as of :class:`~kchat.client.subscriber.Subscriber`.
        wait: retry for ever when no broker can be reached at the start. Later on, that is done in any case.
    """

    def __init__(
        self,
        settings: Settings,
        username: str,
        inbox: Inbox,
        *,
        durable: str | None = None,
        last: int | None = None,
        since: float | None = None,
        wait: bool = False,
    ) -> None:
        self._settings = settings
        self._username = username
        self._inbox = inbox
        self._durable, self._last, self._since = durable, last, since
        self._wait = wait
        self._outgoing: SimpleQueue[Message | None] = SimpleQueue()
        self._subscriber: Subscriber | None = None
        self._sender: Sender | None = None
        self._stopped = self._fetching = False
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
        if not self._fetching and not self._stopped:
            self._fetching = True
            self._run(lambda: self._fetch(number, ends), "history")

    def stop(self) -> None:
        """Leave; what is being sent is given up where the broker does not answer. :meth:`join` waits for that."""
        self._stopped = True
        self._outgoing.put(None)
        self._run(self._close, "leave")

    def join(self, seconds: float) -> None:
        """Wait until it has left, but no longer than this."""
        for thread in self._threads[-1:]:
            thread.join(seconds)

    def _run(self, job: Callable[[], object], name: str) -> None:
        # A daemon: the window's end does not wait for a broker that does not answer.
        thread = Thread(target=job, name=f"kchat {name}", daemon=True)
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
                wait=self._wait,
                on_event=lambda event: self._tell(event, sending=False),
            )
            if self._stopped:
                return
            subscriber.open()
            joined = True
            self._inbox.put(Joined(self.room))
            self._run(self._send_all, "send")
            while not subscriber.stopped:
                messages = subscriber.receive()
                if messages and not self._stopped:
                    self._inbox.put(Arrived(self.room, messages))
                    subscriber.acknowledge()
        except errors.KchatError as error:
            if not self._stopped:
                self._inbox.put(Failed(self.room, error, joined))

    def _tell(self, event: Event, *, sending: bool) -> None:
        self._inbox.put(Happened(self.room, event, sending))

    def _fetch(self, number: int, ends: Callable[[Message], bool]) -> None:
        """Read the history with a subscriber of its own, which leaves again."""
        from kchat.client.subscriber import Subscriber

        found: list[Message] = []
        try:
            with Subscriber(self._settings, self._username, last=number) as subscriber:
                while not self._stopped and (messages := subscriber.receive(_OLDER_PAUSE)):
                    found += messages
                    if any(map(ends, messages)):
                        break
        except errors.KchatError:
            found.clear()  # the connection's own subscriber tells what is wrong
        finally:
            self._fetching = False
        self._inbox.put(Older(self.room, found))

    # ---- sending

    def _send_all(self) -> None:
        from kchat.client.sender import Sender

        # For ever: what is written while the broker is away is kept.
        sender = self._sender = Sender(
            self._settings,
            self._username,
            wait=True,
            on_event=lambda event: self._tell(event, sending=True),
        )
        while not self._stopped and (message := self._outgoing.get()) is not None:
            assert message.id is not None
            try:
                receipt = sender.send(message)
            except errors.KchatError as error:
                self._inbox.put(NotSent(self.room, message.id, error))
            else:
                self._inbox.put(Sent(self.room, message.id, receipt.routed))
