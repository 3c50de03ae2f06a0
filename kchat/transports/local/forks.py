"""What a forked child must not share with its parent.

SQLite's connections and a held lock must not be used, nor closed, on both sides of a fork: the child would drop
the parent's file locks or keep a dead parent's lock alive. So the child forgets its parent's, without closing.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that a forked child must not share with its parent."""

    def forget(self) -> None:
        """Called in the child, once, right after the fork."""


#: Process-wide, since a fork is. Weak: what is closed and dropped needs no care.
_tracked: weakref.WeakSet[Forkable] = weakref.WeakSet()


class Guarded(Protocol):
    """Something that no thread may be in the middle of when the process forks."""

    @property
    def statement_lock(self) -> threading.RLock:
        """Held by a thread that is in the middle of it, for a moment only."""


_guarded: weakref.WeakSet[Guarded] = weakref.WeakSet()

#: Two threads that fork at once take the locks one after the other.
_forking = threading.RLock()

#: Held for a moment to change what this process knows of files, for all of it. Taken after every ``statement_lock``.
innermost = threading.RLock()

#: Seconds that a fork waits for each lock: a disk that hangs must not hang the fork, too.
_LONGEST = 5.0

_held: list[threading.RLock] = []


def track(thing: Forkable) -> None:
    """Have ``thing.forget()`` called in every child that this process forks from now on."""
    _tracked.add(thing)


def guard(thing: Guarded) -> None:
    """Let no fork happen while ``thing.statement_lock`` is held by another thread.

    SQLite has locks of its own, some for the whole process. A child that is forked while another thread holds one
    of them would wait for it for ever.
    """
    _guarded.add(thing)


def _hold_all() -> None:
    _forking.acquire()
    # In the same order as everywhere, see Store.
    locks = [*(thing.statement_lock for thing in sorted(_guarded, key=id)), innermost]
    _held.extend(lock for lock in locks if lock.acquire(timeout=_LONGEST))


def _release_all() -> None:
    while _held:
        _held.pop().release()
    _forking.release()


def _forget_all() -> None:
    global _forking, innermost  # the parent's may be waited for by threads that the child does not have
    _held.clear()
    _forking, innermost = threading.RLock(), threading.RLock()
    for thing in list(_tracked):
        thing.forget()
    _tracked.clear()
    _guarded.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_all, after_in_parent=_release_all, after_in_child=_forget_all)
