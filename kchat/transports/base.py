"""The port to brokers: what kchat asks of a transport, and what it may rely on.

A transport is one folder under ``kchat/transports/``, or a distribution of somebody else's with an entry point in the
group ``kchat.transports``: an object of a class that is derived from :class:`Transport`. Nothing outside such a folder
knows a transport by its name. Importing this module imports no driver and no Kombu; the hooks import theirs when called.

====================================  ========================================================================
of a transport                        is
====================================  ========================================================================
:mod:`kchat.transports.url`           ``Transport.urls``: how its URLs are read and written; their options
:mod:`kchat.transports.connection`    ``Transport.connect``: the Kombu connection for a room and one broker
:mod:`kchat.transports.errors`        ``Transport.explain``: its driver's errors as kchat's
:mod:`kchat.transports.room`          ``Transport.room``: what a room and its queues are there
:mod:`kchat.transports.history`       ``Transport.history``: how a room's history is switched on and read
:mod:`kchat.transports.durable`       ``Transport.durable``: how durable subscriptions are listed and removed
:mod:`kchat.transports.presence`      ``Transport.presence``: how it is known there who is in a room
:mod:`kchat.transports.guests`        ``Transport.guests``: how guests are admitted, and what joining tries
:mod:`kchat.transports.checks`        ``Transport.checks``: what ``kchat doctor`` checks on the way to a room
:mod:`kchat.transports.protocols`     what kchat uses of a connection, a channel, a delivery, a waker: their types
====================================  ========================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from kchat.errors import KchatError, MissingExtra

if TYPE_CHECKING:
    from kchat.transports.checks import Check, Walk
    from kchat.transports.durable import DurablePolicy
    from kchat.transports.guests import Guests
    from kchat.transports.history import HistoryPolicy
    from kchat.transports.presence import PresencePolicy
    from kchat.transports.protocols import Connection, RoomSettings
    from kchat.transports.room import RoomPolicy
    from kchat.transports.url import Broker, Urls


CLOSE_TIMEOUT = 1.0
"""Seconds that a polite goodbye may take; after that the socket is dropped."""


class Capabilities(NamedTuple):
    """What a transport can do, as ``kchat transports`` shows it."""

    confirmed: bool
    """``kchat send`` returns only when the broker has the message; otherwise it fails."""
    ordered: bool
    """Each sender's messages arrive in the order sent."""
    history: bool
    """``--last`` or ``--since`` begin with the messages that the room already holds. "By host": from when its host has
    switched that on, ``kchat history on``."""
    durable: bool
    """``--durable NAME`` keeps messages while its subscriber is away."""
    survives_restart: bool
    """A subscriber reconnects after a restart of the broker or a cut in the network, and says that it was away."""
    send_only: bool
    """An account with the right to send, and no other, can send to a room that exists."""
    presence: bool = False
    """``kchat who`` knows who is here: those who listen, until 60 s after they have vanished."""
    positions: bool = False
    """Each message has a place of its own at the broker, the same each time it is delivered, so that an archive keeps it
    once also without an ``id``. "In history": only those that are read from the room's history have one."""

    def items(self) -> list[tuple[str, bool]]:
        """``[("confirmed", True), ...]``, in the order of the columns."""
        return list(self._asdict().items())


class StaleQueue(Protocol):
    """A subscriber's queue whose subscriber is gone."""

    @property
    def queue(self) -> str:
        """Its name."""

    @property
    def reason(self) -> str:
        """How it is known that the subscriber is gone, in words."""


