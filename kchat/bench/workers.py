"""What the processes do: send a share of the messages, or receive them all. They count into memory that all share."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING, Any, NamedTuple

from kchat.bench.plan import Plan, read_text, text_of
from kchat.bench.report import Received, Sent, class_of
from kchat.errors import KchatError
from kchat.sender import Sender
from kchat.subscriber import Subscriber

if TYPE_CHECKING:
    from kchat.settings import Settings

_PAUSE = 0.001
"""Seconds that a sender waits when it is too far ahead, and that it may be late at a given rate."""


class Common(NamedTuple):
    """What a process is given.

    Attributes:
        settings: the room.
        plan: what is measured.
        number: which one of its kind it is, from 0 on.
        go: set when all are there: senders begin.
        over: set when all that was to be sent is sent: what does not come soon does not come.
        sent: confirmed messages, by sender.
        received: received messages, by subscriber.
        tell: takes ``"ready"``, then the result or the error.
    """

    settings: Settings
    plan: Plan
    number: int
    go: Event
    over: Event
    sent: Sequence[int]
    received: Sequence[int]
    tell: Connection


def send(common: Common) -> None:
    """Be a sender."""
    _told(common, _send)


def receive(common: Common) -> None:
    """Be a subscriber."""
    _told(common, _receive)


def _told(common: Common, work: Callable[[Common], Sent | Received]) -> None:
    """Do it, and tell what came out. An error of kchat's is told by its name, since its class may not survive the way."""
    # Ctrl+C is for who runs us, who then ends us in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        result: Any = work(common)
    except KchatError as error:
        result = type(error).__name__, str(error), error.hint
    common.tell.send(result)


def _send(common: Common) -> Sent:
    counted: Any = common.sent
    number = common.number
    refused = 0
    with Sender(common.settings, f"sender {number}") as sender:
        common.tell.send("ready")
        common.go.wait()
        first_at = time.monotonic_ns()
        for receipt in sender.send_many(_texts(common)):
            counted[number] += receipt.confirmed
            refused += not receipt.confirmed
        return Sent(counted[number], refused, first_at, time.monotonic_ns())


def _texts(common: Common) -> Iterator[str | None]:
    """The messages at their pace; ``None`` while it is too early for the next one."""
    plan, number, received = common.plan, common.number, common.received
    pause = 0.0 if plan.rate is None else plan.senders / plan.rate
    start = time.monotonic()
    lead = max(1, plan.lead // plan.senders)
    share = plan.share(number)
    look = max(1, min(50, lead // 4))
    for count in range(share):
        if pause:
            yield from _until(start + count * pause)
        elif received and count % look == 0:
            # Each takes what all have received as its own share of it.
            while count - min(received) // plan.senders > lead and not common.over.is_set():
                yield None
                time.sleep(_PAUSE)
        yield text_of(number, count, time.monotonic_ns(), plan.size)


def _until(due: float) -> Iterator[None]:
    while (early := due - time.monotonic()) > 0:
        yield None
        time.sleep(min(early, _PAUSE))


def _receive(common: Common) -> Received:
    plan = common.plan
    counted: Any = common.received
    seen = [bytearray(plan.share(sender)) for sender in range(plan.senders)]
    newest = [-1] * plan.senders
    ages: Counter[int] = Counter()
    messages = out_of_order = repeated = 0
    last_at = 0
    with Subscriber(common.settings, f"subscriber {common.number}") as subscriber:
        common.tell.send("ready")
        alone_since = time.monotonic()
        while messages < plan.messages:
            batch = subscriber.receive(timeout=0.1)
            now = time.monotonic_ns()
            for message in batch:
                read = read_text(message.message)
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
            if batch or not common.over.is_set():
                alone_since = time.monotonic()
            elif time.monotonic() - alone_since > plan.patience:
                break
    return Received(messages, out_of_order, repeated, last_at, dict(ages))
