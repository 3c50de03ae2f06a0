"""The steps that brokers on a network share: name, port, TLS."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kchat import errors
from kchat.config.tls import fingerprint
from kchat.doctor import Check, Options, Outcome, driver, note, ok, skipped, wrong
from kchat.doctor.connected import ConnectedWalk
from kchat.transports import tls_errors
from kchat.transports.amqp import addresses

if TYPE_CHECKING:
    from kchat.config.settings import Settings

_SOON_DAYS = 14
"""A certificate that ends within so many days is worth a word."""

_ALERT_WAIT = 0.3
"""Seconds in which a server of TLS 1.3 says that it does not like the client's certificate."""

_NO_TIME_CHECK = 0x200000
"""``X509_V_FLAG_NO_CHECK_TIME`` of OpenSSL's x509_vfy.h, to which Python gives no name."""


class NetworkWalk(ConnectedWalk):
    """A walk to a broker behind a host's name and a TCP port.

    Arguments:
        settings: the room and one broker.
        options: what to look at.
    """

    def __init__(self, settings: Settings, options: Options) -> None:
        super().__init__(settings, options)
        self.host = self.broker.host or "localhost"
        self.port = self.broker.port or 0
        self.addresses: list[Any] = []

    @property
    def loopback(self) -> bool:
        """Whether the broker is reached on this machine."""
        try:
            return all(ipaddress.ip_address(each[4][0]).is_loopback for each in self.addresses)
        except ValueError:
            return False

    def connect(self) -> socket.socket:
        """A TCP connection to the broker.

        Raises:
            OSError: there is none.
        """
        return addresses.connect(self.host, self.port, self.settings.connect_timeout)


def dns(walk: NetworkWalk) -> Outcome:
    """The host's name has addresses."""
    try:
        walk.addresses = addresses.resolve(walk.host, walk.port)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            return wrong(f"the name server does not answer for {walk.host}", "is this machine online?")
        return wrong(f"no such host: {walk.host}", "is the name spelled right, and known in this network?")
    except UnicodeError:
        return wrong(f"no such host: {walk.host}", "that cannot be a host's name")
    found = list(dict.fromkeys(str(each[4][0]) for each in walk.addresses))
    if found == [walk.host]:
        return skipped("an address, no name to look up")
    return ok(f"{walk.host} is {', '.join(found)}")


def tcp(walk: NetworkWalk) -> Outcome:
    """Something accepts connections at the port."""
    failures: list[tuple[str, OSError]] = []
    for family, kind, protocol, _, address in walk.addresses:
        with closing(socket.socket(family, kind, protocol)) as sock:
            sock.settimeout(walk.settings.connect_timeout)
            try:
                sock.connect(address)
            except OSError as error:
                failures.append((address[0], error))
                continue
            if failures:
                others = ", ".join(name for name, _ in failures)
                text = f"port {walk.port} is open on {address[0]}, not on {others}"
                # To be refused takes no time; to be left without an answer takes a share of the timeout.
                slow = any(isinstance(each, TimeoutError) for _, each in failures)
                return note(text, "that costs time at each start") if slow or not walk.loopback else ok(text)
            return ok(f"port {walk.port} is open" + (f" on {address[0]}" if address[0] != walk.host else ""))
    failure = next((each for _, each in failures if isinstance(each, TimeoutError)), failures[0][1])
    outcome = _tcp_failure(walk, failure)
    if len(failures) == 1:
        return outcome
    tried = "; ".join(f"{name}: {each.strerror or each}" for name, each in failures)
    return replace(outcome, text=f"{outcome.text}; tried {tried}")


def _tcp_failure(walk: NetworkWalk, error: OSError) -> Outcome:
    if isinstance(error, TimeoutError):
        return wrong(
            f"no answer from port {walk.port} in {walk.settings.connect_timeout:g} s: that is what a firewall looks like",
            f"let TCP port {walk.port} in at the broker's firewall, for this machine's address; is the host up?",
        )
    if isinstance(error, ConnectionRefusedError):
        return wrong(
            f"nothing listens on port {walk.port} (connection refused)",
            "is the broker running, is that its port, and does it listen on this address (Docker: is the port published)?",
        )
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return wrong(
            f"no way to that network: {error.strerror}",
            "is this machine online, or in the right network (VPN)?",
        )
    return wrong(f"no connection to port {walk.port}: {error.strerror or error}")


