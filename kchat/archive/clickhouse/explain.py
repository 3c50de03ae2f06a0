"""What a ClickHouse server and its driver raise, as kchat's errors: :func:`explaining`."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from kchat.errors import ArchiveError, ArchiveUnavailable, KchatError

_ACCOUNT = {192, 193, 194, 516}
"""Unknown user, wrong password, and that one is needed: ClickHouse's ``ErrorCodes``."""

_NO_DATABASE = 81
UNKNOWN_TABLE = 60
_NO_DISK = {75, 76, 243}  # cannot write to a file, cannot open one, not enough space
_NOT_NOW = {
    *(159, 160),  # a time limit is reached
    *(202, 241, 252, 425),  # too many queries, too little memory, too many parts; a system call failed
    *(
        209,
        210,
        236,
        279,
        319,
        394,
    ),  # the network; shutting down; whether an insert was done is unknown; cancelled
    *(225, 242, 285, 286, 999),  # a replicated table has no ZooKeeper, too few replicas
}


_CLASSES = re.compile(r"^\s*(?:DB::\w*Exception[.:]\s*)+")
"""What a server's text begins with: its names of exceptions."""


class TableMissing(ArchiveError):
    """A table is asked for that is not there."""


@contextmanager
def explaining(where: str) -> Iterator[None]:
    """Turn what the driver raises into :class:`kchat.errors.ArchiveError`.

    Arguments:
        where: the server, for the text; without a password.

    Raises:
        UnicodeEncodeError: a text has a lone surrogate. It is passed on.
    """
    from clickhouse_driver import errors

    try:
        yield
    except (KchatError, UnicodeEncodeError):
        raise
    except errors.ServerException as error:
        raise _server_says(error, where) from error
    except (errors.NetworkError, errors.SocketTimeoutError, EOFError, OSError) as error:
        reason = getattr(error, "message", None) or str(error) or "the connection was closed"
        if "certificate verify failed" in reason:
            raise ArchiveError(
                f"the certificate of ClickHouse at {where} is not trusted: {_first_line(reason)}",
                hint="?ca_certs=FILE behind the URL names the CA's certificate",
            ) from error
        raise ArchiveUnavailable(
            f"ClickHouse at {where} cannot be reached: {_first_line(reason)}",
            hint="is it running, and is 9000 its native port? (8123 is for HTTP)",
        ) from error
    except (errors.Error, struct.error, ValueError, TypeError) as error:
        raise ArchiveError(f"ClickHouse at {where}: {_first_line(str(error))}") from error


def _server_says(error: Exception, where: str) -> ArchiveError:
    code, said = getattr(error, "code", None), _first_line(str(getattr(error, "message", error)))
    if code in _ACCOUNT:
        return ArchiveError(
            f"ClickHouse at {where} refuses this account: {said}",
            hint="the account and its password are in the URL, before the host: user, colon, password, @",
        )
    if code == _NO_DATABASE:
        return ArchiveError(
            f"ClickHouse at {where} has no such database: {said}",
            hint="CREATE DATABASE makes one, and `default` is there from the beginning",
        )
    if code == UNKNOWN_TABLE:
        return TableMissing(f"ClickHouse at {where}: {said}")
    if code in _NO_DISK:
        return ArchiveUnavailable(f"ClickHouse at {where} cannot write: {said}", hint="is its disk full?")
    if code in _NOT_NOW:
        return ArchiveUnavailable(f"ClickHouse at {where} cannot do it now: {said}")
    return ArchiveError(f"ClickHouse at {where}: {said}")


def _first_line(text: str) -> str:
    """What a server says, without its stack trace."""
    said = _CLASSES.sub("", text.partition("Stack trace:")[0])
    return (said.splitlines() or [""])[0].rstrip(". ")
