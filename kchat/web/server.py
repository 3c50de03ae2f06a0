"""Runs the application: the address, TLS, the end."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from kchat.config.masking import mask
from kchat.errors import SettingsError
from kchat.web.address import Names, check_address, listen
from kchat.web.app import make_app
from kchat.web.certificate import reload, server_context
from kchat.web.connections import HEAD_SECONDS, KEEP_ALIVE_SECONDS, Door, guarded
from kchat.web.guard import HEADERS
from kchat.web.hub import Hub

if TYPE_CHECKING:
    import ssl

    from kchat.web.options import ServeOptions

BACKLOG = 2048
"""Connections that may wait to be accepted: pages come back all at once after a restart."""

_LEAVE_SECONDS = 5
"""For requests that are being answered, at the end."""

_OTHER_FILES = 128
"""Descriptors that are not connections of guests: the brokers', the store's, and those that are just being accepted."""

_WAITS_SILENTLY = 2.0
"""Seconds to wait for the broker before the host is told."""

_MOST_FILES = 65_536
"""Descriptors to ask for where the system gives as many as anybody wants."""

_SAY_AGAIN = 60.0
"""Seconds between two lines about the same trouble."""


class _Uvicorn(uvicorn.Server):
    """uvicorn's server, which leaves signals to :class:`WebServer`: it would raise them again after it has ended."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, with a limit for the TLS handshake, which uvicorn leaves at a minute."""
        config = self.config

        def protocol() -> asyncio.Protocol:
            made: Any = config.http_protocol_class
            return made(config=config, server_state=self.server_state, app_state={})  # type: ignore[no-any-return]

        self.servers = [
            await asyncio.get_running_loop().create_server(
                protocol,
                sock=each,
                ssl=config.ssl,
                backlog=BACKLOG,
                ssl_handshake_timeout=HEAD_SECONDS if config.ssl else None,
            )
            for each in sockets or []
        ]
        self.started = True