class Transport:
    """Everything that kchat knows about one kind of broker.

    Attributes:
        name: what ``--transport`` takes.
        broker: what it talks to, for people.
        url_form: the connection URL to type.
        schemes: URL scheme → dotted path of the Kombu transport class.
        capabilities: what it can do.
        note: what its users should know, one sentence; options in it are written as :class:`kchat.errors.Hint` has them.
        extra: the extra of the ``kombu-chat`` distribution that brings its driver; empty if built in.
        driver: the module whose presence shows that the driver is installed; empty if built in.
        modules: of Python's own that it needs, and that a Python may be built without.
        default_port: TCP port, ``None`` where there is none.
        max_body: the largest body in bytes that its broker takes as installed.
        declares_in_process: its exchanges live in the client's memory (Kombu's virtual transports), so that a sender
            has to declare before it publishes, at no cost and with no right needed.
        acknowledges: deliveries are acknowledged, with ``multiple``.
        orders_by_routing_key: order holds for each routing key, so a sender's name is its routing key (Pub/Sub).
        routing_key_is_room: a message's routing key is the room's name. A fanout exchange ignores it; those behind a binding
            to another exchange, such as MQTT clients, see it as the message's topic.
        predeclared_rooms: fanout exchanges that the broker has from the start, and that nobody may declare.
        supports_mandatory: the broker says so when nobody is listening (``basic.return``).
        tls_schemes: URL scheme → the one that means the same with TLS.
        needs_account: without an account its driver would log in with a default of its own.
        url_options: URL scheme → what may stand in the URL's query, by name.
        verifies_accounts: the broker checks that a message's ``user_id`` is its sender's account.
        embedded: there is no server: a room is a file, the URL's path.
        in_one_process: a room ends with its process, and no other process can reach it.
        sweeps: subscribers that were killed can leave queues behind: :meth:`stale_queues`.
    """

    name: ClassVar[str]
    broker: ClassVar[str]
    url_form: ClassVar[str]
    schemes: ClassVar[Mapping[str, str]]
    capabilities: ClassVar[Capabilities]
    note: ClassVar[str]
    extra: ClassVar[str] = ""
    driver: ClassVar[str] = ""
    modules: ClassVar[tuple[str, ...]] = ("_ssl",)  # Kombu loads py-amqp, and that Python's ssl
    default_port: ClassVar[int | None] = None
    max_body: ClassVar[int] = 16 * 1024 * 1024
    declares_in_process: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = True
    orders_by_routing_key: ClassVar[bool] = False
    routing_key_is_room: ClassVar[bool] = False
    predeclared_rooms: ClassVar[frozenset[str]] = frozenset()
    supports_mandatory: ClassVar[bool] = True
    tls_schemes: ClassVar[Mapping[str, str]] = MappingProxyType({})
    needs_account: ClassVar[bool] = False
    verifies_accounts: ClassVar[bool] = False
    url_options: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})

    @property
    def lacking(self) -> list[str]:
        """The modules that it needs of Python's own, and that this Python was built without."""
        return [name for name in self.modules if find_spec(name) is None]

    @property
    def installed(self) -> bool:
        """Whether it can be used: its driver, and what it needs of Python, can be imported (looked up, not imported)."""
        if self.lacking:
            return False
        if not self.driver:
            return True
        try:
            return find_spec(self.driver) is not None
        except ModuleNotFoundError:  # a parent package is missing
            return False

    @property
    def install_command(self) -> str:
        """The command that installs its driver; empty if it is built in."""
        return f'pip install "kombu-chat[{self.extra}]"' if self.extra else ""

    def require(self) -> None:
        """Make sure that its driver is installed.

        Raises:
            MissingExtra: it is not, or this Python lacks a module that it needs.
        """
        if self.lacking:
            raise without(self.lacking[0])
        if not self.installed:
            raise MissingExtra(
                f"the {self.name} transport needs a driver that is not installed",
                hint=f"install it with: {self.install_command}",
            )

    # ---- hooks

    @cached_property
    def urls(self) -> Urls:
        """Its connection URLs."""
        from kchat.transports.url import Urls

        return Urls(self)

    def connect(
        self,
        settings: RoomSettings,
        broker: Broker,
        purpose: str,  # noqa: ARG002 - for those brokers that show it
        heartbeat: float = 0,
        on_blocked: Callable[[str], None] | None = None,  # noqa: ARG002 - for those brokers that block
        on_unblocked: Callable[[], None] | None = None,  # noqa: ARG002
    ) -> Connection:
        """A Kombu connection to one broker, not connected yet.

        Arguments:
            settings: the room, the timeouts and what to trust.
            broker: which of its brokers.
            purpose: what the connection is for, for the broker's list of connections; ``send`` for one that publishes.
            heartbeat: seconds between heartbeats, 0 for none.
            on_blocked: called with the broker's reason when it stops taking messages, where it says so.
            on_unblocked: called when it takes them again.

        Raises:
            SettingsError: the URL's options make no sense, or a file for TLS cannot be read.
        """
        from kchat.transports.connection import connect

        return connect(settings, broker, heartbeat)

    def account(self, connection: Connection) -> str | None:  # noqa: ARG002 - for those that have accounts
        """The account that the broker checks a message's ``user_id`` against, where this side knows it.

        Arguments:
            connection: of :meth:`connect`, connected.
        """
        return None

    def explain(self, error: Exception, broker: Broker, doing: str) -> KchatError | None:
        """The error of kchat's that a driver's error is; ``None`` for one that is a fault in the program.

        Arguments:
            error: what was raised.
            broker: the one that the driver talks to.
            doing: a verb: ``connect``, ``send``, ``listen``.
        """
        from kchat.transports.errors import explain

        return explain(error, broker, doing)

    def room(self, name: str) -> RoomPolicy:
        """What a room is there.

        Arguments:
            name: of the room.
        """
        from kchat.transports.room import RoomPolicy

        return RoomPolicy(name)

    @property
    def always_keeps_history(self) -> bool:
        """Whether every room there has a history, without a host who switches it on."""
        return self.capabilities.history and not self.history("chat").by_host

    def history(self, room: str) -> HistoryPolicy:
        """What a room's history is. Used only where :attr:`capabilities` have ``history``.

        Arguments:
            room: by name.
        """
        from kchat.transports.history import HistoryPolicy

        return HistoryPolicy(self.room(room))

    def durable(self, room: str) -> DurablePolicy:
        """How a room's durable subscriptions are listed and removed. Used only where :attr:`capabilities` have ``durable``.

        Arguments:
            room: by name.
        """
        from kchat.transports.durable import DurablePolicy

        return DurablePolicy(self.room(room))

    def presence(self, room: str) -> PresencePolicy:
        """How it is known who is in a room: by announcements through a second exchange, or by what the broker knows.

        Used only where :attr:`capabilities` have ``presence``.

        Arguments:
            room: by name.
        """
        from kchat.transports.presence import PresencePolicy

        return PresencePolicy(self.room(room), mandatory=self.supports_mandatory)

    embedded: ClassVar[bool] = False
    in_one_process: ClassVar[bool] = False
    sweeps: ClassVar[bool] = False

    @cached_property
    def guests(self) -> Guests:
        """What it can do for guests."""
        from kchat.transports.guests import Guests

        return Guests(self.name)

    def known_rooms(self, broker: Broker) -> Sequence[str]:  # noqa: ARG002 - for those that know some
        """The names of rooms that can be known at once, without a network, such as a shell's completion needs.

        Arguments:
            broker: where they are.

        Raises:
            kchat.errors.KchatError: it cannot be looked up.
        """
        return ()

    def stale_queues(self, broker: Broker, room: str | None) -> Sequence[StaleQueue]:  # noqa: ARG002 - for others
        """The queues that killed subscribers left behind; none where the broker deletes them by itself.

        Arguments:
            broker: whose they are.
            room: only those of that room. Default with None: of all rooms.

        Raises:
            kchat.errors.BrokerError: they cannot be listed.
        """
        return ()

    def delete_queues(self, broker: Broker, stale: Sequence[StaleQueue]) -> int:  # noqa: ARG002 - for others
        """Delete queues of :meth:`stale_queues` whose subscribers are still gone; returns how many it deleted.

        Arguments:
            broker: whose they are.
            stale: the queues to delete.

        Raises:
            kchat.errors.BrokerError: they cannot be deleted.
        """
        return 0

    def close(self, connection: Connection, timeout: float = CLOSE_TIMEOUT) -> None:  # noqa: ARG002 - for those that wait
        """Say goodbye to the broker, and where that fails, :meth:`drop` the connection.

        Arguments:
            connection: of :meth:`connect`.
            timeout: seconds that it may take. Default: one. By default, it takes what Kombu's ``release()`` does.
        """
        try:
            connection.release()
        except (*connection.connection_errors, *connection.channel_errors):
            self.drop(connection)

    def drop(self, connection: Connection) -> None:
        """Drop a connection that may be dead, or was never made, without waiting for the broker's answer."""
        from kchat.transports.connection import drop

        drop(connection)

    def checks(self, walk: Walk) -> Sequence[Check]:  # noqa: ARG002 - for those that check more
        """What ``kchat doctor`` checks on the way to a room, in order. They need no driver until they run.

        Arguments:
            walk: what the doctor offers to them.
        """
        from kchat.transports.checks import Check

        return Check("settings"), Check("connect", ("settings",)), Check("round trip", ("connect",))


def without(module: str) -> MissingExtra:
    """The error that says that this Python was built without one of its own modules."""
    return MissingExtra(
        f"this Python was built without its module {module}, which is needed here",
        hint=f"use another Python, or build this one again with the library behind {module.lstrip('_')} (its -dev package)",
    )
