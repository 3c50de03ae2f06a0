"""The doctor's checks of a room on Redis.

What an account may do is found by trying: Redis looks at the rights of a command when it is queued in a transaction, and a
transaction that is discarded does nothing (https://redis.io/docs/latest/develop/using-commands/transactions/).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from kchat import errors
from kchat.transports.checks import NETWORK, Check, Outcome, Walk, compare_clocks, note, ok, skipped, wrong


def checks(walk: Walk) -> Sequence[Check]:
    """The checks, in order; arguments as of :meth:`kchat.transports.base.Transport.checks`."""
    redis = _Redis(walk)
    return (
        *NETWORK,
        Check("redis", ("tcp", "tls"), redis.server),
        Check("login", ("redis",), redis.login),
        Check("role", ("login",), redis.role),
        Check("send", ("login",), redis.send, only="send"),
        Check("listen", ("login",), redis.listen, only="subscribe"),
        Check("history", ("login",), redis.history),
        Check("clock", ("login",), redis.clock),
        Check("round trip", ("send", "listen")),
    )


class _Redis:
    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._account = walk.broker.account or "default"

    @cached_property
    def _channel(self) -> Any:
        return self._walk.connection.channel()

    def _ask(self, command: str) -> Any:
        with self._walk.explained("ask"):
            return getattr(self._channel.client, command)()

    def server(self) -> Outcome:
        """What answers speaks Redis."""
        failure = self._walk.failure
        if failure is not None and not isinstance(failure, errors.NotAuthorised):
            raise failure
        return ok("it speaks Redis")

    def login(self) -> Outcome:
        """The account exists, and its password is right."""
        try:
            self._ask("ping")
        except errors.Refused as error:
            if "NOAUTH" in str(error) or "Authentication required" in str(error):
                return wrong(
                    "not authorised: the server wants a password", "give one with {password}, or in the URL"
                )
            raise
        return ok(f"as {self._account}")

    def role(self) -> Outcome:
        """The server passes messages to everyone: it is not a replica."""
        try:
            told = self._ask("role")
        except errors.Refused:
            return skipped("this account may not ask")
        name = told[0] if isinstance(told, list | tuple) and told else None
        if name in (b"slave", "slave"):
            return note(
                "a replica: messages sent here reach its own subscribers only", "use the primary's address"
            )
        return ok("a primary")

    def send(self) -> Outcome:
        """The account may publish to the room's channel."""
        return self._try("send", ("MULTI",), ("PUBLISH", self._topic, b""), ("DISCARD",))

    def listen(self) -> Outcome:
        """The account may subscribe to the room's channel."""
        return self._try("listen", ("SUBSCRIBE", self._topic))

    @property
    def _topic(self) -> bytes:
        """The channel that the room is on."""
        name: bytes = self._channel._topic(self._walk.settings.room, "").name  # noqa: SLF001 - of kchat's own transport
        return name

    def _try(self, doing: str, *commands: tuple[str | bytes, ...]) -> Outcome:
        """Say single commands on a connection of redis-py's, whose replies are read as they come."""
        room = self._walk.settings.room
        if (error := self._refusal(*commands)) is not None:
            rights = "+publish +multi" if doing == "send" else "+subscribe"
            return wrong(
                f"this account may not {doing} to {room!r}: {error}",
                f"it needs: ACL SETUSER {self._account} {rights} &{self._topic.decode()}",
            )
        return ok(f"this account may {doing} to {room!r}")

    def _refusal(self, *commands: tuple[str | bytes | int, ...]) -> Exception | None:
        """The server's error for the first of these that this account may not say."""
        from redis.exceptions import NoPermissionError

        connection = self._channel.pool.connection_class(**self._channel.pool.connection_kwargs)
        connection.connect()
        try:
            for command in commands:
                connection.send_command(*command)
                connection.read_response()
        except NoPermissionError as error:
            return error
        finally:
            connection.disconnect()
        return None

    def history(self) -> Outcome:
        """The room has a history, which this account may read, and write."""
        from redis.exceptions import NoPermissionError, RedisError

        from .kept import FIELD, KEEPING, READING, keys_of, limits_in, look, rights

        channel = self._channel
        keys = keys_of(self._topic.decode())
        only = self._walk.options.only
        wanted = [*(KEEPING if only != "subscribe" else ()), *(READING if only != "send" else ())]
        hint = f"it needs: ACL SETUSER {self._account} {' '.join(rights(keys, wanted))}"
        try:
            if limits_in(channel.ask(("HMGET", keys.limits, "keep", "max_size"))[0]) is None:
                return skipped("the room has none: its host has not switched it on")
        except NoPermissionError:
            return note("this account may not see whether the room has one", hint)
        if only != "send":
            try:
                newest = look(channel, keys)
            except NoPermissionError:
                return note("this account may not read it", hint)
            if newest is None:
                return wrong(
                    "the key of the room's history holds something else than a stream",
                    f"look at it, and delete it with: redis-cli DEL {keys.stream.decode()}",
                )
        if only != "subscribe":
            try:
                refused = self._refusal(
                    ("MULTI",),
                    ("XADD", keys.stream, "NOMKSTREAM", "*", FIELD, b""),
                    ("XTRIM", keys.stream, "MINID", "~", 0),
                    ("ZINCRBY", keys.sizes, 0, b"written"),
                    ("ZADD", keys.sizes, 0, b"0-0"),
                    ("ZRANGEBYSCORE", keys.sizes, 0, 0),
                    ("ZREMRANGEBYSCORE", keys.sizes, 0, 0),
                    ("ZREMRANGEBYRANK", keys.sizes, 0, -1),
                    ("DISCARD",),
                )
            except RedisError as error:  # out of memory, say: the check of sending says it, too
                return wrong(f"what is sent cannot be kept now: {error}")
            if refused is not None:
                return note(f"this account may not write it, so what it sends is not kept: {refused}", hint)
        return ok("switched on, and this account has the rights on it")

    def clock(self) -> Outcome:
        """The server's clock and this one agree."""
        try:
            seconds, microseconds = self._ask("time")
        except errors.Refused:
            return skipped("this account may not ask")
        except (TypeError, ValueError, LookupError):  # redis-py's, on a reply that is not a time
            return skipped("the server does not tell the time")
        return compare_clocks(time.time() - (seconds + microseconds / 1e6), "server")
