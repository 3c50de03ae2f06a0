"""Redis and servers that speak its protocol. What differs from Kombu's transport: :mod:`.transport`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from kchat.transports import base

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.errors import KchatError
    from kchat.transports.checks import Check, Walk
    from kchat.transports.protocols import Connection, RoomSettings
    from kchat.transports.url import Broker, Urls

    from .guests import Guests
    from .history import HistoryPolicy
    from .room import RoomPolicy

_MIB = 1024 * 1024


class Redis(base.Transport):
    """See :class:`~kchat.transports.base.Transport`."""

    name = "redis"
    broker = "Redis and compatible servers"
    url_form = "redis://host:6379/0, rediss://"
    schemes = MappingProxyType(
        {
            "redis": "kchat.transports.redis.transport:Transport",
            "rediss": "kchat.transports.redis.transport:Transport",
        }
    )
    capabilities = base.Capabilities(
        confirmed=True,
        ordered=True,
        history=True,
        durable=False,
        survives_restart=True,
        send_only=True,
        presence=True,
    )
    note = (
        "Subscribers that are away miss messages, unless the room has a history: that keeps what kchat and clients with its "
        "transport send. PUBLISH by others stores nothing."
    )
    extra = "redis"
    driver = "redis"
    url_options = MappingProxyType(
        {"rediss": ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")}
    )
    default_port = 6379
    tls_schemes = MappingProxyType({"redis": "rediss"})
    # The server drops a subscriber that is 32 MB behind (client-output-buffer-limit). Base64 makes 11 of 8.
    max_body = 8 * _MIB
    declares_in_process = True
    acknowledges = False

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
        on_blocked: Callable[[str], None] | None = None,  # noqa: ARG002 - Redis never says so
        on_unblocked: Callable[[], None] | None = None,  # noqa: ARG002
    ) -> Connection:
        """See :mod:`.connect`."""
        from .connect import connect

        return connect(settings, broker, purpose, heartbeat)

    def history(self, room: str) -> HistoryPolicy:
        """See :mod:`.history`."""
        from .history import HistoryPolicy

        return HistoryPolicy(self.room(room))

    def room(self, name: str) -> RoomPolicy:
        """See :mod:`.room`."""
        from .room import RoomPolicy

        return RoomPolicy(name)

    def explain(self, error: Exception, broker: Broker, doing: str) -> KchatError | None:
        """See :mod:`.errors`."""
        from .errors import explain

        return explain(error, broker, doing)

    def checks(self, walk: Walk) -> Sequence[Check]:
        """See :mod:`.checks`."""
        from .checks import checks

        return checks(walk)


TRANSPORT = Redis()
