"""RabbitMQ and other AMQP 0-9-1 brokers: py-amqp with its own framing, and what it reads made safe.

Kombu finds the transport as ``kchat.transports.amqp:Transport``; it is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .transport import Transport

__all__ = ["Transport"]


def __getattr__(name: str) -> object:
    if name == "Transport":
        from .transport import Transport

        return Transport
    raise AttributeError(f"module 'kchat.transports.amqp' has no attribute {name!r}")
