"""A connection URL: what it says, and how the URLs of a transport are read and written.

Nothing here opens a socket. Passwords are hidden from ``repr`` and from everything that is meant to be shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from kchat.errors import SettingsError
from kchat.message.control import has_control

if TYPE_CHECKING:
    from kchat.transports.base import Transport
    from kchat.transports.tls import TlsOptions


@dataclass(frozen=True)
class Broker:
    """One place to connect to.

    Attributes:
        scheme: of the URL; decides the transport.
        host: name or address, without brackets; the project on Pub/Sub; empty where there is no server.
        port: TCP port, ``None`` for the transport's default.
        account: the account's name, ``None`` for none; not the name in messages.
        password: the account's; never shown.
        path: the virtual host on AMQP, the database's number on Redis, the file of an embedded room; empty for the default.
        options: what stood in the URL's query.
        lacks: what to do where the login is refused, if part of the account is missing; options in it are written as
            :class:`kchat.errors.Hint` has them.
        secret: gives the password when a connection is made, where it is not known yet; see :meth:`unlocked`.
    """

    scheme: str
    host: str = ""
    port: int | None = None
    account: str | None = None
    password: str | None = field(default=None, repr=False)
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    lacks: str = field(default="", repr=False, compare=False)
    secret: Callable[[], str | None] | None = field(default=None, repr=False, compare=False)

    @property
    def transport(self) -> Transport:
        """The registry's line for the scheme."""
        from kchat.transports import by_scheme

        return by_scheme(self.scheme)

    @property
    def encrypted(self) -> bool:
        """Whether its scheme is one with TLS."""
        return self.scheme in self.transport.tls_schemes.values()

    @property
    def vhost(self) -> str:
        """The AMQP virtual host; ``/`` by default."""
        return self.path or "/"

    def __str__(self) -> str:
        """The URL with the password masked; safe to show."""
        return self.transport.urls.write(self, "***")

    def url(self) -> str:
        """The URL with the password in it; for the driver, never to be shown."""
        return self.transport.urls.write(self, quote(self.password or "", safe=""))

    def url_to_share(self) -> str:
        """The URL with the account and the options, and without the account's password."""
        options = f"?{urlencode(self.options)}" if self.options else ""
        return self.without_password().url() + options

    def without_password(self) -> Broker:
        """The same, and no password for it."""
        return replace(self, password=None, secret=None)

    def unlocked(self) -> Broker:
        """The same with its password, read from where it is stored.

        Raises:
            SettingsError: the keyring does not give it.
        """
        return self if self.secret is None else replace(self, password=self.secret(), secret=None)

    def with_tls(self, *, switch: bool) -> Broker:
        """The same with TLS, where it can have it.

        Arguments:
            switch: whether a scheme without TLS becomes the one with it; a URL that says otherwise is not overruled.

        Raises:
            SettingsError: it is one without TLS.
        """
        encrypted = self.transport.tls_schemes.get(self.scheme)
        if encrypted is None:
            return self
        if not switch:
            raise SettingsError(
                f"{self} is a connection without TLS, so the options for TLS would protect nothing",
                hint=f"begin the URL with {encrypted}://",
            )
        return replace(self, scheme=encrypted)

    @classmethod
    def parse_all(cls, urls: str) -> list[Broker]:
        """Read one connection URL, or several joined by ``;``; none where there is nothing between the semicolons.

        Raises:
            SettingsError: see :meth:`parse`.
        """
        return [cls.parse(url.strip()) for url in urls.split(";") if url.strip()]

    @classmethod
    def parse(cls, url: str) -> Broker:
        """Read one connection URL.

        Raises:
            SettingsError: it is not a URL of a known transport. The text never has the URL's password.
        """
        from kchat.transports import by_scheme

        scheme, colon, rest = url.partition("://")
        if not colon:
            raise SettingsError(
                f"{without_account(url)!r} is not a valid connection URL",
                hint="for example: amqp://ada@broker.example:5672/",
            )
        transport = by_scheme(scheme.lower())
        if has_control(url):
            raise SettingsError("the connection URL has control characters in it")
        return transport.urls.read(scheme.lower(), rest)


