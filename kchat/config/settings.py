"""Which room on which broker: options, environment and URLs, turned into one frozen value.

Nothing here opens a socket. Passwords are hidden from ``repr`` and from everything that is meant to be shown.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kchat.config.validation import check_room
from kchat.errors import SettingsError
from kchat.transports import TRANSPORTS
from kchat.transports.tls import TlsOptions
from kchat.transports.url import Broker as Broker  # noqa: PLC0414 - to import from here too
from kchat.transports.url import Parts

if TYPE_CHECKING:
    from kchat.config.profiles import Profile
    from kchat.transports import Transport

DEFAULT_ROOM = "chat"
DEFAULT_URL = "local://"


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
        username: the name in messages where a sender is given none; not the account. Default: the login name.
    """

    brokers: tuple[Broker, ...]
    room: str = DEFAULT_ROOM
    connect_timeout: float = 5.0
    confirm_timeout: float = 10.0
    heartbeat: float = 10.0
    tls: TlsOptions = field(default_factory=TlsOptions)
    username: str | None = None

    def __post_init__(self) -> None:
        check_room(self.room, predeclared=_one_transport(self.brokers).predeclared_rooms)
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

    def unlocked(self) -> Settings:
        """The same with the passwords of its brokers; raises as :meth:`kchat.transports.url.Broker.unlocked`."""
        if all(broker.secret is None for broker in self.brokers):
            return self
        return replace(self, brokers=tuple(broker.unlocked() for broker in self.brokers))

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
        account: str | None = None,
        password: str | None = None,
        project: str | None = None,
        profile: str | None = None,
        use_profile: bool = False,
        profile_password: str | None = None,
        profile_tls: TlsOptions | None = None,
        room: str | None = None,
        username: str | None = None,
        connect_timeout: float | None = None,
        confirm_timeout: float = 10.0,
        heartbeat: float | None = None,
        tls: TlsOptions | None = None,
    ) -> Settings:
        """Choose the broker.

        By ``url``; else by ``transport``, ``host`` and such, or ``profile``, which names them all; else by ``KCHAT_URL``;
        else the embedded room. Profiles (:mod:`kchat.config.profiles`) are read only if one of them is asked for.

        Arguments:
            url: one connection URL, or several joined by ``;``.
            transport: a name of the registry. Default: ``amqp`` with ``host`` and such, ``pubsub`` with ``project`` alone.
            host: host name or address, or several joined by ``,``, each with its own ``:port`` if need be.
            port: TCP port. Default: the transport's own.
            vhost: AMQP virtual host, default ``/``.
            account: the account's name. Default: the URL's; with ``host`` and such ``RABBITMQ_DEFAULT_USER`` on
                AMQP. A profile does not take it.
            password: its password. Default: the URL's; with ``host`` and such ``RABBITMQ_DEFAULT_PASS`` on AMQP. A profile
                does not take it.
            project: Google Cloud project.
            profile: the name of a profile.
            use_profile: where neither an argument nor ``KCHAT_URL`` names a broker, take the profile of ``KCHAT_PROFILE``,
                else the one in use, as commands do. Default: no.
            profile_password: the password of the profile's account, typed for this connection. Default: the stored one.
            profile_tls: TLS options typed for this connection, used where the profile has none.
            room: the room's name. Default: the profile's, else ``chat``.
            username: the name in messages. Default: the profile's, else the login name.
            connect_timeout: seconds. Default: the URL's ``connection_timeout``, else 5.
            confirm_timeout: seconds.
            heartbeat: seconds. Default: the URL's, else 10.
            tls: what to trust and whom to be. With ``host`` and such, giving any means a connection with TLS. A profile
                does not take it.

        Raises:
            SettingsError: it makes no sense, or the profile has no account for a broker that wants one.
            NotAuthorised: the profile's account has ended.
        """
        _check_not_empty(transport=transport, host=host, port=port, vhost=vhost, project=project)
        named = url is not None or any((transport, host, port, vhost, project))
        if named and profile is not None:
            raise SettingsError(
                f"the profile {profile!r} names a broker, and so do the other options",
                hint="leave one of them out",
            )
        if not named and profile is None:
            url = os.environ.get("KCHAT_URL") or None
        chosen = None if url or named else _profile(profile, use=use_profile)
        if chosen is not None:
            url = chosen.url
            # A stranger's invitation may have made the profile: what belongs to another broker stays away from this one.
            stored = None if chosen.keyring else chosen.password
            account, password = None, stored if profile_password is None else profile_password
            tls = chosen.tls_with(profile_tls)
        elif not named:
            url = url or DEFAULT_URL
        brokers = (
            _from_parts(transport, Parts(host, port, vhost, project))
            if url is None
            else Broker.parse_all(url)
        )
        found = _one_transport(brokers).urls.options(brokers)
        if found.tls is not None and tls:
            raise SettingsError(
                "options for TLS stand in the URL and beside it",
                hint="use those beside it: {tls_ca} and the like",
            )
        tls = tls if found.tls is None else found.tls
        if tls is not None:
            brokers = [broker.with_tls(switch=url is None) for broker in brokers]
        # The account of the compose file fills in for a host: a URL says itself whose it is, and a certificate is one.
        environ = {} if url is not None or (tls is not None and tls.cert is not None) else os.environ
        brokers = [broker.transport.urls.complete(broker, account, password, environ) for broker in brokers]
        if chosen is not None:
            chosen.check_files(brokers)
            if profile_password is None:
                brokers = [chosen.lock(broker) for broker in brokers]
            for broker in brokers:
                chosen.check_account(broker, tls)
        return cls(
            brokers=tuple(brokers),
            room=room if room is not None else (chosen and chosen.room) or DEFAULT_ROOM,
            connect_timeout=_first(connect_timeout, found.connect_timeout, 5.0),
            confirm_timeout=confirm_timeout,
            heartbeat=_first(heartbeat, found.heartbeat, 10.0),
            tls=tls or TlsOptions(),
            username=username if chosen is None or username is not None else chosen.username,
        )


