"""The management HTTP API of RabbitMQ 3.10 and newer, as far as kchat needs it: accounts, rights, limits, connections.

https://www.rabbitmq.com/docs/management#http-api. What a server answers is bounded in size and time; no text and no ``repr``
has a password in it.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from kchat import errors
from kchat.transports.addresses import is_loopback
from kchat.transports.amqp.timed_http import TimedConnection
from kchat.transports.tls_errors import PinMismatch

if TYPE_CHECKING:
    from kchat.transports.tls import TlsOptions

PORT_OFFSET = 10_000
"""RabbitMQ's management listens on 15672 beside AMQP's 5672, and on 15671 beside AMQPS' 5671."""

_RIGHTS = ("vhost", "configure", "write", "read")
_LARGEST_ANSWER = 4 << 20
_MOST_VALUES = 300_000
"""Bytes of an answer, and values in it: the names of some 75,000 accounts. In memory JSON takes many times its size."""

_PAGE = 500
"""Entries of a page, RabbitMQ's most. A name takes 1.5 kB at most: 255 bytes, each as six characters of JSON."""

_PAUSES = (0.1, 0.4)
"""Seconds before a request that failed inside RabbitMQ (500) is made again: a connection that goes while a list is read
does that. All requests here may be repeated (RFC 9110, section 9.2.2)."""


