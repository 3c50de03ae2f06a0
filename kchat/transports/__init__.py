"""The transports: the one list of them. Their line is a folder; what such a folder holds says :mod:`kchat.transports.base`.

Other distributions add theirs by an entry point in the group ``kchat.transports``: an object of a class that is derived
from :class:`Transport`, under the name that it has itself. Command-line choices, help texts, ``kchat transports``,
``docs/transports.md`` and the contract tests read the list. Importing it imports no driver and no Kombu, and a transport
only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from kchat.errors import SettingsError
from kchat.plugins import Entry, Registry
from kchat.transports.base import Capabilities, Transport, without

__all__ = ["TRANSPORTS", "Capabilities", "Transport", "by_scheme", "register", "without"]


_KINDS = {"broker": str, "url_form": str, "schemes": Mapping, "capabilities": Capabilities, "note": str}


def _not_usable(entry: Entry, found: object) -> str:
    """Why what a plug-in has is not a transport; empty if it is one."""
    if not isinstance(found, Transport):
        return f"{entry.path} is not an instance of kchat.transports.Transport"
    if missing := [name for name in Transport.__annotations__ if not hasattr(found, name)]:
        return f"it does not declare {', '.join(missing)}"
    if found.name != entry.name:
        return f"its transport calls itself {found.name!r}"
    if wrong := [name for name, kind in _KINDS.items() if not isinstance(getattr(found, name), kind)]:
        return f"its {wrong[0]} is not a {_KINDS[wrong[0]].__name__}"
    if not found.schemes or not all(isinstance(each, str) for pair in found.schemes.items() for each in pair):
        return "its schemes are not names with the path of a class each"
    own = {scheme for name in TRANSPORTS.built_in for scheme in TRANSPORTS[name].schemes}
    if taken := sorted(own & set(found.schemes)):
        return f"{taken[0]}:// URLs are kchat's own"
    return ""


TRANSPORTS: Registry[Transport] = Registry(
    "kchat.transports",
    Entry("local", "kchat.transports.local:TRANSPORT"),
    Entry("amqp", "kchat.transports.amqp:TRANSPORT"),
    Entry("pubsub", "kchat.transports.pubsub:TRANSPORT"),
    Entry("redis", "kchat.transports.redis:TRANSPORT"),
    Entry("memory", "kchat.transports.memory:TRANSPORT"),
    fault=_not_usable,
)
"""The transports by name; whether its driver is there, each tells: :attr:`kchat.transports.base.Transport.installed`."""


@cache
def by_scheme(scheme: str) -> Transport:
    """The transport that a URL scheme names.

    Raises:
        SettingsError: no transport has that scheme, two plug-ins have it, or the plug-in of that name cannot be used.
    """
    likely = scheme.removesuffix("s")  # amqps, rediss
    for name in sorted(TRANSPORTS.built_in, key=lambda name: name != likely):
        if scheme in TRANSPORTS[name].schemes:
            return TRANSPORTS[name]
    if scheme in TRANSPORTS.plug_ins:
        _ = TRANSPORTS[scheme]  # says why it cannot be used
    every, problems = TRANSPORTS.usable()
    found = [each for each in every if scheme in each.schemes]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(each.name for each in found)
        raise SettingsError(
            f"{scheme}:// URLs belong to several plug-ins: {names}", hint="uninstall all but one"
        )
    known = ", ".join(known for each in every for known in each.schemes)
    raise SettingsError(
        f"no transport for {scheme!r} URLs", hint="; ".join([f"the schemes are: {known}", *problems])
    )


def register() -> None:
    """Make the transports known to Kombu, so that ``kombu.Connection("local://...")`` works. Safe to repeat.

    Schemes that Kombu knows keep Kombu's transport for everybody but kchat. A plug-in that cannot be used is left out.
    """
    from kombu.transport import TRANSPORT_ALIASES

    for each in TRANSPORTS.usable()[0]:
        for scheme, path in each.schemes.items():
            TRANSPORT_ALIASES.setdefault(scheme, path)
