"""Checking an invitation before using it: a stranger may have made it.

:func:`check` refuses what ``kchat invite`` never makes and what could harm; :func:`describe` says everything else in it, for
the guest to read and agree to.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from kchat.config.validation import check_name
from kchat.errors import SettingsError
from kchat.hosting.invitation import from_pem
from kchat.message.control import has_control
from kchat.message.times import moment
from kchat.transports.tls import fingerprint

if TYPE_CHECKING:
    from kchat.config.settings import Broker
    from kchat.hosting.invitation import Invitation

MAX_BROKERS = 16
"""Nodes of a cluster in one invitation; each may take a whole ``connect_timeout``."""

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,253}[A-Za-z0-9])?\.?")
"""RFC 1123 section 2.1, and the underscore of container networks. Other scripts are written in Punycode (RFC 3492)."""

_MAX_PATH = 4096


def check(joined: Invitation, *, by_url: bool = False) -> None:
    """Refuse an invitation that does not lead to another person's room, or could harm on the way.

    Arguments:
        joined: the invitation, its fields read.
        by_url: whether it is a connection URL that was typed, which may be of a broker without accounts.

    Raises:
        SettingsError: it is such an invitation. The error never contains a password.
    """
    if len(joined.brokers) > MAX_BROKERS:
        raise SettingsError(f"an invitation names at most {MAX_BROKERS} brokers")
    first = joined.brokers[0]
    for broker in joined.brokers:
        # A second broker without TLS would get the password in clear as soon as the first is unreachable.
        if (broker.scheme, broker.account) != (first.scheme, first.account):
            raise SettingsError(
                "the brokers of an invitation must have one account and one kind of connection"
            )
        _check_broker(broker)
    if "://" in joined.room:
        # In the line shown before the question it would look like a broker.
        raise SettingsError("the name of the room to join is a URL")
    if (joined.tls_pin or joined.tls_ca) and not first.encrypted:
        raise SettingsError("the invitation names a certificate for a connection without TLS")
    if first.account is not None:
        check_name(first.account, "account")
    if joined.username is not None:
        check_name(joined.username)
    if joined.password is not None and has_control(joined.password):
        raise SettingsError("the password has control characters in it")
    _check_account(joined, by_url=by_url)
    _certificates(joined.tls_ca)
    for broker in joined.brokers:
        broker.transport.guests.check(broker)


def _check_broker(broker: Broker) -> None:
    if broker.transport.in_one_process:
        raise SettingsError(f"a {broker.scheme}:// room is inside one process: nobody else can join it")
    if broker.options:
        raise SettingsError(f"a URL to join has no options, and this one has: {', '.join(broker.options)}")
    if has_control(broker.path) or "\ufffd" in broker.path or len(broker.path.encode()) > _MAX_PATH:
        raise SettingsError("the URL to join has characters that do not belong in a URL")
    if broker.transport.default_port is None:
        return
    if broker.port is not None and not 0 < broker.port < 65536:
        raise SettingsError(f"{broker.port} is not a valid TCP port")
    if not _is_address(broker.host) and not _HOST.fullmatch(broker.host):
        raise SettingsError(
            f"{broker.host!r} is not the name or the address of a host",
            hint="names in other scripts are written in Punycode: xn--...",
        )


def _is_address(host: str) -> bool:
    """An IP address without a zone (``fe80::1%eth0``), which only means something on its own machine."""
    try:
        return "%" not in host and bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _check_account(joined: Invitation, *, by_url: bool) -> None:
    """A profile without an account would log in with another profile's, or with the broker's default one."""
    info = joined.brokers[0].transport
    if info.default_port is None:
        if joined.password is not None or joined.account is not None:
            raise SettingsError(f"the {info.name} transport has no accounts, and the invitation names one")
        return
    if by_url and not info.needs_account and joined.account is None and joined.password is None:
        return
    if not joined.account or not joined.password:
        raise SettingsError(
            f"the {'URL' if by_url else 'invitation'} has no account with a password for {joined.brokers[0]}",
            hint="ask the room's host for one made by kchat invite",
        )


def describe(joined: Invitation) -> list[tuple[str, str]]:
    """All that an invitation says, as pairs of a name and a value in words; the password itself is left out."""
    first = joined.brokers[0]
    networked = first.transport.default_port is not None
    rows = [("room", joined.room)]
    rows += [("broker", str(broker)) for broker in joined.brokers]
    if networked:
        rows.append(("host", ", ".join(broker.host for broker in joined.brokers)))
    rows += first.transport.guests.describe(first)
    if networked:
        in_clear = "none: others on the way can read the password and the messages"
        rows.append(("encryption", "TLS" if first.encrypted else in_clear))
    password = "no password" if joined.password is None else "with its password"
    if first.transport.needs_account or joined.account is not None:
        rows.append(("account", f"{joined.account or 'none'}, {password}"))
    elif joined.password is not None:
        rows.append(("account", f"the default one, {password}"))
    ends = "never" if joined.expires is None else f"the account ends at {moment(joined.expires)}"
    rows += [
        ("username", joined.username or joined.account or "your login name"),
        ("may", "send only" if joined.send_only else "send and listen"),
        ("ends", ends),
    ]
    if joined.tls_pin:
        rows.append(("certificate", f"{joined.tls_pin} and no other"))
    rows += [("CA", f"{each} and no other") for each in _certificates(joined.tls_ca)]
    if first.encrypted and not joined.tls_pin and not joined.tls_ca:
        rows.append(("certificate", "of any CA that this system trusts"))
    return rows


def _certificates(pem: str | None) -> list[str]:
    """The fingerprints of certificates.

    Raises:
        SettingsError: something in it is not a certificate.
    """
    if pem is None:
        return []
    import ssl

    try:
        ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise SettingsError("the CA's certificate in the invitation is not a certificate") from error
    found = from_pem(pem)
    if any(_der_size(each) != len(each) for each in found):
        # OpenSSL ignores what follows it, and the fingerprint shown would be that of another certificate.
        raise SettingsError("the CA's certificate in the invitation is not a certificate")
    return [fingerprint(each) for each in found]


def _der_size(data: bytes) -> int:
    """The bytes of a DER value with its head (X.690 section 8.1.3)."""
    if len(data) < 2 or data[1] < 0x80:
        return 2 + data[1] if len(data) > 1 else 0
    octets = data[1] & 0x7F
    return 2 + octets + int.from_bytes(data[2 : 2 + octets], "big")
