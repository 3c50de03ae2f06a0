"""A command for each message: started, waited for, tried again or left; and acknowledged when it has succeeded.

Each message is handed over at least once: what was not acknowledged when the process, its connection or the broker ended
comes again from a durable queue, also where its command had succeeded. Commands may run beside each other and end in
any order. They are acknowledged in the order of their messages, since AMQP's acknowledgement of one with all before it is
the one that every transport has: one that takes long holds up the acknowledgement of those behind it, and nothing else until
twice as many as may run are waiting for that.

A command has the body on standard input and the message's fields in its environment: :func:`environment`. Nothing of a
message is ever put into a command's text.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

from kchat.errors import KchatError
from kchat.message import rfc3339
from kchat.message.truncation import truncate
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from kchat.client.acknowledgements import Position
    from kchat.client.subscriber import Subscriber
    from kchat.message import Message

PREFIX = "KCHAT_MESSAGE_"
"""How the variables begin. Not ``KCHAT_`` alone: ``KCHAT_USERNAME`` is an option of every kchat command, and a command that
answers by ``kchat send`` would speak under whatever name a stranger had written into a message."""

OnFailure = Literal["stop", "retry", "skip"]

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a command is tried again: twice as many each time, up to that many."""

KILL_AFTER = 2.0
"""Seconds from SIGTERM to SIGKILL."""

_LONGEST_NAME = 1024
_LONGEST_TEXT = 32 << 10
"""Bytes: Linux takes 128 KiB for one variable (execve(2)), and all of them share the space of the command line."""


def environment(message: Message, room: str) -> dict[str, str]:
    """The variables of a message. All are always there; what a message does not have is empty.

    They have no NUL, which no environment can hold, and nothing that a terminal would obey: control characters are written
    as escapes. ``TEXT`` is cut at 32 KiB; standard input has all of it, as it came.
    """
    name = message.username or ""
    fields = {
        "ROOM": room,
        "USERNAME": name,
        "ACCOUNT": message.account or "",
        "VERIFIED": "1" if message.verified else "",
        "ID": message.id or "",
        "SENT_AT": "" if message.sent_at is None else rfc3339.text(message.sent_at),
        "REDELIVERED": "1" if message.redelivered else "",
    }
    found = {
        PREFIX + key: truncate(escape_unprintable(value, keep_newlines=False), _LONGEST_NAME)
        for key, value in fields.items()
    }
    text = truncate(message.text, _LONGEST_TEXT)
    found[PREFIX + "TEXT"] = truncate(escape_unprintable(text, keep_newlines=True), _LONGEST_TEXT)
    return found


class Outcome(NamedTuple):
    """How it went: the number of messages ``taken``, and of those whose command ``failed`` and was skipped.

    ``left``: the number of messages that were taken and not acknowledged. ``stopped``: the failure that ended it, if any.
    """

    taken: int
    failed: int
    left: int
    stopped: str | None


class _Job:
    """One message on its way through its command."""

    def __init__(self, message: Message, position: Position) -> None:
        self.message = message
        self.position = position
        self.attempts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.ends_at: float | None = None
        """When it is to be ended, or killed, where it runs; when it is tried again, where it does not."""
        self.timed_out = False
        self.done = False

    def __str__(self) -> str:
        who = self.message.username
        return f"the message {self.message.id or 'without an id'}{'' if who is None else f' of {who}'}"


