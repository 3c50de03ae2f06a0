"""What a forked child must let go of.

SQLite's connections and a held lock must not be used, nor closed, on both sides of a fork: the child would drop
the parent's file locks or keep a dead parent's lock alive. So the child forgets its parent's, without closing.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that a forked child must not share with its parent."""

    def forget(self) -> None:
        """Called in the child, once, right after the fork."""


#: Process-wide, since a fork is. Weak: what is closed and dropped needs no care.
_tracked: weakref.WeakSet[Forkable] = weakref.WeakSet()


def track(thing: Forkable) -> None:
    """Have ``thing.forget()`` called in every child that this process forks from now on."""
    _tracked.add(thing)


def _forget_all() -> None:
    for thing in list(_tracked):
        thing.forget()
    _tracked.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
