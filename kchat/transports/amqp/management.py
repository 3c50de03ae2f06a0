"""The management HTTP API of RabbitMQ 3.10 and newer, as far as kchat needs it: accounts, rights, limits, connections.

https://www.rabbitmq.com/docs/management#http-api. Errors are those of :meth:`.management_requests.Requests.request`.
"""

from __future__ import annotations

from typing import Any

from kchat import errors
from kchat.transports.amqp.management_requests import Requests

PORT_OFFSET = 10_000
"""RabbitMQ's management listens on 15672 beside AMQP's 5672, and on 15671 beside AMQPS' 5671."""

_RIGHTS = ("vhost", "configure", "write", "read")


class Management(Requests):
    """One administrator's access to the management API. Arguments as of its base."""

    def require_administrator(self) -> None:
        """Make sure that the account may make others.

        Raises:
            kchat.errors.NotAuthorised: it may not.
        """
        if "administrator" not in _tags(self.get_object("whoami")):
            raise self._no_administrator()

    def users(self) -> list[dict[str, Any]]:
        """All accounts, each with ``name`` and ``tags``, a list of strings."""
        found = self.get_objects("users", query={"columns": "name,tags"}, strings=("name",))
        return [dict(user, tags=_tags(user)) for user in found]

    def user(self, name: str) -> dict[str, Any] | None:
        """One account, or None where there is none of that name."""
        try:
            user = self.get_object("users", name)
        except errors.NotFound:
            return None
        return dict(user, name=name, tags=_tags(user))

    def put_user(self, name: str, password: str, tags: tuple[str, ...]) -> None:
        """Make an account, or change its password and tags."""
        self.request("PUT", "users", name, body={"password": password, "tags": ",".join(tags)})

    def delete_user(self, name: str) -> None:
        """Delete an account with its rights. RabbitMQ closes its connections, a moment later.

        Raises:
            kchat.errors.NotFound: there is none of that name.
        """
        self.request("DELETE", "users", name)

    def permissions(self, name: str) -> list[dict[str, str]]:
        """An account's rights: ``vhost``, ``configure``, ``write`` and ``read`` for each virtual host that it may use."""
        return self.get_objects("users", name, "permissions", strings=_RIGHTS)

    def all_permissions(self) -> dict[str, list[dict[str, str]]]:
        """As :meth:`permissions`, of all accounts that have any, by their names."""
        found: dict[str, list[dict[str, str]]] = {}
        for granted in self.get_objects("permissions", strings=("user", *_RIGHTS)):
            found.setdefault(granted["user"], []).append(granted)
        return found

    def put_permissions(self, vhost: str, name: str, *, configure: str, write: str, read: str) -> None:
        """Set an account's rights on one virtual host, as regular expressions."""
        rights = {"configure": configure, "write": write, "read": read}
        self.request("PUT", "permissions", vhost, name, body=rights)

    def limit(self, name: str, limit: str, value: int) -> None:
        """Set ``max-connections`` or ``max-channels`` of an account (https://www.rabbitmq.com/docs/user-limits)."""
        self.request("PUT", "user-limits", name, limit, body={"value": value})

    def connections(self, name: str) -> list[str]:
        """The names of an account's open connections, the newest included."""
        return [one["name"] for one in self.get_objects("connections", "username", name, strings=("name",))]

    def close_connections(self, name: str, reason: str) -> None:
        """Close an account's open connections, the newest included. The clients get 320 with the reason."""
        self.request("DELETE", "connections", "username", name, headers={"X-Reason": reason})

    def exchange_types(self) -> set[str]:
        """The types of exchanges that the broker knows, those of its plug-ins included."""
        kinds = self.get_object("overview").get("exchange_types")
        if not isinstance(kinds, list):
            raise self._no_api()
        return {str(kind.get("name")) for kind in kinds if isinstance(kind, dict)}


def _tags(account: dict[str, Any]) -> list[str]:
    tags = account.get("tags")
    return [str(tag) for tag in tags] if isinstance(tags, list) else []
