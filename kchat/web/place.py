"""Where a room is, in words that stay the same: the broker of a guest's account, compared with that of a server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kchat.transports.addresses import is_loopback

if TYPE_CHECKING:
    from kchat.config.settings import Broker, Settings


def place_of(settings: Settings) -> str:
    """The brokers of a room without accounts, passwords and options, sorted and joined by ``;``; safe to show.

    All addresses that mean this machine are one.
    """
    return ";".join(sorted({_place(broker) for broker in settings.brokers}))


def _place(broker: Broker) -> str:
    transport, host = broker.transport, broker.host
    if transport.default_port is not None:
        host = "localhost" if is_loopback(host or "localhost") else host.lower()
    bare = replace(broker.without_password(), account=None, host=host, options={})
    return transport.urls.write(bare, "")