def _one_transport(brokers: Sequence[Broker]) -> Transport:
    """The transport of all of them.

    Raises:
        SettingsError: there is none, or there are several.
    """
    if not brokers:
        raise SettingsError("no broker is named")
    transport = brokers[0].transport
    if any(broker.transport is not transport for broker in brokers):
        raise SettingsError("several hosts have to be of one transport")
    return transport


def _from_parts(transport: str | None, parts: Parts) -> list[Broker]:
    """The brokers that the options name where there is no URL.

    A project may stand in the environment for good, so it chooses the transport only where nothing else does.
    """
    if transport is None:
        given = {name for name, value in parts._asdict().items() if value}
        wanted = given - {"project"} or given
        transport = next(name for name in TRANSPORTS.built_in if wanted <= TRANSPORTS[name].urls.takes)
    found = TRANSPORTS.get(transport)
    if found is None:
        raise SettingsError(
            f"no transport {transport!r}", hint=f"the transports are: {', '.join(TRANSPORTS)}"
        )
    return found.urls.from_parts(parts)


def _check_not_empty(**options: object) -> None:
    """An empty value, such as of a variable that is not set, names nothing, and must not come to mean another room."""
    for option, value in options.items():
        if value is not None and not value:
            raise SettingsError(f"the {option} is empty", hint=f"give it a value, or leave {{{option}}} out")


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _profile(name: str | None, *, use: bool) -> Profile | None:
    """The profile of that name, or the one that is chosen where nothing else is."""
    if name is None and not use:
        return None
    from kchat.config import profiles

    found = profiles.chosen(os.environ) if name is None else profiles.load().find(name)
    if found is not None:
        found.check_time()
    return found