class WebServer:
    """A server of rooms: opened by :meth:`run`, ended by :meth:`stop` or a signal.

    Arguments:
        options: what to serve.
        report: called with lines for the host: what has gone wrong, and what has changed.
        log: called with a line about each request. Default: no log.

    Raises:
        kchat.errors.SettingsError: the options do not fit together, or the certificate cannot be used.

    Attributes:
        hub: what is served, once it runs.
    """

    def __init__(
        self,
        options: ServeOptions,
        report: Callable[[str], object] = lambda _: None,
        log: Callable[[str], object] | None = None,
    ) -> None:
        check_address(options)
        self._options = options
        self._report = report
        self._log = log
        self._tls: ssl.SSLContext | None = None
        if options.tls_cert is not None and options.tls_key is not None:
            self._tls = server_context(options.tls_cert, options.tls_key)
        self._uvicorn: _Uvicorn | None = None
        self._opening: asyncio.Task[None] | None = None
        self._finishing: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = threading.Event()
        self._said: dict[str, float] = {}
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
        self._loop.set_exception_handler(self._trouble)
        listening = listen(options.host, options.port)
        try:
            port = int(listening.getsockname()[1])
            names = Names.of(options, port)
            self.hub = Hub(replace(options, port=port))
        except BaseException:
            listening.close()
            raise
        try:
            self._uvicorn = _Uvicorn(self._config(names))
            self._opening = asyncio.create_task(self.hub.open())
            if self._stopped.is_set():
                self._opening.cancel()
            if options.wait:
                await self._wait_for_broker(self._opening)
            await self._opening
            listening.listen(BACKLOG)  # who follows the link now waits for no more than what is below
            tell(await self.hub.announce(names.public.base))
            await self._uvicorn.serve([listening])
        finally:
            await self.hub.close()
            listening.close()

    async def _wait_for_broker(self, opening: asyncio.Task[None]) -> None:
        await asyncio.wait({opening}, timeout=_WAITS_SILENTLY)
        if not opening.done():
            self._report(
                f"no answer yet from {self._options.settings[0].broker}: retrying until there is one"
            )

    def _config(self, names: Names) -> uvicorn.Config:
        options, limits = self._options, self._options.limits
        most = max(1, min(limits.streams * 2, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHER_FILES))
        if most < limits.streams:
            self._report(
                f"at most {most:,} connections at once: this process may open no more files (ulimit -n)"
            )
        proxies = frozenset(("127.0.0.1", "::1")) if options.behind_proxy else frozenset[str]()
        config = uvicorn.Config(
            make_app(self.hub, names, log=self._log, tell=self._say),
            http=guarded(Door(most, limits.streams_per_address * 2, HEADERS, proxies)),
            ws="none",
            log_config=None,
            log_level=None if logging.getLogger().isEnabledFor(logging.DEBUG) else "critical",
            access_log=False,
            server_header=False,
            proxy_headers=options.behind_proxy,
            forwarded_allow_ips=["127.0.0.1", "::1"],  # else the environment could say so
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_LEAVE_SECONDS,
            lifespan="off",
        )
        config.load()
        config.ssl = self._tls
        return config

    def stop(self) -> None:
        """End it: pages are told to come back, and what is being answered is finished. For any thread.

        Called again, it ends at once.
        """
        again = self._stopped.is_set()
        self._stopped.set()
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._end, again)

    def _end(self, again: bool) -> None:  # noqa: FBT001 - a callback
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        if self._uvicorn is not None:
            self.hub.say_goodbye()
            if self._finishing is None:
                # Meanwhile, since uvicorn waits a while for those who are to be answered, and then cancels them.
                self._finishing = asyncio.ensure_future(self.hub.lanes.finish())
            if again:
                self.hub.lanes.give_up()
            self._uvicorn.should_exit = True
            self._uvicorn.force_exit = again

    def renew(self) -> None:
        """Take the certificate that is in the files now, for new connections. For any thread."""
        cert, key = self._options.tls_cert, self._options.tls_key
        if self._tls is not None and cert is not None and key is not None:
            try:
                reload(self._tls, cert, key)
                self._report("the certificate was loaded again")
            except SettingsError as error:
                self._report(f"the certificate before stays in use: {error}")

    def _trouble(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What the event loop cannot do; of connections that clients break, nothing is said."""
        error = context.get("exception")
        if isinstance(error, ConnectionError | TimeoutError):
            return
        self._say(
            mask(f"{context.get('message', '')}: {error}" if error else str(context.get("message", "")))
        )

    def _say(self, text: str) -> None:
        """Tell the host, once a minute at most of the same."""
        if monotonic() - self._said.get(text, -_SAY_AGAIN) >= _SAY_AGAIN:
            self._said = {text: monotonic()}
            self._report(text)


def raise_file_limit() -> None:
    """Let this process open as many files as the system allows: each open page is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def serve(
    options: ServeOptions,
    tell: Callable[[str], object],
    report: Callable[[str], object] = lambda _: None,
    log: Callable[[str], object] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM ends it; a second one ends it at once. For the main thread.

    SIGHUP loads a renewed certificate; when the terminal was closed, it ends the server, too.

    Arguments:
        options: what to serve.
        tell: called with the link that opens the room, when it is open.
        report: see :class:`WebServer`.
        log: likewise.

    Raises:
        kchat.errors.SettingsError: the options do not fit together, or the certificate cannot be used.
        kchat.errors.KchatError: the address cannot be listened on.
        kchat.errors.BrokerError: a room cannot be reached.
        KeyboardInterrupt: a signal came before the rooms were open.
    """
    raise_file_limit()
    server = WebServer(options, report, log)
    had_terminal = _has_terminal()

    def end(_: int, __: FrameType | None) -> None:
        server.stop()

    def hang_up(_: int, __: FrameType | None) -> None:
        if options.tls_cert is None or (had_terminal and not _has_terminal()):
            server.stop()
        else:
            server.renew()

    handlers = {signal.SIGINT: end, signal.SIGTERM: end}
    if (
        signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN or options.tls_cert is not None
    ):  # as nohup has it
        handlers[signal.SIGHUP] = hang_up
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(server.run(tell))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """That of uvloop, where it is installed: it is the faster one (its README has figures)."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
