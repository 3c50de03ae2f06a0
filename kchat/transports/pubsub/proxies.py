"""The proxy that gRPC goes through, for errors: it may have been set for the web alone.

https://github.com/grpc/grpc/blob/master/doc/environment_variables.md
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
_EXCEPTIONS = ("no_grpc_proxy", "no_proxy")


def note(endpoint: str) -> str:
    """`` through the proxy in https_proxy, proxy.example:3128``, or nothing where gRPC goes straight there.

    Arguments:
        endpoint: ``host:port`` or ``host``.
    """
    name = next((name for name in _PROXIES if os.environ.get(name)), None)
    if name is None:
        return ""
    host = endpoint.rpartition(":")[0] or endpoint
    excepted = next((value for each in _EXCEPTIONS if (value := os.environ.get(each))), "")
    if any(part and host.endswith(part) for part in map(str.strip, excepted.split(","))):
        return ""
    try:
        where = urlsplit(os.environ[name]).netloc.rpartition("@")[2]  # what stands in front may be a password
    except ValueError:
        where = ""
    return f" through the proxy in {name}, {where or 'not a URL'}"
