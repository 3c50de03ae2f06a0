"""The processes of a benchmark: started together, watched until each has told what it has to tell, and ended."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from time import monotonic
from typing import TYPE_CHECKING, Any

from kchat import errors
from kchat.bench import workers
from kchat.bench.signals import held_back

if TYPE_CHECKING:
    from kchat.bench.plan import Plan
    from kchat.bench.report import Received, Sent
    from kchat.config.settings import Settings

Progress = Callable[[int, int], None]
"""Told ten times a second: messages confirmed so far, and messages that the slowest subscriber has."""

_TICK = 0.1
_START_SECONDS = 60.0
"""Maximum time for a process to be ready, in seconds."""

_END_SECONDS = 2.0
"""Maximum time for them to end, in seconds."""


class _Member:
    """A process and what it has told.

    Attributes:
        kind: what its errors call it.
        process: not started yet.
        link: our end of the pipe to it.
        ready: whether it has told so.
        result: what it has told last; ``None`` before that.
    """

    def __init__(self, kind: str, process: Any, link: Any, far_end: Any) -> None:
        self.kind = kind
        self.process = process
        self.link = link
        self.ready = False
        self.result: Any = None
        self._far_end = far_end

    def start(self) -> None:
        """Start it. From now on the end of the process is the end of the pipe."""
        with held_back():
            self.process.start()
        self._far_end.close()

    def hear(self) -> str:
        """Take in what it tells; returns what is to be passed on, or nothing.

        Raises:
            kchat.errors.KchatError: it has ended without a result, or tells of an error.
        """
        try:
            told = self.link.recv()
        except (EOFError, OSError):
            self.process.join(_END_SECONDS)
            code = self.process.exitcode
            how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
            raise errors.KchatError(f"a {self.kind}'s process has ended by itself ({how})") from None
        if type(told) is tuple:
            kind, text, hint = told
            raise getattr(errors, kind)(text, hint)
        if isinstance(told, workers.Notice):
            return told.text
        if told == workers.READY:
            self.ready = True
        else:
            self.result = told
        return ""

    def close(self) -> None:
        """Close the pipe: by itself it would be closed at some moment when a signal may come in between."""
        self.link.close()
        self._far_end.close()

    def say(self, word: str) -> None:
        """Tell it to go on. One that cannot hear it any more is found out about by :meth:`hear`."""
        with suppress(OSError):
            self.link.send(word)


class Crew:
    """Senders and subscribers, each a process.

    Arguments:
        settings: the room.
        plan: what is measured.
        on_notice: told what becomes of connections; once of what many of them have to tell.
    """

    def __init__(self, settings: Settings, plan: Plan, on_notice: Callable[[str], object]) -> None:
        # Not forked: a driver's threads (gRPC) do not survive that. And no semaphores, locks or events: they have names
        # that somebody has to delete.
        spawn = multiprocessing.get_context("spawn")
        self._on_notice = on_notice
        self._noticed = ""
        self._sent = spawn.RawArray("q", plan.senders)
        self._received = spawn.RawArray("q", plan.subscribers)

        def members(kind: str, count: int, work: Callable[[workers.Common], None]) -> list[_Member]:
            made = []
            for number in range(count):
                link, far_end = spawn.Pipe()
                common = workers.Common(settings, plan, number, self._sent, self._received, far_end)
                made.append(
                    _Member(kind, spawn.Process(target=work, args=(common,), daemon=True), link, far_end)
                )
            return made

        self._subscribers = members("subscriber", plan.subscribers, workers.receive)
        self._senders = members("sender", plan.senders, workers.send)

    @property
    def was_there(self) -> bool:
        """Whether one of them has got into the room."""
        return any(member.ready for member in self._all)

    @property
    def _all(self) -> list[_Member]:
        return [*self._subscribers, *self._senders]

    def work(self, progress: Progress) -> tuple[list[Sent], list[Received]]:
        """Do it all; returns what senders and subscribers have to tell.

        Raises:
            kchat.errors.KchatError: one of them told of an error, or ended without a word.
        """

        def tick() -> None:
            progress(sum(self._sent), min(self._received, default=0))

        # With it Python unblocks signals, and it is to be done before we block them.
        resource_tracker.ensure_running()
        # Subscribers come first: on some transports nothing is kept for those who are not there.
        for members in (self._subscribers, self._senders):
            for member in members:
                member.start()
            self._hear(members, "ready", lambda: None, _START_SECONDS)
        for member in self._senders:
            member.say(workers.GO)
        self._hear(self._senders, "result", tick)
        for member in self._subscribers:
            member.say(workers.OVER)
        self._hear(self._subscribers, "result", tick)
        tick()
        return [member.result for member in self._senders], [member.result for member in self._subscribers]

    def _hear(
        self, members: list[_Member], what: str, tick: Callable[[], None], seconds: float = float("inf")
    ) -> None:
        """Wait until these have told something, and hear all of them meanwhile."""
        end = monotonic() + seconds
        while missing := sum(not getattr(member, what) for member in members):
            at_work = {
                member.link: member
                for member in self._all
                if member.process.pid is not None and member.result is None
            }
            for link in wait(list(at_work), timeout=_TICK):
                notice = at_work[link].hear()
                if notice and notice != self._noticed:
                    self._noticed = notice
                    self._on_notice(notice)
            tick()
            if monotonic() > end:
                raise errors.Unreachable(f"{missing} processes were not ready within {seconds:g} s")

    def end(self) -> None:
        """End those that run, in order where they let us, and return when all are gone."""
        started = [member for member in self._all if member.process.pid is not None]
        for member in started:
            if member.result is None:  # the others end by themselves
                member.process.terminate()
        deadline = monotonic() + _END_SECONDS
        for member in started:
            member.process.join(max(0.0, deadline - monotonic()))
            if member.process.exitcode is None:
                member.process.kill()
                member.process.join()
        for member in self._all:
            member.close()
