"""Free ports on this machine, and whether anybody listens on one."""

from __future__ import annotations

import errno
import random
import socket

# Below the range from which the kernel takes the ports of outgoing connections (32768 and up on Linux):
# a port that a killed broker must get back a moment later is not taken by another connection.
LOWEST, HIGHEST = 20_000, 32_000


def free_port(host: str = "127.0.0.1") -> int:
    """Returns a TCP port that nobody listens on.

    Raises:
        OSError: none of a hundred tries was free.
    """
    for _ in range(100):
        port = random.randrange(LOWEST, HIGHEST)
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
