"""The options in the query of a connection URL: which there are, and what they mean for the settings.

On AMQP they are those of RabbitMQ's own clients (https://www.rabbitmq.com/docs/uri-query-parameters), elsewhere the
transport's.
An option that nobody knows is refused: it may be a slip in one that somebody relies on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kchat.config.tls import TlsOptions
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from kchat.config.settings import Broker

_FILES = {"cacertfile": "ca", "certfile": "cert", "keyfile": "key"}
_REDIS_FILES = {"ssl_ca_certs": "ca", "ssl_certfile": "cert", "ssl_keyfile": "key"}
_LONGEST_HEARTBEAT = 65535
"""Seconds; it travels in two bytes (AMQP 0-9-1 section 1.4.2.6)."""

_LEAST_TIMEOUT = 100
"""Milliseconds. A smaller value was meant in seconds, as in other clients."""


class Found(NamedTuple):
    """What the URLs say.

    Attributes:
        heartbeat: seconds between AMQP heartbeats; ``None`` if they do not say.
        connect_timeout: seconds for one attempt to connect; likewise.
        tls: what to trust and whom to be; likewise.
    """

    heartbeat: float | None = None
    connect_timeout: float | None = None
    tls: TlsOptions | None = None

    def tls_with(self, other: TlsOptions | None) -> TlsOptions | None:
        """These options for TLS, or those that stand beside the URL.

        Raises:
            SettingsError: there are both.
        """
        if self.tls is not None and other:
            raise SettingsError(
                "options for TLS stand in the URL and beside it",
                hint="use those beside it: --tls-ca and such",
            )
        return other if self.tls is None else self.tls


def check(broker: Broker) -> None:
    """Refuse options that the broker's transport does not have, and such as have no value.

    Raises:
        SettingsError: there is one.
    """
    known = broker.transport.url_options.get(broker.scheme, ())
    if unknown := sorted(broker.options.keys() - set(known)):
        names = ", ".join(map(repr, unknown))
        raise SettingsError(
            f"no option {names} in {broker.scheme} URLs",
            hint=f"the options are: {', '.join(known)}" if known else "there are none",
        )
    for name, value in broker.options.items():
        if not value:
            raise SettingsError(f"the option {name} in the URL has no value")
    if broker.transport.name == "pubsub" and broker.options:
        from kchat.transports.pubsub.options import Options

        try:
            Options.read(broker.options)
        except ValueError as error:
            raise SettingsError(f"in the URL: {str(error).removeprefix('transport ')}") from error


def read(brokers: Sequence[Broker]) -> Found:
    """What the options of AMQP URLs say. One connection is like the other, so several URLs may not contradict each other.

    Raises:
        SettingsError: they do, or an option is unknown or has a value that makes no sense.
    """
    given: dict[str, str] = {}
    for broker in brokers:
        check(broker)
        if broker.transport.name != "amqp":
            continue
        for name, value in broker.options.items():
            if given.setdefault(name, value) != value:
                raise SettingsError(
                    f"the URLs contradict each other: {name} is {given[name]!r} and {value!r}"
                )
    if not given:
        return Found()
    heartbeat = _number(given, "heartbeat", 0, _LONGEST_HEARTBEAT, "seconds")
    timeout = _number(given, "connection_timeout", _LEAST_TIMEOUT, 86_400_000, "milliseconds")
    return Found(heartbeat, None if timeout is None else timeout / 1000, _tls(given, brokers))


def _number(given: Mapping[str, str], name: str, least: int, most: int, unit: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 12 and least <= int(text) <= most):
        raise SettingsError(
            f"the option {name} in the URL is a whole number of {unit} from {least:,} to {most:,}, not {text!r}",
            hint="see https://www.rabbitmq.com/docs/uri-query-parameters",
        )
    return int(text)


def _tls(given: Mapping[str, str], brokers: Sequence[Broker]) -> TlsOptions | None:
    verify = given.get("verify")
    if verify not in (None, "verify_peer", "verify_none"):
        raise SettingsError(f"the option verify in the URL is verify_peer or verify_none, not {verify!r}")
    names = [name for name in (*_FILES, "verify") if name in given]
    if not names:
        return None
    for broker in brokers:
        if not broker.encrypted:
            raise SettingsError(
                f"{broker} is a connection without TLS, so {', '.join(names)} would protect nothing",
                hint="begin the URL with amqps://",
            )
    insecure = verify == "verify_none"
    values = {_FILES[name]: given[name] for name in _FILES if name in given}
    if insecure:
        values.pop("ca", None)  # of no use then, and no contradiction for RabbitMQ's clients
    return TlsOptions(**values, insecure=insecure)


def tls_files(broker: Broker) -> dict[str, str]:
    """The files that a broker's URL names for TLS: ``ca``, ``cert`` and ``key``, those that are there."""
    names = _FILES | _REDIS_FILES
    return {names[name]: value for name, value in broker.options.items() if name in names}


def lowers_trust(broker: Broker) -> str:
    """The option in a broker's URL by which its certificate is not checked, or not all of it; empty for none."""
    for name, full in (("verify", "verify_peer"), ("ssl_cert_reqs", "required")):
        value = broker.options.get(name)
        if value is not None and value.lower().removeprefix("cert_") != full:
            return f"{name}={value}"
    return ""
