"""A TCP connection to a host by whatever addresses its name has, one after the other, within one limit of time."""

from __future__ import annotations

import errno
import socket
from time import monotonic
from typing import Any

_NO_WAY = {
    getattr(errno, name, -1)
    for name in ("ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT", "ENETDOWN")
}
"""What says more about this machine's network than about the host: it has no IPv6, for one."""


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means, on every machine, that machine itself (RFC 6761 section 6.3)."""
    import ipaddress  # a sender does without

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def resolve(host: str, port: int) -> list[Any]:
    """The addresses of a host, all families, in the order in which to try them (RFC 6724), as of :func:`socket.getaddrinfo`.

    ``localhost`` is what the system says that it is. Raises gaierror, or UnicodeError for an impossible name.
    """
    # Python loads its IDNA codec to look up a text, which takes a millisecond; names in ASCII need none.
    name = host.encode() if host.isascii() else host
    return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)


def connect(host: str, port: int, timeout: float | None) -> socket.socket:
    """Connect to the first of a host's addresses that accepts.

    Arguments:
        host: name or address.
        port: TCP port.
        timeout: seconds for all of them together: each gets its share of what is left. It stays the socket's timeout.

    Raises:
        OSError: none accepts; what the first one said that can be reached from here at all.
    """
    failures: list[OSError] = []
    ends = None if timeout is None else monotonic() + timeout
    found = resolve(host, port)
    for number, (family, kind, protocol, _, address) in enumerate(found):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            failures.append(error)
            continue
        try:
            if ends is not None:
                sock.settimeout(max(0.001, (ends - monotonic()) / (len(found) - number)))
            sock.connect(address)
            sock.settimeout(timeout)
        except OSError as error:
            sock.close()
            failures.append(error)
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    telling = [error for error in failures if error.errno not in _NO_WAY]
    raise (telling or failures or [OSError(errno.EADDRNOTAVAIL, "the name has no address")])[0]
