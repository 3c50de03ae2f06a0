"""``amqp://`` and ``amqps://`` URLs.

Their options are those of RabbitMQ's own clients (https://www.rabbitmq.com/docs/uri-query-parameters).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import quote, unquote

from kchat.errors import SettingsError
from kchat.transports import url
from kchat.transports.tls import TlsOptions
from kchat.transports.url import Broker, UrlOptions

TLS_PORT = 5671
"""The TCP port of ``amqps://``."""

_USER, _PASS = "RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"
"""The variables of RabbitMQ's container image, https://hub.docker.com/_/rabbitmq."""

_LONGEST_HEARTBEAT = 65535
"""Seconds; it travels in two bytes (AMQP 0-9-1 section 1.4.2.6)."""

_LEAST_TIMEOUT = 100
"""Milliseconds. A smaller value was meant in seconds, as in other clients."""


class Urls(url.Urls):
    """See :class:`kchat.transports.url.Urls`."""

    takes = frozenset({"host", "port", "vhost"})
    tls_files = MappingProxyType({"cacertfile": "ca", "certfile": "cert", "keyfile": "key"})
    tls_check = ("verify", "verify_peer")

    def read_path(self, path: str) -> str:
        """The virtual host. Kombu, Celery and the AMQP URI write the default as ``""``, ``/``, ``//`` or ``/%2F``."""
        name = unquote(path[1:])
        return "" if name == "/" else name

    def write_path(self, path: str) -> str:
        """Always a path: without one, some clients take the empty name for the virtual host's."""
        return "/" if path in ("", "/") else "/" + quote(path, safe="")

    def default_port(self, scheme: str) -> int | None:
        """5671 with TLS, 5672 without."""
        return TLS_PORT if scheme == "amqps" else super().default_port(scheme)

    def complete(
        self, broker: Broker, account: str | None, password: str | None, environ: Mapping[str, str]
    ) -> Broker:
        """One .env serves the compose file and the commands, where the URL has no account."""
        lacks = ""
        if broker.account is None:
            user, secret = (environ.get(name) or None for name in (_USER, _PASS))
            if not (account or user or password) and secret:
                lacks = (
                    f"{_PASS} is set, but {_USER} is not: set it, too, or name the account with {{account}}"
                )
            if not (account or password or secret) and user:
                lacks = (
                    f"{_USER} is set, but {_PASS} is not: set it, too, or give the password with {{password}}"
                )
            account = account or user
            password = password or (None if account is None else secret)
        return replace(super().complete(broker, account, password, environ), lacks=lacks)

    def options(self, brokers: Sequence[Broker]) -> UrlOptions:
        """One connection is like the other, so several URLs may not contradict each other."""
        super().options(brokers)
        given: dict[str, str] = {}
        for broker in brokers:
            for name, value in broker.options.items():
                if given.setdefault(name, value) != value:
                    raise SettingsError(
                        f"the URLs contradict each other: {name} is {given[name]!r} and {value!r}"
                    )
        heartbeat = _number(given, "heartbeat", 0, _LONGEST_HEARTBEAT, "seconds")
        timeout = _number(given, "connection_timeout", _LEAST_TIMEOUT, 86_400_000, "milliseconds")
        return UrlOptions(heartbeat, None if timeout is None else timeout / 1000, self._tls(given, brokers))

    def _tls(self, given: Mapping[str, str], brokers: Sequence[Broker]) -> TlsOptions | None:
        verify = given.get("verify")
        if verify not in (None, "verify_peer", "verify_none"):
            raise SettingsError(f"the option verify in the URL is verify_peer or verify_none, not {verify!r}")
        names = [name for name in (*self.tls_files, "verify") if name in given]
        if not names:
            return None
        for broker in brokers:
            if not broker.encrypted:
                raise SettingsError(
                    f"{broker} is a connection without TLS, so {', '.join(names)} would protect nothing",
                    hint="begin the URL with amqps://",
                )
        files = {each: given[name] for name, each in self.tls_files.items() if name in given}
        if verify == "verify_none":
            files.pop("ca", None)  # of no use then, and no contradiction for RabbitMQ's clients
        return TlsOptions(**files, insecure=verify == "verify_none")


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
