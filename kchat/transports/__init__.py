"""The transports: the one list of them. Their line is a folder; what such a folder holds says :mod:`kchat.transports.base`.

Command-line choices, help texts, ``kchat transports``, ``docs/transports.md`` and the contract tests read it. Importing it
imports no driver and no Kombu, and a transport only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from kchat.errors import SettingsError
from kchat.transports.base import Capabilities, Transport, without

__all__ = ["TRANSPORTS", "Capabilities", "Transport", "by_scheme", "register", "without"]

_BUILT_IN = {
    "local": "kchat.transports.local",
    "amqp": "kchat.transports.amqp",
    "pubsub": "kchat.transports.pubsub",
    "redis": "kchat.transports.redis",
    "memory": "kchat.transports.memory",
}


class _Registry(Mapping[str, Transport]):
    """Transports by their names, each imported when it is first asked for."""

    def __getitem__(self, name: str) -> Transport:
        found: Transport = import_module(_BUILT_IN[name]).TRANSPORT
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_BUILT_IN)

    def __len__(self) -> int:
        return len(_BUILT_IN)


TRANSPORTS: Mapping[str, Transport] = _Registry()


def by_scheme(scheme: str) -> Transport:
    """The transport that a URL scheme names.

    Raises:
        SettingsError: no transport has that scheme.
    """
    likely = scheme.removesuffix("s")  # amqps, rediss
    for name in sorted(TRANSPORTS, key=lambda name: name != likely):
        if scheme in TRANSPORTS[name].schemes:
            return TRANSPORTS[name]
    known = ", ".join(scheme for info in TRANSPORTS.values() for scheme in info.schemes)
    raise SettingsError(f"no transport for {scheme!r} URLs", hint=f"the schemes are: {known}")


def register() -> None:
    """Make kchat's own transports known to Kombu, so that ``kombu.Connection("local://...")`` works. Safe to repeat.

    Schemes that Kombu knows keep Kombu's transport for everybody but kchat.
    """
    from kombu.transport import TRANSPORT_ALIASES

    for info in TRANSPORTS.values():
        for scheme, path in info.schemes.items():
            TRANSPORT_ALIASES.setdefault(scheme, path)
