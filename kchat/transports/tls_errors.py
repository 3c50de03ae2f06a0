"""What a failed TLS connection means, with any driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kchat import errors

if TYPE_CHECKING:
    import ssl


class PinMismatch(OSError):
    """The server has another certificate than the pinned one: another server, a renewed one, or somebody in between."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"its certificate is {found} and not {expected}")
        self.found = found


class NoHandshake(TimeoutError):
    """The server said nothing to the TLS handshake, as one without TLS may that waits for the end of a line."""


def as_kchat_error(error: OSError, where: str, host: str, doing: str) -> errors.BrokerError:
    """What a failed TLS connection means, by an :class:`ssl.SSLError` or an error of this module."""
    import ssl

    from kchat.transports.errors import STARTING  # which imports this module

    if isinstance(error, NoHandshake):
        return errors.Unreachable(f"{where}: {error}", hint="is TLS on at that port?")
    if isinstance(error, PinMismatch):
        return errors.Untrusted(
            f"{where}: not the pinned certificate but {error.found}: somebody may be in between; nothing was sent",
            hint="if its owner has renewed it, ask the owner for the new pin, by another way than this one",
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, where, host)
    reason = str(getattr(error, "reason", None) or "")
    _, alert, told = reason.partition("ALERT_")
    if alert and told in _ABOUT_CLIENT:
        return errors.NotAuthorised(f"{where}: {_ABOUT_CLIENT[told]}", hint="see {tls_cert} and {tls_key}")
    if doing != "connect":
        return errors.Closed(f"{where}: the TLS connection broke: {reason or error}")
    if reason in _NO_TLS:
        return errors.Unreachable(
            f"{where}: the server does not speak TLS",
            hint="without TLS the URL begins with amqp:// or redis://; TLS is usually at another port (5671)",
        )
    if told == "PROTOCOL_VERSION" or reason == "UNSUPPORTED_PROTOCOL":
        return errors.Unreachable(f"{where}: the server does not support TLS 1.2 or newer")
    if isinstance(error, ssl.SSLEOFError) or told == "HANDSHAKE_FAILURE":
        return errors.Unreachable(
            f"{where}: the server aborted the TLS handshake",
            hint=f"{STARTING}; or it has no TLS at that port, or wants a client's certificate ({{tls_cert}})",
        )
    return errors.Unreachable(f"{where}: no TLS connection: {reason or error}")


_NO_TLS = {
    "WRONG_VERSION_NUMBER",
    "PACKET_LENGTH_TOO_LONG",
    "UNKNOWN_PROTOCOL",
    "HTTP_REQUEST",
    "RECORD_LAYER_FAILURE",
    "INVALID_RECORD",
}
"""OpenSSL's words for bytes that are not TLS; they differ from release to release."""

_ABOUT_CLIENT = {
    "CERTIFICATE_REQUIRED": "the server wants a client's certificate",
    "UNKNOWN_CA": "the server does not know the CA of the client's certificate",
    "BAD_CERTIFICATE": "the server refuses the client's certificate",
    "UNSUPPORTED_CERTIFICATE": "the server refuses the client's certificate: not that kind",
    "CERTIFICATE_REVOKED": "the client's certificate is revoked",
    "CERTIFICATE_EXPIRED": "the client's certificate has expired",
    "CERTIFICATE_UNKNOWN": "the server refuses the client's certificate",
    "ACCESS_DENIED": "the server refuses the client's certificate",
    "DECRYPT_ERROR": "the server refuses the client's certificate",
}
"""Alerts (RFC 8446 section 6.2) that a server sends about the client's certificate."""

_OTHER_NAME = {62, 64}
_EXPIRED, _NOT_YET = 10, 9
_UNKNOWN_CA = {18, 19, 20, 21}
"""``X509_V_ERR_...`` of OpenSSL's x509_vfy.h: the peer's name, the dates, the chain."""


def _untrusted(error: ssl.SSLCertVerificationError, where: str, host: str) -> errors.Untrusted:
    code = error.verify_code
    if code in _OTHER_NAME:
        what = f"is for other names than {host}"
        hint = "use a name that the certificate bears, or pin it with {tls_pin}"
    elif code == _EXPIRED:
        what, hint = "has expired", f"have it renewed; or is {_today()} not today?"
    elif code == _NOT_YET:
        what, hint = "is not valid yet", f"is the clock right? It says {_today()}"
    elif code in _UNKNOWN_CA:
        what = "comes from a CA that is not trusted here"
        hint = "name the CA's certificate with {tls_ca}, or pin the server's with {tls_pin}"
    else:
        what, hint = f"is not valid: {error.verify_message}", ""
    return errors.Untrusted(f"{where}: its certificate {what}", hint=hint)


def _today() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