class Commands:
    """Runs a command for each message of a subscriber. Used by one thread; :meth:`stop` is for all.

    Arguments:
        subscriber: where messages come from; made with :func:`prefetch_for` as many. Its ``stop`` ends this, too.
        words: the command and its arguments, as the system takes them; no shell looks at them.
        jobs: maximum number of commands that run at once. Default 1: one after the other, in the messages' order.
        timeout: seconds that a command may take. Then it gets SIGTERM, with all that it has started, and 2 s later SIGKILL;
            that is a failure. Default: as long as it takes.
        on_failure: what comes of a command that ends with another exit code than 0, or by a signal, or cannot be started.
            ``stop``: no more are begun, and its message is not acknowledged. ``retry``: it is tried again until it succeeds,
            after 1, 2, 4 ... 60 s. ``skip``: it is told, and its message is acknowledged.
        tell: called with a line about each failure. It quotes the message, so it is not safe for a terminal.
        waits: called with the number of commands that run when it is stopped. Default: nobody is told.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        words: Sequence[str],
        *,
        jobs: int = 1,
        timeout: float | None = None,
        on_failure: OnFailure = "stop",
        tell: Callable[[str], object] = lambda _: None,
        waits: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._subscriber = subscriber
        self._words = list(words)
        self._jobs_wanted = max(1, jobs)
        self._timeout = timeout
        self._on_failure = on_failure
        self._tell = tell
        self._waits = waits
        self._base = {
            name: value for name, value in os.environb.items() if not name.startswith(PREFIX.encode())
        }
        self._jobs: deque[_Job] = deque()
        """Those that are not acknowledged, in the order of their messages."""
        self._active: set[_Job] = set()
        """Those that run, or are tried again later."""
        # Its put() may be called by a signal handler, whatever it interrupts.
        self._news: SimpleQueue[_Job | None] = SimpleQueue()
        self._receiving = False
        self._stopping = False
        self._stopped: str | None = None
        self._taken = self._failed = 0

    @property
    def running(self) -> int:
        """Number of commands that run."""
        return sum(job.process is not None for job in self._active)

    def stop(self) -> None:
        """Begin no more, and let :meth:`run` end when those that run have ended; from any thread or a signal handler."""
        self._stopping = True
        self._news.put(None)
        self._subscriber.stop()

    def run(self, *, limit: int | None = None, idle_timeout: float | None = None) -> Outcome:
        """Run a command for each message that comes.

        Arguments:
            limit: number of messages after which to end. Default: never.
            idle_timeout: seconds without a message and without a command after which to end. Default: never.

        Raises:
            kchat.errors.BrokerError: see :meth:`kchat.client.subscriber.Subscriber.receive`; the commands that run are
                waited for.
            BaseException: whatever interrupted it, such as KeyboardInterrupt; the commands that run are ended.
        """
        try:
            try:
                self._loop(limit, idle_timeout)
            except KchatError:
                self._stopping = True
                self._drain()
                raise
        except BaseException:
            self._kill()
            raise
        finally:
            self._settle()
        return Outcome(self._taken, self._failed, len(self._jobs), self._stopped)

    def _loop(self, limit: int | None, idle_timeout: float | None) -> None:
        idle_since = monotonic()
        while True:
            self._look()
            if self._stopping or self._subscriber.stopped or (limit is not None and self._taken >= limit):
                break
            if len(self._active) >= self._jobs_wanted or len(self._jobs) >= self._subscriber.prefetch:
                self._wait()
                idle_since = monotonic()
                continue
            if self._active:
                idle_since = monotonic()
            left = None if idle_timeout is None else idle_since + idle_timeout - monotonic()
            if left is not None and left <= 0:
                break
            if self._take(left):
                idle_since = monotonic()
        self._drain()

    @property
    def _was_stopped(self) -> bool:
        """Whether no more is to be begun. That there are no more messages is no reason not to try one again."""
        return self._stopping or (self._subscriber.stopped and not self._subscriber.at_end)

    def _drain(self) -> None:
        """Wait for those that run. What is to be tried again is, but not once it was stopped."""
        told = False
        while self._active:
            if self._was_stopped:
                self._active = {job for job in self._active if job.process is not None}
                if self._active and not told:
                    told = True
                    self._waits(len(self._active))
            self._look()
            if self._active:
                self._wait()

    # ---- messages

    def _take(self, idle: float | None) -> bool:
        """Wait for the next message, or for a command; returns whether a message came."""
        subscriber = self._subscriber
        limits = [each for each in (idle, self._next_end()) if each is not None]
        subscriber.busy = bool(self._jobs)
        self._receiving = True  # from now on, who puts something into the news wakes the subscriber
        try:
            if not self._news.empty():
                return False
            messages = subscriber.receive(max(0.0, min(limits)) if limits else None, 1)
        finally:
            self._receiving = False
        for message in messages:
            self._taken += 1
            job = _Job(message, subscriber.position)
            self._jobs.append(job)
            self._active.add(job)
            self._start(job)
        return bool(messages)

    def _settle(self) -> None:
        """Acknowledge what is done, as far as everything before it is, too."""
        last = None
        while self._jobs and self._jobs[0].done:
            last = self._jobs.popleft()
        self._subscriber.busy = bool(self._jobs)
        if last is not None:
            # With nothing left to do, what came twice is covered as well.
            self._subscriber.acknowledge(last.position if self._jobs else None)

    # ---- commands

    def _start(self, job: _Job) -> None:
        variables = environment(job.message, self._subscriber.settings.room)
        variables[PREFIX + "ATTEMPT"] = str(job.attempts + 1)
        job.attempts += 1
        job.timed_out = False
        job.ends_at = None if self._timeout is None else monotonic() + self._timeout
        try:
            with _as_file(job.message.body) as body:
                # A session of its own: Ctrl+C is kchat's affair, and what a command has started ends with it.
                job.process = subprocess.Popen(
                    self._words,
                    stdin=body,
                    env={**self._base, **_encoded(variables)},
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            self._fail(job, f"its command cannot be started: {error}")
            return
        Thread(target=self._watch, args=(job, job.process), name="kchat command", daemon=True).start()

    def _watch(self, job: _Job, process: subprocess.Popen[bytes]) -> None:
        """Wait for a command's end, in a thread of its own. Its process id stays its own until :meth:`_look` lets it go."""
        if hasattr(os, "waitid"):
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        else:
            process.wait()
        self._news.put(job)
        if self._receiving:
            self._subscriber.wake()

    def _look(self) -> None:
        """Do what is to be done now: with commands that have ended, and with those whose time has come."""
        with contextlib.suppress(Empty):
            while True:
                if (job := self._news.get_nowait()) is not None:
                    self._finish(job)
        now = monotonic()
        for job in [each for each in self._active if each.ends_at is not None and each.ends_at <= now]:
            if job.process is None:
                if not self._was_stopped:
                    self._start(job)
            else:
                _signal(job.process, signal.SIGKILL if job.timed_out else signal.SIGTERM)
                job.ends_at = None if job.timed_out else now + KILL_AFTER
                job.timed_out = True
        self._settle()

    def _finish(self, job: _Job) -> None:
        """A command has ended."""
        assert job.process is not None
        code = job.process.wait()
        job.process, job.ends_at = None, None
        if job.timed_out:
            self._fail(job, f"its command was ended after {self._timeout:g} s")
        elif code:
            self._fail(job, f"its command {_how(code)}")
        else:
            job.done = True
            self._active.discard(job)

    def _fail(self, job: _Job, why: str) -> None:
        if self._on_failure == "retry":
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(job.attempts - 1, 10))
            job.ends_at = monotonic() + pause
            again = "not acknowledged" if self._was_stopped else f"trying again in {pause:g} s"
            self._tell(f"{job}: {why}; {again}")
            return
        self._active.discard(job)
        if self._on_failure == "skip":
            self._failed += 1
            job.done = True
            self._tell(f"{job}: {why}; skipped")
            return
        self._stopping = True
        if self._stopped is None:
            self._stopped = f"{job}: {why}"
        else:
            self._tell(f"{job}: {why}; not acknowledged")

    def _wait(self) -> None:
        """Wait until a command ends, or the time of one has come, or somebody asks to stop."""
        left = self._next_end()
        with contextlib.suppress(Empty):
            if (job := self._news.get(timeout=None if left is None else max(0.0, left))) is not None:
                self._finish(job)

    def _next_end(self) -> float | None:
        """Seconds until a command's time has come."""
        ends = [job.ends_at for job in self._active if job.ends_at is not None]
        return min(ends) - monotonic() if ends else None

    def _kill(self) -> None:
        """End the commands that run, and wait for that; whatever interrupts this as well, none is left."""
        self._stopping = True
        try:
            self._end_all(signal.SIGTERM)
        finally:
            self._end_all(signal.SIGKILL)

    def _end_all(self, number: int) -> None:
        running = {job for job in self._active if job.process is not None}
        for job in running:
            if job.process is not None:
                _signal(job.process, number)
        until = monotonic() + KILL_AFTER
        while running and (left := until - monotonic()) > 0:
            with contextlib.suppress(Empty):
                ended = self._news.get(timeout=left)
                if ended is not None and ended.process is not None:
                    ended.done = ended.process.wait() == 0 and not ended.timed_out
                    ended.process = None
                    self._active.discard(ended)
                    running.discard(ended)


def prefetch_for(jobs: int) -> int:
    """Maximum number of unacknowledged messages of a subscriber whose messages get commands.

    As many wait as may run: the next one is there when a command ends, and others on the same durable queue get theirs.
    """
    return 2 * max(1, jobs)


@contextlib.contextmanager
def _as_file(body: bytes) -> Iterator[int]:
    """A body as a file to read: a command that takes its time, or outlives kchat, gets all of it, as from no pipe."""
    with _nameless_file() as file:
        file.write(body)
        file.seek(0)
        yield file.fileno()


def _nameless_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):  # Linux, in memory
        return os.fdopen(os.memfd_create("kchat message"), "w+b")
    return tempfile.TemporaryFile()


def _encoded(variables: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode("utf-8", "replace") for name, value in variables.items()}


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a command and all that it has started, unless it was let go."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def _how(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
