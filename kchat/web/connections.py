"""Connections that cost too much: slow ones, too large ones, too many.

uvicorn limits neither the time nor the size of a request's head (docs, "Resource limits"; its h11 implementation alone has a
size), so a client that sends a byte a minute would hold a connection for ever ("slowloris").
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kchat.web.address import limited_address
from kchat.web.frames import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_SECONDS = 10.0
"""For a request's first line and headers, from the moment of the connection or of their first byte."""

BODY_SECONDS = 30.0
"""For its body."""

LEFTOVER_SECONDS = 2.0
"""For the rest of a body that was refused: closing at once would lose the answer (RFC 9112, 9.6)."""

UNREAD_SECONDS = 60.0
"""For a client to take something of what was sent to it."""

KEEP_ALIVE_SECONDS = 15
"""Between two requests."""

TARGET_BYTES, HEAD_BYTES, HEADERS = 8 * 1024, 16 * 1024, 100
"""Maximum size of the first line's target and of all headers, and the number of these."""

_REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
}
_REASONS |= {429: "Too Many Requests", 503: "Service Unavailable"}


class Door:
    """Counts connections.

    Arguments:
        most: of all addresses together.
        most_of_address: of one address.
        proxies: addresses that are not counted: many guests come from there.
        headers: of every answer.
    """

    def __init__(
        self,
        most: int,
        most_of_address: int,
        headers: Mapping[str, str],
        proxies: frozenset[str] = frozenset(),
    ) -> None:
        self.headers = headers
        self._most = most
        self._most_of_address = most_of_address
        self._proxies = proxies
        self._by_address: Counter[str] = Counter()
        self._count = 0

    def enter(self, address: str) -> int:
        """Count a connection, which has to :meth:`leave`; returns the status that refuses it, or 0."""
        self._count += 1
        self._by_address[address] += 1
        if self._count > self._most:
            return 503
        return (
            429 if address not in self._proxies and self._by_address[address] > self._most_of_address else 0
        )

    def leave(self, address: str) -> None:
        """It is closed."""
        self._count -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's, with limits. The application finds ``abort`` in the request's state, which ends the connection at once."""

    door: Door

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._address = ""
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._in_head = self._in_body = self._refused = False
        self._head_bytes = self._header_count = 0
        self._failure = 400

    # ---- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Count it; too many are refused."""
        super().connection_made(transport)
        self._address = limited_address(self.client[0] if self.client else "")
        if status := self.door.enter(self._address):
            self._refuse(status, "too many connections")
        else:
            self._arm(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        self._disarm()
        if self._unread is not None:
            self._unread.cancel()
        self._unset_keepalive_if_required()
        self.door.leave(self._address)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_SECONDS, self.abort)

    def resume_writing(self) -> None:
        """It does."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def abort(self) -> None:
        """End the connection at once, with what was not sent yet."""
        if self.transport is not None:
            self.transport.abort()

    # ---- requests

    def data_received(self, data: bytes) -> None:
        """Parse it, unless the connection is being closed."""
        if self._refused or self.transport.is_closing():
            return
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES + TARGET_BYTES:
                self._refuse(431, "the request's headers are too large")
        if not self._answering and self._deadline is None and self.timeout_keep_alive_task is None:
            self._arm(HEAD_SECONDS)  # a line end between two requests does not begin one

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._header_count = True, 0, 0
        self.scope["state"]["abort"] = self.abort
        if self._deadline is None:
            self._arm(HEAD_SECONDS)

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        super().on_url(url)
        self._limit(len(self.url) > TARGET_BYTES, 414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        super().on_header(name, value)
        self._header_count += 1
        size = sum(len(each) + len(other) for each, other in self.headers)
        self._limit(self._header_count > HEADERS or size > HEAD_BYTES, 431)

    def _limit(self, too_much: bool, status: int) -> None:  # noqa: FBT001 - as it is called, it reads
        if too_much:
            self._failure = status
            raise ValueError(_REASONS[status])  # out of the parser, to send_400_response

    def on_headers_complete(self) -> None:
        """The application begins."""
        self._in_head, self._in_body = False, True
        self._disarm()
        if not self.url.startswith(b"/"):
            self._take_host_of_target()
        self._arm(BODY_SECONDS)
        super().on_headers_complete()

    def _take_host_of_target(self) -> None:
        """The host of a target that has one counts, and ``Host`` does not (RFC 9112, 3.2.2)."""
        target = httptools.parse_url(self.url)
        if target.host and target.path:
            port = b":%d" % target.port if target.port else b""
            host = b"[%b]" % target.host if b":" in target.host else target.host
            self.headers[:] = [each for each in self.headers if each[0] != b"host"]
            self.headers.append((b"host", host + port))
        else:
            self._limit(True, 400)

    def on_message_complete(self) -> None:
        """The request is here."""
        self._in_body = False
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It was answered, maybe before all of it was here."""
        super().on_response_complete()
        if self._in_body and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._arm(LEFTOVER_SECONDS)

    # ---- ends

    @property
    def _answering(self) -> bool:
        """Whether the application is busy with a request; there may not have been any, which uvicorn's types do not say."""
        return bool(self.cycle) and not self.cycle.response_complete

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if self._in_head:
            self._refuse(408, "the request did not come in time")
        elif self._in_body and not self.cycle.response_started:
            self._refuse(408, "the request's body did not come in time")
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text
        """Answer what is not a valid request, or is too large."""
        self._refuse(
            self._failure, "this is not a valid HTTP request" if self._failure == 400 else "it is too large"
        )

    def _refuse(self, status: int, error: str) -> None:
        if self._refused:
            return
        self._refused = True
        self._disarm()
        body = as_json({"error": error})
        head = [
            f"HTTP/1.1 {status} {_REASONS[status]}",
            *(f"{name}: {value}" for name, value in self.door.headers.items()),
        ]
        head += ["content-type: application/json", f"content-length: {len(body)}", "connection: close"]
        if status in {429, 503}:
            head.append("retry-after: 10")
        if not (self._answering and self.cycle.response_started):
            self.transport.write("\r\n".join([*head, "", ""]).encode() + body)
        self.transport.close()
        if self._answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()


def guarded(door: Door) -> type[GuardedProtocol]:
    """The protocol for one server."""
    return type("GuardedProtocol", (GuardedProtocol,), {"door": door})
