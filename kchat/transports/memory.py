"""Kombu's own transport within one process, for tests."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kchat.transports import base, presence

if TYPE_CHECKING:
    from kchat.transports.protocols import Queue


class PresencePolicy(presence.PresencePolicy):
    """See :class:`kchat.transports.presence.PresencePolicy`."""

    def join(
        self,
        channel: Any,
        username: str,
        hello: bytes | None,
        *,
        account: str | None = None,
        hears: bool = True,
    ) -> tuple[Queue, bool | None]:
        """Whether anybody was there, the process itself knows."""
        self.exchange(channel).declare()
        alone = not any(channel._has_queue(queue) for *_, queue in channel.get_table(self.exchange.name))  # noqa: SLF001
        return super().join(channel, username, hello, account=account, hears=hears)[0], alone

    def leave(self, channel: Any, queue: Queue) -> None:
        """Kombu keeps queues until the process ends."""
        channel.queue_delete(queue.name)


class Memory(base.Transport):
    """See :class:`~kchat.transports.base.Transport`."""

    name = "memory"
    broker = "none: inside one process, for tests"
    url_form = "memory://"
    schemes = MappingProxyType({"memory": "kombu.transport.memory:Transport"})
    capabilities = base.Capabilities(
        confirmed=True,
        ordered=True,
        history=False,
        durable=False,
        survives_restart=False,
        send_only=False,
        presence=True,
    )
    note = "It is inside one process, and ends with it. Kombu's own, for tests."
    declares_in_process = True
    acknowledges = False
    supports_mandatory = False
    in_one_process = True

    def presence(self, room: str) -> PresencePolicy:
        """See :class:`PresencePolicy`."""
        return PresencePolicy(self.room(room), mandatory=self.supports_mandatory)


TRANSPORT = Memory()
