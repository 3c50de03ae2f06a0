"""Where the server listens, and by which name its guests reach it."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from kchat.errors import KchatError, SettingsError

if TYPE_CHECKING:
    from kchat.web.options import ServeOptions

DEFAULT_PORTS = {"http": 80, "https": 443}

_LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")

_HOST = re.compile(r"[0-9a-z]([0-9a-z._-]{0,251}[0-9a-z])?")

_PREFIX = re.compile(r"(/[0-9A-Za-z._~-]+)+")


class Authority(NamedTuple):
    """A host and a port, by which equal ones are equal: lower case, no trailing dot, IPv6 addresses in their short form."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, scheme: str) -> Authority | None:
        """From the value of ``Host``, or what is between ``//`` and ``/`` in a URL; None for what is neither.

        Arguments:
            text: such as ``Chat.Example.org.:443`` or ``[::1]``.
            scheme: whose port is meant where none is written.
        """
        host, port = text.lower(), ""
        if host.startswith("["):
            host, bracket, port = host[1:].partition("]")
            if not bracket or (port and not port.startswith(":")):
                return None
            try:
                host = str(ipaddress.IPv6Address(host))
            except ValueError:
                return None
        else:
            host, _, port = host.partition(":")
            port = f":{port}" if _ else ""
            host = host.removesuffix(".")
            if not _HOST.fullmatch(host):
                return None
        digits = port[1:]
        if not digits:
            return cls(host, DEFAULT_PORTS[scheme])
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and int(digits) <= 65535):
            return None
        return cls(host, int(digits))

    def url(self, scheme: str) -> str:
        """With a scheme, as an origin: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}" + ("" if self.port == DEFAULT_PORTS[scheme] else f":{self.port}")


class PublicUrl(NamedTuple):
    """How guests reach the page.

    Attributes:
        scheme: ``http`` or ``https``.
        authority: the host and port.
        prefix: the path before the page's, such as ``/chat``; empty for none.
    """

    scheme: str
    authority: Authority
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> PublicUrl:
        """From what the host has given.

        Raises:
            kchat.errors.SettingsError: it is not such a URL, or guests' cookies would travel in the clear.
        """
        wrong = SettingsError(
            "the public URL is not valid",
            hint="give it like https://chat.example.org, maybe with a port and a path",
        )
        try:
            parts = urlsplit(text)
        except ValueError:
            raise wrong from None
        if not text.isascii() or not text.isprintable() or " " in text or parts.scheme not in DEFAULT_PORTS:
            raise wrong
        if parts.query or parts.fragment or "@" in parts.netloc or text[-1] in "?#":
            raise SettingsError(
                "the public URL has a query, a fragment or a password", hint="leave them out: guests see it"
            )
        authority, prefix = Authority.parse(parts.netloc, parts.scheme), parts.path.rstrip("/")
        if (
            authority is None
            or (prefix and not _PREFIX.fullmatch(prefix))
            or "/.." in prefix
            or "/./" in prefix + "/"
        ):
            raise wrong
        if prefix.split("/")[1:2] == ["api"]:
            raise SettingsError("the public URL's path cannot begin with /api: that is the page's own")
        if parts.scheme == "http" and not is_loopback(authority.host):
            raise SettingsError(
                "the public URL has no TLS: others on the way could read all that is said",
                hint="it has to begin with https://",
            )
        return cls(parts.scheme, authority, prefix)

    @property
    def origin(self) -> str:
        """As browsers send it."""
        return self.authority.url(self.scheme)

    @property
    def base(self) -> str:
        """Without a slash at its end."""
        return self.origin + self.prefix


class Names(NamedTuple):
    """The names of a server.

    Attributes:
        public: by which guests reach it.
        hosts: the authorities of requests that are meant for it.
        origins: of its own pages.
        scheme: of the server itself: behind a proxy ``http``.
    """

    public: PublicUrl
    hosts: frozenset[Authority]
    origins: frozenset[str]
    scheme: str

    @classmethod
    def of(cls, options: ServeOptions, port: int) -> Names:
        """The names of a server that listens on a port."""
        scheme = "https" if options.tls_cert else "http"
        local = [Authority(name, port) for name in _LOCAL_NAMES]
        if options.public_url is not None:
            public = PublicUrl.parse(options.public_url)
        elif options.host in ("::1", "localhost") or not is_loopback(options.host):
            written = f"[{options.host}]" if ":" in options.host else options.host
            authority = Authority.parse(f"{written}:{port}", scheme)
            if authority is None:
                raise SettingsError(f"{options.host} is not a valid host name or address")
            public = PublicUrl(scheme, authority)
        else:
            public = PublicUrl(scheme, Authority(options.host, port))
        hosts = {public.authority, *local}
        if options.behind_proxy:  # which may leave out the port, or write its own
            hosts.add(Authority(public.authority.host, DEFAULT_PORTS["http"]))
        return cls(
            public,
            frozenset(hosts),
            frozenset({public.origin, *(each.url(scheme) for each in local)}),
            scheme,
        )


def is_loopback(host: str) -> bool:
    """Whether a name or address leads to this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(options: ServeOptions) -> None:
    """Refuse an address that others reach without TLS, or one whose name nobody has said.

    Raises:
        kchat.errors.SettingsError: others could read what is said, and the cookies; or lead browsers here by another name.
    """
    if bool(options.tls_cert) != bool(options.tls_key):
        raise SettingsError("a certificate and its key belong together: one of them is missing")
    public = None if options.public_url is None else PublicUrl.parse(options.public_url)
    if not (is_loopback(options.host) or options.tls_cert or options.behind_proxy):
        raise SettingsError(
            f"others could read all that is said at {options.host}: it has no TLS",
            hint="give a certificate and its key, or {behind_proxy} where a proxy does TLS",
        )
    if public is None and (options.behind_proxy or _is_any(options.host)):
        raise SettingsError(
            "the server cannot know by which name guests reach it",
            hint="give it with {public_url}, such as https://chat.example.org",
        )
    if public is not None and public.scheme == "http" and options.tls_cert:
        raise SettingsError("the public URL begins with http://, and the server has TLS")
    if public is not None and public.scheme == "https" and not (options.tls_cert or options.behind_proxy):
        raise SettingsError(
            "the public URL begins with https://, and the server has no TLS",
            hint="give {behind_proxy} where a proxy does TLS, or a certificate and its key",
        )


def _is_any(host: str) -> bool:
    try:
        return not host or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Take the address; connections are accepted once it listens.

    Raises:
        kchat.errors.KchatError: it is in use, reserved, or not one of this machine.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    listening = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(address)
    except (OSError, OverflowError, UnicodeError) as error:
        if listening is not None:
            listening.close()
        why = getattr(error, "strerror", None) or error
        hint = (
            "choose another one with {port}"
            if isinstance(error, PermissionError) or "in use" in str(why)
            else ""
        )
        raise KchatError(f"cannot listen on {where}: {str(why).lower()}", hint=hint) from error
    return listening


def limited_address(host: str) -> str:
    """An address as limits count it: of IPv6 the first 64 bits, since each household has as many as it likes.

    What is not an address is ``unknown``.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address.is_loopback:
        return str(address)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
