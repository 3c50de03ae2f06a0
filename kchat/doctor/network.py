"""The checks that brokers on a network share: host name, port, TLS."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kchat import errors
from kchat.transports import addresses, tls_errors
from kchat.transports.checks import Outcome, note, ok, skipped, wrong
from kchat.transports.errors import STARTING
from kchat.transports.tls import fingerprint, wrap

if TYPE_CHECKING:
    from kchat.doctor.walk import Walk

_SOON_DAYS = 14
"""Days before the end of a certificate from which on the user should know."""

_ALERT_WAIT = 0.3
"""Seconds in which a server of TLS 1.3 says that it does not like the client's certificate."""

_NO_TIME_CHECK = 0x200000
"""``X509_V_FLAG_NO_CHECK_TIME`` of OpenSSL's x509_vfy.h, to which Python gives no name."""


def dns(walk: Walk) -> Outcome:
    """The host's name has addresses."""
    host = _host(walk)
    try:
        walk.addresses = addresses.resolve(host, walk.broker.port or 0)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            return wrong(f"the name server does not answer for {host}", "is this machine online?")
        return wrong(f"no such host: {host}", "is the name spelled right, and known in this network?")
    except UnicodeError:
        return wrong(f"no such host: {host}", "that cannot be a host's name")
    found = list(dict.fromkeys(str(each[4][0]) for each in walk.addresses))
    if found == [host]:
        return skipped("an address, so there is nothing to look up")
    return ok(f"{host} is {', '.join(found)}")


def tcp(walk: Walk) -> Outcome:
    """Something accepts connections at the port."""
    port = walk.broker.port
    failures: dict[str, OSError] = {}
    for family, kind, protocol, _, address in walk.addresses:
        with closing(socket.socket(family, kind, protocol)) as sock:
            sock.settimeout(walk.settings.connect_timeout)
            try:
                sock.connect(address)
            except OSError as error:
                failures[address[0]] = error
                continue
        if not failures:
            return ok(f"port {port} is open" + (f" on {address[0]}" if address[0] != _host(walk) else ""))
        text = f"port {port} is open on {address[0]}, not on {', '.join(failures)}"
        # A refusal takes no time; silence takes a share of the timeout.
        slow = any(isinstance(each, TimeoutError) for each in failures.values())
        return note(text, "that costs time at each start") if slow or not walk.loopback else ok(text)
    found = list(failures.values())
    failure = next((each for each in found if isinstance(each, TimeoutError)), found[0])
    outcome = _tcp_failure(walk, failure)
    if len(failures) == 1:
        return outcome
    tried = "; ".join(f"{name}: {each.strerror or each}" for name, each in failures.items())
    return replace(outcome, text=f"{outcome.text}; tried {tried}")


def _tcp_failure(walk: Walk, error: OSError) -> Outcome:
    port = walk.broker.port
    if isinstance(error, TimeoutError):
        return wrong(
            f"no answer from port {port} in {walk.settings.connect_timeout:g} s, as with a firewall",
            f"let TCP port {port} in at the broker's firewall, for this machine's address; is the host up?",
        )
    if isinstance(error, ConnectionRefusedError):
        return wrong(
            f"nothing listens on port {port} (connection refused)",
            "is the broker running, is that its port, and does it listen on this address (Docker: is the port published)?",
        )
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return wrong(
            f"no route to that network: {error.strerror}",
            "is this machine online, or in the right network (VPN)?",
        )
    return wrong(
        f"no connection to port {port}: {error.strerror or error}",
        STARTING if error.errno == errno.ECONNRESET else "",
    )


def tls(walk: Walk) -> Outcome:
    """The server can prove its identity."""
    options = walk.settings.tls
    if not walk.broker.encrypted:
        if walk.loopback:
            return skipped("not used; the broker is on this machine")
        return note(
            "not used: anyone on the way can read everything, including the password",
            "see {tls}, and docs/tls.md",
        )
    try:
        with closing(wrap(options, _connect(walk), _host(walk), walk.settings.connect_timeout)) as sock:
            sock.settimeout(_ALERT_WAIT)
            with suppress(TimeoutError):
                sock.read(1)  # brokers wait for the client to speak first, so what comes now is an alert
            version, certificate = sock.version(), sock.getpeercert(binary_form=True) or b""
    except (ssl.SSLError, tls_errors.PinMismatch, tls_errors.NoHandshake) as error:
        told = tls_errors.as_kchat_error(error, str(walk.broker), _host(walk), "connect")
        text = str(told)
        if isinstance(told, errors.Untrusted):
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            certificate = _handshake(walk, context, lambda sock: sock.getpeercert(binary_form=True)) or b""
            text += f"; it is {_description(certificate, _details(walk, certificate))}"
        return wrong(text, told.hint)
    except OSError as error:
        return wrong(
            f"the server aborted the TLS handshake: {error.strerror or error}",
            f"{STARTING}; or it has no TLS at that port",
        )
    details = _details(walk, certificate)
    text = f"{version}; {_description(certificate, details)}"
    if options.insecure:
        return note(f"{text}; not checked", "leave out {tls_insecure}, and pin the server with {tls_pin}")
    left = (_end(details) - datetime.now(UTC)).days if details else _SOON_DAYS
    if left < _SOON_DAYS and not options.pin:
        return note(text, f"the certificate ends in {left} days")
    return ok(text)


def _host(walk: Walk) -> str:
    return walk.broker.host or "localhost"


def _connect(walk: Walk) -> socket.socket:
    return addresses.connect(_host(walk), walk.broker.port or 0, walk.settings.connect_timeout)


def _details(walk: Walk, certificate: bytes) -> dict[str, Any]:
    """A certificate's content. Python parses only one that it trusts, so this one (DER) is trusted, to be looked at."""
    if not certificate:
        return {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=certificate)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_TIME_CHECK
    return _handshake(walk, context, lambda sock: sock.getpeercert()) or {}


def _handshake(walk: Walk, context: ssl.SSLContext, look: Callable[[ssl.SSLSocket], Any]) -> Any:
    try:
        with (
            closing(_connect(walk)) as plain,
            closing(context.wrap_socket(plain, server_hostname=_host(walk))) as sock,
        ):
            return look(sock)
    except OSError:  # SSLError is one
        return None


def _description(certificate: bytes, details: dict[str, Any]) -> str:
    pin = fingerprint(certificate)
    if not details:
        return f"a certificate with the pin {pin}"
    issuer, subject = _name(details.get("issuer")), _name(details.get("subject"))
    names = ", ".join(value for _, value in details.get("subjectAltName", ())) or subject
    by = "signed by itself" if issuer == subject else f"from {issuer}"
    return f"for {names}; {by}; until {_end(details):%Y-%m-%d}; pin {pin}"


def _end(details: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(details["notAfter"]), UTC)


def _name(parts: Any) -> str:
    """``CN`` of a distinguished name as :meth:`ssl.SSLSocket.getpeercert` writes it, or all of it."""
    pairs = [pair for part in parts or () for pair in part]
    common = (value for key, value in pairs if key == "commonName")
    return next(common, ", ".join(value for _, value in pairs)) or "nobody"
