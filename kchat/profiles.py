"""Profiles: brokers and rooms under a name, in a TOML file of the user's, so that commands need no options.

::

    use = "chat"                                      # the profile of every command that names no broker

    [profile.chat]
    url = "amqp://ada@broker.example:5672/"           # of any transport; without the password
    room = "chat"
    username = "ada"                                  # the name to go by; default the login name
    password = "..."                                  # or  keyring = true
    send_only = false                                 # what the invitation was for
    expires = 2026-05-01T12:00:00Z                    # when the account ends
    tls_pin = "sha256:..."                            # and tls_ca, tls_cert, tls_key: files (PEM)

``url`` alone has to be there. The file may be edited by hand: comments stay, and a key that is not known is an error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kchat import errors
from kchat.errors import SettingsError
from kchat.files import write_private
from kchat.tls import TlsOptions

if TYPE_CHECKING:
    from kchat.invitation import Invitation

_TABLE = "profile"
_TYPES: Mapping[str, type] = MappingProxyType(
    {
        "url": str,
        "room": str,
        "username": str,
        "password": str,
        "keyring": bool,
        "send_only": bool,
        "expires": datetime,
        "tls_pin": str,
        "tls_ca": str,
        "tls_cert": str,
        "tls_key": str,
        "tls_insecure": bool,
    }
)
_HEADING = (
    "Profiles of kchat: kchat profile --help. A password in here opens a room: keep this file to yourself."
)


@dataclass(frozen=True)
class Profile:
    """A broker and a room under a name.

    Attributes:
        name: of the profile.
        url: the connection URL, or several joined by ``;``; the account's password stands elsewhere.
        room: the room; None for the default.
        username: the name to go by in the room; None for the login name.
        password: the account's, where it stands in the file; never shown.
        keyring: whether the password is in the system's keyring.
        send_only: whether the account may send and nothing else.
        expires: when the account ends, in UNIX seconds; None for never, or not known.
        tls: what to trust and whom to be.
    """

    name: str
    url: str
    room: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keyring: bool = False
    send_only: bool = False
    expires: int | None = None
    tls: TlsOptions = field(default_factory=TlsOptions)

    def secret(self) -> str | None:
        """The account's password, wherever it is; None for an account without one.

        Raises:
            SettingsError: the keyring does not give it.
        """
        if not self.keyring:
            return self.password
        from kchat import keyrings

        return keyrings.get(self._key)

    def check_time(self) -> None:
        """Raise :class:`kchat.errors.NotAuthorised` where the account has ended, by this machine's clock."""
        if self.expires is not None and self.expires <= time.time():
            from kchat.invitation import moment

            raise errors.NotAuthorised(
                f"not authorised: the invitation of profile {self.name!r} ended at {moment(self.expires)}",
                hint="ask the room's host for a new one",
            )

    @property
    def _key(self) -> str:
        return f"profile {self.name}, {self.url}"


@dataclass(frozen=True)
class Profiles:
    """All that the file holds.

    Attributes:
        use: the profile in use; None for none.
        profiles: by their names, in the file's order.
    """

    use: str | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    def find(self, name: str) -> Profile:
        """A profile by its name.

        Raises:
            SettingsError: there is none.
        """
        if name not in self.profiles:
            known = ", ".join(self.profiles)
            hint = f"there are: {known}" if known else "kchat join makes one"
            raise SettingsError(f"there is no profile {name!r} in {path()}", hint=hint)
        return self.profiles[name]


def path() -> Path:
    """Where the file is, or would be."""
    from platformdirs import user_config_path

    return user_config_path("kchat") / "profiles.toml"


def load() -> Profiles:
    """Read the file. One that is not there is empty; finding that out costs one look.

    Raises:
        SettingsError: it cannot be read, or holds what makes no sense.
    """
    file = path()
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return Profiles()
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    # Named by version, not by ImportError, so that the type checker follows.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        data = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is no TOML: {error}") from None
    use, tables = data.pop("use", None), data.pop(_TABLE, {})
    if data:
        raise SettingsError(f"{file}: {next(iter(data))!r} has no meaning there")
    if not isinstance(use, str | None) or not isinstance(tables, dict):
        raise SettingsError(f"{file}: 'use' is a name, and profiles are tables [{_TABLE}.<name>]")
    return Profiles(use or None, {name: _profile(name, table, file) for name, table in tables.items()})


