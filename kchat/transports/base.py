"""The port to brokers: what kchat asks of a transport, and what it may rely on.

A transport is one folder under ``kchat/transports/``, or a distribution of somebody else's with an entry point in the
group ``kchat.transports``: an object of a class that is derived from :class:`Transport`. Nothing outside such a folder
knows a transport by its name. Importing this module imports no driver and no Kombu.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from kchat.errors import MissingExtra

if TYPE_CHECKING:
    from kchat.transports.checks import Check, Walk
    from kchat.transports.guests import Guests


class Capabilities(NamedTuple):
    """What a transport can do, as ``kchat transports`` shows it."""

    confirmed: bool
    """``send`` returns only when the broker has the message."""
    ordered: bool
    """Each sender's messages arrive in the order sent."""
    history: bool
    """``--last`` and/or ``--since`` begin with what the room already holds."""
    durable: bool
    """``--durable NAME`` keeps messages while its subscriber is away."""
    survives_restart: bool
    """A subscriber comes back by itself after the broker restarted or the network was cut."""
    send_only: bool
    """A sender with the right to send and no other can send to a room that exists."""

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
        abilities: what it can do.
        note: what its users should know, one sentence.
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
        tells_unheard: the broker says so when nobody is listening (``basic.return``).
        name_separator: joins the parts of a queue's name.
        url_options: URL scheme → what may stand in the URL's query, by name; :mod:`kchat.config.url_options` knows what
            it means.
        checks_accounts: the broker checks that a message's ``user_id`` is its sender's account.
        embedded: there is no server: a room is a file, the URL's path.
        in_one_process: a room ends with its process, and no other process can reach it.
        sweeps: subscribers that were killed can leave queues behind: :meth:`stale_queues`.
        guests_class: dotted path of the class for :attr:`guests`.
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
    name_separator: ClassVar[str] = "."
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

    embedded: ClassVar[bool] = False
    in_one_process: ClassVar[bool] = False
    sweeps: ClassVar[bool] = False
    guests_class: ClassVar[str] = "kchat.transports.guests:Guests"

    @property
    def guests(self) -> Guests:
        """What it can do for guests."""
        module, _, name = self.guests_class.partition(":")
        found: Guests = getattr(import_module(module), name)(self.name)
        return found

    def stale_queues(self, place: str, room: str | None) -> Sequence[StaleQueue]:  # noqa: ARG002 - for others
        """The queues that killed subscribers left behind; none where the broker deletes them by itself.

        Arguments:
            place: the broker's host.
            room: only those of that room. Default with None: of all rooms.

        Raises:
            amqp.exceptions.AMQPError: they cannot be listed.
        """
        return ()

    def delete_queues(self, place: str, stale: Sequence[StaleQueue]) -> int:  # noqa: ARG002 - for others
        """Delete queues of :meth:`stale_queues` whose subscribers are still gone; returns how many it deleted.

        Raises:
            amqp.exceptions.AMQPError: they cannot be deleted.
        """
        return 0

    def checks(self, walk: Walk) -> Sequence[Check]:  # noqa: ARG002 - for those that check more
        """What ``kchat doctor`` checks on the way to a room, in order. They need no driver until they run.

        Arguments:
            walk: what the doctor offers to them.
        """
        from kchat.transports.checks import Check

        return (
            Check("settings"),
            Check("connect", ("settings",)),
            Check("round trip", ("connect",)),
        )


def without(module: str) -> MissingExtra:
    """The error that says that this Python was built without one of its own modules."""
    return MissingExtra(
        f"this Python was built without its module {module}, which is needed here",
        hint=f"use another Python, or build this one again with the library behind {module.lstrip('_')} (its -dev package)",
    )