class UrlOptions(NamedTuple):
    """What the options of connection URLs say about the settings of a connection.

    Attributes:
        heartbeat: seconds between heartbeats; ``None`` if they do not say.
        connect_timeout: seconds for one attempt to connect; likewise.
        tls: what to trust and whom to be; likewise.
    """

    heartbeat: float | None = None
    connect_timeout: float | None = None
    tls: TlsOptions | None = None


class Parts(NamedTuple):
    """The options that name a broker without a URL.

    Attributes:
        host: host name or address, or several joined by ``,``, each with its own ``:port`` if need be. Default
            ``localhost``.
        port: TCP port. Default: the transport's own.
        vhost: AMQP virtual host.
        project: Google Cloud project.
    """

    host: str | None = None
    port: int | None = None
    vhost: str | None = None
    project: str | None = None


class Urls:
    """The connection URLs of a transport: ``scheme://user:password@host:port/path?option=value``, or its own form.

    Arguments:
        transport: whose they are.
    """

    tls_files: ClassVar[Mapping[str, str]] = {}
    """Options that name files for TLS, and which ones: ``ca``, ``cert`` or ``key``."""
    tls_check: ClassVar[tuple[str, str]] = ("", "")
    """The option that says how far the server's certificate is checked, and its value for all of it."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    @property
    def takes(self) -> frozenset[str]:
        """Those of :class:`Parts` that make a broker."""
        return frozenset({"host", "port"} if self.transport.default_port is not None else ())

    # ---- reading and writing

    def read(self, scheme: str, rest: str) -> Broker:
        """Read a URL: its scheme in small letters, and what follows ``://``, which has no control characters.

        Raises:
            SettingsError: it makes no sense. The text never has the password.
        """
        try:
            parts = urlsplit(f"{scheme}://{rest}")
            port = parts.port
        except ValueError:
            here, _, beyond = re.sub(r"[/?#]", "\n", rest, count=1).partition("\n")
            port_text = here.rpartition("@")[2].rpartition(":")[2]
            if port_text.isdecimal() and "@" not in beyond:  # else it may be the beginning of a password
                raise _bad_port(port_text) from None
            # urlsplit quotes what it stumbled over, which can be the password (one with a "/" or "#" in it).
            raise SettingsError(
                f"the {scheme} URL has no valid host and port",
                hint="write '/', '#', '?', '@' and ':' in a password as %2F, %23, %3F, %40 and %3A",
            ) from None
        return Broker(
            scheme=scheme,
            host=unquote(parts.hostname or ""),
            port=port,
            account=unquote(parts.username) if parts.username is not None else None,
            password=unquote(parts.password) if parts.password is not None else None,
            path=self.read_path(parts.path),
            options=read_query(parts.query),
        )

    def read_path(self, path: str) -> str:
        """What :attr:`Broker.path` is for the path of a URL, as it stands there."""
        return unquote(path.lstrip("/"))

    def write(self, broker: Broker, password: str) -> str:
        """The URL of a broker, without the options. ``password`` stands for its own, if it has one, as in a URL."""
        account = ""
        has_password = broker.password is not None or broker.secret is not None
        if broker.account is not None or has_password:
            account = quote(broker.account or "", safe="")
            account += f":{password}@" if has_password else "@"
        port = "" if broker.port is None else f":{broker.port}"
        return (
            f"{broker.scheme}://{account}{self.write_host(broker.host)}{port}{self.write_path(broker.path)}"
        )

    def write_host(self, host: str) -> str:
        """The host as it stands in a URL."""
        return f"[{host}]" if ":" in host else host

    def write_path(self, path: str) -> str:
        """:attr:`Broker.path` as the path of a URL."""
        return "/" + quote(path, safe="") if path else ""

    # ---- brokers without a URL

    def from_parts(self, parts: Parts) -> list[Broker]:
        """The brokers that options name without a URL.

        Arguments:
            parts: their values. A project may be set in the environment for good, so transports without projects ignore it.

        Raises:
            SettingsError: there is no such part here, or no valid host name.
        """
        name = self.transport.name
        scheme = next(iter(self.transport.schemes))
        if self.transport.default_port is None:
            if parts.host or parts.port or parts.vhost:
                raise SettingsError(f"the {name} transport has no host, port or virtual host")
            return [Broker(scheme)]
        if parts.vhost and "vhost" not in self.takes:
            raise SettingsError(f"the {name} transport has no virtual hosts")
        path = "" if not parts.vhost or parts.vhost == "/" else parts.vhost
        places = [_host_and_port(part.strip(), parts.port) for part in (parts.host or "localhost").split(",")]
        return [Broker(scheme, name, number, path=path) for name, number in places]

    def complete(
        self,
        broker: Broker,
        account: str | None,
        password: str | None,
        environ: Mapping[str, str],  # noqa: ARG002 - for those that look there
    ) -> Broker:
        """The broker with its account and port, or whatever else its URL leaves out.

        Arguments:
            broker: it.
            account: its name, where the URL has none.
            password: its password, where the URL has none, and no other account.
            environ: variables that may fill in an account.

        Raises:
            SettingsError: it makes no sense.
        """
        if self.transport.default_port is None:
            return broker
        if account not in (None, broker.account) and broker.account is not None:
            password = None  # of another account than the URL's
        if broker.port is not None and not 0 < broker.port < 65536:
            raise _bad_port(broker.port)
        return replace(
            broker,
            account=broker.account if broker.account is not None else account,
            password=broker.password if broker.password is not None else password,
            port=broker.port if broker.port is not None else self.default_port(broker.scheme),
        )

    def default_port(self, scheme: str) -> int | None:  # noqa: ARG002 - for those that have two
        """The TCP port for a URL scheme; ``None`` where there is none."""
        return self.transport.default_port

    # ---- options

    def check(self, broker: Broker) -> None:
        """Refuse, by SettingsError, options that the transport does not have, and such as have no value.

        It may be a slip in one that somebody relies on.
        """
        known = self.transport.url_options.get(broker.scheme, ())
        if unknown := sorted(broker.options.keys() - set(known)):
            names = ", ".join(map(repr, unknown))
            raise SettingsError(
                f"no option {names} in {broker.scheme} URLs",
                hint=f"the options are: {', '.join(known)}" if known else "there are none",
            )
        for name, value in broker.options.items():
            if not value:
                raise SettingsError(f"the option {name} in the URL has no value")

    def options(self, brokers: Sequence[Broker]) -> UrlOptions:
        """What the options of these brokers say about the settings.

        Raises:
            SettingsError: see :meth:`check`; or a value makes no sense, or they contradict each other.
        """
        for broker in brokers:
            self.check(broker)
        return UrlOptions()

    def files_for_tls(self, broker: Broker) -> dict[str, str]:
        """The files that a URL names for TLS: ``ca``, ``cert`` and ``key``, those that are there."""
        return {
            self.tls_files[name]: value for name, value in broker.options.items() if name in self.tls_files
        }

    def lowers_trust(self, broker: Broker) -> str:
        """The option by which the server's certificate is not checked, or not all of it; empty for none."""
        name, full = self.tls_check
        value = broker.options.get(name)
        if value is None or value.lower().removeprefix("cert_") == full:
            return ""
        return f"{name}={value}"


