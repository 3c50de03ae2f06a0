"""What a host and a guest do around an invitation: what it contains, making the room, the first try.

How each broker admits a guest is in :mod:`kchat.transports.guests`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from kchat import errors
from kchat.client.connection import broker_errors, connect
from kchat.config.settings import Broker, Settings
from kchat.hosting.invitation import Invitation
from kchat.transports.tls import TlsOptions

if TYPE_CHECKING:
    from kchat.transports.protocols import Channel


def guest_brokers(settings: Settings, address: str | None, account: str | None) -> tuple[Broker, ...]:
    """The brokers as the guests reach them.

    Arguments:
        settings: the host's.
        address: where guests find the broker: ``host``, ``host:port`` or a URL such as ``amqps://host``. Default: where
            the host finds it.
        account: the guest's account. Default: none.

    Raises:
        kchat.errors.SettingsError: the address is not valid.
    """
    if address is None:
        # The host's options are left out: an invitation with options is refused.
        return tuple(
            replace(broker.without_password(), account=account, options={}) for broker in settings.brokers
        )
    mine = settings.broker
    if mine.transport.default_port is None:
        raise errors.SettingsError(f"the {mine.transport.name} transport has no address")
    scheme = mine.scheme
    given = Broker.parse(address if "://" in address else f"{scheme}://{address}")
    if given.transport.name != mine.transport.name:
        raise errors.SettingsError(
            f"the address is of {given.transport.name}, and the broker of {mine.transport.name}"
        )
    if given.account is not None or given.password is not None or not given.host:
        raise errors.SettingsError("the address is a host, or a URL without an account")
    resolved = Settings.resolve(url=given.url(), account="").broker
    port = resolved.port if given.port is not None or given.scheme != mine.scheme else mine.port
    return (
        replace(
            mine.without_password(),
            scheme=given.scheme,
            host=given.host,
            port=port,
            account=account,
            options={},
        ),
    )


def only_here(broker: Broker) -> bool:
    """Whether an address means, on every machine, that machine itself."""
    if broker.transport.default_port is None:
        return False
    try:
        return ipaddress.ip_address(broker.host).is_loopback
    except ValueError:
        return broker.host in ("", "localhost")


def invitation(
    settings: Settings,
    brokers: tuple[Broker, ...],
    password: str | None,
    *,
    send_only: bool = False,
    expires: int | None = None,
    username: str | None = None,
) -> Invitation:
    """An invitation to the host's room, with what the guest needs to trust the server.

    That is the host's pin, or else the certificates of the CA that the host's options or URL name.

    Arguments:
        settings: the host's.
        brokers: as the guest reaches them: :func:`guest_brokers`.
        password: the guest's.
        send_only: whether the account may only send.
        expires: when it ends, in UNIX seconds.
        username: the name to go by in the room. Default: the account's.

    Raises:
        kchat.errors.SettingsError: the CA's file cannot be read.
    """
    pin = authorities = None
    if any(broker.encrypted for broker in brokers):
        pin = settings.tls.pin
        file = settings.tls.ca or settings.transport.urls.files_for_tls(settings.broker).get("ca")
        authorities = None if pin or file is None else _read(file)
    return Invitation(
        brokers=brokers,
        room=settings.room,
        password=password,
        send_only=send_only,
        expires=expires,
        tls_pin=pin,
        tls_ca=authorities,
        username=username,
    )


def _read(file: str) -> str:
    try:
        return Path(file).read_text("ascii", "replace")
    except OSError as error:
        raise errors.SettingsError(
            f"{file}: the CA's certificate cannot be read: {error.strerror}"
        ) from error


@contextmanager
def guest_settings(joined: Invitation, connect_timeout: float) -> Iterator[Settings]:
    """The settings of an invitation before it is stored; files that they name exist within the block.

    Arguments:
        joined: the invitation.
        connect_timeout: seconds.
    """
    with NamedTemporaryFile("w", suffix=".pem", encoding="ascii") as authorities:
        if joined.tls_ca is not None:
            authorities.write(joined.tls_ca)
            authorities.flush()
        tls = TlsOptions(ca=None if joined.tls_ca is None else authorities.name, pin=joined.tls_pin)
        yield Settings.resolve(
            url=joined.url,
            password=joined.password,
            room=joined.room,
            connect_timeout=connect_timeout,
            tls=tls or None,
        )


@dataclass(frozen=True)
class Host:
    """The person who invites: :class:`kchat.transports.guests.Host`.

    Attributes:
        settings: the host's.
    """

    settings: Settings

    @property
    def broker(self) -> Broker:
        """The first broker."""
        return self.settings.broker

    @property
    def room(self) -> str:
        """The room's name."""
        return self.settings.room

    def declare_room(self) -> None:
        """Make the room, since guests may not make it.

        It is not durable, as the clients of RabbitMQ's tutorial declare it: a restart of the broker deletes it, and any
        account that may make it brings it back by listening or sending.

        Raises:
            kchat.errors.BrokerError: see :func:`kchat.client.connection.connect` and
                :meth:`kchat.transports.room.RoomPolicy.open`.
        """
        with self.channel("make the room") as channel:
            self.settings.transport.room(self.room).open(channel)

    def declare_queue(self, name: str) -> None:
        """Make the room and a durable queue."""
        from kchat.client.subscriber import Subscriber

        with Subscriber(self.settings, durable=name):
            pass

    @contextmanager
    def channel(self, doing: str) -> Iterator[Channel]:
        """A channel for one thing, named by a verb."""
        connection, broker = connect(self.settings, purpose="invite")
        try:
            with broker_errors(broker, doing):
                yield connection.channel()
        finally:
            broker.transport.close(connection)


def try_out(settings: Settings, *, send_only: bool, tell: Callable[[str], None]) -> None:
    """Find out whether a guest's account works, without saying anything in the room.

    Arguments:
        settings: the guest's.
        send_only: whether it is to send and nothing else.
        tell: told, in a line, what does not work yet and will.

    Raises:
        kchat.errors.BrokerError: it does not work.
    """
    guests = settings.transport.guests
    connection, broker = connect(settings, purpose="join")
    try:
        with broker_errors(broker, guests.trying):
            guests.try_out(connection.channel(), settings.transport.room(settings.room), tell)
    except errors.NotFound as error:  # joining would make it where anyone may make rooms
        raise errors.NotFound(
            f"{broker}: there is no room {settings.room!r}",
            hint="its host makes it, by sending a first message",
        ) from error
    finally:
        broker.transport.close(connection)
    if not send_only:
        from kchat.client.subscriber import Subscriber

        with Subscriber(settings):
            pass
