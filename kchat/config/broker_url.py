"""The broker by its connection URL, or by the options in place of one; and what a URL's options say about TLS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from kchat.config.tls import TlsOptions
from kchat.errors import SettingsError
from kchat.transports import ENTRIES, TRANSPORTS
from kchat.transports.url import Broker, Parts

if TYPE_CHECKING:
    from kchat.transports.url import UrlOptions

__all__ = ["Broker", "Parts", "complete", "from_parts", "tls_of", "url_without_password", "with_tls"]


def url_without_password(broker: Broker) -> str:
    """A broker's connection URL with its account and its options, and without the account's password."""
    bare = replace(broker, password=None)
    return bare.url() + (f"?{urlencode(bare.options)}" if bare.options else "")


def from_parts(transport: str | None, parts: Parts) -> list[Broker]:
    """The brokers that options in place of a URL name.

    Arguments:
        transport: a name of the registry. Default: the first of kchat's own that takes such parts; a project may stand in
            the environment for good, so it chooses only where nothing else does.
        parts: their values.

    Raises:
        SettingsError: it makes no sense.
    """
    found = TRANSPORTS.get(transport or _that_takes(parts))
    if found is None:
        raise SettingsError(
            f"no transport {transport!r}", hint=f"the transports are: {', '.join(TRANSPORTS)}"
        )
    return found.urls.from_parts(parts)


def _that_takes(parts: Parts) -> str:
    given = {name for name, value in parts._asdict().items() if value}
    wanted = given - {"project"} or given
    return next(name for name in ENTRIES.built_in if wanted <= TRANSPORTS[name].urls.takes)


def with_tls(broker: Broker, *, switch: bool) -> Broker:
    """The broker with TLS, where it can have it.

    Arguments:
        broker: it.
        switch: whether a scheme without TLS becomes the one with it; a URL that says otherwise is not overruled.

    Raises:
        SettingsError: it is one without TLS.
    """
    encrypted = broker.transport.tls_schemes.get(broker.scheme)
    if encrypted is None:
        return broker
    if not switch:
        raise SettingsError(
            f"{broker} is a connection without TLS, so the options for TLS would protect nothing",
            hint=f"begin the URL with {encrypted}://",
        )
    return replace(broker, scheme=encrypted)


def complete(
    broker: Broker, username: str | None, password: str | None, environ: Mapping[str, str]
) -> Broker:
    """The broker with what its URL leaves out; see :meth:`kchat.transports.url.Urls.complete`."""
    return broker.transport.urls.complete(broker, username, password, environ)


def tls_of(found: UrlOptions, beside: TlsOptions | None) -> TlsOptions | None:
    """What to trust and whom to be, by the options in the URL or by those beside it.

    Arguments:
        found: in the URL.
        beside: the URL.

    Raises:
        SettingsError: there are both, or they contradict each other.
    """
    own = None if found.tls is None else TlsOptions(**found.tls)
    if own is not None and beside:
        raise SettingsError(
            "options for TLS stand in the URL and beside it",
            hint="use those beside it: {tls_ca} and the like",
        )
    return beside if own is None else own
