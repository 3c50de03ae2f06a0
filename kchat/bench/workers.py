"""What the processes do: send a share of the messages, or receive them all. They count into memory that all share."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread, main_thread
from typing import TYPE_CHECKING, Any, NamedTuple

from kchat import events
from kchat.bench.pace import Lead, wait_until
from kchat.bench.plan import Plan, read_text, text_of
from kchat.bench.report import Received, Sent, class_of
from kchat.bench.room import delete_room
from kchat.client.sender import Sender
from kchat.client.subscriber import Subscriber
from kchat.errors import KchatError

if TYPE_CHECKING:
    from kchat.config.settings import Settings

READY = "ready"
"""Told by a process that has got into the room."""

GO = "go"
"""Told to senders: all are there."""

OVER = "over"
"""Told to subscribers: all that was to be sent is sent, and what does not come soon does not come."""

_ORPHAN_SECONDS = 5.0
"""Maximum time for a process to end in order when nobody runs it any more, in seconds."""


class Notice(NamedTuple):
    """Told by a process of which a connection is lost, or back."""

    text: str


class Common(NamedTuple):
    """What a process is given.

    Attributes:
        settings: the room.
        plan: what is measured.
        number: which one of its kind it is, from 0 on.
        sent: confirmed messages, by sender.
        received: received messages, by subscriber.
        link: takes :data:`READY`, then the result or the error; gives :data:`GO` or :data:`OVER`.
    """

    settings: Settings
    plan: Plan
    number: int
    sent: Sequence[int]
    received: Sequence[int]
    link: Connection[Any, Any]


def send(common: Common) -> None:
    """Be a sender."""
    _told(common, _send)


def receive(common: Common) -> None:
    """Be a subscriber."""
    _told(common, _receive)


def _told(common: Common, work: Callable[[Common], Sent | Received]) -> None:
    """Do it, and tell what came out. An error of kchat's is told by its name, since its class may not survive the way."""
    # Ctrl+C and a closed terminal are for who runs us, who then ends us in order.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if not sys.warnoptions:  # as in kchat/__main__.py, which a process that is spawned does not go through
        warnings.simplefilter("ignore", FutureWarning)
    Thread(target=_end_when_orphaned, daemon=True).start()
    try:
        result: Any = work(common)
    except KchatError as error:
        result = type(error).__name__, str(error), error.hint
    finally:
        if _is_orphaned():  # nobody else is left to do it; the last of us leaves nothing
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            delete_room(common.settings)
    # All is closed. A signal now would only disturb Python at its own end.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _tell(common, result)


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def _is_orphaned() -> bool:
    parent = parent_process()
    return parent is not None and not parent.is_alive()


def _end_when_orphaned() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    # By the main thread, which closes what is open.
    signal.pthread_kill(main_thread().ident or 0, signal.SIGTERM)
    time.sleep(_ORPHAN_SECONDS)
    os._exit(1)


def _tell(common: Common, word: object) -> None:
    with suppress(OSError):  # whoever wanted to hear it is gone, and so are we soon
        common.link.send(word)


class Connections:
    """Counts what is lost of them, and tells of it at once: until one is back, nothing else is heard of its process."""

    def __init__(self, common: Common) -> None:
        self.lost = 0
        self._common = common

    def note(self, event: events.Event) -> None:
        """An ``on_event``."""
        self.lost += isinstance(event, events.Disconnected)
        if not isinstance(event, events.Reconnecting):  # each of its tries
            _tell(self._common, Notice(str(event)))


def _send(common: Common) -> Sent:
    counted: Any = common.sent
    number = common.number
    refused, why = 0, ""
    connections = Connections(common)
    with Sender(common.settings, f"sender {number}", on_event=connections.note) as sender:
        _tell(common, READY)
        try:
            common.link.recv()
        except (EOFError, OSError):  # nobody is there to say it
            _end()
        first_at = time.monotonic_ns()
        for receipt in sender.send_many(_texts(common)):
            counted[number] += receipt.confirmed
            if receipt.error is not None:
                refused += 1
                why = why or str(receipt.error)
        return Sent(counted[number], refused, why, first_at, time.monotonic_ns(), connections.lost)


def _texts(common: Common) -> Iterator[str | None]:
    """The messages at their pace; ``None`` while it is too early for the next one."""
    plan, number = common.plan, common.number
    start = time.monotonic()
    most = max(1, plan.lead // plan.senders)
    lead = Lead(common.received, plan.senders, most, plan.patience)
    look = max(1, min(50, most // 4))
    for count in range(plan.share(number)):
        if plan.rate is not None:
            due = start + plan.due(number, count)
            yield from wait_until(due)
            # Not now: what a stall keeps from being sent on time is late as well.
            at = int(due * 1e9)
        else:
            if count % look == 0:
                yield from lead.wait(count)
            at = time.monotonic_ns()
        yield text_of(number, count, at, plan.size)


def _receive(common: Common) -> Received:
    plan = common.plan
    counted: Any = common.received
    seen = [bytearray(plan.share(sender)) for sender in range(plan.senders)]
    newest = [-1] * plan.senders
    ages: Counter[int] = Counter()
    messages = out_of_order = repeated = 0
    last_at = 0
    connections = Connections(common)
    name = f"subscriber {common.number}"
    with Subscriber(common.settings, name, on_event=connections.note) as subscriber:
        _tell(common, READY)
        alone_since = time.monotonic()
        while messages < plan.messages:
            batch = subscriber.receive(timeout=0.1)
            now = time.monotonic_ns()
            for message in batch:
                read = read_text(message.text)
                if read is None:
                    continue
                sender, number, sent_at = read
                if seen[sender][number]:
                    repeated += 1
                    continue
                seen[sender][number] = 1
                messages += 1
                out_of_order += number < newest[sender]
                newest[sender] = max(newest[sender], number)
                ages[class_of(now - sent_at)] += 1
                last_at = now
            subscriber.acknowledge()
            counted[common.number] = messages
            if batch or not common.link.poll():
                alone_since = time.monotonic()
            elif time.monotonic() - alone_since > plan.patience:
                break
    return Received(messages, out_of_order, repeated, last_at, dict(ages), connections.lost)
