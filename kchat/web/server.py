"""Runs the application: the address, TLS, the end."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn

from kchat.errors import KchatError, SettingsError
from kchat.web.app import make_app
from kchat.web.hub import Hub

if TYPE_CHECKING:
    from kchat.web.options import ServeOptions

_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")

BACKLOG = 2048
"""Connections that may wait to be accepted: pages come back all at once after a restart."""

_LEAVE_SECONDS = 5
"""For requests that are being answered, at the end."""


class _Uvicorn(uvicorn.Server):
    """uvicorn's server, which leaves signals to :class:`WebServer`: it would raise them again after it has ended."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield


class WebServer:
    """A server of rooms: opened by :meth:`run`, ended by :meth:`stop` or a signal.

    Arguments:
        options: what to serve.

    Raises:
        kchat.errors.SettingsError: the options do not fit together.

    Attributes:
        hub: what is served, once it runs.
    """

    def __init__(self, options: ServeOptions) -> None:
        check_address(options)
        self._options = options
        self._uvicorn: _Uvicorn | None = None
        self._opening: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = threading.Event()
        self.hub: Hub

    async def run(self, tell: Callable[[str], object]) -> None:
        """Serve until :meth:`stop` is called.

        Arguments:
            tell: called with the link that opens the room, when it is open.

        Raises:
            kchat.errors.KchatError: the address cannot be listened on.
            kchat.errors.BrokerError: a room cannot be reached.
            asyncio.CancelledError: it was stopped before the rooms were open.
        """
        options = self._options
        self._loop = asyncio.get_running_loop()
        listening = _listen(options)
        port = listening.getsockname()[1]
        scheme = "https" if options.tls_cert else "http"
        base = (
            options.public_url
            or f"{scheme}://{'127.0.0.1' if _is_loopback(options.host) else options.host}:{port}"
        )
        hosts, origins = _names(base, scheme, port)
        try:
            self.hub = Hub(options)
        except BaseException:
            listening.close()
            raise
        config = uvicorn.Config(
            make_app(self.hub, hosts, origins),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=options.behind_proxy,
            ssl_certfile=options.tls_cert,
            ssl_keyfile=options.tls_key,
            timeout_graceful_shutdown=_LEAVE_SECONDS,
            lifespan="off",
        )
        self._uvicorn = _Uvicorn(config)
        try:
            self._opening = asyncio.create_task(self.hub.open())
            if self._stopped.is_set():
                self._opening.cancel()
            await self._opening
            listening.listen(BACKLOG)  # who follows the link now waits for no more than what is below
            tell(self.hub.announce(base))
            await self._uvicorn.serve([listening])
        finally:
            await self.hub.close()
            listening.close()

    def stop(self) -> None:
        """End it: pages are told to come back, and what is being answered is finished. For any thread.

        Called again, it ends at once.
        """
        again = self._stopped.is_set()
        self._stopped.set()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end, again)

    def _end(self, again: bool) -> None:  # noqa: FBT001 - a callback
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        if self._uvicorn is not None:
            self.hub.say_goodbye()
            self._uvicorn.should_exit = True
            self._uvicorn.force_exit = again


def check_address(options: ServeOptions) -> None:
    """Refuse an address that others reach without TLS.

    Raises:
        SettingsError: they could read what is said, and the cookies.
    """
    if bool(options.tls_cert) != bool(options.tls_key):
        raise SettingsError("a certificate and its key belong together: --tls-cert and --tls-key")
    if not (_is_loopback(options.host) or options.tls_cert or options.behind_proxy):
        raise SettingsError(
            f"others could read all that is said at {options.host}: it has no TLS",
            hint="give --tls-cert and --tls-key, or --behind-proxy where a proxy does that",
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(options: ServeOptions, tell: Callable[[str], object]) -> None:
    """Serve until SIGINT or SIGTERM ends it; a second one ends it at once. For the main thread.

    Arguments:
        options: what to serve.
        tell: called with the link that opens the room, when it is open.

    Raises:
        kchat.errors.SettingsError: the options do not fit together.
        kchat.errors.KchatError: the address cannot be listened on.
        kchat.errors.BrokerError: a room cannot be reached.
        KeyboardInterrupt: a signal came before the rooms were open.
    """
    server = WebServer(options)

    def end(_: int, __: FrameType | None) -> None:
        server.stop()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        asyncio.run(server.run(tell))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(options: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.host, options.port))
    except (OSError, OverflowError) as error:
        listening.close()
        why = getattr(error, "strerror", None) or error
        raise KchatError(f"cannot listen on {options.host}:{options.port}: {why}") from error
    return listening


def _names(base: str, scheme: str, port: int) -> tuple[frozenset[str], frozenset[str]]:
    """The values of ``Host`` and ``Origin`` that are ours: by the public URL, and on this machine."""
    public = urlsplit(base)
    hosts = {public.netloc.lower(), *(f"{name}:{port}" for name in _LOCAL_NAMES)}
    origins = {f"{public.scheme}://{public.netloc}".lower()}
    origins |= {f"{scheme}://{name}:{port}" for name in _LOCAL_NAMES}
    return frozenset(hosts), frozenset(origins)
