"""Links in a message's text: where they are, and whether one leads where a reader thinks that it does."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import urlsplit

# Printable ASCII alone: nothing else looks the same to everybody. No quotes, brackets or backslashes, which end a link in
# text; and what ends a sentence does not end a link.
_LINK = r"(?<![\w@/.-])https?://[A-Za-z0-9\[][^\s\"'<>`\\^{|}\x7f-\U0010ffff]*[A-Za-z0-9/#=&_~%+\-$@*]"
_LONGEST = 2048

_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def find_links(text: str) -> list[tuple[int, int]]:
    """Where the links of a safe text begin and end; each is to lead to exactly what is shown."""
    if "://" not in text:
        return []
    return [found.span() for found in re.finditer(_LINK, text) if found.end() - found.start() <= _LONGEST]


def is_honest(link: str) -> bool:
    """Whether a browser goes to the host that is read in a link: no user before it, and no other spelling of it.

    What browsers make of hosts: https://url.spec.whatwg.org/#host-parsing.
    """
    try:
        parts = urlsplit(link)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if port == _DEFAULT_PORTS[parts.scheme]:
        return False
    written = f"[{host}]" if ":" in host else host
    if port is not None:
        written += f":{port}"
    return parts.netloc.lower() == written and _is_canonical(host)


def _is_canonical(host: str) -> bool:
    try:
        if ":" in host:
            return IPv6Address(host).compressed == host
        if _NUMBER.fullmatch(host.rpartition(".")[2]):
            return str(IPv4Address(host)) == host
    except AddressValueError:
        return False
    return _HOST.fullmatch(host) is not None
