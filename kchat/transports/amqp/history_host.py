"""The host's side of a room's history on RabbitMQ: its stream is declared, bound, limited, deleted."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import amqp.exceptions

from kchat.errors import KchatError, NotAuthorised, NotFound, Refused, SettingsError, Unreachable
from kchat.transports import history
from kchat.transports.history import KEEP, MAX_SIZE

from . import history_age
from .history_limits import Limits, Managed, arguments, declared, limits_of

if TYPE_CHECKING:
    from kchat.transports.guests import Administration
    from kchat.transports.protocols import Channel
    from kchat.transports.url import Broker

    from .accounts import Accounts
    from .room import RoomPolicy


class HostedHistory(history.HistoryPolicy):
    """See :class:`kchat.transports.history.HistoryPolicy`."""

    by_host = True
    takes_everything = True
    needs = "log in with the account of the room's host: it needs configure, write and read on both streams and the room"
    _room: RoomPolicy
    _accounts: Accounts | None = None
    _managed: Managed | None = None

    @property
    def stream(self) -> str:
        """The stream's name."""
        return self._room.stream

    def administer(self, management: Administration, broker: Broker) -> None:
        """The management API changes limits and tells them, and lets members read that were invited before."""
        from .accounts import Accounts  # it takes HTTP, which others do without

        assert isinstance(management, Accounts)
        self._accounts = management
        self._managed = Managed(management, broker.vhost, self.stream)

    def switch_on(self, channel: Channel, *, keep: float = KEEP, max_size: int = MAX_SIZE) -> None:
        """Declare the stream, bind it behind the room, and limit it by a policy, or else by its arguments.

        See :mod:`.history_limits`.

        Raises:
            kchat.errors.Refused: it is there, and its limits cannot be changed to these; or something is in the way.
        """
        limits = Limits(keep, max_size)
        self._room.open(channel)
        exchange = self._room.durable_exchange
        try:
            exchange(channel).declare()
        except amqp.exceptions.PreconditionFailed as error:
            raise Refused(
                f"{exchange.name!r} is another exchange than kchat's",
                hint="kchat invite --list, with the host's account, repairs it",
            ) from error
        there = self._is_there(channel)
        missing = self._set_policy(limits, there=there)
        if missing is not None:
            self._declare_limited(channel, limits, missing)
        elif not there:
            self._declare(channel, arguments(limits, limited=False))
        self._bind(channel)
        if self._managed is not None and missing is None and self._managed.limits.exceeds(limits):
            raise Refused(
                f"another policy of the broker holds for {self.stream!r}, so these limits do not",
                hint="give that policy another pattern, or a lower priority than 1000",
            )
        self._write_down(channel, limits)
        if self._accounts is not None and self._managed is not None:
            with suppress(NotAuthorised, Unreachable):
                self._accounts.let_members_read(self._managed.vhost, self._room.name)

    def _set_policy(self, limits: Limits, *, there: bool) -> KchatError | None:
        """Limit the stream by a policy; returns why that cannot be done, ``None`` where it was.

        Raises:
            kchat.errors.Refused: the stream has lower limits of its own.
        """
        if self._managed is None:
            return SettingsError("no management API is known", hint="name it with {management_url}")
        try:
            own = limits_of(self._managed.arguments, "x-") if there else Limits()
            if limits.exceeds(own):
                raise Refused(
                    f"the history of {self._room.name} was made with limits that cannot be raised: {own}",
                    hint="forget what is kept, and begin anew: kchat history off, then on",
                )
            self._managed.set(limits)
        except (NotAuthorised, Unreachable) as error:
            return error
        return None

    def _declare_limited(self, channel: Channel, limits: Limits, why: KchatError) -> None:
        try:
            self._declare(channel, arguments(limits, limited=True))
        except amqp.exceptions.PreconditionFailed as error:
            own = limits_of(declared(channel, self.stream), "x-")
            has = f"limits of its own, {own}" if any(own) else "limits by a policy"
            raise Refused(
                f"the history of {self._room.name} has {has}, and they cannot be changed: {why}",
                hint=f"{why.hint}; or forget what is kept, and begin anew: kchat history off, then on",
            ) from error

    def _write_down(self, channel: Channel, limits: Limits) -> None:
        """Tell readers the limits. A host whose rights end at the history itself cannot: then what is too old is shown."""
        stream = self._room.stream_of_limits
        try:
            history_age.write(channel, stream, limits)
        except amqp.exceptions.AccessRefused:
            if self._is_there(channel, stream):
                raise  # readers would go on with others

    def _declare(self, channel: Channel, made: dict[str, Any]) -> None:
        channel.queue_declare(self.stream, durable=True, auto_delete=False, arguments=made)

    def _bind(self, channel: Channel) -> None:
        exchange = self._room.durable_exchange.name
        channel.queue_bind(self.stream, exchange)
        channel.exchange_bind(exchange, self._room.name)

    def _is_there(self, channel: Channel, stream: str | None = None) -> bool:
        """It needs no right, and where the stream is missing the channel is open again."""
        try:
            channel.queue_declare(stream or self.stream, passive=True)
        except amqp.exceptions.NotFound:
            return False
        return True

    def switch_off(self, channel: Channel) -> None:
        """Delete the stream, that of its limits, and the policy that limits it."""
        # First, as it may be another host's: a refusal leaves everything as it was.
        if self._is_there(channel, self._room.stream_of_limits):
            _delete(channel, self._room.stream_of_limits)
        _delete(channel, self.stream)
        if self._managed is not None:
            with suppress(NotAuthorised, Unreachable):
                self._managed.forget()

    def clear(self, channel: Channel) -> None:
        """Delete the stream, which cannot be purged, and declare it again as it was."""
        if not self._is_there(channel):
            return
        made: dict[str, Any] = {}
        if self._managed is not None:
            with suppress(NotAuthorised, Unreachable):
                made = self._managed.arguments
        made = made or declared(channel, self.stream)
        exchange = self._room.durable_exchange
        self._room.open(channel)
        _delete(channel, self.stream)
        exchange(channel).declare()  # it may have gone with its last queue
        self._declare(channel, made)
        self._bind(channel)

    def _limits(self) -> Limits:
        """The limits, as far as they can be seen."""
        if self._managed is not None:
            with suppress(NotAuthorised, NotFound, Unreachable):
                return self._managed.limits
        return Limits()


def _delete(channel: Any, stream: str) -> None:
    """Harmless where there is none."""
    channel.queue_delete(stream)
