"""A bridge: rooms of two brokers as one.

What is said in a room on one broker is published to a room on another, and acknowledged there only when this one has
confirmed it: a durable queue keeps it until then, so neither broker's restart nor the bridge's own end loses any. Each
way has a thread, a subscriber and a sender. It publishes without waiting, and acknowledges in order what was confirmed.

With one side away, the other side's broker keeps what comes: the bridge takes no more than 2,000 messages of it
(:data:`kchat.client.way.PREFETCH`).

What may come twice is what was confirmed and not yet acknowledged when a bridge was killed, or when the target's
connection broke. It has the same id, so kchat's subscribers leave it out. What the source delivers again after a lost
connection, the bridge leaves out by itself.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from threading import Lock, Thread
from typing import TYPE_CHECKING, Self

from kchat.client.way import Way

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kchat import events
    from kchat.client.way import OnEvent
    from kchat.config.settings import Settings


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
        since: begin with what the rooms hold since then, in UNIX seconds, unless a bridge of that name was here
            before, and has carried all of it; the other way only if the room there has a history. Default: with what
            is said from now on.
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
