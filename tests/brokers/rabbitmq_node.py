"""What a test holds of a RabbitMQ, wherever the node came from."""

from __future__ import annotations

import abc
import secrets
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pika
import pika.exceptions

from tests.brokers.management import Management, ManagementError
from tests.brokers.ports import listens
from tests.brokers.wait import Deadline, wait_until

START_SECONDS = 90.0
"""How long a RabbitMQ may take to start. Six seconds are usual; a loaded machine takes several times that."""


@dataclass(frozen=True)
class Account:
    """A user of a broker, and the URL by which it gets to one vhost."""

    username: str
    password: str
    url: str


class RabbitMQ(abc.ABC):
    """One RabbitMQ node with its management API.

    Arguments:
        host: where it listens.
        port: its AMQP port.
        username: an account with all rights and the ``administrator`` tag.
        password: its password.
        management_url: of the HTTP API, without ``/api``.
        origin: where the node came from, for the summary.
        tls: the folder of its certificates, where it speaks AMQP with TLS and no other. Default none.
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        password: str,
        management_url: str,
        origin: str,
        tls: Path | None = None,
    ) -> None:
        self.host = host
        self.tls = tls
        self.port = port
        self.username = username
        self.password = password
        self.vhost = "/"
        self.management_url = management_url.rstrip("/")
        self.origin = origin
        self.management = Management(self.management_url, username, password)

    def __repr__(self) -> str:
        return f"<RabbitMQ at {self.host}:{self.port} from {self.origin}>"

    # ---- addresses

    @property
    def url(self) -> str:
        """The AMQP URL of the default vhost with the administrator's password."""
        return self.url_for()

    def url_for(
        self,
        vhost: str | None = None,
        username: str | None = None,
        password: str | None = None,
        *,
        host: str | None = None,
        port: int | None = None,
    ) -> str:
        """Returns an AMQP URL; what is not given is the node's own. Everything in it is quoted."""
        user = quote(self.username if username is None else username, safe="")
        word = quote(self.password if password is None else password, safe="")
        room = quote(self.vhost if vhost is None else vhost, safe="")
        scheme = "amqp" if self.tls is None else "amqps"
        return f"{scheme}://{user}:{word}@{host or self.host}:{port or self.port}/{room}"

    # ---- what tests share

    @contextmanager
    def new_vhost(self, name: str = "") -> Iterator[str]:
        """Makes a vhost, gives its name, and deletes it with everything in it.

        Arguments:
            name: default a random one that starts with ``test-``.
        """
        name = name or f"test-{secrets.token_hex(4)}"
        self.management.add_vhost(name)
        self.management.permit(name, self.username, ".*", ".*", ".*")
        try:
            yield name
        finally:
            self._forget(lambda: self.management.delete_vhost(name))

    @contextmanager
    def new_account(
        self, vhost: str, *, configure: str = "", write: str = "", read: str = "", tags: str = ""
    ) -> Iterator[Account]:
        """Makes an account with these rights and no others on a vhost, and deletes it.

        Arguments:
            vhost: where the rights hold.
            configure: regular expression of what it may declare and delete. Default nothing.
            write: of what it may publish to and bind. Default nothing.
            read: of what it may consume and bind from. Default nothing.
            tags: such as ``management``. Default none.
        """
        username, password = f"user-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
        self.management.add_user(username, password, tags)
        self.management.permit(vhost, username, configure, write, read)
        try:
            yield Account(username, password, self.url_for(vhost, username, password))
        finally:
            self._forget(lambda: self.management.delete_user(username))

    def _forget(self, delete: Callable[[], None]) -> None:
        """Deletes what a test made, which may be gone with a broker that was reset."""
        try:
            delete()
        except ManagementError as error:
            if error.status != 404:
                raise

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Returns when AMQP and the management API take this account.

        Raises:
            TimeoutError: not within ``seconds``; the error has the end of the node's log.
        """
        deadline = Deadline(seconds)
        wait_until(self._ready, deadline, lambda: f"{self} ready\n{self.log_tail()}", pause=0.1)

    def _ready(self) -> bool:
        self.check_alive()
        if not listens(self.host, self.port):
            return False  # pika would log every refused connection at length
        try:
            pika.BlockingConnection(self._pika_parameters()).close()
            return bool(self.management.overview())
        except (OSError, ManagementError, pika.exceptions.AMQPError):
            return False

    def _pika_parameters(self) -> pika.URLParameters:
        parameters = pika.URLParameters(self.url + "?socket_timeout=20")
        if self.tls is not None:
            context = ssl.create_default_context(cafile=str(self.tls / "ca.pem"))
            parameters.ssl_options = pika.SSLOptions(context, self.host)
        return parameters

    @property
    def version(self) -> tuple[int, ...]:
        """RabbitMQ's version, such as ``(3, 10, 8)``."""
        return tuple(int(part) for part in self.management.overview()["rabbitmq_version"].split("."))

    @contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """Raises a memory alarm, so that publishing connections are blocked, and lifts it afterwards."""
        self._set_watermark(0.00001)
        try:
            wait_until(self._alarmed, 20, "a memory alarm")
            yield
        finally:
            self.lift_alarms()

    def lift_alarms(self) -> None:
        """Puts the memory watermark back to RabbitMQ's default and waits until the alarm is over."""
        self._set_watermark(0.4)
        wait_until(lambda: not self._alarmed(), 20, "the end of a memory alarm")

    def _set_watermark(self, share: float) -> None:
        self.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({share:f}).")

    def _alarmed(self) -> bool:
        # Asked anew each time, unlike the figures of /api/nodes, which are five seconds old.
        try:
            self.management.get("health", "checks", "alarms")
        except ManagementError as error:
            if error.status != 503:
                raise
            return True
        return False

    # ---- life and death

    def check_alive(self) -> None:
        """Raises RuntimeError, with the end of the log, where the node has ended by itself."""
        if not self.running:
            raise RuntimeError(f"{self} ended by itself:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """Returns the end of the node's log, for an error. Default: nothing."""
        return ""

    @abc.abstractmethod
    def ctl(self, *arguments: str) -> str:
        """Runs ``rabbitmqctl`` against the node and returns what it writes."""

    def evaluate(self, expression: str) -> None:
        """Has the node evaluate an Erlang expression, which ends with a full stop."""
        self.ctl("eval", expression)

    @abc.abstractmethod
    def start(self) -> None:
        """Starts the node on what its data folder holds, and returns when it is ready."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Stops the node as an operator would; clients are told (320)."""

    @abc.abstractmethod
    def kill(self) -> None:
        """Ends the node by ``kill -9``; its clients' connections are reset or closed by the kernel.

        What RabbitMQ was told in the last moments, durable or not, may be gone after `start`: its metadata
        store (Mnesia) writes to the disk with a delay.
        """

    @property
    @abc.abstractmethod
    def running(self) -> bool:
        """Whether the node's process is there."""

    def restart(self, *, kill: bool = True) -> None:
        """Ends the node, by ``kill -9`` unless told otherwise, and starts it again on the same ports."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()
