"""A room as a Kombu exchange, a subscriber's place in it as a Kombu queue, and how both are declared.

Here is what holds on every broker; a transport that differs has a class of its own. It opens nothing itself: it acts on
the channel that it is given.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import quote, unquote

import amqp.exceptions
import kombu

from kchat.errors import NotFound, Refused
from kchat.transports import durable_queue
from kchat.transports.durable import Durable

if TYPE_CHECKING:
    from kchat.transports.protocols import Channel, Queue

PREFIX = "kchat"
"""What the names of all queues of kchat's begin with."""

READER = "%reader"
"""What follows a durable queue's name in that of the exclusive queue by which its one reader holds it. It is no part of any
other name: :func:`name_part` leaves no ``%`` before letters like these."""

_PART_LENGTH = 60
"""Room and username together with the rest stay below 255 bytes (AMQP 0-9-1 section 4.2.5.3)."""


class Place(NamedTuple):
    """A subscriber's place in a room.

    Attributes:
        queue: its queue, as declared; a Kombu queue that is bound to the channel.
        durable: whether what is sent while its subscriber is away is kept, a restart of the broker included.
        rebinds: whether this account may bind what outlives a restart to the room, so that it can be done again.
        found: whether the queue was there before.
        waiting: the number of messages in a durable queue, before any is consumed.
        shared: whether others may read it at the same time.
        known: whether the queue has the limits of its arguments; one that exists keeps its own, and not each broker tells.
        notice: what to tell about it; empty for nothing.
    """

    queue: Queue
    durable: bool = False
    rebinds: bool = False
    found: bool = False
    waiting: int = 0
    shared: bool = False
    known: bool = True
    notice: str = ""


