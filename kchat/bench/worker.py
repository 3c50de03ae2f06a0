"""A worker process: it sends its share of the messages, or receives all of them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from mmap import mmap
from multiprocessing.connection import Connection
from threading import Event, Thread, main_thread
from typing import TYPE_CHECKING, Any

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

_PAUSE = 0.001
"""How long a sender waits when it is too far ahead, and how late it may be at a given rate, in seconds."""


_LOOK = 0.1
"""How long a subscriber waits for the next message before it looks whether more will come, in seconds."""


class Task:
    """What a process is to do, as one of its kind with a number from 0 on, and its pipe to the process that runs it.

    Confirmed messages, ``sent``, are counted by sender, and ``received`` ones by subscriber, for all processes. The parent
    lets senders begin, and later tells subscribers to wait for late messages only: ``let_go_on``. When the pipe ends, the
    parent is gone, ``is_orphan``: this process then ends in order, and after :data:`_ORPHAN_SECONDS` in any case.
    """

    def __init__(
        self, link: Connection[Any, Any], counts: int, number: int, settings: Settings, plan: Plan
    ) -> None:
        self.number, self.settings, self.plan = number, settings, plan
        shared = memoryview(mmap(counts, 0)).cast("q")
        self.sent, self.received = shared[: plan.senders], shared[plan.senders :]
        self.let_go_on, self.is_orphan = Event(), False
        self._link = link
        Thread(target=self._listen, daemon=True).start()

    def tell(self, kind: str, value: object) -> None:
        """Tell the parent that this process is ``ready``, an ``event``, the ``result``, or an ``error``."""
        with suppress(OSError):  # it is gone
            self._link.send((kind, value))

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._link.recv()
                self.let_go_on.set()
        self.is_orphan = True
        signal.pthread_kill(main_thread().ident or 0, signal.SIGTERM)  # the main thread closes what is open
        time.sleep(_ORPHAN_SECONDS)
        os._exit(1)


def main(link: int, counts: int) -> None:
    """Run the task that comes through the pipe; both are file descriptors, of the pipe and the memory for the counts."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    pipe: Connection[Any, Any] = Connection(link)
    kind, *rest = pipe.recv()
    task = Task(pipe, counts, *rest)
    try:
        told: tuple[str, object] = "result", (send if kind == "sender" else receive)(task)
    except KchatError as error:
        told = "error", error
    except Exception as error:  # noqa: BLE001 - the parent shows it, or has ended this process in the middle of something
        told = "error", KchatError(f"a {kind}'s process failed: {type(error).__name__}: {error}")
    finally:
        # All is closed: from here on SIGTERM could only disturb the clean-up, or Python at its own end.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if task.is_orphan:
            with suppress(Exception):
                delete_room(task.settings)  # each does, so that the last one leaves nothing behind
    task.tell(*told)


def send(task: Task) -> Sent:
    """Send this sender's share of the messages, when the parent says so."""
    number = task.number
    why = ""
    with Sender(task.settings, f"sender {number}", on_event=partial(task.tell, "event")) as sender:
        task.tell("ready", True)
        task.let_go_on.wait()
        first_at = time.monotonic_ns()
        for receipt in sender.send_many(_texts(task)):
            task.sent[number] += receipt.confirmed
            if receipt.error is not None:
                why = why or str(receipt.error)
        return Sent(task.sent[number], why, first_at, time.monotonic_ns())


def _texts(task: Task) -> Iterator[str | None]:
    """The messages at their pace; ``None`` while it is too early for the next one."""
    plan, number = task.plan, task.number
    start = time.monotonic()
    lead = _Lead(task)
    look = max(1, min(50, lead.most // 4))
    for count in range(plan.share(number)):
        if plan.rate is not None:
            due = start + plan.due(number, count)
            while (early := due - time.monotonic()) > 0:
                yield None
                time.sleep(min(early, _PAUSE))
            # Not now: what a stall keeps from being sent on time is late as well.
            at = int(due * 1e9)
        else:
            while count % look == 0 and lead.is_used(count):
                yield None
                time.sleep(_PAUSE)
            at = time.monotonic_ns()
        yield text_of(number, count, at, plan.size)


class _Lead:
    """How far one sender is ahead of the subscribers, at most its share of the plan's lead.

    It assumes that what a subscriber has received came from all senders alike. Lost messages never arrive: a subscriber
    that has received nothing for the plan's patience is not waited for until it receives again, and the messages that it
    lacks by then count as lost.
    """

    def __init__(self, task: Task) -> None:
        self.most = max(1, task.plan.lead // task.plan.senders)
        self._plan, self._received = task.plan, task.received
        self._before = list(task.received)
        self._moved_at = [time.monotonic()] * len(self._before)
        self._lost = [0] * len(self._before)

    def is_used(self, count: int) -> bool:
        """Whether a sender that has sent this number of messages has to wait."""
        now = time.monotonic()
        too_far = False
        for number, came in enumerate(self._received):
            if came != self._before[number]:
                self._before[number], self._moved_at[number] = came, now
            behind = count - came // self._plan.senders
            # Some messages that counted as lost have arrived after all.
            self._lost[number] = min(self._lost[number], max(0, behind))
            if behind - self._lost[number] <= self.most:
                continue
            if now - self._moved_at[number] > self._plan.patience:
                self._lost[number] = behind
            else:
                too_far = True
        return too_far


def receive(task: Task) -> Received:
    """Receive all messages, or those that come until none has come for the plan's patience."""
    plan = task.plan
    seen = [bytearray(plan.share(sender)) for sender in range(plan.senders)]
    newest = [-1] * plan.senders
    ages: Counter[int] = Counter()
    messages = out_of_order = repeated = 0
    last_at = 0
    name = f"subscriber {task.number}"
    with Subscriber(task.settings, name, on_event=partial(task.tell, "event")) as subscriber:
        task.tell("ready", True)
        empty_looks = 0
        while messages < plan.messages:
            batch = subscriber.receive(timeout=_LOOK)
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
            empty_looks = 0 if batch or not task.let_go_on.is_set() else empty_looks + 1
            # Looks are counted, since a process that stood still has not seen what came meanwhile.
            if empty_looks * _LOOK > plan.patience:
                break
    return Received(messages, out_of_order, repeated, last_at, dict(ages))
