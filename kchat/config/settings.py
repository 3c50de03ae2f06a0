"""Which room on which broker: options, environment and URLs, turned into one frozen value.

Nothing here opens a socket. Passwords are hidden from ``repr`` and from everything that is meant to be shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from kchat.config import url_options
from kchat.config.tls import TlsOptions
from kchat.config.validation import check_room, has_control
from kchat.errors import SettingsError
from kchat.transports import TRANSPORTS, Transport, by_scheme

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kchat.config.profiles import Profile

DEFAULT_ROOM = "chat"
DEFAULT_URL = "local://"

_WITH_TLS = {"amqp": "amqps", "redis": "rediss"}
"""Schemes that can be encrypted, and how they are called then."""


@dataclass(frozen=True)
class Broker:
    """One place to connect to.

    Attributes:
        scheme: of the URL; decides the transport.
        host: name or address, without brackets; the project for ``pubsub``; empty for ``local`` and ``memory``.
        port: TCP port, ``None`` for the transport's default.
        username: of the broker's account, ``None`` for none.
        password: of the broker's account; never shown.
        path: the virtual host on AMQP, the database's number on Redis, the file for ``local``; empty for the default.
        options: what stood in the URL's query.
    """

    scheme: str
    host: str = ""
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def transport(self) -> Transport:
        """The registry's line for the scheme."""
        return by_scheme(self.scheme)

    @property
    def encrypted(self) -> bool:
        """Whether its scheme is one with TLS."""
        return self.scheme in _WITH_TLS.values()

    @property
    def vhost(self) -> str:
        """The AMQP virtual host; ``/`` by default."""
        return self.path or "/"

    def __str__(self) -> str:
        """The URL with the password masked; safe to show."""
        return self._url("***")

    def url(self) -> str:
        """The URL with the password in it; for the driver, never to be shown."""
        return self._url(quote(self.password or "", safe=""))

    def _url(self, password: str) -> str:
        account = ""
        if self.username is not None or self.password is not None:
            account = quote(self.username or "", safe="")
            account += f":{password}@" if self.password is not None else "@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.scheme == "pubsub":
            # The project of an organisation, example.com:project, has a colon that does not begin a port.
            host = quote(self.host)
        port = "" if self.port is None else f":{self.port}"
        if self.scheme == "local":
            path = quote(self.path)
        elif self.scheme in ("amqp", "amqps"):
            path = "/" if self.vhost == "/" else "/" + quote(self.vhost, safe="")
        else:
            path = "/" + quote(self.path, safe="") if self.path else ""
        return f"{self.scheme}://{account}{host}{port}{path}"

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
        scheme, colon, rest = url.partition("://")
        if not colon:
            raise SettingsError(
                f"{_without_account(url)!r} is not a valid connection URL",
                hint="for example: amqp://user:password@host:5672/",
            )
        info = by_scheme(scheme.lower())
        if has_control(url):
            raise SettingsError("the connection URL has control characters in it")
        if info.name == "local":
            path, _, query = rest.partition("?")
            return cls(scheme="local", path=unquote(path), options=_query(query))
        if info.name == "pubsub":
            project, _, query = rest.partition("?")
            if not project.strip("/"):
                raise SettingsError(
                    "the Pub/Sub URL names no project", hint="for example: pubsub://my-project"
                )
            return cls(
                scheme="pubsub",
                host=unquote(project.strip("/")),
                options=_query(query),
            )
        try:
            parts = urlsplit(f"{scheme.lower()}://{rest}")
            port = parts.port
        except ValueError:
            # urlsplit quotes what it stumbled over, which can be the password (one with a "/" or "#" in it).
            raise SettingsError(
                f"the {scheme} URL has no valid host and port",
                hint="write '/', '#', '?', '@' and ':' in a password as %2F, %23, %3F, %40 and %3A",
            ) from None
        return cls(
            scheme=scheme.lower(),
            host=unquote(parts.hostname or ""),
            port=port,
            username=unquote(parts.username) if parts.username is not None else None,
            password=unquote(parts.password) if parts.password is not None else None,
            path=_virtual_host(parts.path) if info.name == "amqp" else unquote(parts.path.lstrip("/")),
            options=_query(parts.query),
        )


