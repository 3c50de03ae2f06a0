"""Changes to the file of profiles: joining a room, choosing a profile, removing one.

One process at a time changes the file (:func:`kchat.config.private_files.locked`). Its comments stay.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kchat.config.private_files import check_ours_if_there, locked, write_private
from kchat.config.profiles import TABLE, Profile, Profiles, load, path
from kchat.config.settings import DEFAULT_ROOM, Broker
from kchat.config.validation import MAX_BYTES
from kchat.errors import SettingsError
from kchat.message.times import moment
from kchat.transports.tls import TlsOptions

if TYPE_CHECKING:
    from kchat.hosting.invitation import Invitation

_HEADING = (
    "Profiles of kchat: kchat profile --help. A password in here opens a room: keep this file to yourself."
)

_CA_NAME = re.compile(r"ca-[0-9a-f]{40}\.pem")


@dataclass(frozen=True)
class Plan:
    """What :func:`join` would do.

    Attributes:
        name: of the profile.
        replaces: the profile of that name; None where there is none.
        in_use: the profile that is in use until then; None for none.
        changes: what differs from the profile that is replaced: for each name the old and the new value, in words.
    """

    name: str
    replaces: Profile | None
    in_use: str | None
    changes: Mapping[str, tuple[str, str]]


def plan(invitation: Invitation, name: str | None = None) -> Plan:
    """What :func:`join` would do with an invitation, to show before it is done.

    Arguments:
        invitation: the invitation.
        name: as for :func:`join`.

    Raises:
        SettingsError: the file or the name is not valid.
    """
    check_ours_if_there(path())  # checked before the file exists
    profiles = load()
    if name is None:
        name = _free_name(invitation.room, invitation.url, profiles)
    elif not name.strip() or not name.isprintable() or "://" in name or len(name.encode()) > MAX_BYTES:
        raise SettingsError("a profile needs a readable name of at most 255 bytes, and not a URL")
    old = profiles.profiles.get(name)
    return Plan(name, old, profiles.use, {} if old is None else _changes(old, _profile(name, invitation)))


def _profile(name: str, invitation: Invitation) -> Profile:
    """What an invitation becomes; its CA's file need not be there yet."""
    ca = None if invitation.tls_ca is None else str(_ca_file(invitation.tls_ca))
    return Profile(
        name,
        invitation.url,
        room=invitation.room,
        username=invitation.username or invitation.account,
        password=invitation.password,
        send_only=invitation.send_only,
        expires=invitation.expires,
        tls=TlsOptions(ca=ca, pin=invitation.tls_pin),
    )


def _changes(old: Profile, new: Profile) -> dict[str, tuple[str, str]]:
    """What differs, in words; passwords are not shown."""
    before, after = _in_words(old), _in_words(new)
    found = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    stored = None
    with suppress(SettingsError):  # the keyring does not give it, which counts as a change
        stored = old.secret()
    if stored != new.password:
        found["password"] = ("the stored one", "another one" if new.password else "none")
    return found


def _in_words(profile: Profile) -> dict[str, str]:
    return {
        "broker": _shown(profile.url),
        "room": profile.room or DEFAULT_ROOM,
        "username": profile.username or "the login name",
        "may": "send only" if profile.send_only else "send and listen",
        "ends": "never" if profile.expires is None else moment(profile.expires),
        "certificate": profile.tls.pin or "any that a trusted CA signed",
        "CA": profile.tls.ca or "the system's",
        "client certificate": profile.tls.cert or "none",
        "certificate check": "off" if profile.tls.insecure else "on",
    }


def _shown(url: str) -> str:
    try:
        return ";".join(broker.url_to_share() for broker in Broker.parse_all(url))
    except SettingsError:
        return "a URL that is not valid"


def join(
    invitation: Invitation, name: str | None = None, *, shown: Plan | None = None
) -> tuple[Profile, str]:
    """Store what an invitation holds as a profile, and use it from now on.

    Arguments:
        invitation: the invitation.
        name: of the profile; one of that name is replaced. Default: the room's name, with a number where a profile of
            that name leads somewhere else.
        shown: what the user saw and agreed to. Default: nobody was asked.

    Returns:
        The profile, and where its password is, in words; empty if it has none.

    Raises:
        SettingsError: the file is not valid, or cannot be written; or the profile to be replaced has changed since it
            was shown.
    """
    with _changing():
        planned = plan(invitation, name)
        old = planned.replaces
        if shown is not None and planned.changes and old != shown.replaces:
            raise SettingsError(f"the profile {planned.name!r} has changed meanwhile", hint="join again")
        profile = _profile(planned.name, invitation)
        if invitation.tls_ca is not None:
            _write(_ca_file(invitation.tls_ca), invitation.tls_ca.encode())
        kept = _store(profile)
        profile = load().find(planned.name)
        if old is not None:
            _forget(old, keep=profile)
    return profile, kept


