"""A py-amqp connection that notices when the other end is gone, and whose waits end whatever the other end does.

py-amqp waits for ever for the answer to a synchronous method, counts its patience anew with each frame that comes, and its
heartbeats take a client that was busy for a broker that is dead. Here each answer has a time by which it has to be there:
heartbeats, stray acknowledgements or a byte a second put nothing off. Heartbeats: https://www.rabbitmq.com/docs/heartbeats
and AMQP 0-9-1 section 4.2.7.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

from amqp.exceptions import ConnectionForced, RecoverableConnectionError
from kombu.transport import pyamqp

_SILENCE = 1.8
"""Heartbeats without a byte from the broker that mean the link is dead: with the tick below, noticed within two."""

TICKS = 5
"""Looks at the clock in one heartbeat. The broker sends two, so does this."""


class TimedAnswers:
    """For a py-amqp channel or connection: an answer is there within ``answer_timeout``, or it is a :exc:`TimeoutError`."""

    connection: Any

    def wait(self, method: Any, callback: Any = None, timeout: float | None = None, **more: Any) -> Any:
        """Wait for one of these methods; py-amqp calls it."""
        connection = self.connection
        if connection is None:
            raise RecoverableConnectionError("the connection is closed")
        with connection.within(connection.answer_timeout if timeout is None else timeout):
            return super().wait(method, callback, timeout, **more)  # type: ignore[misc]  # py-amqp's


class AliveConnection(TimedAnswers, pyamqp.Connection):
    """A connection that knows when it last heard of the broker.

    Arguments:
        answer_timeout: seconds to wait for the answer to a synchronous method. Default: for ever.
        more: as of py-amqp's; ``connect_timeout`` holds from the look-up of the name to ``connection.open-ok``.
    """

    def __init__(self, *args: Any, answer_timeout: float | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.answer_timeout = answer_timeout
        self.heard_at = monotonic()
        self._beat_at = 0.0
        self._ends: float | None = None

    def limit_answers(self, seconds: float) -> None:
        """From now on, wait no longer than that for the broker, whatever for."""
        self.answer_timeout = seconds
        with suppress(OSError, AttributeError):  # where the socket is gone
            self.sock.settimeout(seconds)

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """A block that limits the seconds of all its waits together; ``None`` for no limit of its own."""
        before = self._ends
        if seconds is not None:
            ends = monotonic() + seconds
            self._ends = ends if before is None else min(before, ends)
        try:
            yield
        finally:
            self._ends = before

    def patience(self, timeout: float | None) -> float | None:
        """How long to wait for the next bytes: the timeout, or what is left of :meth:`within`, whichever is shorter.

        Raises:
            TimeoutError: nothing is left.
        """
        if self._ends is None:
            return timeout
        left = self._ends - monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left if timeout is None else min(timeout, left)

    def connect(self, callback: Any = None) -> Any:
        """Connect, within ``connect_timeout``; py-amqp counts that for each frame."""
        try:
            with self.within(self.connect_timeout):
                return super().connect(callback)
        except BaseException:
            # py-amqp leaves the socket open if the broker refuses, rather than the system.
            self.collect()
            raise

    def close(self, *args: Any, **more: Any) -> Any:
        """Close the connection. Whatever the broker answers, the socket is closed afterwards; py-amqp may leave it open."""
        try:
            return super().close(*args, **more)
        except BaseException:
            self.collect()
            raise

    def blocking_read(self, timeout: float | None = None) -> Any:
        """Read and dispatch one frame, as py-amqp does, but without a timeout no longer than for an answer."""
        wait = self.patience(self.answer_timeout if timeout is None else timeout)
        with self.transport.having_timeout(wait):
            frame = self.transport.read_frame()
        self.heard_at = monotonic()
        return self.on_inbound_frame(frame)

    def heartbeat_tick(self, rate: int = 2) -> None:
        """Send a heartbeat if one is due (``rate`` in the agreed interval), and look whether the broker's have come.

        To be called after what has arrived was read: a client that was busy elsewhere finds the broker's there.

        Raises:
            amqp.exceptions.ConnectionForced: nothing came for about two of them.
        """
        if not self.heartbeat:
            return
        silent = monotonic() - self.heard_at
        if silent > _SILENCE * self.heartbeat:
            raise ConnectionForced(
                f"nothing was heard from the broker for {silent:.1f} s (heartbeats missed)"
            )
        self.beat(rate)

    def beat(self, rate: int = 2) -> None:
        """Send a heartbeat if one is due. Raises OSError where the link says that it is dead."""
        now = monotonic()
        if self.heartbeat and now - self._beat_at >= self.heartbeat / rate - 1 / TICKS:
            self._beat_at = now
            self.send_heartbeat()
