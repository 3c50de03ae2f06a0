"""Certificates for your own broker: a small CA, the server's certificate, and clients'.

The library is cryptography (the extra ``tls``): without it, importing this module raises :exc:`~kchat.errors.MissingExtra`.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kchat.config.private_files import write_private
from kchat.errors import MissingExtra, SettingsError
from kchat.transports.tls import fingerprint

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ModuleNotFoundError as error:
    raise MissingExtra(
        "making certificates needs a library that is not installed",
        hint='install it with: pip install "kombu-chat[tls]"',
    ) from error

CA_DAYS = 3650
"""Days that the CA is valid: longer than the certificates that it signs."""

DAYS = 825
"""Days that a certificate is valid by default: the most that strict clients accept."""

ALWAYS = ("localhost", "127.0.0.1", "::1")
"""Names in every server's certificate, for clients on its own machine."""

_BACKDATED = timedelta(hours=1)
"""For clients whose clock is behind."""


@dataclass(frozen=True)
class Made:
    """What :func:`make_server` and :func:`make_client` have written.

    Attributes:
        ca: the CA's certificate; public, what clients trust (``tls_ca``).
        certificate: the certificate, PEM.
        key: its private key, PEM, readable by its owner alone.
        pin: the certificate's fingerprint, for clients to pin.
        names: the host names and addresses in it, or the client's name.
        until: when it expires.
    """

    ca: Path
    certificate: Path
    key: Path
    pin: str
    names: tuple[str, ...]
    until: datetime


def make_server(folder: Path, hosts: Iterable[str], *, days: int = DAYS, renew: bool = False) -> Made:
    """Write ``server.pem`` and ``server-key.pem``, and ``ca.pem`` and ``ca-key.pem`` if they are missing.

    Arguments:
        folder: where to; made with mode 0700 if it is missing.
        hosts: names and addresses that clients use, besides :data:`ALWAYS`.
        days: how long the certificate is valid, default 825.
        renew: replace an existing certificate. The pin changes.

    Raises:
        SettingsError: it exists already; a name is not a host name; the folder cannot be written.
    """
    names = tuple(dict.fromkeys([*hosts, *ALWAYS]))
    alternatives = [_general_name(name) for name in names]
    if (folder / "server.pem").exists() and not renew:
        raise SettingsError(
            f"{folder / 'server.pem'} exists already", hint="{renew} replaces it, and changes the pin"
        )
    return _make(folder, "server", names, alternatives, ExtendedKeyUsageOID.SERVER_AUTH, days)


def make_client(folder: Path, name: str, *, days: int = DAYS, renew: bool = False) -> Made:
    """Write ``client-<name>.pem`` and its key: RabbitMQ takes the certificate's common name for the account.

    Arguments:
        folder: of the CA, see :func:`make_server`.
        name: the account, up to 64 characters (RFC 5280 appendix A.1); letters, digits, ``.``, ``_``, ``-`` and ``@``.
        days: how long the certificate is valid, default 825.
        renew: replace an existing one.

    Raises:
        SettingsError: it exists already; the name is not valid; the folder cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9_@][A-Za-z0-9._@-]{0,63}", name):
        raise SettingsError(
            f"{name!r} is not a valid name for a client's certificate: use letters, digits, '.', '_', '-' and '@'"
        )
    if (folder / f"client-{name}.pem").exists() and not renew:
        raise SettingsError(f"{folder / f'client-{name}.pem'} exists already", hint="{renew} replaces it")
    return _make(folder, f"client-{name}", (name,), [], ExtendedKeyUsageOID.CLIENT_AUTH, days)


def _general_name(host: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    label = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
    if len(host) > 253 or not re.fullmatch(rf"(\*\.)?{label}(\.{label})*", host):
        raise SettingsError(f"{host!r} is neither a host name nor an address")
    return x509.DNSName(host)


def _make(
    folder: Path, stem: str, names: tuple[str, ...], alternatives: list[Any], usage: Any, days: int
) -> Made:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca, ca_key = _authority(folder)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key())  # type: ignore[arg-type]  # ours is an EC key
        extensions: list[x509.ExtensionType] = [x509.ExtendedKeyUsage([usage]), issuer]
        if alternatives:
            extensions.append(x509.SubjectAlternativeName(alternatives))
        # The key first: a certificate without its key would be useless, and block the next attempt.
        key = _new_key(folder / f"{stem}-key.pem")
        certificate = _signed(names[0], key, days, extensions, ca.subject, ca_key)
        _write(folder / f"{stem}.pem", certificate)
    except OSError as error:
        raise SettingsError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
    return Made(
        ca=folder / "ca.pem",
        certificate=folder / f"{stem}.pem",
        key=folder / f"{stem}-key.pem",
        pin=fingerprint(certificate.public_bytes(Encoding.DER)),
        names=names,
        until=certificate.not_valid_after_utc,
    )


def _authority(folder: Path) -> tuple[x509.Certificate, Any]:
    """The CA of the folder, made now if it is missing."""
    certificate_file, key_file = folder / "ca.pem", folder / "ca-key.pem"
    if certificate_file.exists() != key_file.exists():
        missing = key_file if certificate_file.exists() else certificate_file
        raise SettingsError(
            f"{missing} is missing, and nothing can be signed without it", hint="use an empty folder"
        )
    if certificate_file.exists():
        try:
            return (
                x509.load_pem_x509_certificate(certificate_file.read_bytes()),
                load_pem_private_key(key_file.read_bytes(), None),
            )
        except (ValueError, TypeError) as error:
            raise SettingsError(
                f"{certificate_file} and {key_file} are not a certificate and its key (PEM)"
            ) from error
    key = _new_key(key_file)
    certificate = _signed(f"kchat CA {os.urandom(4).hex()}", key, CA_DAYS, [])
    _write(certificate_file, certificate)
    return certificate, key


def _signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    days: int,
    extensions: list[x509.ExtensionType],
    issuer: x509.Name | None = None,
    issuer_key: Any = None,
) -> x509.Certificate:
    """A certificate with these extensions and those that all have; without an issuer it is a CA's, signed by itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now, ca = datetime.now(UTC), issuer is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(_key_usage(ca=ca), critical=True)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key or key, hashes.SHA256())


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    """RFC 5280 section 4.2.1.3; Python 3.13 verifies strictly and wants it in a CA's certificate."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _new_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """ECDSA on P-256, written to a file: every TLS 1.2 and 1.3 accepts it, and it is fast and short."""
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def _write(file: Path, certificate: x509.Certificate) -> None:
    """All or nothing; anyone may read it."""
    write_private(file, certificate.public_bytes(Encoding.PEM))
    file.chmod(0o644)
