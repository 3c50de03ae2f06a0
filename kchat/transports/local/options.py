"""What can be set on a connection to an embedded room, and how a URL says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from amqp.exceptions import NotAllowed

from .limits import NAMES

#: The largest whole number that fits into the file.
_MOST = (1 << 63) - 1

#: Hosts that stand for no host at all.
_NOWHERE = ("", "localhost")


@dataclass(frozen=True)
class Options:
    """Where the room is, and its limits.

    Arguments:
        path: the SQLite file.
        busy_timeout: seconds to wait for a turn to write before giving up. Default 10.
        history_max_age: seconds that a fanout exchange's messages are kept. Default 604800 (7 days).
        history_max_bytes: size of all history from which on the oldest goes. Default 268435456 (256 MiB).
        backlog_max_bytes: what a queue that others may share holds of a fanout exchange's messages, apart from its
            history, while nobody reads it. Beyond that the oldest go, and its next reader is told how many, see
            :meth:`.connection.Connection.tell`. Default: as much as the history, but at least 4194304 (4 MiB).
        backlog_max_messages: how many of them. Default 1000000.
            These four belong to the room: they are written into its file when it is created. Afterwards a URL can make
            them larger, for everybody, but not smaller: that is ignored, with a notice.
        max_message_bytes: the largest body. Default 67108864 (64 MiB). For a larger one in the file, which was sent with
            another limit, a reader gets a notice instead.
        drain_batch: how many messages one ``drain_events`` may deliver. Default 1, as Kombu's users expect;
            more is faster.
    """

    path: str
    busy_timeout: float = 10.0
    history_max_age: float | None = None
    history_max_bytes: int | None = None
    backlog_max_bytes: int | None = None
    backlog_max_messages: int | None = None
    max_message_bytes: int = 64 * 1024 * 1024
    drain_batch: int = 1

    def __post_init__(self) -> None:
        for name in ("busy_timeout", *NAMES, "max_message_bytes"):
            if (getattr(self, name) or 0) < 0:
                raise NotAllowed(f"local: {name} is negative")
        for name in NAMES:
            value = getattr(self, name)
            if isinstance(value, int) and value > _MOST:
                raise NotAllowed(f"local: {name} is more than {_MOST}")
        if self.drain_batch < 1:
            raise NotAllowed("local: drain_batch is less than 1")


def default_path() -> str:
    """The room of this user: ``kchat/room.db`` in the state directory that the system prescribes.

    Raises:
        amqp.exceptions.NotAllowed: no home folder is known. A folder called ``~`` in the working directory is not one.
    """
    from platformdirs import user_state_path  # only this needs it, and an import costs every start

    try:
        folder = user_state_path("kchat")
    except RuntimeError:
        folder = Path("~")
    if not folder.is_absolute():
        raise NotAllowed("local: no home folder is known for the default room")
    return str(folder / "room.db")


def _in_home(path: str) -> str:
    """``~/room.db`` as an absolute path. Raises NotAllowed: no home folder is known."""
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise NotAllowed(f"local: no home folder is known for {path}") from None


def _number(name: str, value: Any, kind: str) -> float | int:
    try:
        number = float(value) if kind.startswith("float") else int(value)
    except (TypeError, ValueError, OverflowError):
        raise NotAllowed(f"local: {name} is not a number: {value!r}") from None
    if isinstance(number, float) and math.isnan(number):
        raise NotAllowed(f"local: {name} is not a number: {value!r}")
    return number


def _path_of(url: str) -> str:
    """The file that a ``local:`` URL names; empty where it names none."""
    parts = urlsplit(url)
    host, path = unquote(parts.netloc), unquote(parts.path)
    if host in _NOWHERE:
        # Four slashes, as SQLAlchemy's URLs have, mean the same; SQLite would take what follows two for a host.
        return "/" + path.strip("/") if path.strip("/") else ""
    if host in (".", "..") and path.strip("/"):
        return host + path
    if host == "~" and path.strip("/"):
        return _in_home(host + path)
    raise NotAllowed(f"{url}: this URL names no file; use local:///directory/room.db or local://./room.db")


def read_options(url: str | None, virtual_host: str | None, settings: Mapping[str, Any]) -> Options:
    """The options of a connection, from its URL, from Kombu's fields, and from the transport options.

    Arguments:
        url: ``local://...``, a plain path, or what Kombu has when there is neither.
        virtual_host: where Kombu took the URL apart (when it fails over), the path without its first slash.
        settings: Kombu's ``transport_options``. Unknown ones are other transports' and ignored;
            the URL's query says the same and comes first.

    Raises:
        amqp.exceptions.NotAllowed: a URL or option that makes no sense.
    """
    path, query = "", {}
    if url and "://" in url:
        path = _path_of(url)
        query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    elif virtual_host and virtual_host.strip("/"):
        here = url if url in (".", "..", "~") else ""
        path = _in_home(f"{here}/{virtual_host.lstrip('/')}")
    elif url and url not in _NOWHERE:
        path = url
    chosen: dict[str, Any] = {}
    kinds = {field.name: str(field.type) for field in fields(Options)}
    unknown = query.keys() - kinds.keys()
    if unknown:
        raise NotAllowed(f"{url}: unknown option {min(unknown)!r}; known: {', '.join(sorted(kinds))}")
    for name, kind in kinds.items():
        value = query.get(name, settings.get(name))
        if value is not None and name != "path":
            chosen[name] = _number(name, value, kind)
    path = path or str(query.get("path") or settings.get("path") or "") or default_path()
    if "\0" in path:
        raise NotAllowed(f"local: a file's name cannot have a zero byte in it: {path!r}")
    return Options(path=str(Path(path).absolute()), **chosen)
