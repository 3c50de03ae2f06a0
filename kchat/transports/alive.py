"""A py-amqp connection that notices when the other end is gone.

py-amqp waits for ever for the answer to a synchronous method, and its heartbeats take a client that was busy for a broker
that is dead. Heartbeats: https://www.rabbitmq.com/docs/heartbeats and AMQP 0-9-1 section 4.2.7.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from amqp.exceptions import ConnectionForced
from kombu.transport import pyamqp

_SILENCE = 1.8
"""Heartbeats without a byte from the broker that mean the link is dead: with the tick below, noticed within two."""

TICKS = 5
"""Looks at the clock in one heartbeat. The broker sends two, so does this."""


class AliveConnection(pyamqp.Connection):
    """A connection that knows when it last heard of the broker.

    Arguments:
        answer_timeout: seconds of silence to wait for the answer to a synchronous method. Default: for ever.
    """

    def __init__(self, *args: Any, answer_timeout: float | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.answer_timeout = answer_timeout
        self.heard_at = monotonic()
        self._beat_at = 0.0

    def blocking_read(self, timeout: float | None = None) -> Any:
        """Read and dispatch one frame, as py-amqp does, but without a timeout no longer than for an answer.

        Raises:
            TimeoutError: none came in time.
        """
        with self.transport.having_timeout(self.answer_timeout if timeout is None else timeout):
            frame = self.transport.read_frame()
        self.heard_at = monotonic()
        return self.on_inbound_frame(frame)

    def heartbeat_tick(self, rate: int = 2) -> None:
        """Send a heartbeat if one is due, and look whether the broker's have come.

        To be called after what has arrived was read: a client that was busy elsewhere finds the broker's there.

        Arguments:
            rate: heartbeats to send in the agreed interval.

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
