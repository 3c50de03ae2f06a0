"""The Kombu transport: the embedded room's, with smaller messages."""

from __future__ import annotations

from dataclasses import replace

from kchat.transports.local import transport as local
from kchat.transports.local.options import Options

from . import TRANSPORT


class Transport(local.Transport):
    """See :mod:`kchat.transports.local.transport`."""

    driver_type = "box"

    def options(self) -> Options:
        """Where the room is, and its limits."""
        return replace(super().options(), max_message_bytes=TRANSPORT.max_body)
