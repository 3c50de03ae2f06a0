"""Whose a subscription is, and whether that process still lives: labels on the subscription.

Pub/Sub does not tell who pulls. So a subscription that is one process's own carries

* ``kchat-host``: a hash of the machine, its boot, and the process's PID namespace (so of the container);
* ``kchat-process``: the PID and when that process was started, so that a reused PID is told apart;
* ``kchat-connection``: which connection of that process, since an exclusive queue is one connection's (AMQP 0-9-1
  section 1.7.2.1, ``exclusive``);
* ``kchat-lease``: until when it is to be taken for alive, in UNIX seconds, renewed by its live owner.

On the same host, the kernel tells whether the process lives. Elsewhere the lease does. The lease is not there before
a renewal has succeeded: whoever may create subscriptions but not update them has none, and is never taken for dead by
another host. The same is so on the emulator, which cannot update labels.

Labels take lower case letters, digits, ``-`` and ``_``, up to 63
(https://cloud.google.com/pubsub/docs/create-topic#properties_of_a_topic).
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Mapping

APP = {"app": "kchat"}
"""The label of everything that this transport creates."""

LEASE_SECONDS = 600
"""How long a subscription counts as alive after its owner's last renewal, in seconds.

Pub/Sub keeps an own subscription's messages for ten minutes, so an owner that was away for longer has missed some anyway.
"""

RENEWAL_SECONDS = 180
"""Seconds between two renewals: two may fail, and the lease still holds."""

RENEWAL_TIMEOUT = 1.0
"""Seconds for the answer. Whoever renews also looks after the heartbeat, which cannot wait for longer."""

FIRST_RENEWAL_SECONDS = 1.0
"""The lease is first set so long after the start, off the path of whoever waits for the subscriber."""

HOST = "kchat-host"
PROCESS = "kchat-process"
CONNECTION = "kchat-connection"
LEASE = "kchat-lease"


class Owner:
    """One connection, as the owner of its exclusive queues.

    Attributes:
        name: no other connection's, of this process or another.
    """

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        _open[self.name] = self

    def leave(self) -> None:
        """The connection is closed or lost: what it owned may be taken over. Safe to repeat."""
        _open.pop(self.name, None)


_open: WeakValueDictionary[str, Owner] = WeakValueDictionary()
"""The owners of this process that are still there. A forked child has a PID, and so owners, of its own."""


def own_labels(owner: Owner | None = None) -> dict[str, str]:
    """The labels of this process's own subscription, still without a lease.

    Arguments:
        owner: the connection that it belongs to. Default: none in particular.
    """
    labels = {**APP, HOST: host(), PROCESS: f"{os.getpid()}-{_started(os.getpid()) or 0}"}
    return labels if owner is None else {**labels, CONNECTION: owner.name}


def with_lease(labels: Mapping[str, str]) -> dict[str, str]:
    """The same labels with a lease that begins now."""
    return {**labels, LEASE: str(int(time.time()) + LEASE_SECONDS)}


def is_own(labels: Mapping[str, str]) -> bool:
    """Whether these labels are of a subscription that belongs to one process, whoever's."""
    return all(labels.get(key) == value for key, value in APP.items()) and PROCESS in labels


def is_mine(labels: Mapping[str, str], owner: Owner | None = None) -> bool:
    """Whether these are labels of this very process, and of this connection if one is given."""
    mine = own_labels(owner)
    return all(labels.get(key) == mine[key] for key in (HOST, PROCESS, CONNECTION) if key in mine)


def why_dead(labels: Mapping[str, str]) -> str:
    """Why the owner is known to be gone; empty while it lives, or while that cannot be told."""
    pid, _, started = labels.get(PROCESS, "").partition("-")
    if not pid.isdigit() or not started.isdigit():
        return ""
    if labels.get(HOST) == host():
        if not _lives(int(pid), int(started)):
            return f"its process {pid} on this host has ended"
        connection = labels.get(CONNECTION)
        if int(pid) == os.getpid() and connection is not None and connection not in _open:
            return "its connection, of this process, is closed"
        return ""
    lease = labels.get(LEASE, "")
    if lease.isdigit() and int(lease) < time.time():
        ago = int(time.time()) - int(lease)
        return f"its lease, on another host, ran out {ago // 60} minutes ago"
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


def _lives(pid: int, started: int) -> bool:
    if platform.system() == "Linux":
        now = _started(pid)
        return now is not None and (not started or now == started)
    if platform.system() == "Windows":  # os.kill(pid, 0) would end it there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
