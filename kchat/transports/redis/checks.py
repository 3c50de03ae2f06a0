"""The walk to a room on Redis.

What an account may do is found by trying: Redis looks at the rights of a command when it is queued in a transaction, and a
transaction that is discarded does nothing (https://redis.io/docs/latest/develop/using-commands/transactions/).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import exceptions

from kchat import errors
from kchat.client.connection import broker_errors
from kchat.doctor import Check, Outcome, network, note, ok, skipped, wrong
from kchat.doctor.round_trip import round_trip as through_a_room

_ODD, _WRONG = 5.0, 60.0
"""Seconds of difference: from where on times look odd, and from where on something is wrong with a clock."""


class Walk(network.NetworkWalk):
    """A walk to a Redis server.

    Arguments:
        settings: the room and one broker.
        options: what to look at.
    """

    @property
    def client(self) -> Any:
        """redis-py's client."""
        assert self.connection is not None
        return self.connection.default_channel.client

    @contextmanager
    def wire(self) -> Iterator[Any]:
        """A connection of redis-py's to say single commands on; replies are read as they come."""
        assert self.connection is not None
        pool = self.connection.default_channel.pool
        connection = pool.connection_class(**pool.connection_kwargs)
        with broker_errors(self.broker, "look"):
            connection.connect()
            try:
                yield connection
            finally:
                connection.disconnect()

    @property
    def topic(self) -> bytes:
        """The channel that the room is on."""
        assert self.connection is not None
        channel = self.connection.default_channel
        name: bytes = channel._topic(self.settings.room, "").name  # noqa: SLF001 - of kchat's own transport
        return name


def server(walk: Walk) -> Outcome:
    """What answers speaks Redis."""
    failure = walk.failure()
    if failure is not None and not isinstance(failure, errors.NotAuthorised):
        raise failure
    return ok("it speaks Redis")


def login(walk: Walk) -> Outcome:
    """The account is known, and its password right."""
    if failure := walk.failure():
        raise failure
    try:
        with broker_errors(walk.broker, "look"):
            walk.client.ping()
    except errors.Refused as error:
        if "NOAUTH" in str(error) or "Authentication required" in str(error):
            return wrong(
                "not authorised: the server wants a password", "give one: --ask-password, or in the URL"
            )
        raise
    return ok(f"as {walk.broker.username or 'default'}")


def role(walk: Walk) -> Outcome:
    """The server takes messages for everybody: it is no replica."""
    try:
        with broker_errors(walk.broker, "look"):
            told = walk.client.role()
    except errors.Refused:
        return skipped("this account may not ask")
    name = told[0] if isinstance(told, list | tuple) and told else None
    if name in (b"slave", "slave"):
        return note(
            "a replica: messages sent here reach its own subscribers only", "use the primary's address"
        )
    return ok("a primary")


def sending(walk: Walk) -> Outcome:
    """The account may publish to the room's channel."""
    if walk.options.only == "subscribe":
        return skipped("not asked for")
    channel = walk.topic
    with walk.wire() as wire:
        try:
            for command in (("MULTI",), ("PUBLISH", channel, b""), ("DISCARD",)):
                wire.send_command(*command)
                wire.read_response()
        except exceptions.NoPermissionError as error:
            return wrong(
                f"this account may not send to {walk.settings.room!r}: {error}",
                f"it needs: ACL SETUSER {walk.broker.username or 'default'} +publish +multi &{channel.decode()}",
            )
    return ok(f"this account may send to {walk.settings.room!r}")


def listening(walk: Walk) -> Outcome:
    """The account may subscribe to the room's channel."""
    if walk.options.only == "send":
        return skipped("not asked for")
    channel = walk.topic
    with walk.wire() as wire:
        try:
            wire.send_command("SUBSCRIBE", channel)
            wire.read_response()
        except exceptions.NoPermissionError as error:
            return wrong(
                f"this account may not listen to {walk.settings.room!r}: {error}",
                f"it needs: ACL SETUSER {walk.broker.username or 'default'} +subscribe &{channel.decode()}",
            )
    return ok(f"this account may listen to {walk.settings.room!r}")


def clock(walk: Walk) -> Outcome:
    """The server's clock and this one agree."""
    try:
        with broker_errors(walk.broker, "look"):
            seconds, microseconds = walk.client.time()
    except errors.Refused:
        return skipped("this account may not ask")
    except (TypeError, ValueError, LookupError):  # redis-py's, on a reply that is no time
        return skipped("the server tells no time")
    apart = time.time() - (seconds + microseconds / 1e6)
    text = f"this clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} the server's"
    if abs(apart) < _ODD:
        return ok("the same as the server's")
    return (
        note(text, "the times of messages look odd")
        if abs(apart) < _WRONG
        else wrong(text, "set the wrong one")
    )


def round_trip(walk: Walk) -> Outcome:
    """A message sent comes back."""
    try:
        return through_a_room(walk)
    except errors.NotAuthorised:
        if walk.options.send_test:
            raise
        return skipped(
            "this account may use no channel of its own to try it; --send-test tries it in the room"
        )


CHECKS = (
    *network.CHECKS,
    Check("redis", server, needs=("tcp", "tls")),
    Check("login", login, needs=("redis",)),
    Check("role", role, needs=("login",)),
    Check("send", sending, needs=("login",)),
    Check("listen", listening, needs=("login",)),
    Check("clock", clock, needs=("login",)),
    Check("round trip", round_trip, needs=("send", "listen")),
)
