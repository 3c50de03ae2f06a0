"""RabbitMQ and other AMQP 0-9-1 brokers: py-amqp with its own framing, and what it reads made safe."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from kchat.transports import base

if TYPE_CHECKING:
    from kchat.transports.checks import Check, Walk

_MIB = 1024 * 1024
PREDECLARED_FANOUT = "amq.fanout"
"""The one fanout exchange that each broker of AMQP 0-9-1 has (section 3.1.3.1, "the fanout exchange type")."""
_AMQP_OPTIONS = ("heartbeat", "connection_timeout", "cacertfile", "certfile", "keyfile", "verify")


class Amqp(base.Transport):
    """See :class:`~kchat.transports.base.Transport`."""

    name = "amqp"
    broker = "RabbitMQ and other AMQP 0-9-1 brokers"
    url_form = "amqp://user:password@host:5672/vhost, amqps://"
    schemes = MappingProxyType(
        {
            "amqp": "kchat.transports.amqp.transport:Transport",
            "amqps": "kchat.transports.amqp.transport:Transport",
        }
    )
    capabilities = base.Capabilities(
        confirmed=True,
        ordered=True,
        history=False,
        durable=True,
        survives_restart=True,
        send_only=True,
    )
    note = (
        "A room keeps no history: subscribers that are away miss messages, unless they have a durable queue."
    )
    default_port = 5672
    url_options = MappingProxyType({"amqp": _AMQP_OPTIONS, "amqps": _AMQP_OPTIONS})
    verifies_accounts = True
    routing_key_is_room = True
    predeclared_rooms = frozenset({PREDECLARED_FANOUT})
    # rabbit.max_message_size of RabbitMQ 4.0 and newer (128 MiB before).
    max_body = 16 * _MIB
    guests_class = "kchat.transports.amqp.guests:AmqpGuests"

    def checks(self, walk: Walk) -> Sequence[Check]:
        """See :mod:`.checks`."""
        from .checks import checks

        return checks(walk)


TRANSPORT = Amqp()
