"""Queues as subscriptions: created, compared with what exists, taken over from dead owners."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import time
from typing import TYPE_CHECKING

from amqp.exceptions import AccessRefused, AMQPError, NotFound, PreconditionFailed, ResourceLocked

from . import bindings, ownership_labels
from .arguments import SHORTEST_EXPIRY, Times
from .errors import NotSupported

if TYPE_CHECKING:
    from google.pubsub_v1 import types

    from .bindings import Queue
    from .clients import Clients

logger = logging.getLogger(__name__)

_DELETED_TOPIC = "_deleted-topic_"

_TRIES = 5
"""Maximum number of attempts to create a subscription that others keep deleting."""

EMULATOR_KEEPS = timedelta(days=7)
"""The longest time for which the emulator keeps messages; the service takes up to 31 days."""

EMULATOR_FORGETS = 1.0
"""Seconds in which the emulator ends the streams of a deleted subscription.

A new one of the same name is served to the dead owner's stream before that: with no pause, 7 of 8 got nothing within 3 s.
"""


class Subscriptions:
    """The subscriptions of one connection's queues.

    Arguments:
        clients: of the connection.
        owner: of its exclusive queues.
    """

    def __init__(self, clients: Clients, owner: ownership_labels.Owner) -> None:
        self._clients = clients
        self._owner = owner

    def path(self, name: str) -> str:
        """The full name of a queue's subscription."""
        return self._clients.subscription(bindings.to_id(name))

    def get(self, name: str) -> types.Subscription:
        """The subscription of a queue. Raises ``NotFound`` where there is none."""
        return self._clients.get_subscription(self.path(name), f"find queue {name}")

    def create(self, queue: Queue, topic: str) -> None:
        """Create the subscription of a queue that is bound; ``ResourceLocked`` or ``PreconditionFailed`` for another one."""
        begins_at = self._beginning(queue, topic)
        request = self._request(queue, topic)
        for _ in range(_TRIES):
            if self._clients.create(
                self._clients.subscriber.create_subscription, request, f"declare queue {queue.name}"
            ):
                break
            try:
                found = self.get(queue.name)
            except NotFound:
                continue  # it was deleted in between
            except AccessRefused:
                if queue.exclusive:
                    raise ResourceLocked(
                        f"queue {queue.name!r} exists, and does not belong to this connection"
                    ) from None
                return  # without the right to look, it is taken as it is
            if not self.take_over(queue, found):
                self._compare(queue, found, topic)
                return
        else:
            raise ResourceLocked(f"queue {queue.name!r} is created and deleted by others all the time")
        queue.owned, queue.foreign = queue.exclusive, False
        queue.begins_at = begins_at
        if begins_at is not None:
            self._seek(queue, begins_at)
        expires = queue.times.expires
        if expires is not None and expires < SHORTEST_EXPIRY.total_seconds() * 1000:
            logger.info(
                "queue %s: x-expires is %d ms, and Pub/Sub's shortest is a day: it expires after a day without consumers",
                queue.name,
                expires,
            )

    def _request(self, queue: Queue, topic: str) -> types.Subscription:
        request = bindings.new_subscription(
            queue, self.path(queue.name), topic, self._clients.options.ack_deadline, self._owner
        )
        if self._clients.emulator and request.message_retention_duration > EMULATOR_KEEPS:
            request.message_retention_duration = EMULATOR_KEEPS
        return request

    def take_over(self, queue: Queue, found: types.Subscription) -> bool:
        """Delete what a dead owner has left under this name: an exclusive queue ends with its owner.

        A name that is used again and again, as by a Celery worker, would stay locked for a day.
        """
        reason = ownership_labels.why_dead(found.labels)
        if not reason:
            return False
        logger.info("queue %s is taken over: %s", queue.name, reason)
        self._clients.delete_subscription(found.name, f"take over queue {queue.name}")
        if self._clients.emulator:
            self._clients.closed.wait(EMULATOR_FORGETS)
        return True

    def _compare(self, queue: Queue, found: types.Subscription, topic: str) -> None:
        self.check_owner(queue, found)
        if found.topic == _DELETED_TOPIC:
            raise PreconditionFailed(
                f"queue {queue.name!r} belongs to an exchange that was deleted, and gets no more messages: delete it"
            )
        if found.topic != topic or (found.filter or "") != queue.filter:
            raise PreconditionFailed(
                f"queue {queue.name!r} exists and is bound to something else: "
                f"{found.topic.rpartition('/')[2]} {found.filter}"
            )
        self.check_times(queue, found)

    def note_owner(self, queue: Queue, found: types.Subscription) -> None:
        """Note whose a queue is that exists."""
        own = ownership_labels.is_own(found.labels)
        queue.owned = own and ownership_labels.is_mine(found.labels, self._owner)
        queue.foreign = own and not queue.owned
        queue.elsewhere = own and found.labels.get(ownership_labels.HOST) != ownership_labels.host()
        queue.abandoned = bool(ownership_labels.why_dead(found.labels))

    def check_owner(self, queue: Queue, found: types.Subscription) -> None:
        """Raise ``ResourceLocked`` for a queue that is another connection's own, or is shared and to be this one's own."""
        self.note_owner(queue, found)
        queue.check_access()
        if queue.exclusive and not queue.owned:
            raise ResourceLocked(
                f"queue {queue.name!r} exists and is shared: it cannot be declared exclusive"
            )

    @staticmethod
    def check_times(queue: Queue, found: types.Subscription) -> None:
        """Raise ``PreconditionFailed`` for a queue that exists with other times, as RabbitMQ does."""
        current, wanted = Times.of_labels(found.labels), queue.times
        for argument, ours, theirs in (
            ("x-message-ttl", wanted.ttl, current.ttl),
            ("x-expires", wanted.expires, current.expires),
        ):
            if ours != theirs:
                raise PreconditionFailed(
                    f"inequivalent arg '{argument}' for queue '{queue.name}': received {ours} but current is {theirs}"
                )

    def _beginning(self, queue: Queue, topic: str) -> float | None:
        """The time of publication from which on a new queue gets messages; ``None`` for those that come from now on.

        Raises:
            kchat.transports.pubsub.errors.NotSupported: it is to begin with history, and the topic keeps none.
        """
        since, after = queue.arguments.get("x-history-since"), queue.arguments.get("x-history-after")
        emulator = self._clients.emulator
        if since is None and after is None and not emulator:
            return None
        now = time()
        retains: bool | None = None
        with suppress(AccessRefused):
            found = self._clients.call(self._clients.publisher.get_topic, {"topic": topic}, f"find {topic}")
            retains = bool(found.message_retention_duration)
        if since is not None:
            if retains is False:
                raise NotSupported(
                    f"{queue.exchange} has no history: its host has not switched it on, with kchat history on"
                )
            return min(float(since), now)  # a seek to a time that is to come drops all until then
        if after is not None and retains:
            return float(after.since)
        # The emulator begins each subscription with all that its topic retains.
        return now if emulator and retains else None

    def _seek(self, queue: Queue, since: float) -> None:
        moment = datetime.fromtimestamp(max(0.0, since), UTC)
        path = self.path(queue.name)
        request = {"subscription": path, "time": moment}
        doing = f"begin {queue.name} at {moment}"
        try:
            self._clients.call(self._clients.subscriber.seek, request, doing)
        except BaseException as error:
            # It seeks in no subscription with message ordering; but what it retains is there in any case.
            if self._clients.emulator and isinstance(error, NotSupported):
                return
            queue.owned = False
            with suppress(AMQPError):
                self._clients.delete_subscription(path, f"delete {queue.name}")
            raise
