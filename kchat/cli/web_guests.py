"""What ``kchat invite`` and ``kchat revoke`` do about guests of the page that ``kchat serve`` serves."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kchat.cli.stderr import can_show, write_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kchat.config.settings import Settings
    from kchat.errors import KchatError
    from kchat.transports.guests import Administration
    from kchat.web.guests import Guest
    from kchat.web.inviting import Wanted
    from kchat.web.store import GuestStore

store_option = click.option(
    "--store",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="KCHAT_WEB_STORE",
    show_default="your own",
    help="The file with the page's guests.",
)

public_url_option = click.option(
    "--public-url", metavar="URL", envvar="KCHAT_PUBLIC_URL", help="How guests reach the page."
)


def invite_to_page(
    settings: Settings,
    wanted: Wanted,
    management: Administration | None,
    *,
    store_file: Path | None,
    public_url: str | None,
    apply: bool,
    token: bool,
) -> str:
    """Invite a guest to the page; returns the link, or the token, and says what it is on standard error."""
    from kchat.message.lookalikes import spelled
    from kchat.web import inviting
    from kchat.web.place import place_of
    from kchat.web.store import LINK_SECONDS, GuestStore

    with GuestStore(store_file) as store:
        known = store.find(wanted.name, place_of(settings))
        rooms = wanted.rooms or ((settings.room,) if known is None else known.rooms)
        base = inviting.base_of_links(store, settings, rooms, public_url)
        if management is None:  # otherwise the broker's expired accounts go first
            _end_expired(store, settings, None)
        guest, is_new = inviting.invite(store, settings, wanted, management, apply=apply, tell=write_line)
        until = time.time() + LINK_SECONDS
        if guest.expires is not None:
            until = min(until, guest.expires)
        made = store.new_token(guest) if token else f"{base}/#{store.new_link(guest, until)}"
        again = "" if is_new else "another one for a guest who exists: "
        write_line(
            f"{again}{spelled(guest.username)} may {_may(guest)} in {', '.join(guest.rooms)}{_until(guest)}"
        )
        if token:
            write_line(
                f"the token is shown only once; a program sends it as Authorization: Bearer TOKEN to {base}/api/"
            )
        else:
            write_line(
                f"the link opens once, until {_moment(until)}: send it where only the guest can read it"
            )
        if not base.startswith("https:") and not is_here(base):
            write_line("warning: the page has no TLS: others on the way can read what is said, and the link")
        elif is_here(base):
            write_line(
                f"warning: {base} means, on every machine, that machine itself: others need --public-url"
            )
        write_line(f"end it with: kchat revoke {spelled(guest.username)}")
    return made


def is_here(base: str) -> bool:
    """Whether a page's address means, on every machine, that machine itself."""
    from urllib.parse import urlsplit

    from kchat.transports.addresses import is_loopback

    return is_loopback(urlsplit(base).hostname or "")


def show_picture(line: str) -> None:
    """Show a line as a QR code on standard error: for a terminal, two rows of modules in a line, always light on dark."""
    import io
    import os

    import segno

    if not can_show("▀▄█", sys.stderr):
        write_line("no QR code: this terminal's encoding lacks the characters for it")
        return
    out = io.StringIO()
    segno.make_qr(line, error="l").terminal(out, compact=True, border=2)
    rows = out.getvalue().splitlines()
    if not os.environ.get("NO_COLOR"):
        rows = [f"\x1b[97;40m{row}\x1b[0m" for row in rows]
    click.echo("\n".join(rows), err=True)


def table_of_guests(
    settings: Settings, store_file: Path | None, management: Administration | None
) -> list[list[str]]:
    """The page's guests, at all brokers, below a header; empty if there is no file with guests.

    Those at this broker whose time is over are ended first.
    """
    from kchat.message.lookalikes import spelled
    from kchat.web.store import GuestStore

    store = GuestStore.existing(store_file)
    if store is None:
        return []
    with store:
        _end_expired(store, settings, management)
        rows = [["page guest", "rooms", "broker", "may", "until", "sessions", "links", "tokens"]]
        for guest in store.guests():
            opened = store.opened(guest)
            until = "" if guest.expires is None else _moment(guest.expires)
            may = "nothing: revoke it again" if guest.ended else _may(guest)
            counts = [str(each) for each in opened]
            rows.append([spelled(guest.username), ", ".join(guest.rooms), guest.broker, may, until, *counts])
    return rows


def close_page(settings: Settings, names: Sequence[str], store_file: Path | None) -> dict[str, Guest]:
    """End what guests have of the page, before anything is contacted; returns those that there are at this broker.

    Raises:
        kchat.errors.SettingsError: the only guest of that name is at another broker, and this transport has no accounts.
    """
    from kchat.errors import SettingsError
    from kchat.message.lookalikes import normalised, spelled
    from kchat.web.place import place_of
    from kchat.web.store import GuestStore

    store = GuestStore.existing(store_file)
    if store is None:
        return {}
    found: dict[str, Guest] = {}
    elsewhere: list[SettingsError] = []
    place = place_of(settings)
    with store:
        for name in names:
            guest = store.find(name, place) or store.find(normalised(name), place)
            if guest is not None:
                sessions = store.opened(guest).sessions
                store.end(guest)
                found[name] = guest
                closed = f", {sessions} session{'' if sessions == 1 else 's'} ended" if sessions else ""
                write_line(f"revoked {spelled(name)}: out of the page{closed}")
            elif other := store.find(name) or store.find(normalised(name)):
                elsewhere.append(
                    SettingsError(
                        f"{spelled(name)} is a guest at {other.broker}, not at {place}",
                        hint="name that broker with {url}",
                    )
                )
    for error in elsewhere:
        if not settings.transport.guests.makes_accounts:
            raise error
        write_line(f"{error}: left there")  # an account of that name may be here
    return found


def end_guest(
    settings: Settings, guest: Guest, store_file: Path | None, management: Administration | None = None
) -> None:
    """Finish what :func:`close_page` began: the account, then the guest."""
    from kchat.web import inviting
    from kchat.web.store import GuestStore

    with GuestStore(store_file) as store:
        inviting.end(store, replace(settings, room=guest.rooms[0]), guest, management)


def forget_guest(guest: Guest, store_file: Path | None) -> None:
    """Finish what :func:`close_page` began, where the account has been ended."""
    from kchat.web.store import GuestStore

    with GuestStore(store_file) as store:
        store.forget(guest)


def _end_expired(store: GuestStore, settings: Settings, management: Administration | None) -> None:
    from kchat.errors import BrokerError
    from kchat.message.lookalikes import spelled
    from kchat.web import inviting

    if management is None and settings.transport.guests.makes_accounts:
        return
    problem: KchatError | None = None
    try:
        for guest in inviting.end_expired(store, settings, management):
            why = f"expired at {_moment(guest.expires)}" if guest.expired and guest.expires else "was revoked"
            write_line(f"removed {spelled(guest.username)} from the page, who {why}")
    except BrokerError as error:
        problem = error
    if problem is not None:
        write_line(f"a guest whose time is over still has an account: {problem}")


def _may(guest: Guest) -> str:
    if guest.is_host:
        return "be the host"
    return "send and read" if guest.may_read else "send only"


def _until(guest: Guest) -> str:
    return "" if guest.expires is None else f", until {_moment(guest.expires)}"


def _moment(seconds: float) -> str:
    from kchat.message.times import moment

    return moment(int(seconds))
