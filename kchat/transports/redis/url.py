"""``redis://`` and ``rediss://`` URLs; the options are redis-py's."""

from __future__ import annotations

from types import MappingProxyType

from kchat.transports import url


class Urls(url.Urls):
    """See :class:`kchat.transports.url.Urls`."""

    tls_files = MappingProxyType({"ssl_ca_certs": "ca", "ssl_certfile": "cert", "ssl_keyfile": "key"})
    tls_check = ("ssl_cert_reqs", "required")
