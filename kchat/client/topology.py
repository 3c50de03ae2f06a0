"""A room as a Kombu exchange, a subscriber's place in it as a Kombu queue, and how both are declared.

It opens nothing itself: it acts on the channel that it is given.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import amqp.exceptions
import kombu

from kchat.errors import NotFound, Refused

if TYPE_CHECKING:
    from kchat.config.settings import Settings

QUEUE_LENGTH = 10_000
"""Maximum number of messages in a subscriber's own queue; older ones are dropped."""

QUEUE_BYTES = 64 * 1024 * 1024
"""... and of bytes, so that a stopped subscriber cannot fill the broker."""

QUEUE_PREFIX = "kchat."
"""What the names of all queues of kchat's begin with on AMQP."""

_PART_LENGTH = 60
"""Room and username together with the rest stay below 255 bytes (AMQP 0-9-1 section 4.2.5.3)."""


def room_exchange(settings: Settings) -> kombu.Exchange:
    """The room's exchange: fanout, not durable, not auto-delete, which is what the tutorial clients declare."""
    return kombu.Exchange(
        settings.room, type="fanout", durable=False, auto_delete=False, delivery_mode="transient"
    )


def subscriber_queue(
    settings: Settings,
    username: str,
    *,
    account: str | None = None,
    last: int | None = None,
    since: float | None = None,
) -> kombu.Queue:
    """A queue of a subscriber's own, under a fresh name.

    Exclusive, auto-delete and not durable: the broker takes it away with its connection. RabbitMQ 4.3 refuses transient
    queues that are not exclusive. ``x-overflow: drop-head`` keeps the newest
    (https://www.rabbitmq.com/docs/maxlength).

    Arguments:
        settings: the room.
        username: stands in the queue's name.
        account: on a broker whose accounts may each make queues under their own name, the account: it comes first in the
            queue's name, and the username only where it is another. Default: the username alone.
        last: number of messages of the room's history to begin with.
        since: begin with what the room's history holds since then, in UNIX seconds.
    """
    arguments: dict[str, Any] = {}
    if settings.transport.name == "amqp":
        # Elsewhere a slow subscriber holds up nothing: an embedded room keeps one copy for all, and bounds that itself.
        arguments |= {
            "x-max-length": QUEUE_LENGTH,
            "x-max-length-bytes": QUEUE_BYTES,
            "x-overflow": "drop-head",
        }
    if last is not None:
        arguments["x-history-last"] = last
    if since is not None:
        arguments["x-history-since"] = since
    owner = [username] if account in (None, username) else [account or "", username]
    return kombu.Queue(
        queue_name(settings, *owner, os.urandom(4).hex()),
        exchange=room_exchange(settings),
        durable=False,
        exclusive=True,
        auto_delete=True,
        queue_arguments=arguments,
    )


def durable_queue(
    settings: Settings, name: str, *, account: str | None = None, since: float | None = None
) -> kombu.Queue:
    """A durable queue: it keeps messages while nobody consumes from it.

    On RabbitMQ a quorum queue (https://www.rabbitmq.com/docs/quorum-queues), which survives the loss of a node.

    Arguments:
        settings: the room.
        name: of the queue, for people.
        account: the queue's owner. Default: it belongs to the room, and every account with the right can use it.
        since: begin with what the room's history holds since then, in UNIX seconds.
    """
    arguments: dict[str, Any] = {}
    if settings.transport.name == "amqp":
        arguments["x-queue-type"] = "quorum"
    if since is not None:
        arguments["x-history-since"] = since
    return kombu.Queue(
        queue_name(settings, *([name] if account is None else [account, name])),
        exchange=room_exchange(settings),
        durable=True,
        exclusive=False,
        auto_delete=False,
        queue_arguments=arguments,
    )


def queue_name(settings: Settings, *parts: str) -> str:
    """``kchat.<room>.<part>...``: recognisable in a dashboard, and one pattern for permissions.

    The separator is escaped within a part, so that room ``chat`` and room ``chat.x`` share no names. A long part is cut,
    and keeps its uniqueness by a digest.
    """
    return _joined(settings.transport.name_separator, settings.room, *parts)


def queue_prefix(settings: Settings, *parts: str) -> str:
    """What the names of all queues of a room begin with, ``kchat.<room>.``, and those of no other room.

    Arguments:
        settings: the room.
        parts: the account, for the queues that are the account's own: ``kchat.<room>.<account>.``.
    """
    return queue_name(settings, *parts) + settings.transport.name_separator


def amqp_name(room: str, *parts: str) -> str:
    """As :func:`queue_name`, on AMQP, for a room by its name."""
    return _joined(".", room, *parts)


def is_owned(name: str, account: str) -> bool:
    """Whether a queue or exchange on AMQP is an account's own, in whatever room: ``kchat.<room>.<account>.<more>``.

    No part has a dot in it, so that ``ada`` does not own what is ``ada.b``'s.
    """
    parts = name.split(".", 3)
    return len(parts) == 4 and parts[0] == "kchat" and parts[2] == _part(account, ".")


def _joined(separator: str, *parts: str) -> str:
    return separator.join(["kchat", *(_part(part, separator) for part in parts)])


def _part(text: str, separator: str) -> str:
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


def declare_room(channel: Any, exchange: kombu.Exchange) -> None:
    """Declare the room, or adopt it as it is.

    Where it exists with other flags (406), or where this account may not declare (403), a passive declaration finds out
    whether it is there; that needs no right on RabbitMQ.

    Kombu never declares ``amq.fanout``, which AMQP forbids: each broker has it.

    Arguments:
        channel: a Kombu channel.
        exchange: of :func:`room_exchange`.

    Raises:
        kchat.errors.Refused: an exchange of that name exists that is not a fanout exchange.
        kchat.errors.NotFound: it does not exist, and this account may not make it.
        amqp.exceptions.AccessRefused: neither of the two is allowed.
    """
    try:
        exchange(channel).declare()
    except amqp.exceptions.PreconditionFailed as error:
        # RabbitMQ compares the type first, and names the first difference that it finds.
        if "'type'" in str(error):
            raise Refused(
                f"{exchange.name!r} exists there and is not a fanout exchange, so it cannot be a room",
                hint="choose another name with --room",
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
