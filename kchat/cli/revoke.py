"""``kchat revoke``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kchat.cli.administrator import administrator, management_option, tell_removed
from kchat.cli.help import Command
from kchat.cli.options import broker_options, to_settings
from kchat.cli.stderr import write_line
from kchat.cli.web_guests import close_page, end_guest, forget_guest, store_option
from kchat.errors import KchatError, NotAuthorised, NotFound, Refused, SettingsError

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.transports.guests import Administration
    from kchat.web.guests import Guest


@click.command(name="revoke", cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@store_option
@management_option
@broker_options
def command(names: tuple[str, ...], store: Path | None, management_url: str | None, **broker: Any) -> None:
    """Delete the accounts that "kchat invite" made for these guests, close their connections and delete their queues.

    Their links, tokens and sessions on the page of "kchat serve" end first, at once.
    Log in with your own account, which must be an administrator. Other accounts are not changed.

    \b
    Examples:
      kchat revoke ada
      kchat revoke ada logger --host localhost --rmq-username rmq -W
    """
    settings = to_settings(**broker)
    page: dict[str, Guest] = {}
    problem: KchatError | None = None
    try:
        page = close_page(settings, names, store)  # before anything is contacted
    except KchatError as error:
        problem = error
    if not settings.transport.guests.makes_accounts:
        if problem is not None:
            raise problem
        return _end_elsewhere(settings, names, page, store)
    management = administrator(settings, management_url)
    failed = _end_accounts(management, settings, names, page, store, failed=problem)
    management.remove_expired(tell_removed)
    if failed is not None:
        raise failed
    return None


def _end_accounts(
    management: Administration,
    settings: Settings,
    names: tuple[str, ...],
    page: dict[str, Guest],
    store: Path | None,
    *,
    failed: KchatError | None,
) -> KchatError | None:
    """End the accounts, one after the other: one failure, or a guests' file that cannot be used, does not keep the others.

    Returns the last failure; those before it are told.
    """
    from kchat.web.inviting import has_account

    for name in names:
        try:
            _end_account(management, settings, name, page.get(name))
        except (NotFound, Refused) as error:
            if isinstance(error, NotAuthorised):
                raise
            if failed is not None:
                write_line(f"error: {failed}")
            failed = error
            if name not in page or has_account(management, page[name]):
                continue
        if name in page:
            forget_guest(page[name], store)
    return failed


def _end_account(management: Administration, settings: Settings, name: str, guest: Guest | None) -> None:
    from kchat.message.lookalikes import spelled

    try:
        ended = management.revoke(name, vhost=settings.broker.vhost)
    except (NotFound, Refused) as error:
        # The host of the page has no account of its own; a guest's may have been deleted by hand.
        if guest is None or isinstance(error, NotAuthorised):
            raise
        if not (guest.is_host or isinstance(error, NotFound)):
            raise
        return
    kinds = [each.kind for each in ended.removed]
    counts = (
        (ended.connections, "connection", "closed"),
        (kinds.count("queue"), "queue", "deleted"),
        (kinds.count("exchange"), "exchange", "deleted"),
    )
    gone = (f", {count} {thing}{'' if count == 1 else 's'} {done}" for count, thing, done in counts if count)
    write_line(f"revoked {spelled(name)}: its account is gone{''.join(gone)}")


def _end_elsewhere(
    settings: Settings, names: tuple[str, ...], page: dict[str, Guest], store: Path | None
) -> None:
    """Where kchat has no access that ends all accounts: those of the page's guests, which it knows."""
    from kchat.message.lookalikes import spelled

    if not page:
        guests = settings.transport.guests
        raise SettingsError(f"kchat made no accounts on {guests.name}, so it ends none", hint=guests.ending)
    for name, guest in page.items():
        end_guest(settings, guest, store)
        if guest.account is not None and not guest.is_host:
            write_line(f"revoked {spelled(name)}: its account is gone")
    if missing := [spelled(name) for name in names if name not in page]:
        raise NotFound(
            f"the page has no guest named {', '.join(missing)}", hint=settings.transport.guests.ending
        )