class Management:
    """One administrator's access to the management API. Errors are those of :meth:`request`.

    Arguments:
        url: of the API, without ``/api``: ``http://host:15672``.
        username: an account with the tag ``administrator``.
        password: its password; not shown by anything here.
        timeout: seconds for one request, from the connection to the answer's last byte; default 5.
        tls: what to trust; an ``https`` URL needs it.

    Raises:
        kchat.errors.SettingsError: it is not an http or https URL, or has an account in it.
    """

    def __init__(
        self,
        url: str,
        username: str,
        password: str,
        *,
        timeout: float = 5.0,
        tls: TlsOptions | None = None,
    ) -> None:
        self.url = _checked(url)
        self.username = username
        self._timeout = timeout
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {token}",
            "Content-Type": "application/json",
            "Connection": "close",
        }
        self._tls = tls

    @property
    def in_clear(self) -> bool:
        """Whether the password goes over a network without encryption; not so to this machine itself."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and not is_loopback(parts.hostname or "")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.username} at {self.url}>"

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

    def get_object(self, *path: str) -> dict[str, Any]:
        """An answer that is an object. Raises as :meth:`request`, and Unreachable for another one."""
        answer = self.request("GET", *path)
        if not isinstance(answer, dict):
            raise self._no_api()
        return answer

    def get_objects(
        self, *path: str, query: dict[str, str] | None = None, strings: tuple[str, ...] = ()
    ) -> list[dict[str, Any]]:
        """An answer that is an array of objects, with strings under these keys. Raises likewise."""
        return self._objects(self.request("GET", *path, query=query), strings)

    def _objects(self, answer: Any, strings: tuple[str, ...]) -> list[dict[str, Any]]:
        if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
            raise self._no_api()
        if not all(isinstance(one.get(key), str) for one in answer for key in strings):
            raise self._no_api()
        return answer

    def pages(self, kind: str, vhost: str, *, pattern: str, columns: str) -> list[dict[str, Any]]:
        """The ``queues`` or ``exchanges`` of a virtual host, however many (https://www.rabbitmq.com/docs/management#http-api).

        Arguments:
            kind: ``queues`` or ``exchanges``.
            vhost: the virtual host.
            pattern: a regular expression that their names match.
            columns: what to tell of each, ``name`` included; nothing whose size others decide.

        Raises:
            as :meth:`request`, and Unreachable for another answer.
        """
        query = {"name": pattern, "use_regex": "true", "columns": columns, "disable_stats": "true"}
        found: list[dict[str, Any]] = []
        page = pages = 1
        while page <= pages:
            asked = query | {"page": str(page), "page_size": str(_PAGE)}
            try:
                answer = self.request("GET", kind, vhost, query=asked)
            except errors.Refused:
                if page == 1:
                    raise
                break  # some have gone meanwhile, and with them the last page
            if not isinstance(answer, dict) or not isinstance(answer.get("page_count"), int):
                raise self._no_api()
            found += self._objects(answer.get("items"), ("name",))
            page, pages = page + 1, answer["page_count"]
        return found

    def request(
        self,
        method: str,
        *path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> Any:
        """Make one request.

        Arguments:
            method: ``GET``, ``PUT``, ``POST`` or ``DELETE``.
            path: the parts after ``/api/``, not quoted.
            body: sent as JSON unless None.
            headers: more of them. Default none.
            query: the URL's, not quoted. Default none.

        Returns:
            The answer's JSON; None where it is empty.

        Raises:
            kchat.errors.Unreachable: nothing answers there, or something else does.
            kchat.errors.NotAuthorised: the account is unknown, its password wrong, or it is not an administrator.
            kchat.errors.NotFound: it does not exist.
            kchat.errors.Refused: any other refusal, with RabbitMQ's reason.
        """
        target = f"{urlsplit(self.url).path}/api/" + "/".join(quote(part, safe="") for part in path)
        target += f"?{urlencode(query)}" if query else ""
        data = None if body is None else json.dumps(body).encode()
        sent = self._headers | (headers or {})
        status, raw = self._answer(method, target, data, sent)
        for pause in _PAUSES:
            if status == 500:
                time.sleep(pause)
                status, raw = self._answer(method, target, data, sent)
        if not 200 <= status < 300:
            raise self._refusal(status, _reason(raw), path)
        if not raw:
            return None
        if len(raw) > _LARGEST_ANSWER or sum(map(raw.count, (b",", b"[", b"{"))) > _MOST_VALUES:
            raise errors.Refused(f"{self.url}: the answer for {'/'.join(path)} is too large to be read")
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise self._no_api() from None

    def _answer(
        self, method: str, target: str, data: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """The status and the body that a request is answered with. Raises Unreachable."""
        try:
            # Like AMQP it goes straight to the broker, whatever proxy the environment names. No redirection is followed:
            # the administrator's password would go along.
            with closing(_connection(self.url, self._tls, self._timeout)) as connection:
                connection.request(method, target, data, headers)
                answer = connection.getresponse()
                return answer.status, answer.read(_LARGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _refusal(self, status: int, reason: str, path: tuple[str, ...]) -> errors.KchatError:
        if status == 401:
            # Only the reason shows whether the password is wrong, or right and the account has no access to this API.
            if "management user" in reason.lower() or (path[0] != "whoami" and self._knows_us()):
                return self._no_administrator()
            return errors.NotAuthorised(
                f"{self.url}: not authorised: login refused for {self.username!r}",
                hint="check the account and its password",
            )
        if status == 403:
            return errors.NotAuthorised(f"{self.url}: not authorised: {reason}")
        if (status == 404 and path[0] == "whoami") or 300 <= status < 400 or status == 501:
            return self._no_api()
        if status == 404:
            return errors.NotFound(f"{self.url}: there is no {'/'.join(path)}")
        return errors.Refused(f"{self.url}: HTTP {status} for {'/'.join(path)}: {reason}")

    def _knows_us(self) -> bool:
        try:
            self.request("GET", "whoami")
        except errors.NotAuthorised:
            return False
        return True

    def _no_administrator(self) -> errors.NotAuthorised:
        return errors.NotAuthorised(
            f"{self.url}: the account {self.username!r} is not an administrator of this broker",
            hint="give the host's own account with {account}, one with the tag administrator",
        )

    def _no_api(self) -> errors.Unreachable:
        return errors.Unreachable(
            f"{self.url}: what answers there is not RabbitMQ's management API",
            hint="is the plugin rabbitmq_management on? Name its URL with {management_url}",
        )

    def _unreachable(self, reason: Exception) -> errors.Unreachable:
        hint = "accounts are made by the management API: name its URL with {management_url}"
        if isinstance(reason, ssl.SSLCertVerificationError):
            text, hint = f"its certificate is not valid: {reason.verify_message}", ""
        elif isinstance(reason, PinMismatch):
            text, hint = str(reason), "another server, a renewed certificate, or somebody in between"
        elif isinstance(reason, TimeoutError):
            text = "no answer in time"
        elif isinstance(reason, ConnectionRefusedError):
            text = "nothing listens on that port (connection refused)"
        elif isinstance(reason, http.client.HTTPException):
            return self._no_api()
        else:
            text = str(getattr(reason, "strerror", None) or reason)
        return errors.Unreachable(f"{self.url}: {text}", hint=hint)


def _checked(url: str) -> str:
    hint = "for example: http://localhost:15672"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if it is not a port
    except ValueError:
        raise errors.SettingsError("the management URL has no valid host and port", hint=hint) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.SettingsError("the management URL is not an http or https URL", hint=hint)
    if parts.username is not None or parts.password is not None:
        raise errors.SettingsError(
            "the management URL has an account in it", hint="give the account with {account}"
        )
    if parts.query or parts.fragment:
        raise errors.SettingsError("the management URL has a query in it", hint=hint)
    return url.rstrip("/").removesuffix("/api")


def _connection(url: str, tls: TlsOptions | None, timeout: float) -> TimedConnection:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    if secure and tls is None:
        raise errors.SettingsError(f"{url} is encrypted, and nothing says what to trust")
    return TimedConnection(parts.hostname or "", parts.port, tls=tls if secure else None, timeout=timeout)


def _tags(account: dict[str, Any]) -> list[str]:
    tags = account.get("tags")
    return [str(tag) for tag in tags] if isinstance(tags, list) else []


def _reason(raw: bytes) -> str:
    """What RabbitMQ gives as the reason of a refusal; empty if it gives none."""
    try:
        answer = json.loads(raw[: 1 << 16])
        return str(answer.get("reason") or answer.get("error") or "")[:1000]
    except (ValueError, AttributeError, RecursionError):
        return ""


def clock_ahead_of(url: str, tls: TlsOptions, *, timeout: float = 1.0) -> float:
    """How many seconds this machine's clock is ahead of a management API's, by the date of an answer.

    It is asked without an account. A second is short: it is seldom reachable from elsewhere, and nobody wants to wait.

    Raises:
        kchat.errors.KchatError: the URL is not valid, or nothing that tells the time answers there.
    """
    connection = _connection(_checked(url), tls, timeout)
    try:
        with closing(connection):
            connection.request("HEAD", "/")
            date = connection.getresponse().getheader("Date")
            return (datetime.now(UTC) - parsedate_to_datetime(date or "")).total_seconds()
    except (OSError, http.client.HTTPException, ValueError, TypeError, ArithmeticError):
        raise errors.Unreachable(f"{url} does not tell the time") from None
