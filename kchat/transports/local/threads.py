"""Several threads at one connection: methods of a channel that take turns.

What Kombu's users do from two threads on AMQP has to be safe here, too: Celery's workers acknowledge from one thread
while another one drains. So everything that a connection knows is read and changed under the lock of
:class:`.store.Store`, which is never held over a callback: that may wait for another thread, or fork.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

M = TypeVar("M", bound=Callable[..., Any])


def takes_turns(method: M) -> M:
    """A channel's method that one thread at a time is in, of all those of its connection."""

    @wraps(method)
    def alone(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.connection.store.lock:
            return method(self, *args, **kwargs)

    return cast("M", alone)
