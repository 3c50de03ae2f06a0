"""A plug-in: the transport ``box``, rooms within one process; and the mode ``log``, for log files."""

from __future__ import annotations

from types import MappingProxyType

from kchat.transports import Capabilities, Transport


class Box(Transport):
    """What kchat's documentation, ``docs/transports.md``, asks of a transport, and nothing else."""

    name = "box"
    broker = "none: inside one process, for an example"
    url_form = "box://"
    schemes = MappingProxyType({"box": "kchat_box.transport:Transport"})
    capabilities = Capabilities(
        confirmed=True,
        ordered=True,
        history=False,
        durable=False,
        survives_restart=False,
        send_only=False,
    )
    note = "A room is inside one process, and ends with it."
    max_body = 2 * 1024 * 1024
    declares_in_process = True
    acknowledges = False
    supports_mandatory = False
    in_one_process = True


TRANSPORT = Box()
