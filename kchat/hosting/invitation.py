"""An invitation: one line that holds all that a guest needs to join a room, the password included.

::

    kchat://1.<base64url>

``1`` is the version. After the dot come the fields, each a byte for its kind, its length (two bytes, network order) and its
value, and at the end the first four bytes of the SHA-256 of the version and the fields. No shell, mail or chat program
changes its characters, and it is short enough for a QR code. The checksum recognises a mangled paste; it does not stop
anyone from making invitations.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
import time
from dataclasses import dataclass, field
from typing import Any

from kchat.config.settings import DEFAULT_ROOM, Broker
from kchat.config.validation import check_room
from kchat.errors import SettingsError
from kchat.message.times import LATEST
from kchat.transports.tls import PIN_PREFIX

SCHEME = "kchat://"
VERSION = "1"
LONGEST = 64 * 1024
"""Maximum characters of an invitation: enough for a chain of certificates."""

_CHECKSUM = 4
_TIME, _DIGEST, _EMPTY = "!Q", "32s", "0s"
_BROKER, _ROOM, _PASSWORD, _SEND_ONLY, _EXPIRES, _PIN, _CA, _USERNAME = range(1, 9)
_MOST = 0xFFFF
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Invitation:
    """What a guest is given.

    Attributes:
        brokers: where the room is, with the guest's account; passwords in them are ignored.
        room: its name.
        password: of the account; never shown. None where the transport has no accounts.
        send_only: whether the account may send and nothing else.
        expires: when the account ends, in UNIX seconds; None for never.
        tls_pin: ``sha256:<hex>``, the fingerprint of the server's certificate.
        tls_ca: the CA's certificate or certificates, PEM.
        username: the name to go by in the room. Default: the account's.
    """

    brokers: tuple[Broker, ...]
    room: str = DEFAULT_ROOM
    password: str | None = field(default=None, repr=False)
    send_only: bool = False
    expires: int | None = None
    tls_pin: str | None = None
    tls_ca: str | None = field(default=None, repr=False)
    username: str | None = None

    def __post_init__(self) -> None:
        if not self.brokers:
            raise SettingsError("an invitation names a broker")
        check_room(self.room, predeclared=self.brokers[0].transport.predeclared_rooms)
        if self.expires is not None and not 0 <= self.expires <= LATEST:
            raise SettingsError("an invitation ends between 1970 and 9999")
        bare = tuple(broker.without_password() for broker in self.brokers)
        object.__setattr__(self, "brokers", bare)

    @property
    def account(self) -> str | None:
        """The guest's account on the broker."""
        return self.brokers[0].account

    @property
    def url(self) -> str:
        """The connection URL, or several joined by ``;``, with the account and without its password."""
        return ";".join(broker.url_to_share() for broker in self.brokers)

    @property
    def expired(self) -> bool:
        """Whether its time is over, by this machine's clock."""
        return self.expires is not None and self.expires <= time.time()

    def __str__(self) -> str:
        """The room and where it is, for people; without the password."""
        where = ";".join(str(broker) for broker in self.brokers)
        return f"{self.room} at {where}"

    def encode(self) -> str:
        """The line to hand over. It contains the password.

        Raises:
            SettingsError: it would be too long, with more certificates than a server needs.
        """
        username = None if self.username == self.account else self.username
        once = {
            _ROOM: None if self.room == DEFAULT_ROOM else self.room.encode(),
            _PASSWORD: None if self.password is None else self.password.encode(),
            _USERNAME: None if username is None else username.encode(),
            _SEND_ONLY: b"" if self.send_only else None,
            _EXPIRES: None if self.expires is None else struct.pack(_TIME, self.expires),
            _PIN: None if self.tls_pin is None else bytes.fromhex(self.tls_pin.removeprefix(PIN_PREFIX)),
        }
        fields = [(_BROKER, broker.url_to_share().encode()) for broker in self.brokers]
        fields += [(kind, value) for kind, value in once.items() if value is not None]
        fields += [(_CA, certificate) for certificate in from_pem(self.tls_ca or "")]
        if any(len(value) > _MOST for _, value in fields):
            raise SettingsError("too much for an invitation: a field of over 64 KiB")
        row = b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in fields)
        data = base64.urlsafe_b64encode(row + _checksum(row)).rstrip(b"=").decode()
        line = f"{SCHEME}{VERSION}.{data}"
        if len(line) > LONGEST:
            raise SettingsError(f"an invitation of {len(line):,} characters is too long; at most {LONGEST:,}")
        return line

    @classmethod
    def decode(cls, text: str) -> Invitation:
        """Read an invitation as pasted: broken into lines, in quotes or ``<>``, or among other words.

        Raises:
            SettingsError: it is not an invitation, is mangled, or comes from a newer kchat. The error never quotes it.
        """
        whole = re.sub(r"\s+", "", text).strip("<>\"'`")
        try:
            return cls._decode(whole)
        except SettingsError:
            among = re.search(rf"(?i){SCHEME}\d+\.[\w-]+", text)
            if among is None or among.group() == whole:
                raise
        return cls._decode(among.group())

    @classmethod
    def _decode(cls, line: str) -> Invitation:
        scheme, rest = line[: len(SCHEME)].lower(), line[len(SCHEME) :]
        version, dot, data = rest.partition(".")
        if scheme != SCHEME or not dot or not version.isdecimal():
            raise SettingsError("that is not an invitation", hint=f"one begins with {SCHEME}{VERSION}.")
        if version != VERSION:
            raise SettingsError(
                f"the invitation is of version {version[:9]}, and this kchat reads version {VERSION}",
                hint="update kchat: pip install --upgrade kombu-chat",
            )
        if len(line) > LONGEST:
            raise _mangled()
        try:
            return cls._of_fields(_fields(data.rstrip("=")))
        except (UnicodeDecodeError, struct.error) as error:
            raise _mangled() from error

    @classmethod
    def _of_fields(cls, fields: dict[int, list[bytes]]) -> Invitation:
        def text(kind: int) -> str | None:
            return fields[kind][0].decode() if kind in fields else None

        def unpacked(kind: int, form: str) -> Any:
            return struct.unpack(form, fields[kind][0])[0] if kind in fields else None

        pin = unpacked(_PIN, _DIGEST)
        urls = [url.decode() for url in fields.get(_BROKER, ())]
        for url in urls:
            check_joined_url(url)
        room = text(_ROOM)
        return cls(
            brokers=tuple(map(Broker.parse, urls)),
            room=DEFAULT_ROOM if room is None else room,
            password=text(_PASSWORD),
            send_only=unpacked(_SEND_ONLY, _EMPTY) is not None,
            expires=unpacked(_EXPIRES, _TIME),
            tls_pin=pin and PIN_PREFIX + pin.hex(),
            tls_ca="".join(map(_to_pem, fields.get(_CA, ()))) or None,
            username=text(_USERNAME),
        )


