"""Google Cloud Pub/Sub, as a Kombu transport.

Features
========
* Type: Native
* Supports Direct: Yes
* Supports Topic: *No*
* Supports Fanout: Yes
* Supports Priority: *No*
* Supports TTL: Yes (``x-message-ttl``, ``expiration``, and ``x-expires`` from a day up), see
  :mod:`kchat.transports.pubsub.arguments`

An exchange is a topic, and a queue is a subscription; :mod:`kchat.transports.pubsub.bindings` has the table, and
:mod:`kchat.transports.pubsub.names` how names become ids. The data of a message is its body, its properties and
headers are attributes, so that any Pub/Sub client can read it and write one.

* On a fanout exchange the routing key is the ordering key: messages of one routing key arrive in the order sent;
  those without a routing key in any. On a direct exchange Pub/Sub promises no order, and consumers of one queue share
  its messages. The property ``ordering_key`` sets an ordering key of your own.
* ``basic_publish`` returns when the service has the message. After ``confirm_select`` it returns at once, and
  ``channel.events["basic_ack"]`` is called by ``drain_events``; a refusal is raised there.
* An exclusive queue belongs to one connection, is refused to all others (405), and is deleted with its connection, with
  ``auto_delete`` with its last consumer. If that failed, the next connection to declare it takes it over as soon as its
  owner is known to be dead (:mod:`kchat.transports.pubsub.ownership_labels`), :mod:`kchat.transports.pubsub.sweep`
  finds it, or it expires after a day. A shared queue with ``auto_delete`` is left to expire after a day without
  consumers: Pub/Sub does not report who else consumes from it.
* The queue argument ``x-history-since`` (UNIX seconds) begins a new queue with what its topic retains since then.
* A queue has one binding. Not supported, and refused: the queue arguments in
  :data:`kchat.transports.pubsub.arguments.LACKS`, bindings between exchanges, unbinding, deleting a queue only if it is
  empty or unused, exclusive consumers.
* One thread may drain events while others acknowledge, publish and declare on the same connection.
* Delivery is at least once, as Pub/Sub's is by default.

Connection String
=================
.. code-block::

    pubsub://[PROJECT]

Without a project, it is that of ``GOOGLE_CLOUD_PROJECT``, ``PUBSUB_PROJECT_ID``, or the credentials. Credentials are
found by Google's own rules (Application Default Credentials). ``PUBSUB_EMULATOR_HOST=host:port`` leads to an emulator
instead.

Sending takes ``roles/pubsub.publisher`` on the topic and nothing else; receiving from a queue that is there takes
``roles/pubsub.subscriber`` on it. Declaring takes ``roles/pubsub.editor``.

Transport Options
=================
See :class:`kchat.transports.pubsub.options.Options`: ``connect_timeout`` (5 seconds), ``confirm_timeout`` (10),
``close_timeout`` (1.5), ``heartbeat`` (10), ``ack_deadline`` (10), ``get_timeout`` (1), ``max_messages`` (1,000),
``max_bytes`` (16 MiB), ``topic_retention`` (0), ``api_endpoint``.

Nothing of Google's is imported before a connection is established: it takes a quarter of a second.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from amqp import Connection as AMQPConnection
from kombu.transport.base import Transport as BaseTransport

from .errors import MissingDriver
from .options import Options

if TYPE_CHECKING:
    from .channel import Channel
    from .connection import Connection, Waker

__all__ = ["MissingDriver", "Transport"]


class Transport(BaseTransport):
    """The transport; see this module's documentation."""

    default_port = None
    # Kombu's name for this kind of broker. Celery goes by it: its events use a fanout exchange instead of a topic one.
    driver_type = "gcpubsub"
    driver_name = "google-cloud-pubsub"

    connection_errors = AMQPConnection.connection_errors
    channel_errors = AMQPConnection.channel_errors
    recoverable_connection_errors = AMQPConnection.recoverable_connection_errors
    recoverable_channel_errors = AMQPConnection.recoverable_channel_errors

    implements = BaseTransport.implements.extend(
        asynchronous=False, heartbeats=False, exchange_type=frozenset(["direct", "fanout"])
    )

    def driver_version(self) -> str:
        """The installed release of google-cloud-pubsub; ``N/A`` without one."""
        try:
            return version("google-cloud-pubsub")
        except PackageNotFoundError:
            return "N/A"

    def establish_connection(self) -> Connection:
        """Connect.

        Raises:
            kchat.transports.pubsub.errors.MissingDriver: google-cloud-pubsub is not installed.
            kchat.transports.pubsub.errors.NoCredentials: Application Default Credentials are missing.
            amqp.exceptions.RecoverableConnectionError: nothing answers there within the connect timeout.
            amqp.exceptions.InvalidPath: no project is named anywhere.
        """
        try:
            from google import pubsub_v1  # noqa: F401 - to tell a missing driver from a fault in our own modules
        except ImportError as exc:
            raise MissingDriver from exc
        from .connection import Connection

        client = self.client
        options = Options.read(
            client.transport_options or {},
            connect_timeout=client.connect_timeout,
            heartbeat=client.heartbeat,
        )
        connection = Connection(client.hostname or "", options)
        connection.client = client
        return connection

    def qos_semantics_matches_spec(self, connection: Connection) -> bool:  # noqa: ARG002 - Kombu gives it
        """Whether ``basic_qos`` is the AMQP specification's; it is RabbitMQ's, so that Celery asks for ``a_global``."""
        return False

    def verify_connection(self, connection: Connection) -> bool:
        """Whether the connection can still be used."""
        return connection.connected

    def create_channel(self, connection: Connection) -> Channel:
        """A new channel."""
        return connection.channel()

    def close_channel(self, channel: Channel) -> None:
        """Close a channel."""
        channel.close()

    def drain_events(self, connection: Connection, **kwargs: Any) -> None:
        """See :meth:`.connection.Connection.drain_events`."""
        connection.drain_events(**kwargs)

    def waker(self, connection: Connection) -> Waker:
        """What ends :meth:`drain_events` early, from any thread."""
        from .connection import Waker

        return Waker(connection)

    def close_connection(self, connection: Connection) -> None:
        """Close a connection in good order."""
        connection.close()

    def _collect(self, connection: Connection) -> None:
        """Kombu's ``Connection.collect``: drop a connection that may be dead."""
        connection.collect()
