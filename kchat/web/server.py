"""Runs the application: the address, TLS, the end."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn

from kchat.errors import KchatError, SettingsError
from kchat.web.app import make_app
from kchat.web.hub import Hub

if TYPE_CHECKING:
    from types import FrameType

    from kchat.web.options import ServeOptions

_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")

_LEAVE_SECONDS = 5
"""For requests that are being answered, at the end."""


class _Server(uvicorn.Server):
    """uvicorn's, which tells the pages before it ends."""

    hub: Hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.hub.say_goodbye()


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
    """Serve until a signal ends it.

    Arguments:
        options: what to serve.
        tell: called with the link that opens the room, when it is open.

    Raises:
        kchat.errors.SettingsError: the address is not valid, or in use.
        kchat.errors.BrokerError: a room cannot be reached.
    """
    check_address(options)
    asyncio.run(_serve(options, tell))


async def _serve(options: ServeOptions, tell: Callable[[str], object]) -> None:
    listening = _listen(options)
    port = listening.getsockname()[1]
    scheme = "https" if options.tls_cert else "http"
    base = (
        options.public_url
        or f"{scheme}://{'127.0.0.1' if _is_loopback(options.host) else options.host}:{port}"
    )
    hosts, origins = _names(base, scheme, port)
    hub = Hub(options)
    config = uvicorn.Config(
        make_app(hub, hosts, origins),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=options.behind_proxy,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
        timeout_graceful_shutdown=_LEAVE_SECONDS,
        lifespan="off",
    )
    server = _Server(config)
    server.hub = hub
    try:
        await hub.open()
        tell(hub.announce(base))
        await server.serve([listening])
    finally:
        await hub.close()
        listening.close()


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