def _bad_port(port: object) -> SettingsError:
    return SettingsError(f"{port} is not a valid TCP port", hint="ports are numbers from 1 to 65535")


def read_query(text: str) -> dict[str, str]:
    """The options in the query of a URL; SettingsError where one stands there twice, or has control characters in it."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if has_control(name + value):
            raise SettingsError(f"the option {name!a} in the URL has control characters in it")
        if name in options:
            raise SettingsError(f"the option {name!r} stands twice in the URL", hint="give it once")
        options[name] = value
    return options


def without_account(url: str) -> str:
    """A mistyped URL to show: whatever it holds before an ``@`` may be a password."""
    return "***@" + url.rpartition("@")[2] if "@" in url else url


def _host_and_port(text: str, port: int | None) -> tuple[str, int | None]:
    """``a``, ``a:5673``, ``::1`` or ``[::1]:5673``."""
    match = re.fullmatch(
        r"\[(?P<v6>[0-9a-fA-F:.%]+)\](?::(?P<v6port>\d+))?|(?P<name>[^:\s/@]+)(?::(?P<port>\d+))?", text
    )
    if match is None:
        if text.count(":") > 1 and re.fullmatch(r"[0-9a-fA-F:.%]+", text):
            return text, port
        raise SettingsError(
            f"{without_account(text)!r} is not a valid host name", hint="a whole URL goes to {url}"
        )
    own = match["v6port"] or match["port"]
    return match["v6"] or match["name"], int(own) if own else port
