"""RabbitMQ and other AMQP 0-9-1 brokers: py-amqp with its own framing, and what it reads made safe."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kchat.transports import base

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.errors import KchatError
    from kchat.transports.checks import Check, Walk
    from kchat.transports.protocols import Connection, RoomSettings
    from kchat.transports.url import Broker, Urls

    from .durable import DurablePolicy
    from .guests import Guests
    from .history import HistoryPolicy
    from .presence import PresencePolicy
    from .room import RoomPolicy

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
        history=True,
        durable=True,
        survives_restart=True,
        send_only=True,
        presence=True,
    )
    note = (
        "Subscribers that are away miss messages, unless the room has a history or they have a durable queue."
    )
    default_port = 5672
    tls_schemes = MappingProxyType({"amqp": "amqps"})
    needs_account = True  # py-amqp's is guest
    url_options = MappingProxyType({"amqp": _AMQP_OPTIONS, "amqps": _AMQP_OPTIONS})
    verifies_accounts = True
    routing_key_is_room = True
    predeclared_rooms = frozenset({PREDECLARED_FANOUT})
    # rabbit.max_message_size of RabbitMQ 4.0 and newer (128 MiB before).
    max_body = 16 * _MIB

    @cached_property
    def guests(self) -> Guests:
        """See :mod:`.guests`."""
        from .guests import Guests

        return Guests(self.name)

    @cached_property
    def urls(self) -> Urls:
        """See :mod:`.url`."""
        from .url import Urls

        return Urls(self)

    def connect(
        self,
        settings: RoomSettings,
        broker: Broker,
        purpose: str,
        heartbeat: float = 0,
        on_blocked: Callable[[str], None] | None = None,
        on_unblocked: Callable[[], None] | None = None,
    ) -> Connection:
        """See :mod:`.connect`."""
        from .connect import connect

        return connect(settings, broker, purpose, heartbeat, on_blocked, on_unblocked)

    def close(self, connection: Connection, timeout: float = base.CLOSE_TIMEOUT) -> None:
        """Without a limit it would wait for ever for the close-ok of a broker that is gone."""
        if connection.connected:
            connection.connection.limit_answers(timeout)
        super().close(connection, timeout)

    def account(self, connection: Connection) -> str | None:
        """Not with a client's certificate: the broker derives the account from it by its own rules."""
        from .errors import EXTERNAL

        driver: Any = connection
        return None if driver.login_method == EXTERNAL else str(driver.userid)

    def room(self, name: str) -> RoomPolicy:
        """See :mod:`.room`."""
        from .room import RoomPolicy

        return RoomPolicy(name)

    def history(self, room: str) -> HistoryPolicy:
        """See :mod:`.history`."""
        from .history import HistoryPolicy

        return HistoryPolicy(self.room(room))

    def durable(self, room: str) -> DurablePolicy:
        """See :mod:`.durable`."""
        from .durable import DurablePolicy

        return DurablePolicy(self.room(room))

    def presence(self, room: str) -> PresencePolicy:
        """See :mod:`.presence`."""
        from .presence import PresencePolicy

        return PresencePolicy(self.room(room), mandatory=self.supports_mandatory)

    def explain(self, error: Exception, broker: Broker, doing: str) -> KchatError | None:
        """See :mod:`.errors`."""
        from .errors import explain

        return explain(error, broker, doing)

    def checks(self, walk: Walk) -> Sequence[Check]:
        """See :mod:`.checks`."""
        from .checks import checks

        return checks(walk)


TRANSPORT = Amqp()
