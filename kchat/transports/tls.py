"""TLS: what to trust and whom to be, and the one place where a socket becomes an encrypted one.

Python's ``ssl`` is loaded only when a connection is encrypted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kchat.errors import SettingsError
from kchat.transports.tls_errors import NoHandshake, PinMismatch

if TYPE_CHECKING:
    import socket
    import ssl

PIN_PREFIX = "sha256:"

_FILES = {
    "ca": "the CA's certificate",
    "cert": "the client's certificate",
    "key": "the key of the client's certificate",
}


@dataclass(frozen=True)
class TlsOptions:
    """What a client asks of TLS. By default the system's CAs are trusted and the host's name is checked.

    Attributes:
        ca: file (PEM) with the CAs to trust instead of the system's.
        cert: file (PEM) with the client's own certificate and its chain, for mutual TLS.
        key: file (PEM) with its private key. Default: the key is in ``cert``.
        pin: ``sha256:`` and the hex digest of the server's own certificate (DER). It replaces all other checks: a
            server with another certificate is refused before anything is sent; one with this certificate needs no CA, and
            may have any name.
            openssl's spelling, with colons and capitals, is taken too.
        insecure: check nothing. An attacker on the way can then read the password.

    Raises:
        SettingsError: they contradict each other, or the pin is not one.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    pin: str | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if self.pin is not None:
            object.__setattr__(self, "pin", _normal_pin(self.pin))
        if self.key is not None and self.cert is None:
            raise SettingsError("a TLS key needs its certificate", hint="add {tls_cert}")
        if self.insecure and (self.pin or self.ca):
            raise SettingsError(
                "either the server's certificate is checked or it is not",
                hint="leave out {tls_insecure}, or {tls_ca} and {tls_pin}",
            )

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return any(getattr(self, field.name) for field in fields(self))


def check_files(tls: TlsOptions) -> None:
    """Look whether the files are there, which costs next to nothing; SettingsError where one cannot be read."""
    for name, meaning in _FILES.items():
        path = getattr(tls, name)
        try:
            if path is not None:
                with Path(path).open("rb") as file:  # OpenSSL's errors do not tell which file they are about
                    file.read(1)
        except OSError as error:
            raise SettingsError(f"{path}: {meaning} cannot be read: {error.strerror}") from error


def context(tls: TlsOptions) -> ssl.SSLContext:
    """TLS 1.2 or newer, with what is to be trusted; SettingsError where a file is not what it should be."""
    import ssl

    def locked() -> NoReturn:
        raise SettingsError(
            f"{tls.key or tls.cert}: the key is locked with a password",
            hint="unlock it: openssl pkey -in KEY -out NEW",
        )

    check_files(tls)
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except ssl.SSLError as error:
        raise SettingsError(f"{tls.ca}: there is no certificate of a CA in it (PEM)") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.pin or tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert is not None:
        try:
            context.load_cert_chain(tls.cert, tls.key, password=locked)
        except ssl.SSLError as error:
            raise SettingsError(_chain_fault(error, tls.cert, tls.key or tls.cert)) from error
    return context


def wrap(tls: TlsOptions, sock: socket.socket, server_hostname: str, timeout: float | None) -> ssl.SSLSocket:
    """Make a connected socket an encrypted one. When it returns, the server is the right one; nothing else was sent.

    Arguments:
        tls: what to trust and whom to be.
        sock: connected; closed by this when it fails.
        server_hostname: the name or address that was asked for; sent to the server (SNI) and checked.
        timeout: seconds for the handshake; stays the socket's timeout.

    Raises:
        SettingsError: see :func:`context`.
        OSError: the connection was lost, or one of :mod:`kchat.transports.tls_errors`, such as PinMismatch.
    """
    ours = sock
    try:
        sock.settimeout(timeout)
        ours = encrypted = context(tls).wrap_socket(
            sock, server_hostname=server_hostname, do_handshake_on_connect=False
        )
        try:
            encrypted.do_handshake()
        except TimeoutError as error:
            raise NoHandshake("no answer to the TLS handshake") from error
        if tls.pin is not None:
            found = fingerprint(encrypted.getpeercert(binary_form=True) or b"")
            if found != tls.pin:
                raise PinMismatch(tls.pin, found)
    except BaseException:
        ours.close()
        raise
    return encrypted


def fingerprint(certificate: bytes) -> str:
    """The pin of a certificate (DER): ``sha256:`` and 64 hex digits."""
    import hashlib  # a sender without pins does without

    return PIN_PREFIX + hashlib.sha256(certificate).hexdigest()


def _normal_pin(text: str) -> str:
    digits = re.sub(r"(?i)^\s*sha-?256( fingerprint)?[:=]", "", text).replace(":", "").strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise SettingsError(
            "the pin of a certificate is sha256: and 64 hex digits",
            hint="openssl x509 -in server.pem -noout -fingerprint -sha256",
        )
    return PIN_PREFIX + digits


def _chain_fault(error: ssl.SSLError, cert: str, key: str) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{key} is not the key of the certificate in {cert}"
    files = cert if key == cert else f"{cert} and {key}"
    return f"{files}: no certificate and private key (PEM) for TLS"
