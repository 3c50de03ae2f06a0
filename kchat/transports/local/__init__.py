"""The embedded room: an SQLite file, and no server. What it promises and what its URL takes: :mod:`.transport`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from kchat.transports import base

if TYPE_CHECKING:
    from kchat.errors import KchatError
    from kchat.transports.checks import Check, Walk
    from kchat.transports.url import Broker, Urls

    from .durable import DurablePolicy
    from .guests import Guests
    from .history_policy import HistoryPolicy
    from .presence import PresencePolicy
    from .room import RoomPolicy

_LOCAL_OPTIONS = (
    "busy_timeout",
    "drain_batch",
    "history_max_age",
    "history_max_bytes",
    "backlog_max_bytes",
    "backlog_max_messages",
    "max_message_bytes",
    "path",
)


class Local(base.Transport):
    """See :class:`~kchat.transports.base.Transport`."""

    name = "local"
    broker = "none: an SQLite file on this machine"
    url_form = "local:// or local:///path/to/room.db"
    schemes = MappingProxyType({"local": "kchat.transports.local.transport:Transport"})
    capabilities = base.Capabilities(
        confirmed=True,
        ordered=True,
        history=True,
        durable=True,
        survives_restart=True,
        send_only=False,
        presence=True,
        positions=True,
    )
    note = "Anyone who can write the file can do everything: there are no accounts."
    modules = ("_ssl", "_sqlite3")
    url_options = MappingProxyType({"local": _LOCAL_OPTIONS})
    embedded = True

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

    def history(self, room: str) -> HistoryPolicy:
        """See :mod:`.history_policy`."""
        from .history_policy import HistoryPolicy

        return HistoryPolicy(self.room(room))

    def room(self, name: str) -> RoomPolicy:
        """See :mod:`.room`."""
        from .room import RoomPolicy

        return RoomPolicy(name)

    def durable(self, room: str) -> DurablePolicy:
        """See :mod:`.durable`."""
        from .durable import DurablePolicy

        return DurablePolicy(self.room(room))

    def presence(self, room: str) -> PresencePolicy:
        """See :mod:`.presence`."""
        from .presence import PresencePolicy

        return PresencePolicy(self.room(room), mandatory=self.supports_mandatory)

    def known_rooms(self, broker: Broker) -> Sequence[str]:
        """See :mod:`.known_rooms`."""
        from .known_rooms import known_rooms

        return known_rooms(broker)

    def explain(self, error: Exception, broker: Broker, doing: str) -> KchatError | None:
        """See :mod:`.errors`."""
        from .errors import explain

        return explain(error, broker, doing)

    def checks(self, walk: Walk) -> Sequence[Check]:
        """See :mod:`.checks`."""
        from .checks import checks

        return checks(walk)


TRANSPORT = Local()