class RoomPolicy:
    """What a room is on a broker: its exchange and queues, their names and arguments, and how they are declared.

    Arguments:
        name: of the room.
    """

    separator: ClassVar[str] = "."
    """Joins the parts of a queue's name."""
    queue_arguments: ClassVar[dict[str, Any]] = {}
    """Of a subscriber's own queue."""
    durable_arguments: ClassVar[dict[str, Any]] = {}
    """Of a durable queue."""
    limits_change: ClassVar[str] = ""
    """How the limits of a durable queue that exists can be changed, ending in ``, or, ``; empty if they cannot."""

    def __init__(self, name: str) -> None:
        self.name = name

    # ---- names

    def queue_name(self, *parts: str) -> str:
        """``kchat.<room>.<part>...``: recognisable in a dashboard, and one pattern for permissions.

        The separator is escaped within a part, so that room ``chat`` and room ``chat.x`` share no names. A long part is cut,
        and keeps its uniqueness by a digest.
        """
        return self.separator.join(
            [PREFIX, *(name_part(each, self.separator) for each in (self.name, *parts))]
        )

    def queue_prefix(self, *parts: str) -> str:
        """What the names of all queues of the room begin with, ``kchat.<room>.``, and those of no other room.

        Arguments:
            parts: the account, for the queues that are the account's own: ``kchat.<room>.<account>.``.
        """
        return self.queue_name(*parts) + self.separator

    def check_durable(self, durable: Durable) -> None:
        """Raise :class:`kchat.errors.SettingsError` where no durable queue may be called that, or have these limits."""

    def limit_arguments(self, durable: Durable) -> dict[str, Any]:  # noqa: ARG002 - for those that have some
        """The arguments by which a durable queue is bounded."""
        return {}

    # ---- what is declared

    @property
    def exchange(self) -> kombu.Exchange:
        """The room's exchange: fanout, not durable, not auto-delete, which is what the tutorial clients declare."""
        return kombu.Exchange(
            self.name, type="fanout", durable=False, auto_delete=False, delivery_mode="transient"
        )

    def subscriber_queue(
        self,
        username: str,
        *,
        account: str | None = None,
        last: int | None = None,
        since: float | None = None,
        after: Any = None,
        length: int | None = None,
    ) -> kombu.Queue:
        """A queue of a subscriber's own, under a fresh name.

        Exclusive, auto-delete and not durable: the broker takes it away with its connection. RabbitMQ 4.3 refuses transient
        queues that are not exclusive.

        Arguments:
            username: stands in the queue's name.
            account: on a broker whose accounts may each make queues under their own name, the account: it comes first in
                the queue's name, and the username only where it is another. Default: the username alone.
            last: number of messages of the room's history to begin with.
            since: begin with what the room's history holds since then, in UNIX seconds.
            after: go on behind that: see :class:`kchat.transports.history.Cursor`.
            length: maximum number of messages in it, where it has one. Default: the transport's.
        """
        owner = [username] if account in (None, username) else [account or "", username]
        return kombu.Queue(
            self.queue_name(*owner, os.urandom(4).hex()),
            exchange=self.exchange,
            durable=False,
            exclusive=True,
            auto_delete=True,
            queue_arguments=self.length_arguments(length) | self.history_arguments(last, since, after),
        )

    def durable_queue(
        self,
        durable: str | Durable,
        *,
        account: str | None = None,
        last: int | None = None,
        since: float | None = None,
    ) -> kombu.Queue:
        """A durable queue: it keeps messages while nobody consumes from it, within its limits.

        Arguments:
            durable: its name for people, and its limits.
            account: the queue's owner. Default: it belongs to the room, and every account with the right can use it.
            last: number of messages of the room's history to begin with, if it is made now.
            since: begin with what the room's history holds since then, in UNIX seconds; likewise.
        """
        durable = Durable.of(durable)
        return kombu.Queue(
            self.queue_name(*([durable.name] if account is None else [account, durable.name])),
            exchange=self.exchange,
            durable=True,
            exclusive=False,
            auto_delete=False,
            queue_arguments=self.durable_arguments
            | self.limit_arguments(durable)
            | self.history_arguments(last, since),
        )

    def length_arguments(self, length: int | None) -> dict[str, Any]:  # noqa: ARG002 - for those that limit it
        """The arguments of a subscriber's own queue; see :meth:`subscriber_queue`."""
        return self.queue_arguments

    def durable_name(self, queue: str) -> tuple[str, str | None]:
        """The name of a durable queue of the room for people, and the account whose it is: :meth:`durable_queue` backwards.

        A name that was cut cannot be told: then it is the queue's, which removes it as well.

        Arguments:
            queue: the queue's name, which begins with :meth:`queue_prefix`.
        """
        parts = [unquote(part) for part in queue.removeprefix(self.queue_prefix()).split(self.separator)]
        if self.queue_name(*parts) != queue:
            return queue, parts[0] if len(parts) > 1 else None
        return parts[-1], parts[0] if len(parts) > 1 else None

    def history_arguments(self, last: int | None, since: float | None, after: Any = None) -> dict[str, Any]:
        """The arguments of a queue that begins with some of the room's history; see :meth:`subscriber_queue`."""
        wanted = {"x-history-last": last, "x-history-since": since, "x-history-after": after}
        return {name: value for name, value in wanted.items() if value is not None}

    # ---- declaring

    def open(self, channel: Channel, *, missing: bool = False) -> None:  # noqa: ARG002 - for those that bind more to it
        """Declare the room, or adopt it as it is.

        Where it exists with other flags (406), or where this account may not declare (403), a passive declaration finds out
        whether it is there; that needs no right on RabbitMQ.

        Kombu never declares ``amq.fanout``, which AMQP forbids: each broker has it.

        Arguments:
            channel: a Kombu channel. Consumers and confirms on it may be gone afterwards.
            missing: it is known not to be there. Default: that is found out, where it matters.

        Raises:
            kchat.errors.Refused: an exchange of that name exists that is not a fanout exchange.
            kchat.errors.NotFound: it does not exist, and this account may not make it.
            amqp.exceptions.AMQPError: it is not allowed, or something else is wrong.
        """
        exchange = self.exchange
        try:
            exchange(channel).declare()
        except amqp.exceptions.PreconditionFailed as error:
            # RabbitMQ compares the type first, and names the first difference that it finds.
            if "'type'" in str(error):
                raise Refused(
                    f"{exchange.name!r} exists there and is not a fanout exchange, so it cannot be a room",
                    hint="choose another name with {room}",
                ) from error
            exchange(channel).declare(passive=True)
        except amqp.exceptions.AccessRefused as refusal:
            try:
                exchange(channel).declare(passive=True)
            except amqp.exceptions.NotFound:
                raise NotFound(
                    f"not authorised: there is no room {exchange.name!r} now, and this account may not make it",
                    hint="a restart of the broker deleted it, or it never existed: "
                    "ask its host to open it, with kchat subscribe or kchat invite --list",
                ) from refusal

    def take_place(
        self,
        channel: Channel,
        username: str,
        *,
        durable: str | Durable | None = None,
        account: str | None = None,
        last: int | None = None,
        since: float | None = None,
        after: Any = None,
        length: int | None = None,
        look: bool = False,
    ) -> Place:
        """Declare the room, and a queue in it.

        Arguments:
            channel: a Kombu channel. Consumers and confirms on it may be gone afterwards.
            username: see :meth:`subscriber_queue`.
            durable: a durable queue: the room's where the account may use it, else one of the account's. Default: a queue
                of the subscriber's own.
            account: see :meth:`subscriber_queue`.
            last: likewise.
            since: likewise.
            after: likewise.
            length: likewise; not of a durable queue.
            look: whether to find out if a durable queue was there before.

        Raises:
            kchat.errors.Unavailable: somebody reads that durable queue, and not both share it.
            kchat.errors.Refused, amqp.exceptions.AMQPError: see :meth:`open`.
        """
        if durable is None:
            queue = self.subscriber_queue(
                username, account=account, last=last, since=since, after=after, length=length
            )(channel)
            self.open(channel)
            queue.queue_declare()
            queue.queue_bind()
            return Place(queue)
        durable = Durable.of(durable)
        queues = [self.durable_queue(durable, last=last, since=since)]
        if account is not None:
            queues.append(self.durable_queue(durable, account=account, last=last, since=since))
        return self.take_durable_place(channel, [queue(channel) for queue in queues], durable, look=look)

    def take_durable_place(
        self, channel: Channel, queues: Sequence[Queue], durable: Durable, *, look: bool
    ) -> Place:
        """Declare the room, and the first of these queues that this account may declare; see :meth:`take_place`."""
        self.open(channel)
        refusal: amqp.exceptions.AccessRefused | None = None
        for queue in queues:
            found = look and is_there(queue)
            try:
                difference = durable_queue.declare(queue)
            except amqp.exceptions.AccessRefused as error:
                refusal = error
                continue
            known = not difference or durable_queue.learn(queue, difference)
            if unbound := durable_queue.bind(queue):
                known, difference = False, unbound
            holder = kombu.Queue(
                queue.name + self.separator + READER, durable=False, exclusive=True, auto_delete=True
            )
            waiting, told = durable_queue.claim(queue, holder(channel), durable)
            return Place(
                queue,
                durable=True,
                found=found,
                waiting=waiting,
                shared=durable.shared or bool(told),
                known=known,
                notice=told or durable_queue.notice(durable, difference, self.limits_change),
            )
        assert refusal is not None  # there is a queue
        raise refusal

    def count_waiting(self, queue: Queue) -> int | None:
        """The number of messages that wait in a queue and were not delivered; ``None`` where nobody tells it.

        Arguments:
            queue: bound to the channel by which it is consumed from.
        """
        return int(queue.queue_declare(passive=True).message_count)

    def bind_again(self, channel: Channel, queue: str, *, rebinds: bool) -> None:
        """Bind a queue to the room again without waiting for an answer, where nobody says when its binding is deleted.

        Arguments:
            channel: a Kombu channel.
            queue: the queue's name.
            rebinds: whether to bind what outlives a restart to the room, too: :attr:`Place.rebinds`.
        """


def is_there(queue: Queue) -> bool:
    """Whether a queue that is bound to a channel is there; the channel is usable afterwards."""
    try:
        queue.queue_declare(passive=True)
    except amqp.exceptions.NotFound:
        return False
    except amqp.exceptions.AccessRefused:  # on Pub/Sub: reading it is another right than looking
        return True
    return True


def name_part(text: str, separator: str) -> str:
    """A part of a queue's name, without the separator in it."""
    escaped = quote(text, safe=" !$&'()*+,;=:@" if separator == "." else "").replace(
        separator, f"%{ord(separator):02X}"
    )
    # A name that is like the cut one of another is cut itself, so that it never is the same.
    like_cut = len(escaped) == _PART_LENGTH and escaped[_PART_LENGTH - 17] == "~"
    if len(escaped) <= _PART_LENGTH and not like_cut:
        return escaped
    import hashlib  # takes longer than all else here, and is seldom needed

    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{escaped[: _PART_LENGTH - 17]}~{digest}"
