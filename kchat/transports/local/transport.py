"""Embedded transport for Kombu: a room in one SQLite file, no server.

All processes that open the same file share its exchanges, queues and messages.

Features
========
* Type: Embedded
* Supports Direct: Yes
* Supports Topic: Yes (``*`` one word, ``#`` any number of words)
* Supports Fanout: Yes (with history)
* Supports Priority: Yes (``x-max-priority``, as RabbitMQ: the higher number first)
* Supports TTL: Yes (``x-message-ttl``, ``expiration``, ``x-expires``)

Queues may be exclusive, auto-delete, shared by competing consumers, limited by ``x-max-length`` (the oldest go), and shared
ones of fanout exchanges by ``x-max-length-bytes``.
Publishing is synchronous: when it returns, the message is committed, and outlives the process however that ends
(``synchronous=NORMAL``: after a power failure the last moments may be missing, never more, and the file is whole).
On a channel after ``confirm_select()`` it need not be: messages in quick succession share a commit, and
``channel.events['basic_ack']`` tells when, from ``drain_events``.

A fanout exchange keeps its messages for a while; a queue declared with ``x-history-last`` (messages) or
``x-history-since`` (UNIX seconds) begins with them. However many exclusive queues are bound to it, a message is
written once; each queue reads on from its own position, and ``x-max-length`` does not cut the history asked for.

Not supported: headers exchanges, bindings between exchanges, transactions, dead letters,
and ``basic.recover`` without requeue. Arguments for what is not supported are ignored,
except where ignoring would lose messages: an ``x-overflow`` other than ``drop-head`` is refused.

Errors are py-amqp's, with AMQP's reply codes: see :mod:`kchat.transports.local.errors`. Needs a system with
``fcntl(2)`` locks and a local file system: SQLite's write-ahead log does not work over a network. Everything in the file is
taken as a stranger's: see :mod:`kchat.transports.local.untrusted`.

Connection String
=================

Kombu learns the scheme from ``kchat.transports.register()``, to be called once; or name the transport itself,
``kombu.Connection(transport="kchat.transports.local.transport:Transport", hostname=path)``.

.. code-block::

    local://
    local:///absolute/path/room.db
    local://./relative/room.db
    local:///path/room.db?history_max_age=3600

Without a path it is ``kchat/room.db`` in the user's state directory. Percent-encode what a URL cannot hold, and a
semicolon, which for Kombu parts several URLs. The query takes the transport options, see :class:`.options.Options`.
"""

# ruff: noqa: ARG002, FBT001, FBT002 - the methods that Kombu calls, with the arguments that it gives them

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from amqp import exceptions
from amqp.exceptions import AMQPError
from kombu.transport import base

from kchat.transports.waker import Waker

from . import errors
from .channel import Channel
from .connection import Connection
from .messages import Delivery, Message
from .options import Options, read_options

if TYPE_CHECKING:
    import kombu

__all__ = ["Channel", "Connection", "Delivery", "Message", "Options", "Transport"]


class Transport(base.Transport):
    """The embedded transport: ``kchat.transports.local.transport:Transport``, by its alias ``local``.

    Arguments:
        client: the :class:`kombu.Connection` that it serves.
    """

    can_parse_url = True
    driver_type = "local"
    driver_name = "sqlite3"

    connection_errors = (exceptions.ConnectionError,)
    channel_errors = (exceptions.ChannelError,)
    recoverable_connection_errors = (exceptions.RecoverableConnectionError,)
    recoverable_channel_errors = (exceptions.RecoverableChannelError,)

    implements = base.Transport.implements.extend(
        asynchronous=True,
        exchange_type=frozenset(["direct", "topic", "fanout"]),
        heartbeats=False,
    )

    def __init__(self, client: kombu.Connection, **_: Any) -> None:
        self.client = client

    def options(self) -> Options:
        """Where the room is, and its limits, as the client's URL and options say.

        Raises:
            amqp.exceptions.NotAllowed: they make no sense.
        """
        return read_options(
            self.client.hostname, self.client.virtual_host, self.client.transport_options or {}
        )

    def establish_connection(self) -> Connection:
        """Open the room, and create its file if it is not there.

        Its folder is made, too, but not in the root directory, and not where there is another URL to go on to.

        Raises:
            amqp.exceptions.NotAllowed: the URL or the options make no sense.
            kchat.transports.local.errors.NotOpened: it cannot be opened; Kombu goes on to the next URL.
            amqp.exceptions.AMQPError: see :mod:`.errors`.
        """
        options = self.options()
        folder = Path(options.path).parent
        if not folder.is_dir() and (len(self.client.alt or ()) > 1 or _would_be_in_the_root(folder)):
            raise errors.OpeningNotAllowed(f"{options.path}: the folder {folder} does not exist")
        try:
            return Connection(self.client, options)
        except AMQPError as exc:
            raise errors.not_opened(exc) from exc

    def close_connection(self, connection: Connection) -> None:
        """Close it, and give up what it owns."""
        connection.close()

    def create_channel(self, connection: Connection) -> Channel:
        """Open a channel."""
        return connection.channel()

    def close_channel(self, channel: Channel) -> None:
        """Close a channel."""
        channel.close()

    def drain_events(self, connection: Connection, timeout: float | None = None, **_: Any) -> None:
        """See :meth:`.Connection.drain_events`."""
        connection.drain_events(timeout)

    def register_with_event_loop(self, connection: Connection, loop: Any) -> None:
        """Have Kombu's event loop deliver messages, as Celery's workers do: see :class:`.connection.Registration`."""
        connection.register(loop)

    def waker(self, connection: Connection) -> Waker:
        """What ends :meth:`drain_events` early, from any thread. Close it with the connection."""
        connection.waker = Waker()
        return connection.waker

    def verify_connection(self, connection: Connection) -> bool:
        """Whether it is still open."""
        return connection.connected

    def driver_version(self) -> str:
        """SQLite's version."""
        return sqlite3.sqlite_version

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        """The URL, with the file that it stands for. There is nothing secret in it."""
        try:
            path = self.options().path
        except exceptions.NotAllowed:
            return uri  # this is for texts, which have to be possible about a wrong URL, too
        return f"local://{quote(path)}"

    def get_manager(self, *args: Any, **kwargs: Any) -> Management:
        """Kombu's management, of which there are the bindings."""
        return Management(self)


def _would_be_in_the_root(folder: Path) -> bool:
    """Whether making it would mean making a folder in the root directory."""
    there = next(parent for parent in folder.parents if parent.exists() or parent == parent.parent)
    return there == there.parent


class Management(base.Management):
    """What ``kombu.Connection.manager`` can do here."""

    def get_bindings(self) -> list[dict[str, str]]:
        """All bindings of the room."""
        channel = self.transport.client.channel()
        try:
            bindings: list[dict[str, str]] = channel.get_bindings()
            return bindings
        finally:
            channel.close()
