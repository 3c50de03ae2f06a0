"""A room's history on Pub/Sub: what its topic retains, which a new subscription begins with after a seek.

See https://cloud.google.com/pubsub/docs/topic-properties#message_retention and
https://cloud.google.com/pubsub/docs/replay-overview. A seek goes to a time of publication, by the service's clock; Pub/Sub
numbers no messages. Retained messages are charged to the topic's project.
"""

from __future__ import annotations

import shlex
from collections import deque
from datetime import timedelta
from time import monotonic, time
from typing import TYPE_CHECKING, Any, NamedTuple

from amqp.exceptions import AccessRefused, NotFound

from kchat.errors import Hint, NotAuthorised, Refused, SettingsError
from kchat.transports import history
from kchat.transports.history import KEEP, MAX_SIZE, HistoryStatus

from . import bindings

if TYPE_CHECKING:
    from google.pubsub_v1 import types

    from kchat.transports.protocols import Channel, Connection, Delivery

    from .clients import Clients
    from .definitions import Definitions

SHORTEST, LONGEST = 600, 2_678_400
"""Seconds that a topic can keep messages: https://cloud.google.com/pubsub/docs/topic-properties#message_retention."""

MARGIN = 60.0
"""Seconds before the newest message that was read from which on messages are read again.

Messages of different ordering keys come in any order, and what is delivered again comes late.
"""

_MOST = 50_000
"""Maximum number of messages to remember of that time."""

_QUIET, _STARTING = 1.0, 3.0
"""Seconds without a message after which what was missed has come; at first, a seek takes a moment."""


class HistoryPolicy(history.HistoryPolicy):
    """See :class:`kchat.transports.history.HistoryPolicy`. There is no limit in bytes."""

    by_host = True
    by_number = False
    by_size = False

    def switch_on(self, channel: Channel, *, keep: float = KEEP, max_size: int = MAX_SIZE) -> None:  # noqa: ARG002 - it has none
        """Set the topic's message retention; this takes ``pubsub.topics.update``, as ``roles/pubsub.editor`` has it.

        The emulator keeps the messages of a topic that was made with a retention, and of no other one.

        Raises:
            kchat.errors.SettingsError: ``keep`` is not from 10 minutes to 31 days.
            kchat.errors.NotAuthorised: this account may not; the hint is the command for one that may.
            amqp.exceptions.AMQPError: something else is wrong.
        """
        if not SHORTEST <= keep <= LONGEST:
            raise SettingsError(
                "Pub/Sub keeps messages for 10 minutes to 31 days", hint="choose a time between these"
            )
        seconds = round(keep)
        command = f"--message-retention-duration={seconds}s"
        try:
            self._update(channel, timedelta(seconds=seconds), command)
        except NotFound:
            definitions: Definitions = channel.connection.definitions  # type: ignore[attr-defined]  # it is this transport's
            definitions.create_room(self._room.name, seconds)

    def switch_off(self, channel: Channel) -> None:
        """Clear the topic's message retention, with which what it has kept is gone. Raises as :meth:`switch_on`."""
        clients = _clients_of(channel)
        if clients.emulator:
            raise Refused(
                "the emulator cannot switch a topic's message retention off",
                hint="shorten it with: kchat history on --keep 10m",
            )
        self._update(channel, None, "--clear-message-retention-duration")

    def check_clear(self) -> None:
        """Always refused: a seek marks messages as read for one subscription, and deletes nothing."""
        raise Refused(
            "Pub/Sub deletes no messages before their time",
            hint="end the history with: kchat history off; or shorten it with: kchat history on --keep 10m",
        )

    def clear(self, channel: Channel) -> None:  # noqa: ARG002 - the port's
        """Always refused, as by :meth:`check_clear`."""
        self.check_clear()

    def status(self, connection: Connection) -> HistoryStatus | None:
        """The topic's retention; Pub/Sub does not tell what it holds.

        Raises:
            amqp.exceptions.NotFound: there is no such room.
            amqp.exceptions.AccessRefused: this takes ``pubsub.topics.get``, as ``roles/pubsub.viewer`` has it.
        """
        clients: Clients = connection.connection.clients
        topic = clients.topic(bindings.to_id(self._room.name))
        found: types.Topic = clients.call(
            clients.publisher.get_topic, {"topic": topic}, f"find {self._room.name}"
        )
        keep = found.message_retention_duration
        return HistoryStatus(None, keep=keep.total_seconds()) if keep else None

    def _update(self, channel: Channel, keep: timedelta | None, command: str) -> None:
        clients = _clients_of(channel)
        topic: dict[str, Any] = {"name": clients.topic(bindings.to_id(self._room.name))}
        if keep is not None:
            topic["message_retention_duration"] = keep
        request = {"topic": topic, "update_mask": {"paths": ["message_retention_duration"]}}
        try:
            clients.call(clients.publisher.update_topic, request, f"change {self._room.name}")
        except AccessRefused as error:
            raise self._refusal(channel, command) from error

    def _refusal(self, channel: Channel, command: str) -> NotAuthorised:
        clients = _clients_of(channel)
        words = ["gcloud", "pubsub", "topics", "update", bindings.to_id(self._room.name)]
        words += ["--project", clients.project, command]
        return NotAuthorised(
            f"this account may not change the topic {self._room.name}",
            hint=Hint(f"an account that may runs: {shlex.join(words)}".replace("{", "{{").replace("}", "}}")),
        )

    def cursor(self) -> Cursor:
        """How far a subscription was read."""
        return Cursor()


