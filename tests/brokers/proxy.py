"""A TCP proxy that breaks connections for real: cut, black-holed, refused, and mended again."""

from __future__ import annotations

import queue
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from typing import Literal

from tests.brokers.closing import Closing
from tests.brokers.ports import free_port
from tests.brokers.wait import wait_until

CHUNK = 65536
HIGH_WATER = 1 << 20
"""Bytes held for a slow reader before its sender is no longer read, so that back-pressure gets through."""

Direction = Literal["both", "to_server", "to_client"]


class _End:
    """One end of a link: a socket, and what is still to be written to it."""

    def __init__(self, sock: socket.socket, towards: Literal["to_server", "to_client"]) -> None:
        self.sock = sock
        self.towards = towards  # the direction of what is written to this end
        self.waiting = bytearray()
        self.finished = False  # the other end will send no more
        self.peer: _End = self


class Proxy(Closing):
    """Forwards TCP connections to a server until told otherwise. One thread does all of it.

    Used as a context manager, or ended by `close`.

    Arguments:
        port: of the server.
        host: of the server. Default this machine.
        listen: the address to listen on. Default this machine's usual one; all of 127/8 are its own on Linux.
    """

    def __init__(self, port: int, host: str = "127.0.0.1", listen: str = "127.0.0.1") -> None:
        self.host = listen
        self.port = free_port(self.host)
        self._target = (host, port)
        self._ends: set[_End] = set()
        self._accepted = 0
        self._blocked: set[str] = set()
        self._forwarded = {"to_server": 0, "to_client": 0}
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._orders: queue.SimpleQueue[tuple[Callable[[], None], threading.Event]] = queue.SimpleQueue()
        self._listener: socket.socket | None = None
        self._closing = False
        self._listen()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()

    # ---- what a test sees and does

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._ends) // 2

    @property
    def accepted(self) -> int:
        """How many connections were ever accepted."""
        return self._accepted

    def forwarded(self, direction: Literal["to_server", "to_client"]) -> int:
        """Returns how many bytes went through in one direction."""
        return self._forwarded[direction]

    def wait_for_connections(self, count: int = 1, seconds: float = 10.0) -> None:
        """Returns when at least this number of connections is open.

        Raises:
            TimeoutError: not within that time.
        """
        wait_until(lambda: self.connections >= count, seconds, f"{count} connections through the proxy")

    def cut(self, how: Literal["reset", "close"] = "reset") -> None:
        """Ends all open connections on both sides; new ones are accepted.

        Arguments:
            how: ``reset`` sends RST, as a router that lost its state does; ``close`` sends FIN in good order.
        """
        self._order(lambda: self._cut(reset=how == "reset"))

    def black_hole(self, direction: Direction = "both") -> None:
        """Stops forwarding and keeps everything open: nobody is told, as when packets are dropped.

        New connections are accepted and hear nothing. What was under way comes through after `restore`,
        as TCP would send it again.

        Arguments:
            direction: ``to_client`` alone lets a publish through and holds its confirm back.
        """
        names: set[str] = {"to_server", "to_client"} if direction == "both" else {direction}
        self._order(lambda: self._set_blocked(names))

    def refuse(self) -> None:
        """Cuts all connections and refuses new ones, as a broker that is not there."""

        def do() -> None:
            self._unlisten()
            self._cut(reset=True)

        self._order(do)

    def restore(self) -> None:
        """Forwards and accepts again."""

        def do() -> None:
            if self._listener is None:
                self._listen()
            self._set_blocked(set())

        self._order(do)

    def close(self) -> None:
        """Ends the proxy and all that goes through it."""

        def do() -> None:
            self._unlisten()
            self._cut(reset=True)
            self._closing = True

        if self._thread.is_alive():
            self._order(do)
            self._thread.join(30)
        for sock in (self._wake, self._woken):
            sock.close()
        self._selector.close()

    # ---- the thread's side

    def _order(self, do: Callable[[], None]) -> None:
        """Has the thread do something, and returns when it is done: sockets are touched there only."""
        done = threading.Event()
        self._orders.put((do, done))
        self._wake.send(b"!")
        if not done.wait(60):
            raise TimeoutError("the proxy's thread does not answer")

    def _run(self) -> None:
        while not self._closing:
            for key, events in self._selector.select():
                if key.fileobj is self._woken:
                    self._obey()
                elif key.fileobj is self._listener:
                    self._accept()
                elif isinstance(end := key.data, _End) and end in self._ends:
                    self._serve(end, events)

    def _obey(self) -> None:
        self._woken.recv(1)
        do, done = self._orders.get()
        try:
            do()
        finally:
            done.set()

    def _listen(self) -> None:
        self._listener = socket.create_server((self.host, self.port), backlog=128)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _unlisten(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            near, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        try:
            far = socket.create_connection(self._target, 30)
        except OSError:
            self._abort(near)  # the broker is not there: the client learns it as it would without us
            return
        client, server = _End(near, "to_client"), _End(far, "to_server")
        client.peer, server.peer = server, client
        for end in (client, server):
            end.sock.setblocking(False)
            end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(end.sock, selectors.EVENT_READ, end)
            self._ends.add(end)
        self._accepted += 1
        self._watch(client)
        self._watch(server)

    def _serve(self, end: _End, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                sent = end.sock.send(end.waiting)
                self._forwarded[end.towards] += sent
                del end.waiting[:sent]
            if events & selectors.EVENT_READ:
                data = end.sock.recv(CHUNK)
                end.peer.waiting += data
                end.peer.finished = not data
        except BlockingIOError:
            pass
        except OSError:
            self._drop(end, reset=True)
            return
        if end.finished and not end.waiting and end.peer.finished and not end.peer.waiting:
            self._drop(end, reset=False)
            return
        for side in (end, end.peer):
            if side.finished and not side.waiting and side.towards not in self._blocked:
                self._say_finished(side)
            self._watch(side)

    def _say_finished(self, end: _End) -> None:
        try:
            end.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return  # it has gone by itself

    def _watch(self, end: _End) -> None:
        """Sets what the selector looks for on one end: to read unless held back, to write what waits."""
        events = 0
        other = end.peer
        if other.towards not in self._blocked and not other.finished and len(other.waiting) < HIGH_WATER:
            events |= selectors.EVENT_READ
        if end.waiting and end.towards not in self._blocked:
            events |= selectors.EVENT_WRITE
        known = self._selector.get_map().get(end.sock)
        if known is not None and not events:
            self._selector.unregister(end.sock)
        elif known is None and events:
            self._selector.register(end.sock, events, end)
        elif events:
            self._selector.modify(end.sock, events, end)

    def _set_blocked(self, names: set[str]) -> None:
        self._blocked = set(names)
        for end in self._ends:
            self._watch(end)

    def _cut(self, *, reset: bool) -> None:
        for end in list(self._ends):
            if end in self._ends:
                self._drop(end, reset=reset)

    def _drop(self, end: _End, *, reset: bool) -> None:
        for side in (end, end.peer):
            self._ends.discard(side)
            if side.sock in self._selector.get_map():
                self._selector.unregister(side.sock)
            if reset:
                self._abort(side.sock)
            else:
                side.sock.close()

    @staticmethod
    def _abort(sock: socket.socket) -> None:
        # SO_LINGER with zero seconds makes close() send RST instead of FIN.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
