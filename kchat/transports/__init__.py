"""The transports that kchat knows: URL scheme → Kombu transport, driver, abilities.

Command-line choices, help texts, ``kchat transports``, ``docs/transports.md`` and the contract tests read this table; a
new transport is one module and one entry here. Importing it imports no driver and no Kombu.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import NamedTuple

from kchat.errors import MissingExtra, SettingsError

PREDECLARED_FANOUT = "amq.fanout"
"""The one fanout exchange that each broker of AMQP 0-9-1 has (section 3.1.3.1, "the fanout exchange type")."""


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


class TransportInfo(NamedTuple):
    """One line of the registry.

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
    """

    name: str
    broker: str
    url_form: str
    schemes: Mapping[str, str]
    capabilities: Capabilities
    note: str
    extra: str = ""
    driver: str = ""
    modules: tuple[str, ...] = ("_ssl",)  # Kombu loads py-amqp, and that Python's ssl
    default_port: int | None = None
    max_body: int = 16 * 1024 * 1024
    declares_in_process: bool = False
    acknowledges: bool = True
    orders_by_routing_key: bool = False
    routing_key_is_room: bool = False
    predeclared_rooms: frozenset[str] = frozenset()
    supports_mandatory: bool = True
    name_separator: str = "."
    verifies_accounts: bool = False
    url_options: Mapping[str, tuple[str, ...]] = MappingProxyType({})

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


_MIB = 1024 * 1024

_LOCAL_OPTIONS = (
    "busy_timeout",
    "drain_batch",
    "history_max_age",
    "history_max_bytes",
    "backlog_max_bytes",
    "backlog_max_messages",
    "max_message_bytes",
    "path",
)
_AMQP_OPTIONS = ("heartbeat", "connection_timeout", "cacertfile", "certfile", "keyfile", "verify")
_PUBSUB_OPTIONS = (
    "ack_deadline",
    "api_endpoint",
    "close_timeout",
    "max_bytes",
    "max_messages",
    "topic_retention",
)

TRANSPORTS: Mapping[str, TransportInfo] = MappingProxyType(
    {
        info.name: info
        for info in (
            TransportInfo(
                name="local",
                broker="none: an SQLite file on this machine",
                url_form="local:// or local:///path/to/room.db",
                schemes={"local": "kchat.transports.local:Transport"},
                capabilities=Capabilities(
                    confirmed=True,
                    ordered=True,
                    history=True,
                    durable=True,
                    survives_restart=True,
                    send_only=False,
                ),
                note="Anyone who can write the file can do everything: there are no accounts.",
                modules=("_ssl", "_sqlite3"),
                url_options={"local": _LOCAL_OPTIONS},
            ),
            TransportInfo(
                name="amqp",
                broker="RabbitMQ and other AMQP 0-9-1 brokers",
                url_form="amqp://user:password@host:5672/vhost, amqps://",
                schemes={
                    "amqp": "kchat.transports.amqp:Transport",
                    "amqps": "kchat.transports.amqp:Transport",
                },
                capabilities=Capabilities(
                    confirmed=True,
                    ordered=True,
                    history=False,
                    durable=True,
                    survives_restart=True,
                    send_only=True,
                ),
                note="A room keeps no history: subscribers that are away miss messages, unless they have a durable queue.",
                default_port=5672,
                url_options={"amqp": _AMQP_OPTIONS, "amqps": _AMQP_OPTIONS},
                verifies_accounts=True,
                routing_key_is_room=True,
                predeclared_rooms=frozenset({PREDECLARED_FANOUT}),
                # rabbit.max_message_size of RabbitMQ 4.0 and newer (128 MiB before).
                max_body=16 * _MIB,
            ),
            TransportInfo(
                name="pubsub",
                broker="Google Cloud Pub/Sub, or its emulator by PUBSUB_EMULATOR_HOST",
                url_form="pubsub://project",
                schemes={"pubsub": "kchat.transports.pubsub:Transport"},
                capabilities=Capabilities(
                    confirmed=True,
                    ordered=True,
                    history=True,
                    durable=True,
                    survives_restart=True,
                    send_only=True,
                ),
                note="History by --since only, where the topic retains messages.",
                extra="pubsub",
                driver="google.cloud.pubsub_v1",
                url_options={"pubsub": _PUBSUB_OPTIONS},
                # 10 MB for a message with its attributes: https://cloud.google.com/pubsub/quotas#resource_limits
                max_body=10_000_000 - 64 * 1024,
                orders_by_routing_key=True,
                supports_mandatory=False,
                name_separator="-",
            ),
            TransportInfo(
                name="redis",
                broker="Redis and compatible servers",
                url_form="redis://host:6379/0, rediss://",
                schemes={
                    "redis": "kchat.transports.redis:Transport",
                    "rediss": "kchat.transports.redis:Transport",
                },
                capabilities=Capabilities(
                    confirmed=True,
                    ordered=True,
                    history=False,
                    durable=False,
                    survives_restart=True,
                    send_only=True,
                ),
                note="PUBLISH stores nothing: a message without subscribers is lost.",
                extra="redis",
                driver="redis",
                url_options={"rediss": ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")},
                default_port=6379,
                # The server drops a subscriber that is 32 MB behind (client-output-buffer-limit). Base64 makes 11 of 8.
                max_body=8 * _MIB,
                declares_in_process=True,
                acknowledges=False,
            ),
            TransportInfo(
                name="memory",
                broker="none: inside one process, for tests",
                url_form="memory://",
                schemes={"memory": "kombu.transport.memory:Transport"},
                capabilities=Capabilities(
                    confirmed=True,
                    ordered=True,
                    history=False,
                    durable=False,
                    survives_restart=False,
                    send_only=False,
                ),
                note="It is inside one process, and ends with it. Kombu's own, for tests.",
                declares_in_process=True,
                acknowledges=False,
                supports_mandatory=False,
            ),
        )
    }
)


def without(module: str) -> MissingExtra:
    """The error that says that this Python was built without one of its own modules."""
    return MissingExtra(
        f"this Python was built without its module {module}, which is needed here",
        hint=f"use another Python, or build this one again with the library behind {module.lstrip('_')} (its -dev package)",
    )


def by_scheme(scheme: str) -> TransportInfo:
    """The transport that a URL scheme names.

    Raises:
        SettingsError: no transport has that scheme.
    """
    for info in TRANSPORTS.values():
        if scheme in info.schemes:
            return info
    known = ", ".join(scheme for info in TRANSPORTS.values() for scheme in info.schemes)
    raise SettingsError(f"no transport for {scheme!r} URLs", hint=f"the schemes are: {known}")


def register() -> None:
    """Make kchat's own transports known to Kombu, so that ``kombu.Connection("local://...")`` works. Safe to repeat.

    Schemes that Kombu knows keep Kombu's transport for everybody but kchat.
    """
    from kombu.transport import TRANSPORT_ALIASES

    for info in TRANSPORTS.values():
        for scheme, path in info.schemes.items():
            TRANSPORT_ALIASES.setdefault(scheme, path)