def _clients_of(channel: Any) -> Clients:
    clients: Clients = channel.connection.clients
    return clients


class After(NamedTuple):
    """What ``x-history-after`` takes: a time of publication, in UNIX seconds, from which on messages are to come again."""

    since: float


class Cursor:
    """See :class:`kchat.transports.history.Cursor`.

    It knows the newest time of publication, and of the time around it, the times and the service's ids of all messages.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._floor: float | None = None
        self._newest = self._forgotten = 0.0
        self._order: deque[tuple[float, str]] = deque()
        self._seen: set[tuple[float, str]] = set()
        self._count = 0
        self._until: float | None = None
        self._quiet_at = 0.0

    def after(self, away: float) -> After | None:  # noqa: ARG002 - the port's
        """See the protocol."""
        if self._floor is None:
            return None
        return After(max(self._newest - MARGIN, self._forgotten, self._floor))

    def join(self, connection: Connection, queue: str, after: Any) -> bool:
        """See the protocol."""
        declared = connection.connection.definitions.declared(queue)
        now = time()
        if after is None:
            self._begin()
            # What came before it does not come from a queue that begins empty; from another one, it is not wanted.
            self._floor = now if declared.begins_at is None else declared.begins_at
        self._count = 0
        resumed = after is not None and declared.begins_at is not None
        self._until = now if resumed else None
        self._quiet_at = monotonic() + _STARTING
        return resumed

    def take(self, delivery: Delivery) -> bool:
        """See the protocol."""
        info: Any = delivery.delivery_info
        published: float = info["publish_time"]
        key = published, info["message_id"]  # an emulator that was restarted gives the same ids again
        if key in self._seen:
            return False
        if self._until is not None:
            self._quiet_at = monotonic() + _QUIET
            if published > self._until:
                self._until = None
            else:
                self._count += 1
        self._seen.add(key)
        self._order.append(key)
        self._newest = max(self._newest, published)
        while self._order and self._order[0][0] < self._newest - MARGIN:
            self._seen.discard(self._order.popleft())
        if len(self._order) > _MOST:
            forgotten = self._order.popleft()
            self._forgotten = max(self._forgotten, forgotten[0])
            self._seen.discard(forgotten)
        return True

    @property
    def is_behind(self) -> bool:
        """See the protocol. The service does not tell when all has come: until it has come to what is newer, or pauses."""
        if self._until is not None and monotonic() >= self._quiet_at:
            self._until = None
        return self._until is not None

    def take_count(self) -> int:
        """See the protocol."""
        count, self._count = self._count, 0
        return count
