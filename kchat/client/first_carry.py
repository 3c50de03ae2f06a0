"""Whether a bridge has carried over the history that it was to begin with.

Where that is read beside its queue, the durable queue begins with nothing, and that it exists does not say
that the history was carried. So, before it is made, another queue is: a mark, which is bound to nothing and
stays empty. It is deleted when the target has confirmed all of the history. Where it is found, a bridge ended
before that, and the next one reads the history again. Both queues are made with the same right.

The mark's limit in bytes is the moment since when the history was wanted, in UNIX seconds: a later ``--since
1h`` means another one. Nothing is ever in it, and a broker that refuses another limit says which one there
is.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import amqp.exceptions

from kchat.client.connection import broker_errors, connect
from kchat.errors import NotFound
from kchat.transports.durable import Durable
from kchat.transports.durable_queue import declare

if TYPE_CHECKING:
    from collections.abc import Iterator

    import kombu

    from kchat.config.settings import Settings
    from kchat.transports import protocols

_CURRENT = re.compile(r"'x-max-length-bytes'.* current is '(\d+)'", re.DOTALL)
_EXPIRES = 45 * 86_400.0
"""Seconds that a mark stays: longer than a durable queue without a reader does."""


class FirstCarry:
    """Of one durable queue. Every method connects, and raises :class:`kchat.errors.BrokerError`.

    Arguments:
        settings: the source's room and its brokers.
        durable: the name of the durable queue.
    """

    def __init__(self, settings: Settings, durable: str) -> None:
        self._settings = settings
        self._durable = durable
        self._mark = f"{durable} history"
        history = (
            settings.transport.history(settings.room) if settings.transport.capabilities.history else None
        )
        self._beside = history is not None and history.beside
        self._queue = ""

    @property
    def marked(self) -> bool:
        """Whether :meth:`begin` has made a mark, or found one."""
        return bool(self._queue)

    def begin(self, since: float) -> float | None:
        """Since when the history is to be carried; ``None`` if it was. Before that, a mark is made where one is needed.

        Arguments:
            since: what is asked for now. An interrupted bridge may have been asked for more.
        """
        with self._connected() as connection:
            was_here = self._found(connection, self._durable)
            if not self._beside:
                return None if was_here else since
            if was_here and not self._found(connection, self._mark):
                return None
            channel = connection.channel()
            mark = Durable(self._mark, expires=_EXPIRES, max_size=max(1, int(since)))
            for queue in self._queues(connection, mark):
                with suppress(amqp.exceptions.AccessRefused):
                    difference = declare(queue(channel))
                    self._queue = queue.name
                    if was_here and (found := _CURRENT.search(difference)):
                        return min(since, float(found[1]))
                    break
            return since

    def is_marked(self) -> bool:
        """Whether the mark is still there."""
        with self._connected() as connection:
            return self._found(connection, self._mark)

    def end(self) -> None:
        """All of it was carried: delete the mark."""
        transport = self._settings.transport
        with suppress(NotFound), self._connected() as connection:
            transport.durable(self._settings.room).remove(
                connection, self._queue, transport.account(connection)
            )
        self._queue = ""

    def _queues(self, connection: protocols.Connection, durable: str | Durable) -> list[kombu.Queue]:
        """The room's, and that of the account."""
        transport = self._settings.transport
        room = transport.room(self._settings.room)
        return [
            room.durable_queue(durable, account=account) for account in (None, transport.account(connection))
        ]

    def _found(self, connection: protocols.Connection, durable: str | Durable) -> bool:
        channel = connection.channel()
        for queue in self._queues(connection, durable):
            with suppress(amqp.exceptions.NotFound, amqp.exceptions.AccessRefused):
                queue(channel).queue_declare(passive=True)
                return True
        return False

    @contextmanager
    def _connected(self) -> Iterator[protocols.Connection]:
        self._settings = self._settings.unlocked()
        connection, broker = connect(self._settings, purpose="subscribe")
        try:
            with broker_errors(broker, "listen"):
                yield connection
        finally:
            self._settings.transport.drop(connection)
