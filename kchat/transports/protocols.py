"""What kchat uses of a Kombu connection and its channels, and what transports know of a program's settings, as types.

Kombu has no types of its own; a connection of any Kombu transport fits these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from kchat.events import Event
    from kchat.transports.tls import TlsOptions
    from kchat.transports.url import Broker

# ---- what a transport is given


FOR_GUESTS = "send for a guest"
"""What a connection is for (``purpose`` of :meth:`.Transport.connect`) that a server has for each of its guests: there are
many, and each does little, so each should take little memory."""


class RoomSettings(Protocol):
    """A room, and how to reach it; :class:`kchat.config.settings.Settings` is one. Times are in seconds."""

    @property
    def brokers(self) -> Sequence[Broker]:
        """The places to try."""

    @property
    def room(self) -> str:
        """The room's name."""

    @property
    def connect_timeout(self) -> float:
        """For one attempt to connect."""

    @property
    def confirm_timeout(self) -> float:
        """To wait for the broker's confirmation of a message."""

    @property
    def tls(self) -> TlsOptions:
        """The TLS options, where the connection is encrypted; :func:`kchat.transports.tls.wrap` uses them."""


# ---- what a transport gives


class Redelivers(Protocol):
    """A delivery that says by itself whether it was delivered before; others say so in their :class:`Info`."""

    redelivered: bool
    """Whether it was."""


class Info(Protocol):
    """A delivery with Kombu's description."""

    delivery_info: Mapping[str, object]
    """Kombu's, with ``redelivered``."""


class Numbered(Protocol):
    """A delivery on a channel that numbers messages: :class:`NumbersMessages`."""

    number: tuple[str, int] | None
    """Its stream and its place in that, if it has one."""


class OfAccount(Protocol):
    """A delivery by a connection that verifies accounts."""

    def account(self, exchange: str) -> str | None:
        """Whose it is, if it came by the exchange of that name."""


class Typed(Protocol):
    """A delivery with its content type."""

    @property
    def content_type(self) -> str | None:
        """The property of that name, as its sender has set it."""


class Positioned(Protocol):
    """A delivery on a transport with the capability ``positions``."""

    @property
    def position(self) -> str | None:
        """Its place at the broker: the same each time it is delivered, by any queue; no other message of the room has it."""


class HasHeaders(Protocol):
    """A delivery with headers."""

    headers: Mapping[str, object]
    """By name."""

    def text_header(self, name: str) -> str | None:
        """One of them, if it is a text; only where that costs less than reading all."""


class HasPropertiesSize(Protocol):
    """A delivery by a connection that may count properties: :class:`CountsProperties`."""

    @property
    def properties_size(self) -> int:
        """Their bytes, those of headers included."""


class Delivery(
    Redelivers, Info, Numbered, OfAccount, Typed, Positioned, HasHeaders, HasPropertiesSize, Protocol
):
    """A message as a consumer's callback gets it. Only the body and the tag are always there."""

    body: bytes | str
    """As it came; text from those of Kombu's virtual transports that decode."""
    delivery_tag: Any
    """What to acknowledge: a number or a text, each transport's own."""


class Channel(Protocol):
    """A channel of Kombu's (``kombu.Connection.channel()``). The methods are AMQP's.

    So are the errors that they raise (``amqp.exceptions``, with AMQP's reply codes); what a driver raises besides is for
    :meth:`.Transport.explain`.
    """

    auto_decode: bool
    """Whether it decodes bodies by itself; kchat switches that off."""

    events: dict[str, set[Callable[..., object]]]
    """Callbacks of ``basic_ack``, ``basic_nack`` and ``basic_return``; only where one of these is ever called."""

    def prepare_message(
        self,
        body: bytes,
        *,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: dict[str, Any] | None = None,
        properties: Mapping[str, object] | None = None,
    ) -> Any:
        """A message for :meth:`basic_publish`.

        The body, the types and encodings, the headers (texts by name) and the properties travel as they are.
        """

    def basic_publish(
        self, message: Any, exchange: str, routing_key: str = "", *, mandatory: bool = False
    ) -> object:
        """Publish to an exchange; a fanout exchange ignores the ``routing_key``.

        Where the channel has no ``confirm_select``, the broker has the message when it returns. Otherwise it raises:
        ``NotFound`` (404) where the exchange does not exist. With ``mandatory`` and nobody bound,
        ``events["basic_return"]`` are called, where the broker tells (:attr:`.Transport.supports_mandatory`).
        """

    def exchange_declare(self, exchange: str, type: str, **arguments: Any) -> object:  # noqa: A002 - Kombu's name
        """Declare an exchange; kchat uses ``fanout``, neither durable nor deleted by itself."""

    def queue_declare(self, queue: str, **arguments: Any) -> Any:
        """Declare a queue; kchat uses exclusive ones that end with their connection, and durable ones."""

    def basic_consume(
        self, queue: str, *, no_ack: bool, callback: Callable[[Delivery], object], consumer_tag: str | None
    ) -> object:
        """Consume. ``consumer_tag`` names it (``None``: the broker does). With ``no_ack``, nothing is acknowledged.

        The callback gets messages in the order of publication, bodies neither decoded nor decompressed.
        """

    def basic_ack(self, delivery_tag: Any, *, multiple: bool = False) -> object:
        """Acknowledge a delivery, and with ``multiple`` all before it."""

    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool, /) -> object:  # noqa: FBT001 - AMQP's
        """Set the maximum number of unacknowledged messages."""

    def queue_bind(self, queue: str, exchange: str, routing_key: str = "", *, nowait: bool = False) -> object:
        """Bind a queue to an exchange. Unless ``nowait``, what is published after it has returned reaches the queue."""

    def queue_unbind(self, queue: str, exchange: str, routing_key: str = "") -> object:
        """See py-amqp; to unbind what is not bound is no error."""

    def exchange_bind(self, destination: str, source: str, *, nowait: bool = False) -> object:
        """Bind the exchange ``destination`` to ``source``; with ``nowait`` without waiting for the broker's answer."""


