"""Inviting a guest to the page, and ending one: the account at the broker, and what the guests' file has of it.

For the host's commands, while ``kchat serve`` runs or not. Wherever it is interrupted, nothing is open that was not before:
a guest's account is made first and its link last; to end one, its links and sessions go first and its account last.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kchat.config.private_files import locked
from kchat.config.validation import login_name
from kchat.errors import BrokerError, NotFound, Refused, SettingsError
from kchat.hosting import inviting
from kchat.message.lookalikes import looks_like, normalised, spelled
from kchat.transports.guests import MAX_CONNECTIONS, check_account_name
from kchat.web.address import PublicUrl
from kchat.web.guests import Guest
from kchat.web.place import place_of

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.transports.guests import Administration
    from kchat.web.guests import Served
    from kchat.web.store import GuestStore


class Wanted(NamedTuple):
    """What a guest is to have.

    Attributes:
        name: of the guest.
        rooms: that are open to the guest; empty for the settings' one, or for those that the guest has.
        send_only: whether the guest sends and does not read.
        expires: when all of it ends, UNIX seconds; None for never.
        max_connections: of its account.
    """

    name: str
    rooms: tuple[str, ...] = ()
    send_only: bool = False
    expires: float | None = None
    max_connections: int = MAX_CONNECTIONS


class Invited(NamedTuple):
    """A guest, and whether that is a new one."""

    guest: Guest
    is_new: bool


def base_of_links(
    store: GuestStore, settings: Settings, rooms: tuple[str, ...], public_url: str | None
) -> str:
    """What a link to these rooms begins with: where ``kchat serve`` serves them, by the guests' file.

    Arguments:
        store: the guests' file.
        settings: the broker.
        rooms: by name.
        public_url: the address, where it is known otherwise; what a server there serves is checked all the same.

    Raises:
        SettingsError: no server is known, or the one that is serves other rooms.
    """
    base = None if public_url is None else PublicUrl.parse(public_url).base
    known = [each for each in store.servers() if base in (None, each.base)]
    if not known:
        if base is not None:
            return base
        raise SettingsError(
            f"no kchat serve has used the guests' file {store.path}, so the address of the page is not known",
            hint="start kchat serve first, name the page with {public_url}, or the file with {store}",
        )
    place = place_of(settings)
    here = [each for each in known if each.broker == place]
    if not here:
        raise SettingsError(
            f"{known[0].base} serves rooms at {known[0].broker}, not at {place}",
            hint="name that broker with {url}",
        )
    for each in here:
        if set(rooms) <= set(each.rooms):
            return each.base
    lacking = next(room for room in rooms if room not in here[0].rooms)
    raise SettingsError(
        f"{here[0].base} does not serve the room {lacking!r}, only {', '.join(map(repr, here[0].rooms))}",
        hint="name a room that it serves with {room}, or start kchat serve with this one",
    )


def invite(
    store: GuestStore,
    settings: Settings,
    wanted: Wanted,
    management: Administration | None = None,
    *,
    apply: bool = False,
    tell: Callable[[str], object] = lambda _: None,
) -> Invited:
    """Add a guest to the page, with an account at the broker where there are accounts, or find the one of that name.

    Arguments:
        store: the guests' file.
        settings: the host's.
        wanted: what the guest is to have.
        management: the administrator's access, where kchat makes the accounts.
        apply: whether the host lets kchat make the account where it takes commands
            (:meth:`kchat.transports.guests.Guests.admit`).
        tell: told, in a line, what was done and what the host should know.

    Raises:
        kchat.errors.SettingsError: the name is not valid, or nothing can be made without ``apply``.
        kchat.errors.Refused: the name is taken, looks like another, or the guest exists and has something else.
        kchat.errors.BrokerError: see :func:`kchat.hosting.inviting.invite`.
    """
    name, place = normalised(wanted.name), place_of(settings)
    check_account_name(name)
    with locked(store.path):  # two commands that invite the same guest make one account
        _check_name(store, settings, name)
        found = store.find(name, place)
        if found is not None and (found.ended or found.expired):
            end(store, settings, found, management)
            found = None
        if found is not None:
            _check_same(found, wanted)
            if _has_account(found, settings, management, apply=apply):
                return Invited(found, is_new=False)
            tell(f"the account of {spelled(name)} is gone, and is made again")
        rooms = wanted.rooms or (settings.room,) if found is None else found.rooms
        guest = Guest(
            0,
            name,
            None,
            None,
            rooms,
            may_read=not (wanted.send_only if found is None else not found.may_read),
            broker=place,
            expires=wanted.expires if found is None else found.expires,
        )
        guest, undo = _with_account(settings, guest, wanted, management, apply=apply, tell=tell)
        try:
            return Invited(store.add(guest), is_new=True)
        except BaseException:
            with suppress(BrokerError):
                undo()
            raise


def end(
    store: GuestStore, settings: Settings, guest: Guest, management: Administration | None = None
) -> None:
    """End a guest: the page first, then the account at the broker.

    Arguments:
        store: the guests' file.
        settings: the broker of the guest.
        guest: of the store.
        management: the administrator's access; None leaves an account that kchat ends by it to the caller, and the guest in
            the file as one that was ended.

    Raises:
        kchat.errors.BrokerError: the account cannot be ended. The page is closed to the guest; try again.
    """
    store.end(guest)
    guests = settings.transport.guests
    if guest.account is not None and not guest.is_host:
        if guests.makes_accounts:
            if management is None:
                return
            with suppress(NotFound):
                management.revoke(guest.account, vhost=settings.broker.vhost)
        else:
            with inviting.host_channel(settings, guests.admitting) as channel:
                guests.dismiss(guest.account).run(channel)
    store.forget(guest)


def end_expired(
    store: GuestStore, settings: Settings, management: Administration | None = None
) -> list[Guest]:
    """End the guests at this broker whose time is over, or whose end was interrupted; returns them.

    Arguments and errors as of :func:`end`.
    """
    over = [each for each in store.guests(place_of(settings)) if each.expired or each.ended]
    for guest in over:
        end(store, settings, guest, management)
    return over


def _check_name(store: GuestStore, settings: Settings, name: str) -> None:
    """No guest is taken for the host or for another guest."""
    place = place_of(settings)
    servers: list[Served] = [each for each in store.servers() if each.broker == place]
    hosts = {settings.username or login_name(), *(each.username for each in servers)}
    guests = store.guests(place)
    hosts.update(each.username for each in guests if each.is_host)
    for host in sorted(hosts):
        if name == host or looks_like(name, host):
            raise Refused(
                f"the name {spelled(name)} is, or looks like, that of the host {spelled(host)}",
                hint="choose a name that nobody can confuse with it",
            )
    for other in guests:
        if looks_like(name, other.username) and not other.ended:
            raise Refused(
                f"the name {spelled(name)} looks like the guest {spelled(other.username)}",
                hint="choose a name that nobody can confuse with it",
            )


def _check_same(found: Guest, wanted: Wanted) -> None:
    what = None
    if wanted.rooms and set(wanted.rooms) != set(found.rooms):
        what = f"in {', '.join(map(repr, found.rooms))}"
    elif wanted.send_only and found.may_read:
        what = "and may read, too"
    elif wanted.expires is not None:
        what = "with a time of its own"
    if what is not None:
        raise Refused(
            f"{spelled(found.username)} is a guest already, {what}",
            hint=f"end it first with: kchat revoke {spelled(found.username)}",
        )


def _has_account(guest: Guest, settings: Settings, management: Administration | None, *, apply: bool) -> bool:
    """Whether the account of a guest still exists, as far as that can be seen without a right of its own."""
    if guest.account is None:
        return True
    if management is not None:
        return any(each.name == guest.account for each in management.remove_expired())
    if not apply:
        return True
    password, broker = guest.password, settings.broker
    as_guest = replace(broker, account=guest.account, password=password, secret=None)
    from kchat.client.connection import connect
    from kchat.errors import NotAuthorised

    try:
        connection, found = connect(replace(settings, brokers=(as_guest,)), purpose="invite")
    except NotAuthorised:
        return False
    found.transport.close(connection)
    return True


def _with_account(
    settings: Settings,
    guest: Guest,
    wanted: Wanted,
    management: Administration | None,
    *,
    apply: bool,
    tell: Callable[[str], object],
) -> tuple[Guest, Callable[[], object]]:
    """The guest with its account, and what takes that back."""
    guests, send_only = settings.transport.guests, not guest.may_read
    if not (guests.makes_accounts or guests.ends_accounts):
        tell(
            f"names are not checked on {guests.name}: {spelled(guest.username)} sends by the server's account"
        )
        return guest, lambda: None
    if len(guest.rooms) > 1:
        raise SettingsError(
            f"an account on {guests.name} is for one room",
            hint="name one room, and invite another guest for the other",
        )
    settings = replace(settings, room=guest.rooms[0])
    if guests.makes_accounts:
        assert management is not None, "the administrator's access is needed"
        made = inviting.invite(
            management,
            settings,
            guest.username,
            send_only=send_only,
            expires=None if guest.expires is None else int(guest.expires),
            max_connections=wanted.max_connections,
        )
        account = str(made.account)
        for warning in management.warnings(account, send_only=send_only):
            tell(warning)
        return guest._replace(account=account, password=made.password), lambda: management.revoke(account)
    if not apply:
        raise SettingsError(
            f"{spelled(guest.username)} needs an account on {guests.name}",
            hint="let kchat make it with {apply}",
        )
    granted, _ = inviting.admit(settings, guest.username, send_only=send_only)
    assert granted.account is not None
    account = granted.account
    with inviting.host_channel(settings, guests.admitting) as channel:
        for step in granted.steps:
            step.run(channel)
    tell(f"made the account {spelled(account)}; names are not checked on {guests.name}")

    def undo() -> None:
        with inviting.host_channel(settings, guests.admitting) as channel:
            guests.dismiss(account).run(channel)

    return guest._replace(account=account, password=granted.password), undo
