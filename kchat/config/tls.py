"""TLS: what to trust and whom to be. :mod:`kchat.transports.tls` encrypts connections with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from kchat.errors import SettingsError
from kchat.transports.tls import PIN_PREFIX


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


def _normal_pin(text: str) -> str:
    digits = re.sub(r"(?i)^\s*sha-?256( fingerprint)?[:=]", "", text).replace(":", "").strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise SettingsError(
            "the pin of a certificate is sha256: and 64 hex digits",
            hint="openssl x509 -in server.pem -noout -fingerprint -sha256",
        )
    return PIN_PREFIX + digits
