"""``pubsub://project`` URLs; the options are those of :mod:`.options`."""

from __future__ import annotations

from urllib.parse import quote, unquote

from kchat.errors import SettingsError
from kchat.transports import url
from kchat.transports.url import Broker, Parts, read_query


class Urls(url.Urls):
    """See :class:`kchat.transports.url.Urls`."""

    takes = frozenset({"project"})

    def read(self, scheme: str, rest: str) -> Broker:
        """A project, which has neither port nor account."""
        project, _, query = rest.partition("?")
        if not project.strip("/"):
            raise SettingsError("the Pub/Sub URL names no project", hint="for example: pubsub://my-project")
        return Broker(scheme, host=unquote(project.strip("/")), options=read_query(query))

    def write_host(self, host: str) -> str:
        """The project of an organisation, ``example.com:project``, has a colon that does not begin a port."""
        return quote(host)

    def from_parts(self, parts: Parts) -> list[Broker]:
        """A project is all that there is."""
        if not parts.project:
            raise SettingsError("Pub/Sub needs a project", hint="name it with {project} or KCHAT_PROJECT")
        return [Broker(next(iter(self.transport.schemes)), host=parts.project)]

    def check(self, broker: Broker) -> None:
        """The values too, which nobody looks at before the connection is made."""
        super().check(broker)
        if broker.options:
            from .options import Options

            try:
                Options.read(broker.options)
            except ValueError as error:
                raise SettingsError(f"in the URL: {str(error).removeprefix('transport ')}") from error