def tls(walk: NetworkWalk) -> Outcome:
    """The server can prove who it is."""
    options = walk.settings.tls
    if not walk.broker.encrypted:
        if walk.loopback:
            return skipped("not used; the broker is on this machine")
        return note(
            "not used: whoever is on the way can read everything, the password too",
            "see --tls, and docs/tls.md",
        )
    try:
        with closing(options.wrap(walk.connect(), walk.host, walk.settings.connect_timeout)) as sock:
            _wait_for_alert(sock)
            version, certificate = sock.version(), sock.getpeercert(binary_form=True) or b""
    except (ssl.SSLError, tls_errors.PinMismatch, tls_errors.NoHandshake) as error:
        told = tls_errors.as_kchat_error(error, str(walk.broker), walk.host, "connect")
        text = str(told).removeprefix(f"{walk.broker}: ")
        if isinstance(told, errors.Untrusted):
            text += f"; it is {_describe(walk, _certificate(walk))}"
        return wrong(text, told.hint)
    except OSError as error:
        return wrong(
            f"the server aborted the TLS handshake: {error.strerror or error}", "is TLS on at that port?"
        )
    text = f"{version}; {_describe(walk, certificate)}"
    if options.insecure:
        return note(f"{text}; not checked", "leave out --tls-insecure, and pin the server with --tls-pin")
    left = _days_left(walk, certificate)
    if left is not None and left < _SOON_DAYS and not options.pin:
        return note(text, f"the certificate ends in {left} days")
    return ok(text)


def _wait_for_alert(sock: ssl.SSLSocket) -> None:
    """Brokers wait for the client to speak first, so what comes now is an alert.

    Raises:
        ssl.SSLError: it came.
    """
    sock.settimeout(_ALERT_WAIT)
    try:
        sock.read(1)
    except TimeoutError:
        return


def _certificate(walk: NetworkWalk) -> bytes:
    """The server's certificate (DER), whatever it is worth; empty where it cannot be had."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _handshake(walk, context, lambda sock: sock.getpeercert(binary_form=True)) or b""


def _details(walk: NetworkWalk, certificate: bytes) -> dict[str, Any]:
    """What stands in a certificate. Python takes apart only one that it trusts, so this one is trusted, to be looked at."""
    if not certificate:
        return {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=certificate)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_TIME_CHECK
    return _handshake(walk, context, lambda sock: sock.getpeercert()) or {}


def _handshake(walk: NetworkWalk, context: ssl.SSLContext, look: Callable[[ssl.SSLSocket], Any]) -> Any:
    try:
        with (
            closing(walk.connect()) as plain,
            closing(context.wrap_socket(plain, server_hostname=walk.host)) as sock,
        ):
            return look(sock)
    except OSError:  # SSLError is one
        return None


def _describe(walk: NetworkWalk, certificate: bytes) -> str:
    details = _details(walk, certificate)
    pin = fingerprint(certificate)
    if not details:
        return f"a certificate with the pin {pin}"
    names = ", ".join(value for _, value in details.get("subjectAltName", ())) or _name(
        details.get("subject")
    )
    issuer, subject = _name(details.get("issuer")), _name(details.get("subject"))
    by = "signed by itself" if issuer == subject else f"from {issuer}"
    return f"for {names}; {by}; until {_end(details):%Y-%m-%d}; pin {pin}"


def _days_left(walk: NetworkWalk, certificate: bytes) -> int | None:
    details = _details(walk, certificate)
    return (_end(details) - datetime.now(UTC)).days if details else None


def _end(details: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(details["notAfter"]), UTC)


def _name(parts: Any) -> str:
    """``CN`` of a distinguished name as :meth:`ssl.SSLSocket.getpeercert` writes it, or all of it."""
    pairs = [pair for part in parts or () for pair in part]
    return (
        next((value for key, value in pairs if key == "commonName"), ", ".join(value for _, value in pairs))
        or "nobody"
    )


CHECKS = (
    Check("settings", driver),
    Check("dns", dns, needs=("settings",)),
    Check("tcp", tcp, needs=("dns",)),
    Check("tls", tls, needs=("tcp",)),
)
