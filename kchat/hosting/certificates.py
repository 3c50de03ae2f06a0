"""Certificates for your own broker: a small CA, the server's certificate, and clients'.

The library is cryptography (the extra ``tls``), imported when it is used.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kchat.errors import MissingExtra, SettingsError
from kchat.transports.tls import fingerprint

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

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
        MissingExtra: cryptography is not installed.
    """
    from cryptography.x509.oid import ExtendedKeyUsageOID

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
        MissingExtra: cryptography is not installed.
    """
    from cryptography.x509.oid import ExtendedKeyUsageOID

    if not re.fullmatch(r"[A-Za-z0-9_@][A-Za-z0-9._@-]{0,63}", name):
        raise SettingsError(
            f"{name!r} is not a valid name for a client's certificate: use letters, digits, '.', '_', '-' and '@'"
        )
    if (folder / f"client-{name}.pem").exists() and not renew:
        raise SettingsError(f"{folder / f'client-{name}.pem'} exists already", hint="{renew} replaces it")
    return _make(folder, f"client-{name}", (name,), [], ExtendedKeyUsageOID.CLIENT_AUTH, days)


def require() -> None:
    """Make sure that cryptography is installed.

    Raises:
        MissingExtra: it is not.
    """
    try:
        import cryptography  # noqa: F401 - to see whether it is there
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "making certificates needs a library that is not installed",
            hint='install it with: pip install "kombu-chat[tls]"',
        ) from error


def _general_name(host: str) -> Any:
    from cryptography import x509

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
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca, ca_key = _authority(folder)
        key = _new_key()
        builder = _builder(names[0], ca.subject, key, days).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(ca=False), critical=True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()),  # type: ignore[arg-type]  # ours is an EC key
            critical=False,
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = builder.sign(ca_key, hashes.SHA256())
        # The key first: a certificate without its key would be useless, and block the next attempt.
        _write(folder / f"{stem}-key.pem", _pem(key), 0o600)
        _write(folder / f"{stem}.pem", certificate.public_bytes(Encoding.PEM), 0o644)
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


def _authority(folder: Path) -> tuple[Certificate, Any]:
    """The CA of the folder, made now if it is missing."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

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
    key = _new_key()
    name = f"kchat CA {os.urandom(4).hex()}"
    builder = _builder(name, None, key, CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(ca=True), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    _write(key_file, _pem(key), 0o600)
    _write(certificate_file, certificate.public_bytes(Encoding.PEM), 0o644)
    return certificate, key


def _builder(name: str, issuer: Any, key: Any, days: int) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, ca: bool) -> Any:
    """RFC 5280 section 4.2.1.3; Python 3.13 verifies strictly and wants it in a CA's certificate."""
    from cryptography import x509

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


def _new_key() -> Any:
    """ECDSA on P-256: every TLS 1.2 and 1.3 accepts it, and it is fast and short."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert isinstance(data, bytes)
    return data


def _write(path: Path, data: bytes, mode: int) -> None:
    """All or nothing, and at no moment readable by others."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
    draft.replace(path)
