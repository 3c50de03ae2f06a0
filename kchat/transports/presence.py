"""How it becomes known who is in a room, without anything of that going through the room: :class:`PresencePolicy`.

Here is what holds on most brokers: each subscriber announces itself through a second exchange, ``kchat.<room>.presence``,
and hears the others there (:mod:`kchat.client.presence`). A broker that knows by itself who is there has a class of its own,
whose :attr:`~PresencePolicy.announces` is false. It opens nothing itself: it acts on the channel that it is given.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import kombu

if TYPE_CHECKING:
    from kchat.transports.protocols import Channel, Queue
    from kchat.transports.room import RoomPolicy

PRESENCE = "presence"
"""What stands for the name of a queue in the exchange's name; the last part of the names of queues that are bound to it."""

QUEUE_LENGTH = 1_000
"""Maximum number of announcements that wait to be heard; older ones are dropped."""


class PresencePolicy:
    """What presence is on a broker.

    Arguments:
        room: what the room is there.
        mandatory: the broker says so when nobody gets an announcement (:attr:`.Transport.supports_mandatory`).
    """

    announces: ClassVar[bool] = True
    """Subscribers announce themselves by messages. If not, the broker knows them: :meth:`register`, :meth:`present`."""

    has_lists: ClassVar[bool] = False
    """A queue can get lists of people without the announcements of each: ``hears`` of :meth:`join` and :meth:`bind`."""

    queue_arguments: ClassVar[dict[str, Any]] = {"x-max-length": QUEUE_LENGTH}
    """Of a queue of announcements."""

    def __init__(self, room: RoomPolicy, *, mandatory: bool) -> None:
        self._room = room
        self._mandatory = mandatory

    @property
    def exchange(self) -> kombu.Exchange:
        """The exchange of announcements: fanout, and never the room's own."""
        return kombu.Exchange(
            self._room.queue_name(PRESENCE),
            type="fanout",
            durable=False,
            auto_delete=True,
            delivery_mode="transient",
        )

    def queue(self, username: str, account: str | None = None) -> kombu.Queue:
        """A queue of announcements, under a fresh name, which goes with its connection.

        Arguments:
            username: stands in its name.
            account: as of :meth:`kchat.transports.room.RoomPolicy.subscriber_queue`.
        """
        owner = [username] if account in (None, username) else [account or "", username]
        return kombu.Queue(
            self._room.queue_name(*owner, os.urandom(4).hex(), PRESENCE),
            exchange=self.exchange,
            durable=False,
            exclusive=True,
            auto_delete=True,
            queue_arguments=self.queue_arguments,
        )

    # ---- by announcements

    def join(
        self,
        channel: Channel,
        username: str,
        hello: bytes | None,
        *,
        account: str | None = None,
        hears: bool = True,
    ) -> tuple[Queue, bool | None]:
        """Say the first announcement, and declare a queue that gets those of others from then on.

        In this order, since an announcement that is said while nobody listens is returned.

        Arguments:
            channel: a Kombu channel that is used for nothing else.
            username: stands in the queue's name.
            hello: the announcement. Default with ``None``: nothing is said.
            account: that the broker checks ``user_id`` against.
            hears: whether the queue gets the announcements of everybody; else, where that makes a difference, lists alone.

        Returns:
            The queue, and whether nobody else was there who hears everybody; ``None`` where the broker does not tell.

        Raises:
            amqp.exceptions.AMQPError: it is not allowed, or something else is wrong.
        """
        self.exchange(channel).declare()
        return self._join(channel, self.queue(username, account), hello, account, hears=hears)

    def _join(
        self, channel: Channel, unbound: kombu.Queue, hello: bytes | None, account: str | None, *, hears: bool
    ) -> tuple[Queue, bool | None]:
        returned: list[bool] = []
        queue: Queue = unbound(channel)
        queue.queue_declare()
        tells = self._mandatory and hello is not None
        if tells:
            channel.events["basic_return"] = {lambda *_: returned.append(True)}
        if hello is not None:
            self.announce(channel, hello, account=account, mandatory=tells)
        self.bind(channel, queue, hears=hears)  # its answer comes after what was returned
        return queue, bool(returned) if tells and hears else None

    def bind(self, channel: Channel, queue: Queue, *, hears: bool) -> None:  # noqa: ARG002 - for brokers that have lists
        """Bind a queue of :meth:`join`.

        Arguments:
            channel: of it.
            queue: likewise.
            hears: as of :meth:`join`.
        """
        queue.queue_bind()

    def announce(
        self,
        channel: Channel,
        body: bytes,
        *,
        account: str | None = None,
        mandatory: bool = False,
        to_all: bool = False,
    ) -> None:
        """Publish an announcement. What a broker says against it may come later, out of ``drain_events``.

        Arguments:
            channel: of :meth:`join`.
            body: of the announcement.
            account: likewise.
            mandatory: whether it is returned when nobody gets it.
            to_all: whether it has a list, for those, too, who hear nothing else.
        """
        properties = {"delivery_mode": 1, "app_id": "kchat"} | ({"user_id": account} if account else {})
        raw = channel.prepare_message(body, content_type="application/json", properties=properties)
        channel.basic_publish(
            raw, exchange=self.exchange.name, routing_key=self._key(to_all=to_all), mandatory=mandatory
        )

    def _key(self, *, to_all: bool) -> str:  # noqa: ARG002 - likewise
        return ""

    def bind_again(self, channel: Channel, queue: Queue, *, hears: bool) -> None:
        """Bind a queue of :meth:`join` again, without waiting, where nobody says when its binding is deleted."""

    def leave(self, channel: Channel, queue: Queue) -> None:
        """Give up a queue of :meth:`join` where the broker does not delete it with its connection."""

    # ---- by what the broker knows

    def register(self, channel: Channel, username: str) -> str:  # noqa: ARG002 - for brokers that know
        """Count as here for as long as the channel's connection lives; nothing where subscribers announce themselves.

        Arguments:
            channel: a subscriber's.
            username: the name that counts.

        Returns:
            What :meth:`unregister` takes.
        """
        return ""

    def unregister(self, channel: Channel, registered: str) -> None:
        """Count as here no longer.

        Arguments:
            channel: of :meth:`register`.
            registered: what that returned.
        """

    def present(self, channel: Channel) -> Sequence[str]:  # noqa: ARG002 - for brokers that know
        """The usernames of those who are here, one for each subscriber, as far as the broker knows; at most 1,001.

        Arguments:
            channel: any Kombu channel.

        Raises:
            amqp.exceptions.AMQPError: it cannot be read.
        """
        return ()
