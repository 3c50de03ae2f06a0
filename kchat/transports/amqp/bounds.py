"""How much a broker may send at once over AMQP, and what it may say, for :mod:`kchat.transports.amqp.transport`.

Nothing is believed of what answers at the port before the password is checked, and little after: a frame's size is
four bytes that anybody can write. AMQP 0-9-1 sections 4.2.3 (frames) and 1.4.2.6 (``connection.tune``).
"""

from __future__ import annotations

import struct
from typing import Any

from amqp import spec
from amqp.exceptions import AMQPError, AMQPNotImplementedError, FrameSyntaxError, UnexpectedFrame
from amqp.serialization import loads

from .lenient_decoding import readable

FRAME_MAX = 128 * 1024
"""Bytes of the largest frame that this side takes, its header included: RabbitMQ's default, and the most that is agreed."""

FRAME_MIN = 4096
"""... and what every peer has to take: AMQP 0-9-1, ``frame-min-size``."""

LARGEST_BODY = 512 * 1024 * 1024
"""Bytes of the largest message that RabbitMQ can be told to take (https://www.rabbitmq.com/docs/configure#config-items)."""

KEPT_BODY = 16 * 1024 * 1024
"""Bytes of a body that are kept, which is what RabbitMQ takes as installed. Nothing is shown of a larger one."""

UNREADABLE = (
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    struct.error,
)
"""What parsing raises on a malformed method."""

_OTHERS = (spec.Connection.Blocked, spec.Connection.Unblocked, spec.Connection.Close)
"""Methods whose errors are the program's, or the broker's: what they raise is passed on."""


class BoundedConnection:
    """For a py-amqp connection: what a broker says about itself is checked, and its limits are within ours."""

    channels: Any
    frame_max: int
    transport: Any
    _METHODS: Any

    def on_inbound_method(self, channel_id: int, method_sig: Any, payload: bytes, content: Any) -> Any:
        """Hand a method to its channel; py-amqp calls it.

        Raises:
            amqp.exceptions.UnexpectedFrame: the channel does not exist.
        """
        if self.channels is not None and channel_id not in self.channels:
            raise UnexpectedFrame(f"a method on channel {channel_id}, which is not open")
        return super().on_inbound_method(channel_id, method_sig, payload, content)  # type: ignore[misc]  # py-amqp's

    def dispatch_method(self, method_sig: tuple[int, int], payload: bytes, content: Any) -> None:
        """Take a method of the connection's own apart and act on it; py-amqp calls it.

        Raises:
            amqp.exceptions.FrameSyntaxError: it is malformed.
        """
        try:
            super().dispatch_method(method_sig, payload, content)  # type: ignore[misc]  # py-amqp's
        except (*UNREADABLE, AMQPNotImplementedError) as error:
            if method_sig in _OTHERS and is_readable(self._METHODS, method_sig, payload):
                raise
            raise _not_what_it_says(method_sig) from error

    def _on_tune(self, channel_max: int, frame_max: int, server_heartbeat: int, argsig: str = "BlB") -> None:
        if frame_max and frame_max < FRAME_MIN:
            raise FrameSyntaxError(
                f"the broker takes frames of {frame_max} bytes; AMQP's smallest are {FRAME_MIN}"
            )
        # 0 is "no limit". py-amqp would take whatever is asked for, and makes a buffer of that size.
        agreed = min(frame_max or FRAME_MAX, self.frame_max)
        super()._on_tune(channel_max, agreed, server_heartbeat, argsig)  # type: ignore[misc]  # py-amqp's
        self.transport.frame_max = agreed


class BoundedChannel:
    """For a py-amqp channel: a malformed method ends the connection, with an error of AMQP's."""

    _METHODS: Any

    def dispatch_method(self, method_sig: tuple[int, int], payload: bytes, content: Any) -> None:
        """Hand a method over; py-amqp calls it.

        Raises:
            amqp.exceptions.FrameSyntaxError: it is malformed.
        """
        try:
            super().dispatch_method(method_sig, payload, content)  # type: ignore[misc]  # py-amqp's
        except (*UNREADABLE, AMQPNotImplementedError) as error:
            # The program's own callbacks raise their own errors.
            if is_readable(self._METHODS, method_sig, payload):
                raise
            raise _not_what_it_says(method_sig) from error


def is_readable(methods: Any, method_sig: tuple[int, int], payload: bytes) -> bool:
    """Whether a method's arguments can be read.

    Arguments:
        methods: py-amqp's table of a channel or connection.
        method_sig: the method's class and number.
        payload: of its frame.
    """
    method = methods.get(method_sig)
    if method is None:
        return False
    try:
        loads(method.args or "", readable(method.args or "", payload), 4)
    except (*UNREADABLE, OSError, AMQPError):
        return False
    return True


def _not_what_it_says(method_sig: tuple[int, int]) -> FrameSyntaxError:
    return FrameSyntaxError(f"the method {method_sig[0]}.{method_sig[1]} cannot be read")
