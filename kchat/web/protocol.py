"""uvicorn's HTTP protocol, which gives a request its connection: what a reader does not take can then be dropped.

``transport.close()`` waits for the peer to take what was written, for ever where it takes nothing.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TRANSPORT = "kchat.transport"
"""The name, among the scope's extensions."""


class Protocol(HttpToolsProtocol):
    """See above."""

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}