class Queue(Protocol):
    """A Kombu queue that is bound to a channel."""

    name: str
    """Its name."""
    queue_arguments: Mapping[str, Any] | None
    """As it is declared with."""

    def queue_declare(self, *, passive: bool = False) -> Any:
        """Declare it, or with ``passive`` look whether it is there.

        Returns its name, the number of messages that wait in it, and that of its consumers; 0 for what is not known.
        """

    def queue_bind(self) -> object:
        """Bind it to its exchange."""

    def consume(self, consumer_tag: str, callback: Callable[[Delivery], object], *, no_ack: bool) -> object:
        """Have its messages delivered to a callback; the arguments are those of :meth:`Channel.basic_consume`."""


class KombuTransport(Protocol):
    """The transport within a Kombu connection (``kombu.Connection.transport``)."""

    drain_events: Callable[..., None]
    """Wait for an event: ``drain_events(connection, timeout=seconds)``; raises TimeoutError when none came in time."""


class Connection(Protocol):
    """A Kombu connection to one broker; :meth:`kchat.transports.base.Transport.connect` makes it."""

    connected: bool
    """Whether it is, as far as it knows."""
    connection: Any
    """The driver's connection; ``None`` before it is made."""
    transport: KombuTransport
    """Kombu's transport, with the driver loaded."""
    connection_errors: tuple[type[Exception], ...]
    """What its driver raises when the connection is lost."""
    channel_errors: tuple[type[Exception], ...]
    """What its driver raises when a channel is closed."""

    def ensure_connection(self, *, max_retries: int, reraise_as_library_errors: bool) -> object:
        """Connect, at the first try or after ``max_retries`` more; errors as the driver raises them, or as Kombu's."""

    def channel(self) -> Channel:
        """Open a channel."""

    def drain_events(self, *, timeout: float | None = None) -> object:
        """Deliver at least one message or event, or raise TimeoutError when none came within ``timeout`` seconds.

        It raises when the connection is lost, and never connects again by itself.
        """

    def heartbeat_check(self) -> object:
        """Send a heartbeat if one is due, and raise where the broker's are missing."""

    def release(self) -> object:
        """Close it; waits for the broker's answer."""

    def collect(self) -> object:
        """Drop it without closing it."""


class Waker(Protocol):
    """Ends a wait in ``drain_events``, or the next one."""

    def wake(self) -> None:
        """End the wait; from any thread or a signal handler."""

    def close(self) -> None:
        """Close it, when nobody waits any more."""


# ---- what a transport may give besides: kchat looks for each by its name


class Wakes(Protocol):
    """A Kombu transport whose wait can be ended. Without it, kchat keeps its waits short."""

    def waker(self, connection: Any) -> Waker | None:
        """What ends ``drain_events`` of a driver's connection."""


class Confirms(Protocol):
    """A channel whose confirmations come later, so that publishing need not wait."""

    def confirm_select(self) -> object:
        """Begin to confirm.

        Publishes are numbered from 1, and ``events["basic_ack"]`` and ``["basic_nack"]`` are called from ``drain_events``.
        """


class NumbersMessages(Protocol):
    """A channel that carries the numbers of messages, by which a subscriber knows how many it missed."""

    def number_table(self, stream: str, more: Mapping[str, str] | None = None) -> bytes:
        """A header table for a stream's messages, with ``%d`` for the place of each; deliveries are :class:`Numbered`.

        ``more``: other headers in it.
        """


class AsksLength(Protocol):
    """A channel that tells a queue's length."""

    def ask_length(self, queue: str, callback: Callable[[int], None]) -> object:
        """Ask for a queue's length without waiting for it; the callback gets the number of messages."""


class Beats(Protocol):
    """A driver's connection whose heartbeats a thread of kchat's sends."""

    heard_at: float
    """When the broker was last heard, in seconds by the monotonic clock."""

    def beat(self) -> None:
        """Send a heartbeat if one is due, in any thread that has the connection's lock. Raises OSError on a dead link."""


class Notifies(Protocol):
    """A driver's connection that tells what else happens."""

    def tell(self, callback: Callable[[Event], None]) -> None:
        """Call back with each :class:`kchat.events.Notice` or ``Dropped``."""


class CountsOvertaken(Protocol):
    """A driver's connection of a room that removes messages before they were read."""

    def take_overtaken(self) -> int:
        """The number of messages that were removed unread since the last call."""


class CountsProperties(Protocol):
    """A driver's connection, where some brokers count a message's properties towards a durable queue's limit in bytes."""

    counts_properties: bool
    """Whether this one does. Default, where a connection does not say: it counts bodies alone."""


class Verifies(Protocol):
    """A driver's connection of a transport with :attr:`.Transport.verifies_accounts`, where not every broker checks them."""

    verifies_accounts: bool
    """Whether this one does. Default, where a connection does not say: it does."""
