"""Profiles: brokers and rooms with a name, in a TOML file of the user, so that commands need no options.

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

Only ``url`` is required. The file may be edited by hand: comments are kept, and an unknown key is an error.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kchat import errors
from kchat.config.private_files import check_ours, check_ours_if_there, user_folder
from kchat.errors import SettingsError
from kchat.message.control import has_control
from kchat.transports.tls import TlsOptions

if TYPE_CHECKING:
    from kchat.transports.url import Broker

TABLE = "profile"
"""The table that the profiles are in."""

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


@dataclass(frozen=True)
class Profile:
    """A broker and a room under a name.

    Attributes:
        name: of the profile.
        url: the connection URL, or several joined by ``;``, without the account's password.
        room: the room; None for the default.
        username: the name to go by in the room; None for the login name.
        password: the account's, if it is in the file; never shown.
        keyring: whether the password is in the system's keyring.
        send_only: whether the account may send and nothing else.
        expires: when the account ends, in UNIX seconds; None for never, or not known.
        tls: the CAs to trust and the client certificate.
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
        """The account's password, from the file or the keyring; None for an account without one."""
        if not self.keyring:
            return self.password
        from kchat.config import keyring

        return keyring.get(self.key)

    def lock(self, broker: Broker) -> Broker:
        """The broker, whose password is read from the keyring when a connection is made, if it is there."""
        missing = self.keyring and broker.password is None and broker.transport.default_port is not None
        return replace(broker, secret=self.secret) if missing else broker

    @property
    def holds_secret(self) -> bool:
        """Whether the file has a password, as ``password`` or, added by hand, in the URL."""
        return self.password is not None or re.search(r"://[^/]*:[^/]*@", self.url) is not None

    def tls_with(self, typed: TlsOptions | None) -> TlsOptions | None:
        """The TLS options: the profile's, else those that were typed; both is a SettingsError."""
        if self.tls and typed:
            raise SettingsError(
                f"the profile {self.name!r} has its own certificates",
                hint="leave out the options for TLS, or change the profile's file",
            )
        return self.tls or typed

    def check_account(self, broker: Broker, tls: TlsOptions | None) -> None:
        """Make sure that there is an account: without one, a driver may log in with its default, such as ``guest``."""
        if not broker.transport.needs_account:
            return
        if not broker.account:  # an empty one is none to the driver
            if broker.encrypted and tls is not None and tls.cert is not None:
                return  # the certificate is the account
            raise SettingsError(
                f"the profile {self.name!r} has no account for {broker}",
                hint=f"join the room once more, or write the account into the profile's url: {broker.scheme}://NAME@...",
            )
        if not broker.password and broker.secret is None:
            raise SettingsError(
                f"the profile {self.name!r} has no password for {broker}",
                hint="join the room once more, or type the password: {password}",
            )

    def check_files(self, brokers: Iterable[Broker]) -> None:
        """Make sure that others can neither change what the profile or its URL trusts, nor read its key."""
        own = {
            name: value for name in ("ca", "cert", "key") if (value := getattr(self.tls, name)) is not None
        }
        for files in (own, *(broker.transport.urls.files_for_tls(broker) for broker in brokers)):
            key = files.get("key", files.get("cert"))
            for file in {*files.values()}:
                named = Path(file)
                if named.exists() and not named.is_file():  # reading a pipe or a device may never end
                    raise SettingsError(
                        f"{named}: the profile {self.name!r} needs it for TLS, and it is not a file"
                    )
                check_ours_if_there(named, secret=file == key)

    def check_time(self) -> None:
        """Raise :class:`kchat.errors.NotAuthorised` where the account has ended, by this machine's clock."""
        if self.expires is not None and self.expires <= time.time():
            from kchat.message.times import moment

            raise errors.NotAuthorised(
                f"not authorised: the invitation of profile {self.name!r} ended at {moment(self.expires)}",
                hint="ask the room's host for a new one",
            )

    @property
    def key(self) -> str:
        """The name of its password in the keyring; another URL has another one."""
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
        """A profile by its name; SettingsError if there is none."""
        if name not in self.profiles:
            known = ", ".join(self.profiles)
            hint = f"there are: {known}" if known else "kchat join makes one"
            raise SettingsError(f"there is no profile {name!r} in {path()}", hint=hint)
        return self.profiles[name]


def path() -> Path:
    """Where the file is, or would be; SettingsError where no home folder is known."""
    return user_folder() / "profiles.toml"


def load() -> Profiles:
    """Read the file. A missing file is empty.

    Raises:
        SettingsError: it cannot be read or is not valid, or others can change it, or read a password in it.
    """
    file = path()
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            check_ours(file, status)
            raw = stream.read()
    except FileNotFoundError:
        return Profiles()
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    import tomllib  # only needed where there are profiles

    try:
        data = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}") from None
    except RecursionError:
        raise SettingsError(
            f"{file} is not a valid file of profiles: its values are nested too deeply"
        ) from None
    use, tables = data.pop("use", None), data.pop(TABLE, {})
    if data:
        raise SettingsError(f"{file}: {next(iter(data))!r} is not a valid key there")
    if not isinstance(use, str | None) or not isinstance(tables, dict):
        raise SettingsError(f"{file}: 'use' is a name, and profiles are tables [{TABLE}.<name>]")
    profiles = {name: _profile(name, table, file) for name, table in tables.items()}
    if any(profile.holds_secret for profile in profiles.values()):
        check_ours(file, status, secret=True)
    return Profiles(use or None, profiles)


def _profile(name: str, table: object, file: Path) -> Profile:
    where = f"{file}: profile {name!r}"
    if not isinstance(table, dict):
        raise SettingsError(f"{where} is not a table")
    for key, value in table.items():
        if key not in _TYPES:
            raise SettingsError(
                f"{where}: {key!r} is not a valid key there", hint=f"the keys are: {', '.join(_TYPES)}"
            )
        if type(value) is not _TYPES[key]:
            raise SettingsError(f"{where}: {key!r} has a value of the wrong type")
        if key.startswith("tls_") and isinstance(value, str) and has_control(value):
            raise SettingsError(f"{where}: {key!r} has control characters in it")
    if "url" not in table:
        raise SettingsError(f"{where} has no 'url'")
    plain: dict[str, Any] = {key: value for key, value in table.items() if not key.startswith("tls_")}
    tls = {key.removeprefix("tls_"): value for key, value in table.items() if key.startswith("tls_")}
    if "expires" in plain:
        plain["expires"] = _seconds(plain["expires"], where)
    return Profile(name=name, **plain, tls=TlsOptions(**tls))


def _seconds(point: datetime, where: str) -> int:
    from kchat.message.times import LATEST

    try:
        seconds = int(point.timestamp())
    except (ValueError, OverflowError, OSError):  # its time zone puts it before year 1, or behind year 9999
        seconds = -1
    if not 0 <= seconds <= LATEST:
        raise SettingsError(f"{where}: 'expires' is not between 1970 and 9999")
    return seconds


def chosen(environ: Mapping[str, str]) -> Profile | None:
    """The profile of a command without a broker: ``KCHAT_PROFILE``, else the one in use, else None."""
    named = environ.get("KCHAT_PROFILE")
    try:
        path()
    except SettingsError:
        if not named:
            return (
                None  # where the room on this machine would be is not known either, and its error tells that
            )
    profiles = load()
    name = named or profiles.use
    return profiles.find(name) if name else None
