"""Changes to the file of profiles: joining a room, choosing a profile, removing one.

One process at a time changes the file (:func:`kchat.config.private_files.locked`). Its comments stay.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
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
    return Plan(name, old, profiles.use, {} if old is None else _changes(old, invitation))


def _changes(old: Profile, new: Invitation) -> dict[str, tuple[str, str]]:
    """What differs, in words; passwords are not shown."""
    from kchat.message.times import moment

    def when(expires: int | None) -> str:
        return "never" if expires is None else moment(expires)

    def may(send_only: bool) -> str:  # noqa: FBT001 - of this function
        return "send only" if send_only else "send and listen"

    ca = None if new.tls_ca is None else str(_ca_file(new.tls_ca))
    cells = {
        "broker": (_shown(old.url), _shown(new.url)),
        "room": (old.room or DEFAULT_ROOM, new.room),
        "username": (old.username or "the login name", new.username or new.account or "the login name"),
        "may": (may(old.send_only), may(new.send_only)),
        "ends": (when(old.expires), when(new.expires)),
        "certificate": (
            old.tls.pin or "any that a trusted CA signed",
            new.tls_pin or "any that a trusted CA signed",
        ),
        "CA": (old.tls.ca or "the system's", ca or "the system's"),
        "client certificate": (old.tls.cert or "none", "none"),
        "certificate check": ("off" if old.tls.insecure else "on", "on"),
    }
    found = {name: cell for name, cell in cells.items() if cell[0] != cell[1]}
    if _stored_password(old) != new.password:
        found["password"] = ("the stored one", "another one" if new.password else "none")
    return found


def _stored_password(profile: Profile) -> str | None:
    """The password, or None if the keyring does not give it, which then counts as a change."""
    try:
        return profile.secret()
    except SettingsError:
        return None


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
        profile, kept = _store(invitation, planned.name)
        if old is not None:
            _forget(old, keep=profile)
    return profile, kept


def _store(invitation: Invitation, name: str) -> tuple[Profile, str]:
    values: dict[str, Any] = {
        "url": invitation.url,
        "room": invitation.room,
        "username": invitation.username or invitation.account,
        "send_only": invitation.send_only or None,
        "expires": None if invitation.expires is None else datetime.fromtimestamp(invitation.expires, UTC),
        "tls_pin": invitation.tls_pin,
        "tls_ca": None if invitation.tls_ca is None else str(_keep_ca(invitation.tls_ca)),
    }
    kept = ""
    if invitation.password is not None:
        from kchat.config import keyring

        backend = keyring.put(Profile(name, invitation.url).key, invitation.password)
        values["keyring" if backend else "password"] = True if backend else invitation.password
        kept = f"in the system's keyring ({backend})" if backend else f"in {path()} (mode 0600)"
    present = {key: value for key, value in values.items() if value is not None}
    _change(lambda document: _put(document, name, present))
    return load().find(name), kept


def use(name: str | None) -> None:
    """Use a profile from now on; with None, use none.

    Raises:
        SettingsError: there is no such profile.
    """

    def change(document: Any) -> None:
        document["use"] = name or ""

    with _changing():
        if name is not None:
            load().find(name)
        _change(change)


def remove(name: str) -> Profile:
    """Remove a profile, its password and its CA's certificate.

    Returns:
        What was removed.

    Raises:
        SettingsError: there is no such profile, or the keyring keeps the password.
    """

    def change(document: Any) -> None:
        del document[TABLE][name]
        if document.get("use") == name:
            document["use"] = ""

    with _changing():
        profile = load().find(name)
        if profile.keyring:
            from kchat.config import keyring

            keyring.delete(profile.key)
        _change(change)
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
    number = 1
    while True:
        name = room if number == 1 else f"{room}-{number}"
        known = profiles.profiles.get(name)
        if known is None or (known.url, known.room) == (url, room):
            return name
        number += 1


def _put(document: Any, name: str, values: Mapping[str, Any]) -> None:
    import tomlkit

    if TABLE not in document:
        document[TABLE] = tomlkit.table(is_super_table=True)
    table = tomlkit.table()
    table.update(values)
    document[TABLE][name] = table
    document["use"] = name


@contextmanager
def _changing() -> Iterator[None]:
    """One process at a time changes the file. Reading needs no lock: the file is always complete."""
    file = path().resolve()
    try:
        with locked(file):
            yield
    except OSError as error:
        raise SettingsError(f"{file} cannot be changed: {error.strerror or error}") from error


def _change(change: Callable[[Any], None]) -> None:
    """Read the file, change it and write it in one step, with its comments."""
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
    change(document)
    _write(file, tomlkit.dumps(document).encode())


def _write(file: Path, data: bytes) -> None:
    """Replace a file by one that nobody else can read."""
    try:
        write_private(file, data)
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}") from error


def _keep_ca(certificates: str) -> Path:
    """The file of a CA's certificates, named by their digest, so that it never holds another CA."""
    file = _ca_file(certificates)
    _write(file, certificates.encode())
    return file


def _ca_file(certificates: str) -> Path:
    return path().with_name(f"ca-{hashlib.sha256(certificates.encode()).hexdigest()[:40]}.pem")
