"""AMQP 0-9-1: Kombu's pyamqp transport, with what a client that stays needs beyond it.

- The reason that a broker gives for refusing messages (``connection.blocked``,
  https://www.rabbitmq.com/docs/connection-blocked), which py-amqp drops.
- A publish that only publishes. py-amqp's looks for events each time, which takes as long as the publishing; kchat's
  sender looks for them when it needs to.
"""

from __future__ import annotations

from typing import Any

from amqp import spec
from kombu.transport import pyamqp


class Channel(pyamqp.Channel):
    """A channel whose publishing does nothing else."""

    def basic_publish(
        self,
        msg: Any,
        exchange: str = "",
        routing_key: str = "",
        mandatory: bool = False,  # noqa: FBT001, FBT002 - py-amqp's signature
        immediate: bool = False,  # noqa: FBT001, FBT002 - py-amqp's signature
        **_: Any,
    ) -> Any:
        """Write the message to the socket; AMQP 0-9-1 section 1.8.3.7, ``basic.publish``."""
        return self.send_method(
            spec.Basic.Publish, "Bssbb", (0, exchange, routing_key, mandatory, immediate), msg
        )


class Connection(pyamqp.Connection):
    """A connection that passes on why it is blocked."""

    Channel = Channel

    _METHODS = {  # noqa: RUF012 - py-amqp's; never changed
        **pyamqp.Connection._METHODS,  # noqa: SLF001 - the table that py-amqp's subclasses supply
        spec.Connection.Blocked: spec.method(spec.Connection.Blocked, "s"),
    }

    def _on_blocked(self, reason: str) -> None:
        if self.on_blocked:
            self.on_blocked(reason)


class Transport(pyamqp.Transport):
    """Kombu's AMQP transport on the connection above."""

    Connection = Connection
