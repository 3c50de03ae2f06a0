"""The rooms in a file, for a shell's completion: at once or not at all, and nothing is changed or created."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from amqp.exceptions import AMQPError

from . import errors, files, untrusted
from .options import read_options

if TYPE_CHECKING:
    from kchat.transports.url import Broker

_BUSY_SECONDS = 0.2
_MOST, _LONGEST = 1000, 255

_ROOMS = (
    f"SELECT name FROM exchange WHERE type = 'fanout' AND length(name) <= {_LONGEST}"  # noqa: S608 - constants
    f" AND name NOT LIKE 'amq.%' ORDER BY id DESC LIMIT {_MOST}"
)


def known_rooms(broker: Broker) -> list[str]:
    """See :meth:`kchat.transports.base.Transport.known_rooms`; the newest first."""
    try:
        options = read_options(broker.path, None, {"busy_timeout": _BUSY_SECONDS})
        path = files.resolve(options.path)
        if not Path(path).is_file():
            return []
        files.check(path)
        files.check_beside(path)
        return untrusted.read_checked(path, options, threading.RLock(), _names) or []
    except AMQPError as error:
        raise errors.explain(error, broker, "read") or error from error


def _names(db: sqlite3.Connection) -> list[str]:
    return [str(name) for (name,) in db.execute(_ROOMS)]
