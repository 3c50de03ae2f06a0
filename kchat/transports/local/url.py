"""``local://`` URLs: a file; the options are those of :mod:`.options`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote

from kchat.errors import no_home
from kchat.transports import url
from kchat.transports.url import Broker, read_query


class Urls(url.Urls):
    """See :class:`kchat.transports.url.Urls`."""

    def read(self, scheme: str, rest: str) -> Broker:
        """All before the query is a path; a ``#`` may be in it."""
        path, _, query = rest.partition("?")
        return Broker(scheme, path=unquote(path), options=read_query(query))

    def write_path(self, path: str) -> str:
        """The file."""
        return quote(path)

    def complete(
        self,
        broker: Broker,
        account: str | None,  # noqa: ARG002 - there are no accounts
        password: str | None,  # noqa: ARG002
        environ: Mapping[str, str],  # noqa: ARG002
    ) -> Broker:
        """The default room, or one in the home folder, by its absolute path."""
        if broker.path and not broker.path.startswith("~"):
            return broker
        from amqp.exceptions import NotAllowed

        from .options import default_path

        try:
            path = Path(broker.path).expanduser() if broker.path else Path(default_path())
        except (RuntimeError, NotAllowed):
            raise no_home() from None
        if not path.is_absolute():
            raise no_home()
        return replace(broker, path=str(path))
