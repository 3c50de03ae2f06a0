"""Replies that tell of a state and not of a right: the broker is up, and may answer otherwise in a minute.

Limits are of that kind: after a cut link a broker goes on counting the old connection until it misses its heartbeats, so
that the new one is one too many. A client that was connected tries again; one that connects for
the first time is told which limit it is.

RabbitMQ's texts are those of its ``rabbit_reader``, ``rabbit_channel`` and ``rabbit_amqqueue``, from 3.10 to 4.1
(https://www.rabbitmq.com/docs/connections#limiting, https://www.rabbitmq.com/docs/limits); reply codes are those of AMQP
0-9-1 section 1.2. Redis' codes: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors and its
``server.c``.
"""

from __future__ import annotations

_CLOSE_OTHERS = (
    "close another connection, or have the limit raised; one that was cut counts until the broker notices"
)
_LOOK_THERE = "look at the broker's log, or try again later"

_AMQP: tuple[tuple[int, str, str], ...] = (
    # Reply code, words of the text, and what to do about it. The first that fits counts.
    (530, "connection limit", _CLOSE_OTHERS),  # of a virtual host, a user or a node
    (530, "number of channels opened", "close other connections of this account, or have the limit raised"),
    (530, "reached maximum", "close other consumers, or have the limit raised"),  # consumers in a channel
    (
        406,
        "queue limit",
        "delete queues that nobody needs, or have the limit raised",
    ),  # of a virtual host, a cluster
    (406, "exchange limit", "delete exchanges that nobody needs, or have the limit raised"),
    (403, "in exclusive use", "another connection consumes from it alone, or did until it was cut"),
    (404, "down or inaccessible", "the queue's node is down: start it, or wait for it"),
    (404, "stopped by supervisor", _LOOK_THERE),
    (405, "", "another connection has it for itself, or had it until it was cut"),
    (506, "", "the broker is short of something: look at its log"),
    (541, "", _LOOK_THERE),  # also a virtual host that is down, and operations on a queue that timed out
)

_REDIS = {
    "LOADING": "it reads its data from disk and takes no commands until it has",
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

_REDIS_LIMIT = "max number of clients"
"""... ``reached``, or in a cluster ``+ cluster connections reached``; behind ``ERR``."""


def amqp_state(code: int | None, text: str) -> str | None:
    """What to do about a state that an AMQP reply tells of; ``None`` where it tells of something else.

    Arguments:
        code: the reply's.
        text: the reply's.
    """
    return next((hint for known, words, hint in _AMQP if known == code and words in text), None)


def redis_state(word: str, text: str) -> str | None:
    """What to do about a state that a Redis error tells of; ``None`` where it tells of something else.

    Arguments:
        word: the error's first word, its code.
        text: all of it.
    """
    if _REDIS_LIMIT in text:
        return _CLOSE_OTHERS
    return _REDIS.get(word)


_REDIS_CODES = {
    "BusyLoadingError": "LOADING",
    "ReadOnlyError": "READONLY",
    "OutOfMemoryError": "OOM",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "TryAgainError": "TRYAGAIN",
    "NoPermissionError": "NOPERM",
}
"""The codes behind redis-py's classes, which take them away; its newer releases keep them beside the text."""


def redis_words(error: Exception) -> tuple[str, str]:
    """The code and the whole text of an error that a Redis server has sent.

    Arguments:
        error: of redis-py.
    """
    text = str(error)
    code = getattr(error, "status_code", None) or _REDIS_CODES.get(type(error).__name__)
    if code is None:
        return text.partition(" ")[0], text
    return code, text if code == "ERR" or text.startswith(code) else f"{code} {text}"


def still_answers(error: Exception) -> bool:
    """Whether a Redis error to one command says nothing about others: the server is there, but in trouble.

    Arguments:
        error: of redis-py.
    """
    code, text = redis_words(error)
    return (code in _REDIS or code == "NOPERM") and _REDIS_LIMIT not in text
