"""What each process does: send its share of the messages, or receive all of them. They count in memory that all share."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Event, Thread, main_thread
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

_ORPHAN_SECONDS = 8.0
"""How long a process may take to clean up when the one that ran it is gone, in seconds."""


class Parent:
    """The process that runs this one, at the other end of a pipe.

    A thread reads the pipe. When the pipe ends, the parent is gone, and the thread ends this process: in order, and after
    :data:`_ORPHAN_SECONDS` in any case.

    Attributes:
        let_go_on: set when a sender may begin; when all is sent and a subscriber waits for late messages only.
        is_gone: whether there is nobody else left to clean up.
    """

    def __init__(self, link: Connection[Any, Any]) -> None:
        self.let_go_on = Event()
        self.is_gone = False
        self._link = link
        Thread(target=self._listen, daemon=True).start()

    def tell(self, kind: str, value: object) -> None:
        """Tell it that this process is ``ready``, a ``notice`` for the user, the ``result``, or an ``error``."""
        with suppress(OSError):  # it is gone
            self._link.send((kind, value))

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._link.recv()
                self.let_go_on.set()
        self.is_gone = True
        signal.pthread_kill(main_thread().ident or 0, signal.SIGTERM)  # the main thread closes what is open
        time.sleep(_ORPHAN_SECONDS)
        os._exit(1)


class Task(NamedTuple):
    """What a process is to do.

    Attributes:
        parent: who is told how it goes.
        number: which one of its kind it is, from 0 on.
        settings: the room.
        plan: what to measure.
        sent: confirmed messages, by sender; shared by all processes.
        received: received messages, by subscriber; shared by all processes.
    """

    parent: Parent
    number: int
    settings: Settings
    plan: Plan
    sent: Any
    received: Any


Job = Callable[[Task], Sent | Received]
""":func:`send` or :func:`receive`."""


def run(job: Job, link: Connection[Any, Any], *rest: Any) -> None:
    """Run a job as a process of its own."""
    # A terminal sends Ctrl+C and its hang-up to all processes; the parent then ends this one by SIGTERM.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if not sys.warnoptions:  # as in kchat/__main__.py, which a spawned process does not go through
        warnings.simplefilter("ignore", FutureWarning)
    task = Task(Parent(link), *rest)
    try:
        told: tuple[str, object] = "result", job(task)
    except KchatError as error:
        told = "error", error
    except Exception:
        # SIGTERM ends the main thread wherever it is, be it in a handshake or an import: what these raise then is no news.
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
            raise
        sys.exit(1)
    finally:
        # All is closed: from here on SIGTERM could only disturb the clean-up, or Python at its own end.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if task.parent.is_gone:
            with suppress(Exception):
                delete_room(task.settings)  # each does, so that the last one leaves nothing behind
    task.parent.tell(*told)


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


class Connections:
    """Counts lost connections, and tells of each at once: the process tells nothing else until it is connected again."""

    def __init__(self, parent: Parent) -> None:
        self.lost = 0
        self._parent = parent

    def note(self, event: events.Event) -> None:
        """An ``on_event``."""
        self.lost += isinstance(event, events.Disconnected)
        if not isinstance(event, events.Reconnecting):  # one for each attempt
            self._parent.tell("notice", str(event))


def send(task: Task) -> Sent:
    """Send this sender's share of the messages, when the parent says so."""
    number = task.number
    refused, why = 0, ""
    connections = Connections(task.parent)
    with Sender(task.settings, f"sender {number}", on_event=connections.note) as sender:
        task.parent.tell("ready", True)
        task.parent.let_go_on.wait()
        first_at = time.monotonic_ns()
        for receipt in sender.send_many(_texts(task)):
            task.sent[number] += receipt.confirmed
            if receipt.error is not None:
                refused += 1
                why = why or str(receipt.error)
        return Sent(task.sent[number], refused, why, first_at, time.monotonic_ns(), connections.lost)


def _texts(task: Task) -> Iterator[str | None]:
    """The messages at their pace; ``None`` while it is too early for the next one."""
    plan, number = task.plan, task.number
    start = time.monotonic()
    most = max(1, plan.lead // plan.senders)
    lead = Lead(task.received, plan.senders, most, plan.patience)
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


def receive(task: Task) -> Received:
    """Receive all messages, or those that come until none has come for the plan's patience."""
    plan = task.plan
    seen = [bytearray(plan.share(sender)) for sender in range(plan.senders)]
    newest = [-1] * plan.senders
    ages: Counter[int] = Counter()
    messages = out_of_order = repeated = 0
    last_at = 0
    connections = Connections(task.parent)
    name = f"subscriber {task.number}"
    with Subscriber(task.settings, name, on_event=connections.note) as subscriber:
        task.parent.tell("ready", True)
        quiet_since = time.monotonic()
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
            task.received[task.number] = messages
            if batch or not task.parent.let_go_on.is_set():
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > plan.patience:
                break
    return Received(messages, out_of_order, repeated, last_at, dict(ages), connections.lost)