def check_joined_url(url: str) -> None:
    """A URL to join names a place and an account, and nothing else: a stranger's text must not set options.

    Options could lower what is trusted (``ssl_cert_reqs``), send credentials elsewhere (``api_endpoint``), or throw
    history away (``history_max_bytes``).

    Raises:
        SettingsError: it has options, a fragment, or characters that are not allowed in URLs.
    """
    place, mark, options = url.partition("?")
    if mark:
        names = ", ".join(sorted({part.partition("=")[0] for part in options.split("&")}))
        raise SettingsError(
            f"a URL to join has no options, and this one has: {names}",
            hint="if you want options, write the profile into the file that kchat profile show names",
        )
    if not place.isprintable() or re.search(r"[#\\\s]", place):
        raise SettingsError("the URL to join has characters that do not belong in a URL")


def _checksum(row: bytes) -> bytes:
    return hashlib.sha256(VERSION.encode() + row).digest()[:_CHECKSUM]


def _fields(data: str) -> dict[int, list[bytes]]:
    """The fields by their kinds. Every one is one that kchat shows to the guest; only brokers and certificates repeat."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", data):
        raise _mangled()
    try:
        whole = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
    except (binascii.Error, ValueError):
        raise _mangled() from None
    row, checksum = whole[:-_CHECKSUM], whole[-_CHECKSUM:]
    if _checksum(row) != checksum:
        raise _mangled()
    fields: dict[int, list[bytes]] = {}
    while row:
        kind, length = struct.unpack_from("!BH", row)
        fields.setdefault(kind, []).append(row[3 : 3 + length])
        if len(row) < 3 + length:
            raise _mangled()
        row = row[3 + length :]
    if unknown := sorted(fields.keys() - set(range(_BROKER, _USERNAME + 1))):
        raise SettingsError(
            f"the invitation has a field that this kchat does not know (kind {unknown[0]})",
            hint="update kchat: pip install --upgrade kombu-chat",
        )
    if any(len(values) > 1 for kind, values in fields.items() if kind not in (_BROKER, _CA)):
        raise SettingsError(
            "the invitation contradicts itself: it has a field twice",
            hint="ask the room's host for another one",
        )
    return fields


def _mangled() -> SettingsError:
    return SettingsError(
        "the invitation is damaged: part of it is missing or was changed",
        hint="copy it once more, all of it",
    )


def from_pem(text: str) -> list[bytes]:
    """The certificates (DER) in PEM text."""
    return [base64.b64decode(found) for found in _PEM.findall(text)]


def _to_pem(certificate: bytes) -> str:
    import ssl

    return ssl.DER_cert_to_PEM_cert(certificate)
