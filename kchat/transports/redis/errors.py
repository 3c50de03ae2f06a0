"""What a Redis server says, as errors of kchat's.

Some errors tell of a state and not of a right: the server is there, and what it says now can be otherwise in a minute. The
codes: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors and its ``server.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis import exceptions

from kchat import errors
from kchat.transports import errors as common
from kchat.transports.errors import (
    CLOSE_OTHERS,
    NO_PASSWORD,
    STARTING,
    login_refused,
    not_authorised,
    unreachable_or_closed,
)

if TYPE_CHECKING:
    from kchat.transports.url import Broker

_STATES = {
    "LOADING": "it is starting, and takes no commands until it has read its data from disk: try again in a moment",
    "MASTERDOWN": "it is a replica that has lost its primary",
    "READONLY": "it is a replica: use the primary's address, or wait for the failover",
    "MISCONF": "it cannot save to disk: look at its log",
    "OOM": "it is out of memory: free some there, or raise maxmemory",
    "CLUSTERDOWN": "the cluster is not complete",
    "NOREPLICAS": "it has too few replicas now",
    "BUSY": "a script keeps it busy",
    "UNKILLABLE": "a script keeps it busy",
    "TRYAGAIN": "the cluster is moving keys",
    "FAILOVER": "it hands over to another node",
}
"""The first word of an error, and what it means."""

_LIMIT = "max number of clients"
"""... ``reached``, or in a cluster ``+ cluster connections reached``; behind ``ERR``."""

_CODES = {
    "BusyLoadingError": "LOADING",
    "ReadOnlyError": "READONLY",
    "OutOfMemoryError": "OOM",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "TryAgainError": "TRYAGAIN",
    "NoPermissionError": "NOPERM",
}
"""The codes behind redis-py's classes, which take them away; its newer releases keep them beside the text."""


def _words(error: Exception) -> tuple[str, str]:
    """The code and the whole text of an error that a Redis server has sent.

    Arguments:
        error: of redis-py.
    """
    text = str(error)
    code = getattr(error, "status_code", None) or _CODES.get(type(error).__name__)
    if code is None:
        return text.partition(" ")[0], text
    return code, text if code == "ERR" or text.startswith(code) else f"{code} {text}"


def still_answers(error: Exception) -> bool:
    """Whether a Redis error to one command says nothing about others: the server is there, but in trouble.

    Arguments:
        error: of redis-py.
    """
    code, text = _words(error)
    return (code in _STATES or code == "NOPERM") and _LIMIT not in text


def explain(error: Exception, broker: Broker, doing: str) -> errors.KchatError | None:
    """The error of ours that a driver's error is; see :meth:`kchat.transports.base.Transport.explain`."""
    special = _from_redis(error, broker, doing) if isinstance(error, exceptions.RedisError) else None
    return special or common.explain(error, broker, doing)


def _from_redis(error: exceptions.RedisError, broker: Broker, doing: str) -> errors.KchatError | None:
    where = str(broker)
    word, text = _words(error)
    hint = CLOSE_OTHERS if _LIMIT in text else _STATES.get(word)
    if hint is not None:
        return errors.Unavailable(f"{where}: {text}", hint=hint)
    if isinstance(error, exceptions.NoPermissionError):
        return not_authorised(where, doing, str(error))
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthenticationWrongNumberOfArgsError):
        return login_refused(where, "" if broker.password else NO_PASSWORD)
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
        # redis-py raises its own from within the handling of the system's, which says more.
        cause = error.__cause__ or error.__context__
        if isinstance(cause, OSError) and doing == "connect":
            return common.explain(cause, broker, doing)
        return unreachable_or_closed(doing)(f"{where}: {error}", hint=STARTING if doing == "connect" else "")
    if isinstance(error, exceptions.ResponseError):
        return errors.Refused(f"{where}: {error}")
    return errors.Unreachable(
        f"{where}: the server does not speak Redis: {error}", hint="is it that kind of broker?"
    )