def _store(profile: Profile) -> str:
    """Write a profile into the file, and its password into the keyring where there is one; says where that is."""
    import tomlkit

    table, kept = tomlkit.table(), ""
    values = {
        "url": profile.url,
        "room": profile.room,
        "username": profile.username,
        "send_only": profile.send_only or None,
        "expires": None if profile.expires is None else datetime.fromtimestamp(profile.expires, UTC),
        "tls_pin": profile.tls.pin,
        "tls_ca": profile.tls.ca,
    }
    table.update({key: value for key, value in values.items() if value is not None})
    if profile.password is not None:
        from kchat.config import keyring

        backend = keyring.put(profile.key, profile.password)
        table["keyring" if backend else "password"] = True if backend else profile.password
        kept = f"in the system's keyring ({backend})" if backend else f"in {path()} (mode 0600)"

    with _document() as document:
        if TABLE not in document:
            document[TABLE] = tomlkit.table(is_super_table=True)
        document[TABLE][profile.name] = table
        document["use"] = profile.name
    return kept


def use(name: str | None) -> None:
    """Use a profile from now on; with None, use none.

    Raises:
        SettingsError: there is no such profile.
    """
    with _changing():
        if name is not None:
            load().find(name)
        with _document() as document:
            document["use"] = name or ""


def remove(name: str) -> Profile:
    """Remove a profile, its password and its CA's certificate.

    Returns:
        What was removed.

    Raises:
        SettingsError: there is no such profile, or the keyring keeps the password.
    """
    with _changing():
        profile = load().find(name)
        if profile.keyring:
            from kchat.config import keyring

            keyring.delete(profile.key)
        with _document() as document:
            del document[TABLE][name]
            if document.get("use") == name:
                document["use"] = ""
        _forget(profile, keep=None)
    return profile


def _forget(old: Profile, keep: Profile | None) -> None:
    """Remove what only a removed or replaced profile used: its CA, and its password."""
    if keep is not None and old.keyring and not (keep.keyring and keep.key == old.key):
        from kchat.config import keyring

        with suppress(SettingsError):  # it is no longer used, and the new profile works
            keyring.delete(old.key)
    if old.tls.ca is None or old.tls.ca in {each.tls.ca for each in load().profiles.values()}:
        return
    ca = Path(old.tls.ca)
    if ca.parent == path().parent and _CA_NAME.fullmatch(ca.name):
        ca.unlink(missing_ok=True)


def _free_name(room: str, url: str, profiles: Profiles) -> str:
    """The room's name, with a number if a profile of that name leads somewhere else."""
    name, number = room, 1
    while (known := profiles.profiles.get(name)) and (known.url, known.room) != (url, room):
        number += 1
        name = f"{room}-{number}"
    return name


@contextmanager
def _changing() -> Iterator[None]:
    """One process at a time changes the file. Reading needs no lock: the file is always complete."""
    file = path().resolve()
    try:
        with locked(file):
            yield
    except OSError as error:
        raise SettingsError(f"{file} cannot be changed: {error.strerror or error}") from error


@contextmanager
def _document() -> Iterator[Any]:
    """The file with its comments, to change; it is written at the end of the block."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    file = path().resolve()  # a link to a file kept elsewhere stays one
    try:
        document = tomlkit.parse(file.read_text("utf-8"))
    except FileNotFoundError:
        document = tomlkit.document()
        document.add(tomlkit.comment(_HEADING))
        document["use"] = ""
    except (OSError, TOMLKitError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error
    yield document
    _write(file, tomlkit.dumps(document).encode())


def _write(file: Path, data: bytes) -> None:
    """Replace a file by one that nobody else can read."""
    try:
        write_private(file, data)
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}") from error


def _ca_file(certificates: str) -> Path:
    """The file of a CA's certificates, named by their digest, so that it never holds another CA."""
    return path().with_name(f"ca-{hashlib.sha256(certificates.encode()).hexdigest()[:40]}.pem")
