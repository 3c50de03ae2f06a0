"""Servers that do harm: what a script does with each connection, on a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

Script = Callable[["Peer"], None]
"""What a server does with one connection. It is closed when that returns."""

Act = Script
"""A part of one."""

CHUNK = 64 * 1024


class Gone(Exception):
    """The client has hung up, or the test is over."""


class Peer:
    """A client's connection, as a script sees it.

    Arguments:
        sock: connected.
        over: set when the test is over.
    """

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self.sock = sock
        self.over = over
        self._came = b""

    def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            Gone: the client has hung up.
        """
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except TimeoutError:
                if self.over.is_set():
                    raise Gone from None
            except OSError:
                raise Gone from None

    def read(self, count: int) -> bytes:
        """That number of bytes. Raises Gone as above."""
        while len(self._came) < count:
            self._came += self._receive()
        read, self._came = self._came[:count], self._came[count:]
        return read

    def read_line(self) -> bytes:
        """A line, without its CRLF. Raises Gone as above."""
        while b"\r\n" not in self._came:
            self._came += self._receive()
        line, _, self._came = self._came.partition(b"\r\n")
        return line

    def _receive(self) -> bytes:
        while not self.over.is_set():
            try:
                came = self.sock.recv(CHUNK)
            except TimeoutError:
                continue
            except OSError:
                raise Gone from None
            if came:
                return came
            break
        raise Gone

    def hold(self) -> None:
        """Say nothing until the client hangs up."""
        while True:
            self._came = self._receive()[:0]

    def trickle(self, data: bytes, pause: float = 0.1) -> None:
        """A byte now and then, over and over."""
        while True:
            for byte in data:
                self.send(bytes((byte,)))
                if self.over.wait(pause):
                    raise Gone

    def repeat(self, data: bytes, pause: float = 0.05) -> None:
        """All of it now and then, over and over."""
        while not self.over.wait(pause):
            self.send(data)
        raise Gone

    def flood(self, data: bytes) -> None:
        """As much of it as the client takes."""
        block = data * max(1, CHUNK // len(data))
        while True:
            self.send(block)


def then(first: bytes, act: Act) -> Act:
    """Send this, and then act."""

    def both(peer: Peer) -> None:
        peer.send(first)
        act(peer)

    return both


class Server:
    """A server that runs a script with each connection; a context manager.

    Arguments:
        script: what it does.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(0.2)
        with sock, suppress(Gone, OSError):
            self._script(Peer(sock, self._over))
