"""A plug-in: the transport ``box``, an embedded room without a history; and the mode ``log``, for log files."""

from __future__ import annotations

from types import MappingProxyType

from kchat.transports import Capabilities
from kchat.transports.local import Local


class Box(Local):
    """See :class:`kchat.transports.base.Transport`. What is not here is as in the embedded room."""

    name = "box"
    broker = "none: a file on this machine, without a history"
    url_form = "box:///path/to/room.db"
    schemes = MappingProxyType({"box": "kchat_box.transport:Transport"})
    capabilities = Capabilities(
        confirmed=True,
        ordered=True,
        history=False,
        durable=True,
        survives_restart=True,
        send_only=False,
    )
    note = "A room keeps no history, and there are no accounts."
    max_body = 2 * 1024 * 1024
    url_options = MappingProxyType({"box": ("busy_timeout",)})


TRANSPORT = Box()
