"""The Kombu transport: Kombu's virtual one, with a queue of Python's own for each queue."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any, ClassVar

from kombu.transport import virtual


class Channel(virtual.Channel):
    """Keeps queues for as long as the process lives."""

    supports_fanout = True
    do_restore = False
    queues: ClassVar[dict[str, SimpleQueue[Any]]] = {}

    def _has_queue(self, queue: str, **_: object) -> bool:
        return queue in self.queues

    def _new_queue(self, queue: str, **_: object) -> None:
        self.queues.setdefault(queue, SimpleQueue())

    def _queue_bind(self, *_: object) -> None:
        """Nothing: Kombu keeps the table of an exchange's queues."""

    def _put(self, queue: str, message: object, **_: object) -> None:
        self.queues.setdefault(queue, SimpleQueue()).put(message)

    def _put_fanout(self, exchange: str, message: object, routing_key: str, **_: object) -> None:
        for queue in self._lookup(exchange, routing_key):
            self._put(queue, message)

    def _get(self, queue: str, timeout: float | None = None) -> object:
        return self.queues[queue].get_nowait()

    def _size(self, queue: str) -> int:
        return self.queues[queue].qsize() if queue in self.queues else 0

    def _delete(self, queue: str, *_: object, **__: object) -> None:
        self.queues.pop(queue, None)

    def _purge(self, queue: str) -> int:
        size = self._size(queue)
        self.queues[queue] = SimpleQueue()
        return size


class Transport(virtual.Transport):
    """All connections of a process see the same exchanges."""

    Channel = Channel
    global_state = virtual.BrokerState()
    driver_type = driver_name = "box"

    def __init__(self, client: object, **options: object) -> None:
        super().__init__(client, **options)
        self.state = self.global_state

    def driver_version(self) -> str:
        """Kombu asks for it."""
        return "1.0"
