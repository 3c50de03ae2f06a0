"""The server's certificate: loaded, looked at, and loaded again when it was renewed."""

from __future__ import annotations

import ssl
from pathlib import Path

from kchat.errors import SettingsError

_EXPIRED, _NOT_YET = 10, 9
"""X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID of OpenSSL."""


class _Encrypted(Exception):
    """The key is, and asking for its password would stop the server."""


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """What serves TLS 1.2 and newer (RFC 8996: the older ones must not be used).

    Arguments:
        cert: file with the certificate, and those between it and the CA (PEM).
        key: file with its private key, not encrypted (PEM).

    Raises:
        kchat.errors.SettingsError: they cannot be used: unreadable, not a pair, encrypted, expired.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load(context, cert, key)
    _check_time(context, cert)
    return context


def reload(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Take a renewed certificate for the connections from now on.

    Raises:
        kchat.errors.SettingsError: it cannot be used; the one before stays.
    """
    server_context(cert, key)
    load(context, cert, key)


def load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Load a certificate and its key.

    Raises:
        kchat.errors.SettingsError: they are unreadable, not a pair, or encrypted.
    """
    for file in (cert, key):
        try:
            file.open("rb").close()
        except OSError as error:
            raise SettingsError(f"{file} cannot be read: {error.strerror or error}") from error
    try:
        context.load_cert_chain(cert, key, _refuse_password)
    except _Encrypted:
        raise SettingsError(
            f"the private key {key} is encrypted", hint="decrypt it first: openssl pkey -in KEY -out PLAIN"
        ) from None
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise SettingsError(f"{key} is not the private key of the certificate {cert}") from error
        raise SettingsError(f"{cert} and {key} are not a certificate and its private key (PEM)") from error


def _refuse_password() -> str:
    raise _Encrypted


def _check_time(context: ssl.SSLContext, cert: Path) -> None:
    """Let OpenSSL judge it: a client that trusts this certificate alone shakes hands with it, in memory."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cert)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        context.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                if error.verify_code in {_EXPIRED, _NOT_YET}:
                    when = "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
                    raise SettingsError(f"the certificate {cert} {when}", hint="renew it") from error
                return
            except ssl.SSLError:
                return
