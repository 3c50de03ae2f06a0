"""Rooms on their way into an archive: :class:`Archiving`, which is ``kchat archive`` for programs.

>>> from kchat import Settings
>>> from kchat.archive.archiving import Archiving
>>> from kchat.archive.opening import open_store
>>> with open_store("archive.db", write=True) as store, Archiving([Settings.resolve(room="chat")], store) as archiving:
...     archiving.run(idle_timeout=1)
"""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Self

from kchat import errors, events
from kchat.archive.archiver import Archiver
from kchat.client import durable as durables
from kchat.client.backfill import Backfill
from kchat.client.several import Subscribers
from kchat.client.subscriber import PREFETCH
from kchat.display.loop import listen
from kchat.transports.durable import Durable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kchat.archive.store import Store
    from kchat.client.subscriber import Subscriber
    from kchat.config.settings import Settings

DURABLE = "archive"
"""The name of the durable queue, unless another one is given."""

_READERS = 8
"""Number of archivers that share a queue, at most, for what comes again without an id."""

_LOOK = 0.05
"""Seconds between looks whether the archive is to be tried again, or whether to stop."""


class Archiving:
    """Listens to rooms by durable queues, and archives what comes. A context manager; for one thread.

    A message is acknowledged when it is committed. While the archive is away, messages wait in the broker.

    Threads: as of a :class:`~kchat.client.subscriber.Subscriber`; any may call :meth:`stop`.

    Arguments:
        settings: the rooms, with the same brokers.
        store: the archive, opened to write. It stays the caller's.
        username: stands in the names of connections. Default: the settings', else the login name.
        durable: the durable queue, by its name or with its limits; several share it if it says so. Default: ``archive``.
        since: begin with what the rooms' histories hold since then, in UNIX seconds, once. Default: with what is said
            from now on.
        keep: seconds for which messages are kept; older ones are deleted at the start and once an hour. Default: for ever.
        wait: keep trying for ever when no broker can be reached at the start. Default: fail.
        present: whether it counts as here. Default: it does not.
        on_event: told what happens to the connection.
        tell: told when the archive is away and back, with a line for people.

    Raises:
        kchat.errors.SettingsError: the transport has no durable queues, or cannot do what else is asked.
    """

    def __init__(
        self,
        settings: Sequence[Settings],
        store: Store,
        username: str | None = None,
        *,
        durable: str | Durable = DURABLE,
        since: float | None = None,
        keep: float | None = None,
        wait: bool = False,
        present: bool = False,
        on_event: events.OnEvent = events.ignore,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        durables.require_durable(settings[0])
        self._settings = settings
        self._store = store
        self._username = username
        self._durable = Durable.of(durable)
        self._wait = wait
        self._present = present
        self._on_event = on_event
        self._stopped = False
        self._prefetch = max(PREFETCH, 2 * store.batch)
        self._backfill = (
            None if since is None else Backfill(settings, self._durable.name, since, on_event=on_event)
        )
        self.archiver = Archiver(
            store,
            settings[0].room,
            self._prefetch,
            readers=_READERS if self._durable.shared else 1,
            connection=lambda: self._subscribers.each[0].position.connected_at,
            keep=keep,
            rooms=[each.room for each in settings],
            tell=tell,
            waiting=self._count_waiting,
            settled=self._settled,
        )
        """Knows how many messages were archived."""
        self._subscribers = self._new_subscribers(
            since, wait=wait
        )  # says what cannot be, before anything is contacted

    def _new_subscribers(self, since: float | Mapping[str, float] | None, *, wait: bool) -> Subscribers:
        return Subscribers(
            self._settings,
            self._username,
            durable=self._durable,
            since=since,
            anew=True,  # the backfill knows whether the history was read to its end
            prefetch=self._prefetch,
            wait=wait,
            on_event=self._on_event,
            present=self._present,
            positions=True,
        )

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def each(self) -> Sequence[Subscriber]:
        """The subscriber of each room."""
        return self._subscribers.each

    @property
    def where(self) -> str:
        """The rooms and their broker; safe to show."""
        return self._subscribers.where

    @property
    def queue_name(self) -> str:
        """The names of its queues; empty before :meth:`open`."""
        return self._subscribers.queue_name

    def open(self) -> None:
        """Connect. When it returns, nothing that is said is missed.

        Raises:
            kchat.errors.BrokerError: as of :meth:`kchat.client.subscriber.Subscriber.open`.
        """
        self._join(wait=self._wait)

    def _join(self, *, wait: bool) -> None:
        begin = None if self._backfill is None else self._backfill.begin(wait=wait)
        self._subscribers = self._new_subscribers(begin, wait=wait)
        if self._stopped:  # also in that moment
            self._subscribers.stop()
        self._subscribers.open()
        if self._backfill is not None:
            self._backfill.watch(self._subscribers)

    def _settled(self) -> None:
        if self._backfill is not None:
            self._backfill.settled()

    def run(
        self,
        *,
        limit: int | None = None,
        idle_timeout: float | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> int:
        """Archive what comes.

        Arguments:
            limit: number of messages after which to end. Default: never.
            idle_timeout: seconds without a message after which to end. Default: never.
            stop: asked now and then; true ends it.

        Returns:
            The number of messages that were received and are committed, those included that were there before.

        Raises:
            kchat.errors.BrokerError: as of :meth:`kchat.client.subscriber.Subscriber.receive`.
            kchat.errors.ArchiveError: the archive refuses. What is not committed stays with the broker.
        """
        archiver = self.archiver
        before = archiver.taken

        def stops() -> bool:
            return stop() or self._stopped

        while True:
            rest = None if limit is None else limit - archiver.taken + before
            listen(
                self._subscribers,
                archiver,
                limit=rest,
                idle_timeout=idle_timeout,
                stop=lambda: stops() or archiver.is_away_for_long,
            )
            # Also where the limit was reached by messages that are not committed.
            if stops() or not (archiver.is_away and self._leave(stops)):
                return archiver.taken - before

    def _leave(self, stop: Callable[[], bool]) -> bool:
        """Leave the queues until the archive is back; returns whether it is.

        A broker takes a queue from a reader that acknowledges nothing for long (RabbitMQ: 30 minutes,
        https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout), and drops what it has delivered too often
        (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling); and another archiver may reach the archive.
        """
        where = self.where
        self._subscribers.close()
        self._on_event(events.Notice(f"left {where}, whose queue keeps the messages meanwhile"))
        while not self.archiver.is_back():
            if stop():
                return False
            sleep(_LOOK)
        try:
            self._join(wait=True)
        except errors.Closed:
            if stop():
                return False
            raise
        self._on_event(events.Notice(f"reading {where} again"))
        return True

    def _count_waiting(self) -> int | None:
        """The number of messages that wait in the broker; ``None`` where it does not tell."""
        if not self._subscribers.stopped:
            return self._subscribers.count_waiting()
        count = 0
        try:
            for each in self._settings:
                found = durables.subscriptions(each)
                name = self._durable.name
                messages = next((each.messages for each in found if each.name == name), None)
                if messages is None:
                    return None
                count += messages
        except errors.KchatError:
            return None
        return count

    def stop(self) -> None:
        """Let :meth:`run` come to its end, from any thread or a signal handler; returns at once."""
        self._stopped = True
        self._subscribers.stop()

    def close(self) -> None:
        """Leave the rooms. What is not committed stays with the broker."""
        self._subscribers.close()
        self.archiver.close()
