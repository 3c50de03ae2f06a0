"""A server with TLS that is not a broker: it shakes hands, and keeps what it receives."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from tests.brokers.wait import wait_until


class Authority:
    """A CA of the tests' own.

    Arguments:
        folder: where its files go.
    """

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.file = folder / "test-ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def context(self, *names: str, starts: int = -1, ends: int = 1) -> ssl.SSLContext:
        """What a server needs to pose under these names, with a certificate valid for these days, counted from today."""
        now = datetime.now(UTC)
        made = self._ca.issue_cert(
            *names, not_before=now + timedelta(days=starts), not_after=now + timedelta(days=ends)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.configure_cert(context)
        return context


class TlsServer:
    """Accepts connections until it is closed. Used as a context manager.

    Arguments:
        context: with its certificate; ``None`` for a server without TLS that answers everything with ``answer``.
        answer: bytes to send to each client.
    """

    def __init__(self, context: ssl.SSLContext | None, answer: bytes = b"") -> None:
        self._context = context
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.handshakes = 0
        """How many clients went through with the handshake."""
        self.ended = 0
        """How many connections are over."""
        self.received = b""
        """Everything that clients sent after the handshake."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # shutdown() and not close(): that alone would not wake the thread.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._listener.close()

    def wait_until_ended(self, connections: int = 1) -> None:
        """Returns when this number of connections is over."""
        wait_until(lambda: self.ended >= connections, 10, f"{connections} connections to end")

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.settimeout(60)
            try:
                self._serve(client)
            except OSError:
                pass  # the client has hung up, or refused the certificate: that is what the tests look at
            finally:
                client.close()
                self.ended += 1

    def _serve(self, client: socket.socket) -> None:
        if self._context is not None:
            client = self._context.wrap_socket(client, server_side=True)
        with client:
            self.handshakes += 1
            if self._answer:
                client.sendall(self._answer)
            while data := client.recv(65536):
                self.received += data
