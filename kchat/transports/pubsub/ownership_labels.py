"""Labels on a subscription that say which connection owns it, so that the kernel can tell whether the owner is alive.

Pub/Sub does not tell which clients pull. So the subscription of an exclusive queue carries

* ``kchat-host``: a hash of the machine, its boot, and the process's PID namespace (so of the container);
* ``kchat-process``: the PID and when that process was started, so that a reused PID is told apart;
* ``kchat-connection``: which connection of that process, since an exclusive queue belongs to one connection (AMQP 0-9-1
  section 1.7.2.1, ``exclusive``).

An owner on another host, or in another container, is never taken for dead: its subscription expires after a day.

Labels take lower case letters, digits, ``-`` and ``_``, up to 63
(https://cloud.google.com/pubsub/docs/create-topic#properties_of_a_topic).
"""

from __future__ import annotations

import hashlib
import os
import platform
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Mapping

APP = {"app": "kchat"}
"""The label of everything that this transport creates."""

HOST = "kchat-host"
PROCESS = "kchat-process"
CONNECTION = "kchat-connection"


class Owner:
    """One connection, as the owner of its exclusive queues."""

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        _open[self.name] = self

    def release(self) -> None:
        """The connection is closed or lost: others may take over what it owned. Safe to repeat."""
        _open.pop(self.name, None)


_open: WeakValueDictionary[str, Owner] = WeakValueDictionary()
"""The owners of this process that are still there. A forked child has a PID, and so owners, of its own."""


def own_labels(owner: Owner | None = None) -> dict[str, str]:
    """The labels of an exclusive queue's subscription, of this process, and of this connection if one is given."""
    labels = {**APP, HOST: host(), PROCESS: f"{os.getpid()}-{_started(os.getpid()) or 0}"}
    return labels if owner is None else {**labels, CONNECTION: owner.name}


def is_own(labels: Mapping[str, str]) -> bool:
    """Whether these labels are of an exclusive queue's subscription, of any process."""
    return labels.get("app") == APP["app"] and PROCESS in labels


def is_mine(labels: Mapping[str, str], owner: Owner | None = None) -> bool:
    """Whether these are labels of this very process, and of this connection if one is given."""
    return all(labels.get(key) == value for key, value in own_labels(owner).items())


def why_dead(labels: Mapping[str, str]) -> str:
    """Why the owner is known to be gone; empty while it is alive, while that cannot be known, and where there is none."""
    pid, _, started = labels.get(PROCESS, "").partition("-")
    if not is_own(labels) or labels.get(HOST) != host() or not pid.isdigit() or not started.isdigit():
        return ""
    if not _is_alive(int(pid), int(started)):
        return f"its process {pid} on this host has ended"
    connection = labels.get(CONNECTION)
    if int(pid) == os.getpid() and connection is not None and connection not in _open:
        return "its connection, of this process, is closed"
    return ""


def host() -> str:
    """The machine, its boot and the PID namespace, hashed: within it, a PID means one process."""
    parts = [platform.node()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        # No Linux: the machine's name and hardware address have to do.
        parts.append(f"{uuid.getnode():x}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _started(pid: int) -> int | None:
    """When a process was started, in the kernel's ticks; ``None`` when it is gone, 0 when that is not told."""
    if platform.system() != "Linux":
        return 0
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # proc(5): the command in parentheses may hold anything; the state is field 3, the start time field 22.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def _is_alive(pid: int, started: int) -> bool:
    if platform.system() == "Linux":
        now = _started(pid)
        return now is not None and (not started or now == started)
    if platform.system() == "Windows":  # os.kill(pid, 0) would end it there
        return True
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # another account's process is alive, too
    return True
