"""Free ports on this machine, and whether anybody listens on one."""

from __future__ import annotations

import errno
import itertools
import os
import random
import socket

# Below the range from which the kernel takes the ports of outgoing connections (32768 and up on Linux):
# a port that a killed broker must get back a moment later is not taken by another connection.
LOWEST, HIGHEST = 20_000, 32_000


WORKERS = 8
"""Processes of one test run among which the range is divided: a broker takes seconds from its start to its port, and
another test must not get the same one meanwhile."""


def _own_share() -> range:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    share = (HIGHEST - LOWEST) // WORKERS
    first = LOWEST + int(worker) % WORKERS * share
    return range(first, first + share)


def _in_turn() -> itertools.cycle[int]:
    ports = list(_own_share())
    start = random.SystemRandom().randrange(len(ports))  # other test runs on this machine begin elsewhere
    return itertools.cycle(ports[start:] + ports[:start])


_ports = _in_turn()


def free_port(host: str = "127.0.0.1") -> int:
    """Returns a TCP port that nobody listens on, and that no other test of this run was given lately.

    Raises:
        OSError: none of a hundred tries was free.
    """
    for port in itertools.islice(_ports, 100):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                    raise
                continue
        return port
    raise OSError(errno.EADDRINUSE, f"no free port on {host} between {LOWEST} and {HIGHEST}")


def listens(host: str, port: int, timeout: float = 1.0) -> bool:
    """Returns whether a TCP connection to ``host:port`` is accepted within ``timeout`` seconds."""
    try:
        with socket.create_connection((host, port), timeout):
            return True
    except OSError:
        return False
