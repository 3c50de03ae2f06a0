"""Running a plan: the room, the processes, and cleaning up."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from kchat import errors
from kchat.bench.pool import Progress, WorkerPool, signals_deferred
from kchat.bench.report import Latency, Report
from kchat.bench.room import delete_room, make_room, own_room

if TYPE_CHECKING:
    from kchat.bench.plan import Plan
    from kchat.config.settings import Settings

logger = logging.getLogger(__name__)


def run(
    settings: Settings,
    plan: Plan,
    progress: Progress = lambda _sent, _received: None,
    on_left_behind: Callable[[str], object] = logger.warning,
    on_notice: Callable[[str], object] = logger.warning,
) -> Report:
    """Measure a room on the given broker. It has a name of its own, and is deleted afterwards.

    Senders and subscribers are processes: with threads, Python's own lock would be measured. With an embedded room, the
    file is a temporary one beside the one that the settings name.

    Whatever ends it, be it an error or Ctrl+C, it cleans up first, for a few seconds at most; signals wait for that.

    Arguments:
        settings: the broker; the room's name is not used.
        plan: what to measure.
        progress: called ten times a second with the number of confirmed messages, and of those that the slowest
            subscriber has received.
        on_left_behind: called with what could not be deleted, even where an error leaves no report. Default: a warning
            in the log.
        on_notice: called when a connection is lost, and when it is made again. Default: a warning in the log.

    Raises:
        kchat.errors.SettingsError: the plan is not valid, or the transport lives in one process.
        kchat.errors.KchatError: the error of one of the processes.
    """
    plan.check()
    if settings.transport.in_one_process:
        raise errors.SettingsError("a room in memory belongs to one process, and a benchmark has several")
    room = own_room(settings)
    pool = WorkerPool(plan, on_notice, progress)
    try:
        sent, received = pool.run(make_room(room))
    finally:
        with signals_deferred():
            pool.stop()
            left_behind = delete_room(room)
            # If nobody has been connected, the room was not made, and the error has been told.
            if left_behind and pool.has_connected:
                on_left_behind(left_behind)
    confirmed = sum(each.confirmed for each in sent)
    first_at = min(each.first_at for each in sent)
    last_received = max((each.last_at for each in received), default=0)
    came = sum(each.messages for each in received)
    ages: Counter[int] = Counter()
    for each in received:
        ages.update(each.ages)
    return Report(
        where=f"a room of its own at {settings.broker}",
        messages=plan.messages,
        size=plan.size,
        senders=plan.senders,
        subscribers=plan.subscribers,
        sent=confirmed,
        not_sent=plan.messages - confirmed,
        not_sent_because=next((each.why for each in sent if each.why), ""),
        received=came,
        lost=max(0, confirmed * plan.subscribers - came),
        out_of_order=sum(each.out_of_order for each in received),
        repeated=sum(each.repeated for each in received),
        send_seconds=(max(each.last_at for each in sent) - first_at) / 1e9,
        receive_seconds=max(0, last_received - first_at) / 1e9,
        latency=Latency.of(ages) if ages else None,
        left_behind=left_behind,
        connections_lost=pool.connections_lost,
    )
