"""RabbitMQ's management API, as far as the tests look at it: urllib, JSON, no driver of ours."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from tests.brokers.wait import soon


class ManagementError(Exception):
    """The API answered with an error. ``status`` is the HTTP status code."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.status = status


class Management:
    """One account's view of a RabbitMQ's management API.

    Arguments:
        base_url: such as ``http://127.0.0.1:15672``, without ``/api``.
        username: an account with the ``management`` or ``administrator`` tag.
        password: its password.
        timeout: seconds for one request.
    """

    def __init__(self, base_url: str, username: str, password: str, timeout: float = 10.0) -> None:
        self.base_url = base_url.rstrip("/")
        self.timeout = timeout
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        # A proxy of the environment has no business between a test and its broker.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(self, method: str, path: Iterable[str], body: object = None) -> Any:
        """Does one request and returns the decoded JSON, or None where there is none.

        Arguments:
            method: ``GET``, ``PUT``, ``POST`` or ``DELETE``.
            path: the segments after ``/api/``, unquoted.
            body: sent as JSON unless None.

        Raises:
            ManagementError: an answer of 400 or over.
            OSError: no answer; ``urllib.error.URLError`` is one.
        """
        url = f"{self.base_url}/api/" + "/".join(quote(part, safe="") for part in path)
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(url, data, self._headers, method=method)
        try:
            raw = self._answer(asked)
        except ManagementError as error:
            if error.status != 500:
                raise
            raw = self._answer(asked)  # something that it lists has gone meanwhile
        return json.loads(raw) if raw else None

    def _answer(self, asked: urllib.request.Request) -> bytes:
        try:
            with self._opener.open(asked, timeout=soon(self.timeout)) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise ManagementError(error.code, error.read().decode(errors="replace")) from None

    def get(self, *path: str) -> Any:
        """Returns what stands at ``/api/<path>``."""
        return self.request("GET", path)

    def find(self, *path: str) -> dict[str, Any] | None:
        """Returns what stands at ``/api/<path>``, or None where there is no such thing (404)."""
        try:
            return dict(self.get(*path))
        except ManagementError as error:
            if error.status == 404:
                return None
            raise

    # ---- looking

    def overview(self) -> dict[str, Any]:
        """Returns versions, totals, listeners."""
        return dict(self.get("overview"))

    def exchange(self, vhost: str, name: str) -> dict[str, Any] | None:
        """Returns one exchange with its type and flags, or None."""
        return self.find("exchanges", vhost, name)

    def exchanges(self, vhost: str) -> list[dict[str, Any]]:
        """Returns all exchanges of a vhost, RabbitMQ's own included."""
        return list(self.get("exchanges", vhost))

    def queue(self, vhost: str, name: str) -> dict[str, Any] | None:
        """Returns one queue with its flags, arguments and counts, or None."""
        return self.find("queues", vhost, name)

    def queues(self, vhost: str) -> list[dict[str, Any]]:
        """Returns all queues of a vhost. Counts lag by up to five seconds; names do not."""
        return list(self.get("queues", vhost))

    def bindings(self, vhost: str, exchange: str) -> list[dict[str, Any]]:
        """Returns what is bound to an exchange."""
        return list(self.get("exchanges", vhost, exchange, "bindings", "source"))

    def connections(self, vhost: str) -> list[dict[str, Any]]:
        """Returns a vhost's connections. One shows up to five seconds after it was made."""
        return list(self.get("vhosts", vhost, "connections"))

    def consumers(self, vhost: str) -> list[dict[str, Any]]:
        """Returns a vhost's consumers, with their prefetch."""
        return list(self.get("consumers", vhost))

    # ---- changing

    def publish(
        self,
        vhost: str,
        exchange: str,
        payload: str,
        *,
        routing_key: str = "",
        properties: dict[str, Any] | None = None,
        payload_encoding: str = "string",
    ) -> bool:
        """Publishes as the dashboard's form does; returns whether it was routed to a queue.

        Arguments:
            payload: text, or base64 with ``payload_encoding="base64"``.
            properties: AMQP basic properties by name; ``headers`` among them. Default none.
        """
        body = {
            "properties": properties or {},
            "routing_key": routing_key,
            "payload": payload,
            "payload_encoding": payload_encoding,
        }
        return bool(self.request("POST", ("exchanges", vhost, exchange, "publish"), body)["routed"])

    def add_vhost(self, name: str) -> None:
        """Makes a vhost; the asking account gets all rights on it."""
        self.request("PUT", ("vhosts", name), {})

    def delete_vhost(self, name: str) -> None:
        """Deletes a vhost and all in it; its connections are closed."""
        self.request("DELETE", ("vhosts", name))

    def add_user(self, name: str, password: str, tags: str = "") -> None:
        """Makes an account, or changes its password and tags."""
        self.request("PUT", ("users", name), {"password": password, "tags": tags})

    def delete_user(self, name: str) -> None:
        """Deletes an account."""
        self.request("DELETE", ("users", name))

    def permit(self, vhost: str, user: str, configure: str = "", write: str = "", read: str = "") -> None:
        """Sets an account's rights on a vhost: regular expressions, the empty one matching nothing."""
        body = {"configure": configure or "^$", "write": write or "^$", "read": read or "^$"}
        self.request("PUT", ("permissions", vhost, user), body)

    def add_exchange(self, vhost: str, name: str, kind: str = "fanout", *, durable: bool = False) -> None:
        """Declares an exchange that is not auto-delete."""
        self.request("PUT", ("exchanges", vhost, name), {"type": kind, "durable": durable})

    def delete_exchange(self, vhost: str, name: str) -> None:
        """Deletes an exchange, used or not."""
        self.request("DELETE", ("exchanges", vhost, name))

    def delete_queue(self, vhost: str, name: str) -> None:
        """Deletes a queue, used or not: its consumers get ``basic.cancel``. Not for exclusive queues."""
        self.request("DELETE", ("queues", vhost, name))

    def close_connection(self, name: str) -> None:
        """Closes a connection as the dashboard's button does; the client gets 320."""
        self.request("DELETE", ("connections", name))
