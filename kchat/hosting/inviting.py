"""What a host and a guest do around an invitation: what it contains, making the room, the first try.

How each broker admits a guest is in :mod:`kchat.transports.guests`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from kchat import errors
from kchat.client.connection import broker_errors, connect
from kchat.config.settings import Broker, Settings
from kchat.hosting.invitation import Invitation
from kchat.message.lookalikes import normalised
from kchat.transports.addresses import is_loopback
from kchat.transports.guests import MAX_CONNECTIONS, check_account_name
from kchat.transports.tls import TlsOptions

if TYPE_CHECKING:
    from kchat.transports.guests import Access, Administration
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
    # The host's options are left out: an invitation with options is refused.
    brokers = [replace(broker.without_password(), account=account, options={}) for broker in settings.brokers]
    if address is None:
        return tuple(brokers)
    mine = brokers[0]
    if mine.transport.default_port is None:
        raise errors.SettingsError(f"the {mine.transport.name} transport has no address")
    given = Broker.parse(address if "://" in address else f"{mine.scheme}://{address}")
    if given.transport.name != mine.transport.name:
        raise errors.SettingsError(
            f"the address is of {given.transport.name}, and the broker of {mine.transport.name}"
        )
    if given.account is not None or given.password is not None or not given.host:
        raise errors.SettingsError("the address is a host, or a URL without an account")
    resolved = Settings.resolve(url=given.url(), account="").broker
    port = resolved.port if given.port is not None or given.scheme != mine.scheme else mine.port
    return (replace(mine, scheme=given.scheme, host=given.host, port=port),)


def only_here(broker: Broker) -> bool:
    """Whether an address means, on every machine, that machine itself."""
    return broker.transport.default_port is not None and is_loopback(broker.host or "localhost")


def invitation(
    settings: Settings,
    brokers: tuple[Broker, ...],
    password: str | None,
    *,
    send_only: bool = False,
    expires: int | None = None,
) -> Invitation:
    """An invitation to the host's room, with what the guest needs to trust the server.

    That is the host's pin, or else the certificates of the CA that the host's options or URL name.

    Arguments:
        settings: the host's.
        brokers: as the guest reaches them: :func:`guest_brokers`.
        password: the guest's.
        send_only: whether the account may only send.
        expires: when it ends, in UNIX seconds.

    Raises:
        kchat.errors.SettingsError: the CA's file cannot be read.
    """
    pin = authorities = None
    if any(broker.encrypted for broker in brokers):
        pin = settings.tls.pin
        file = settings.tls.ca or settings.transport.urls.files_for_tls(settings.broker).get("ca")
        try:
            authorities = None if pin or file is None else Path(file).read_text("ascii", "replace")
        except OSError as error:
            raise errors.SettingsError(
                f"{file}: the CA's certificate cannot be read: {error.strerror}"
            ) from error
    return Invitation(
        brokers=brokers,
        room=settings.room,
        password=password,
        send_only=send_only,
        expires=expires,
        tls_pin=pin,
        tls_ca=authorities,
    )


@contextmanager
def guest_settings(joined: Invitation, connect_timeout: float) -> Iterator[Settings]:
    """The settings of an invitation before it is stored; files that they name exist within the block."""
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


@contextmanager
def host_channel(settings: Settings, doing: str) -> Iterator[Channel]:
    """A Kombu channel of the host's for one thing, named by a verb.

    Raises:
        kchat.errors.BrokerError: see :func:`kchat.client.connection.connect`; the driver's errors become kchat's.
    """
    connection, broker = connect(settings, purpose="invite")
    try:
        with broker_errors(broker, doing):
            yield connection.channel()
    finally:
        broker.transport.close(connection)


def declare_room(settings: Settings) -> None:
    """Make the room, since guests may not make it.

    It is not durable, as the clients of RabbitMQ's tutorial declare it: a restart of the broker deletes it, and any
    account that may make it brings it back by listening or sending.

    Raises:
        kchat.errors.BrokerError: see :func:`host_channel` and :meth:`kchat.transports.room.RoomPolicy.open`.
    """
    with host_channel(settings, "make the room") as channel:
        settings.transport.room(settings.room).open(channel)


def invite(
    management: Administration,
    settings: Settings,
    name: str,
    *,
    address: str | None = None,
    send_only: bool = False,
    expires: int | None = None,
    max_connections: int = MAX_CONNECTIONS,
    more_rooms: tuple[str, ...] = (),
) -> Invitation:
    """Make the room and an account for a guest, where kchat makes accounts.

    Arguments:
        management: the administrator's access: :meth:`kchat.transports.guests.Guests.management`.
        settings: the host's.
        name: of the account.
        address: as for :func:`guest_brokers`.
        send_only: as those below, see :meth:`kchat.transports.guests.Administration.create`.
        expires: default never.
        max_connections: default 20.
        more_rooms: of the account, which the invitation does not name. Default: none.

    Returns:
        The invitation, with the account's password.

    Raises:
        kchat.errors.SettingsError: the name or the address is not valid. Then there is no account.
        kchat.errors.Refused: an account of that name exists, or one whose name looks like it.
    """
    name = normalised(name)
    check_account_name(name)
    brokers = guest_brokers(settings, address, name)
    invitation(settings, brokers, None).encode()  # its errors are found before there is an account
    for room in (settings.room, *more_rooms):
        declare_room(replace(settings, room=room))
    more = {"more_rooms": more_rooms} if more_rooms else {}  # a plug-in may not know it
    password = management.create(
        settings, name, send_only=send_only, expires=expires, max_connections=max_connections, **more
    )
    return invitation(settings, brokers, password, send_only=send_only, expires=expires)


def admit(
    settings: Settings, name: str, *, address: str | None = None, send_only: bool = False
) -> tuple[Access, Invitation]:
    """What it takes to admit a guest where kchat makes no accounts, and the invitation. Arguments as for :func:`invite`.

    Raises:
        kchat.errors.SettingsError: nobody can be invited there, or the name or the address is not valid.
    """
    granted = settings.transport.guests.admit(settings, name, send_only=send_only)
    brokers = guest_brokers(settings, address, granted.account)
    made = invitation(settings, brokers, granted.password, send_only=send_only)
    made.encode()  # its errors are found before anything is done
    if granted.needs_room:
        declare_room(settings)
    return granted, made


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