def _query(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if has_control(name + value):
            raise SettingsError(f"the option {name!a} in the URL has control characters in it")
        if name in options:
            raise SettingsError(f"the option {name!r} stands twice in the URL", hint="give it once")
        options[name] = value
    return options


def url_without_password(broker: Broker) -> str:
    """A broker's connection URL with its account and its options, and without the account's password."""
    bare = replace(broker, password=None)
    return bare.url() + (f"?{urlencode(bare.options)}" if bare.options else "")


def _virtual_host(path: str) -> str:
    """``""``, ``/``, ``//`` and ``/%2F`` are all the default virtual host; so write Kombu, Celery and the AMQP URI."""
    name = unquote(path[1:])
    return "" if name == "/" else name


def _without_account(url: str) -> str:
    """Whatever a mistyped URL holds before an ``@`` may be a password."""
    return "***@" + url.rpartition("@")[2] if "@" in url else url


@dataclass(frozen=True)
class Settings:
    """What a sender or subscriber needs to know to reach its room.

    Attributes:
        brokers: the places to try, in this order, again and again. One, or the nodes of a cluster.
        room: the room's name; the exchange on AMQP, the topic on Pub/Sub.
        connect_timeout: seconds for one attempt to connect, default 5.
        confirm_timeout: seconds to wait for the broker's confirmation of a message, default 10.
        heartbeat: seconds between AMQP heartbeats, default 10; a dead link is noticed after two of them
            (https://www.rabbitmq.com/docs/heartbeats). 0 switches them off.
        tls: what to trust and whom to be, on ``amqps://`` and ``rediss://``.
        username: the name to go by where none is given; the profile's. Default: the login name.
    """

    brokers: tuple[Broker, ...]
    room: str = DEFAULT_ROOM
    connect_timeout: float = 5.0
    confirm_timeout: float = 10.0
    heartbeat: float = 10.0
    tls: TlsOptions = field(default_factory=TlsOptions)
    username: str | None = None

    def __post_init__(self) -> None:
        if not self.brokers:
            raise SettingsError("no broker is named")
        if len({broker.transport.name for broker in self.brokers}) > 1:
            raise SettingsError("several hosts have to be of one transport")
        check_room(self.room, predeclared=self.transport.predeclared_rooms)
        for name in ("connect_timeout", "confirm_timeout"):
            if getattr(self, name) <= 0:
                raise SettingsError(f"{name.replace('_', ' ')} has to be more than 0 seconds")
        if self.heartbeat < 0:
            raise SettingsError("heartbeat cannot be negative")

    @property
    def broker(self) -> Broker:
        """The first broker."""
        return self.brokers[0]

    @property
    def transport(self) -> Transport:
        """The registry's line for the brokers."""
        return self.broker.transport

    def __str__(self) -> str:
        """``chat at amqp://rmq:***@localhost:5672/``; safe to show."""
        return f"{self.room} at {';'.join(map(str, self.brokers))}"

    @classmethod
    def resolve(
        cls,
        *,
        url: str | None = None,
        transport: str | None = None,
        host: str | None = None,
        port: int | None = None,
        vhost: str | None = None,
        username: str | None = None,
        password: str | None = None,
        project: str | None = None,
        profile: str | None = None,
        profile_password: str | None = None,
        profile_tls: TlsOptions | None = None,
        room: str | None = None,
        connect_timeout: float | None = None,
        confirm_timeout: float = 10.0,
        heartbeat: float | None = None,
        tls: TlsOptions | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """Choose the broker.

        By ``url``; else by ``transport``, ``host`` and such, or ``profile``, which names them all; else by ``KCHAT_URL``;
        else by ``KCHAT_PROFILE`` or the profile in use (:mod:`kchat.config.profiles`); else the embedded room.

        Arguments:
            url: one connection URL, or several joined by ``;``.
            transport: a name of the registry. Default: ``amqp`` with ``host`` and such, ``pubsub`` with ``project`` alone.
            host: host name or address, or several joined by ``,``, each with its own ``:port`` if need be.
            port: TCP port. Default: the transport's own.
            vhost: AMQP virtual host, default ``/``.
            username: the account on the broker. Default: the URL's; with ``host`` and such ``RABBITMQ_DEFAULT_USER`` on
                AMQP. A profile does not take it.
            password: its password. Default: the URL's; with ``host`` and such ``RABBITMQ_DEFAULT_PASS`` on AMQP. A profile
                does not take it.
            project: Google Cloud project.
            profile: the name of a profile.
            profile_password: the password of the profile's account, typed for this connection. Default: the stored one.
            profile_tls: what to trust and whom to be where the profile says nothing of that, typed for this connection.
            room: the room's name. Default: the profile's, else ``chat``.
            connect_timeout: seconds. Default: the URL's ``connection_timeout``, else 5.
            confirm_timeout: seconds.
            heartbeat: seconds. Default: the URL's, else 10.
            tls: what to trust and whom to be. With ``host`` and such, giving any means a connection with TLS. A profile
                does not take it.
            environ: the environment. Default ``os.environ``.

        Raises:
            SettingsError: it makes no sense, or the profile has no account for a broker that wants one.
            NotAuthorised: the profile's account has ended.
        """
        environ = os.environ if environ is None else environ
        _check_not_empty(transport=transport, host=host, port=port, vhost=vhost, project=project)
        named = url is not None or any((transport, host, port, vhost, project))
        if named and profile is not None:
            raise SettingsError(
                f"the profile {profile!r} names a broker, and so do the other options",
                hint="leave one of them out",
            )
        if not named and profile is None:
            url = environ.get("KCHAT_URL") or None
        chosen = None if url or named else _profile(profile, environ)
        if chosen is not None:
            url = chosen.url
            # A stranger's invitation may have made the profile: what belongs to another broker stays away from this one.
            username, environ = None, {}
            password = profile_password if profile_password is not None else chosen.secret()
            tls = chosen.tls_with(profile_tls)
        elif not named:
            url = url or DEFAULT_URL
        if url is not None:
            brokers = Broker.parse_all(url)
            # The account of the compose file fills in for a host; a URL says itself whose it is.
            environ = {}
        else:
            brokers = list(_from_parts(transport, host, port, vhost, project))
        found = url_options.read(brokers)
        tls = found.tls_with(tls)
        if tls is not None:
            brokers = [_with_tls(broker, switch=url is None) for broker in brokers]
            if tls.cert is not None:
                # A client's certificate is an account; the one that only fills in stays out of its way.
                environ = {}
        brokers = [_with_account(broker, username, password, environ) for broker in brokers]
        if chosen is not None:
            chosen.check_files(brokers)
            for broker in brokers:
                chosen.check_account(broker, tls)
        return cls(
            brokers=tuple(brokers),
            room=room if room is not None else (chosen and chosen.room) or DEFAULT_ROOM,
            connect_timeout=_first(connect_timeout, found.connect_timeout, 5.0),
            confirm_timeout=confirm_timeout,
            heartbeat=_first(heartbeat, found.heartbeat, 10.0),
            tls=tls or TlsOptions(),
            username=None if chosen is None else chosen.username,
        )


def _check_not_empty(**options: object) -> None:
    """An empty value, such as of a variable that is not set, names nothing, and must not come to mean another room."""
    for option, value in options.items():
        if value is not None and not value:
            raise SettingsError(f"the {option} is empty", hint=f"give it a value, or leave --{option} out")


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _profile(name: str | None, environ: Mapping[str, str]) -> Profile | None:
    """The profile of that name, or the one that is chosen where nothing else is."""
    from kchat.config import profiles

    found = profiles.chosen(environ) if name is None else profiles.load().find(name)
    if found is not None:
        found.check_time()
    return found


def _with_tls(broker: Broker, *, switch: bool) -> Broker:
    """The broker with TLS, where it can have it; a URL that says otherwise is not overruled."""
    encrypted = _WITH_TLS.get(broker.scheme)
    if encrypted is None:
        return broker
    if not switch:
        raise SettingsError(
            f"{broker} is a connection without TLS, so the options for TLS would protect nothing",
            hint=f"begin the URL with {encrypted}://",
        )
    return replace(broker, scheme=encrypted)


def _from_parts(
    transport: str | None, host: str | None, port: int | None, vhost: str | None, project: str | None
) -> Iterable[Broker]:
    # A project may stand in the environment for good, so it chooses only where nothing else does.
    name = transport or ("amqp" if host or port or vhost or not project else "pubsub")
    info = TRANSPORTS.get(name)
    if info is None:
        raise SettingsError(f"no transport {name!r}", hint=f"the transports are: {', '.join(TRANSPORTS)}")
    scheme = next(iter(info.schemes))
    if name == "pubsub":
        if not project:
            raise SettingsError("Pub/Sub needs a project", hint="name it with --project or KCHAT_PROJECT")
        yield Broker(scheme=scheme, host=project)
        return
    if info.default_port is None:
        if host or port or vhost:
            raise SettingsError(f"the {name} transport has no host, port or virtual host")
        yield Broker(scheme=scheme)
        return
    if vhost and name != "amqp":
        raise SettingsError(f"the {name} transport has no virtual hosts")
    for part in (host or "localhost").split(","):
        host_name, host_port = _host_and_port(part.strip(), port)
        yield Broker(
            scheme=scheme, host=host_name, port=host_port, path="" if not vhost or vhost == "/" else vhost
        )


def _host_and_port(text: str, port: int | None) -> tuple[str, int | None]:
    """``a``, ``a:5673``, ``::1`` or ``[::1]:5673``."""
    match = re.fullmatch(
        r"\[(?P<v6>[0-9a-fA-F:.%]+)\](?::(?P<v6port>\d+))?|(?P<name>[^:\s/@]+)(?::(?P<port>\d+))?", text
    )
    if match is None:
        if text.count(":") > 1 and re.fullmatch(r"[0-9a-fA-F:.%]+", text):
            return text, port
        raise SettingsError(
            f"{_without_account(text)!r} is not a valid host name", hint="a whole URL goes to --url"
        )
    own = match["v6port"] or match["port"]
    return match["v6"] or match["name"], int(own) if own else port


def _with_account(
    broker: Broker, username: str | None, password: str | None, environ: Mapping[str, str]
) -> Broker:
    if broker.transport.name == "local" and (not broker.path or broker.path.startswith("~")):
        return _at_home(broker)
    if broker.transport.default_port is None:
        return broker
    if broker.transport.name == "amqp" and broker.username is None:
        # One .env serves the compose file and the commands.
        username = username or environ.get("RABBITMQ_DEFAULT_USER") or None
        password = password or (None if username is None else environ.get("RABBITMQ_DEFAULT_PASS")) or None
    elif username not in (None, broker.username):
        password = None  # of another account than the URL's
    if broker.port is not None and not 0 < broker.port < 65536:
        raise SettingsError(
            f"{broker.port} is not a valid TCP port", hint="ports are numbers from 1 to 65535"
        )
    return replace(
        broker,
        username=broker.username if broker.username is not None else username,
        password=broker.password if broker.password is not None else password,
        port=broker.port if broker.port is not None else _default_port(broker.scheme),
    )


def _at_home(broker: Broker) -> Broker:
    """The default room, or one in the home folder, by its absolute path."""
    from amqp.exceptions import NotAllowed

    from kchat.config.private_files import no_home
    from kchat.transports.local.options import default_path

    try:
        path = Path(broker.path).expanduser() if broker.path else Path(default_path())
    except (RuntimeError, NotAllowed):
        raise no_home() from None
    if not path.is_absolute():
        raise no_home()
    return replace(broker, path=str(path))


def _default_port(scheme: str) -> int | None:
    return 5671 if scheme == "amqps" else by_scheme(scheme).default_port
