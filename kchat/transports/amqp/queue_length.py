"""How many messages wait in a queue, asked without waiting for the answer, for :mod:`kchat.transports.amqp.transport`.

A passive declaration tells (AMQP 0-9-1 section 1.7.2.1, ``queue.declare-ok``). A channel's methods are handled in order:
what is asked before an acknowledgement is answered as it was before that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amqp import spec


class QueueLength:
    """For a py-amqp channel, the other base."""

    connection: Any
    send_method: Callable[..., Any]
    _callbacks: dict[tuple[int, int], Callable[..., None]]

    def ask_length(self, queue: str, answer: Callable[[int], None]) -> None:
        """Ask for the number of messages that are ready in a queue; the answer comes while events are drained.

        Once this was called, nothing else is declared on this channel.

        Arguments:
            queue: by name; it exists.
            answer: gets the number.

        Raises:
            amqp.exceptions.RecoverableConnectionError: the connection is closed.
        """
        self._callbacks[spec.Queue.DeclareOk] = lambda _queue, messages, _consumers: answer(messages)
        self.send_method(spec.Queue.Declare, "BsbbbbbF", (0, queue, True, False, False, False, False, {}))
