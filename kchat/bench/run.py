"""Running a plan: the room, the processes, and an end that leaves nothing behind."""

from __future__ import annotations

import multiprocessing
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from kchat import errors
from kchat.bench import workers
from kchat.bench.report import Latency, Received, Report, Sent, summed
from kchat.connection import broker_errors, close, connect
from kchat.topology import room_exchange

if TYPE_CHECKING:
    from kchat.bench.plan import Plan
    from kchat.settings import Settings

Progress = Callable[[int, int], None]
"""Told ten times a second: messages confirmed so far, and messages that the slowest subscriber has."""

_TICK = 0.1
_START_SECONDS = 60.0
"""For so long a process may take to be ready."""


def run(settings: Settings, plan: Plan, progress: Progress = lambda _sent, _received: None) -> Report:
    """Measure a room on the given broker. It has a name of its own, and is deleted afterwards.

    Senders and subscribers are processes: threads would measure how Python shares itself among them. On an embedded
    room the file is one of its own too, beside the one that is named.

    Arguments:
        settings: the broker; the room's name is not used.
        plan: what to measure.
        progress: told how far it is.

    Raises:
        kchat.errors.SettingsError: the plan makes no sense, or the transport lives in one process.
        kchat.errors.KchatError: what went wrong in one of the processes.
    """
    plan.check()
    if settings.transport.name == "memory":
        raise errors.SettingsError("a room in memory belongs to one process, and a benchmark has several")
    with _own_room(settings) as (own, left_behind), _Crew(own, plan) as crew:
        sent, received = crew.work(progress)
    return _report(settings, plan, sent, received, "; ".join(left_behind))


def _report(
    settings: Settings, plan: Plan, sent: Sequence[Sent], received: Sequence[Received], left_behind: str
) -> Report:
    confirmed = sum(each.confirmed for each in sent)
    first_at = min(each.first_at for each in sent)
    last_received = max((each.last_at for each in received), default=0)
    came = sum(each.messages for each in received)
    ages = summed(each.ages for each in received)
    return Report(
        where=f"a room of its own at {settings.broker}",
        messages=plan.messages,
        size=plan.size,
        senders=plan.senders,
        subscribers=plan.subscribers,
        sent=confirmed,
        not_sent=plan.messages - confirmed,
        received=came,
        lost=max(0, confirmed * plan.subscribers - came),
        out_of_order=sum(each.out_of_order for each in received),
        repeated=sum(each.repeated for each in received),
        send_seconds=(max(each.last_at for each in sent) - first_at) / 1e9,
        receive_seconds=max(0, last_received - first_at) / 1e9,
        latency=Latency.of(ages) if ages else None,
        left_behind=left_behind,
    )


# ---- the room


@contextmanager
def _own_room(settings: Settings) -> Iterator[tuple[Settings, list[str]]]:
    """Settings for a room that is deleted afterwards, and a list of what could not be."""
    left_behind: list[str] = []
    room = f"kchat-bench-{secrets.token_hex(4)}"
    if settings.transport.name == "local":
        named = Path(settings.broker.path)
        beside = next(folder for folder in named.parents if folder.is_dir())
        folder = Path(tempfile.mkdtemp(prefix=f".{room}-", dir=beside))
        broker = replace(settings.broker, path=str(folder / "room.db"))
        try:
            yield replace(settings, brokers=(broker,), room=room), left_behind
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    own = replace(settings, room=room)
    try:
        yield own, left_behind
    finally:
        try:
            _delete_room(own)
        except errors.BrokerError as error:
            left_behind.append(f"the room {room} is left behind: {error}")


def _delete_room(settings: Settings) -> None:
    connection, broker = connect(settings, purpose="bench")
    try:
        with broker_errors(broker, "delete the room"):
            room_exchange(settings)(connection.channel()).delete()
    except errors.NotFound:
        pass  # nobody got as far as making it
    finally:
        close(connection)


# ---- the processes


class _Member(NamedTuple):
    """A process and what it tells."""

    process: Any
    heard: Any


class _Crew:
    """Senders and subscribers, each a process; all are gone when the context ends."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        # Not forked: a driver's threads (gRPC) do not survive that.
        spawn = multiprocessing.get_context("spawn")
        self._go, self._over = spawn.Event(), spawn.Event()
        self._sent = spawn.RawArray("q", plan.senders)
        self._received = spawn.RawArray("q", plan.subscribers)
        self.senders: list[_Member] = []
        self.subscribers: list[_Member] = []
        kinds = (
            (self.subscribers, plan.subscribers, workers.receive),
            (self.senders, plan.senders, workers.send),
        )
        for members, count, work in kinds:
            for number in range(count):
                heard, tell = spawn.Pipe(duplex=False)
                common = workers.Common(
                    settings, plan, number, self._go, self._over, self._sent, self._received, tell
                )
                members.append(_Member(spawn.Process(target=work, args=(common,), daemon=True), heard))

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        members = [member for member in (*self.senders, *self.subscribers) if member.process.pid is not None]
        for member in members:
            if member.process.is_alive():
                member.process.terminate()
        for member in members:
            member.process.join(2)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()

    def work(self, progress: Progress) -> tuple[list[Sent], list[Received]]:
        """Do it all; returns what senders and subscribers have to tell."""
        # Subscribers come first: on some transports nothing is kept for those who are not there.
        for members in (self.subscribers, self.senders):
            for member in members:
                member.process.start()
            self._told(members, _START_SECONDS, lambda: None)
        self._go.set()

        def tick() -> None:
            progress(sum(self._sent), min(self._received, default=0))

        sent = self._told(self.senders, None, tick)
        self._over.set()
        received = self._told(self.subscribers, None, tick)
        tick()
        return sent, received

    def _told(self, members: Sequence[_Member], seconds: float | None, tick: Callable[[], None]) -> list[Any]:
        """What each of them tells next.

        Raises:
            kchat.errors.KchatError: one of all told of an error, or ended without a word.
        """
        end = None if seconds is None else monotonic() + seconds
        told: dict[Any, Any] = {}
        waiting = {member.heard for member in members}
        while waiting:
            for heard in wait(list(waiting), timeout=_TICK):
                told[heard] = _hear(heard)
                waiting.discard(heard)
            tick()
            self._look_for_the_dead(waiting)
            if end is not None and monotonic() > end:
                raise errors.Unreachable(f"{len(waiting)} processes were not ready within {seconds:g} s")
        return [told[member.heard] for member in members]

    def _look_for_the_dead(self, waiting: set[Any]) -> None:
        for member in (*self.senders, *self.subscribers):
            if member.heard in waiting and member.process.exitcode is not None and not member.heard.poll():
                raise errors.KchatError(f"a process ended by itself (exit code {member.process.exitcode})")


def _hear(heard: Any) -> Any:
    try:
        result = heard.recv()
    except EOFError:
        raise errors.KchatError("a process ended without a word") from None
    if isinstance(result, tuple) and type(result) is tuple:
        kind, text, hint = result
        raise getattr(errors, kind)(text, hint)
    return result