def _profile(name: str, table: object, file: Path) -> Profile:
    where = f"{file}: profile {name!r}"
    if not isinstance(table, dict):
        raise SettingsError(f"{where} is no table")
    for key, value in table.items():
        if key not in _TYPES:
            raise SettingsError(
                f"{where}: {key!r} has no meaning there", hint=f"there are: {', '.join(_TYPES)}"
            )
        if type(value) is not _TYPES[key]:
            raise SettingsError(f"{where}: {key!r} is of another kind than it should be")
    if "url" not in table:
        raise SettingsError(f"{where} has no 'url'")
    plain: dict[str, Any] = {key: value for key, value in table.items() if not key.startswith("tls_")}
    tls = {key.removeprefix("tls_"): value for key, value in table.items() if key.startswith("tls_")}
    if "expires" in plain:
        plain["expires"] = int(plain["expires"].timestamp())
    return Profile(name=name, **plain, tls=TlsOptions(**tls))


def chosen(environ: Mapping[str, str]) -> Profile | None:
    """The profile of a command that names no broker: ``KCHAT_PROFILE``, else the one in use, else None.

    Raises:
        SettingsError: there is no such profile, or the file makes no sense.
    """
    profiles = load()
    name = environ.get("KCHAT_PROFILE") or profiles.use
    return profiles.find(name) if name else None


# Changing the file.


def join(invitation: Invitation, name: str | None = None) -> tuple[Profile, str]:
    """Store what an invitation holds as a profile, and use it from now on.

    Arguments:
        invitation: the invitation.
        name: of the profile; one of that name is replaced. Default: the room's name, with a number where a profile of
            that name leads somewhere else.

    Returns:
        The profile, and where its password is, in words; empty for no password.

    Raises:
        SettingsError: the file makes no sense, or cannot be written.
    """
    url, profiles = invitation.url, load()
    if name is None:
        name = _free_name(invitation.room, url, profiles)
    elif not name.strip() or not name.isprintable():
        raise SettingsError("a profile needs a name that one can read")
    values: dict[str, Any] = {
        "url": url,
        "room": invitation.room,
        "username": invitation.username or invitation.account,
        "send_only": invitation.send_only or None,
        "expires": None
        if invitation.expires is None
        else datetime.fromtimestamp(invitation.expires, timezone.utc),
        "tls_pin": invitation.tls_pin,
        "tls_ca": None if invitation.tls_ca is None else str(_keep_ca(name, invitation.tls_ca)),
    }
    kept = ""
    if invitation.password is not None:
        from kchat import keyrings

        keyring = keyrings.put(Profile(name, url)._key, invitation.password)  # noqa: SLF001 - of this module
        values["keyring" if keyring else "password"] = True if keyring else invitation.password
        kept = f"in the system's keyring ({keyring})" if keyring else f"in {path()} (mode 0600)"
    present = {key: value for key, value in values.items() if value is not None}
    _change(lambda document: _put(document, name, present))
    return load().find(name), kept


def use(name: str | None) -> None:
    """Use a profile from now on, or with None none.

    Raises:
        SettingsError: there is no such profile.
    """
    if name is not None:
        load().find(name)

    def change(document: Any) -> None:
        document["use"] = name or ""

    _change(change)


def remove(name: str) -> Profile:
    """Remove a profile, its password and its CA's certificate.

    Returns:
        What was removed.

    Raises:
        SettingsError: there is no such profile, or the keyring keeps the password.
    """
    profile = load().find(name)
    if profile.keyring:
        from kchat import keyrings

        keyrings.delete(profile._key)  # noqa: SLF001 - of this module

    def change(document: Any) -> None:
        del document[_TABLE][name]
        if document.get("use") == name:
            document["use"] = ""

    _change(change)
    with suppress(FileNotFoundError):
        _ca_file(name).unlink()
    return profile


def _free_name(room: str, url: str, profiles: Profiles) -> str:
    """The room's name, or that with a number, of which there is no profile that leads elsewhere."""
    number = 1
    while True:
        name = room if number == 1 else f"{room}-{number}"
        known = profiles.profiles.get(name)
        if known is None or (known.url, known.room) == (url, room):
            return name
        number += 1


def _put(document: Any, name: str, values: Mapping[str, Any]) -> None:
    import tomlkit

    if _TABLE not in document:
        document[_TABLE] = tomlkit.table(is_super_table=True)
    table = tomlkit.table()
    table.update(values)
    document[_TABLE][name] = table
    document["use"] = name


def _change(change: Any) -> None:
    """Read the file, change it and write it, its comments kept, so that it is there as a whole at any time."""
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
    """Put a file that nobody else may read in the place of another."""
    try:
        write_private(file, data)
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}") from error


def _ca_file(name: str) -> Path:
    return path().with_name(f"{quote(name, safe='')[:200]}.pem")


def _keep_ca(name: str, certificates: str) -> Path:
    file = _ca_file(name)
    _write(file, certificates.encode())
    return file
