"""Kombu's own transport within one process, for tests."""

from __future__ import annotations

from types import MappingProxyType

from kchat.transports import base


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
    )
    note = "It is inside one process, and ends with it. Kombu's own, for tests."
    declares_in_process = True
    acknowledges = False
    supports_mandatory = False
    in_one_process = True


TRANSPORT = Memory()
