"""From :class:`~kchat.config.settings.Settings` to a connected Kombu connection; and :class:`Connection`, which survives."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from enum import Enum
from functools import partial
from threading import RLock
from time import monotonic, sleep
from typing import TYPE_CHECKING, ClassVar

import amqp.exceptions

from kchat import errors, events
from kchat.client.backoff import Backoff
from kchat.client.heartbeat import TICKS, Heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.config.settings import Broker, Settings
    from kchat.transports import protocols

logger = logging.getLogger(__name__)

STOP_LOOK = 0.02
"""Seconds within which a wish to stop is noticed where nothing wakes the thread: in a pause before the next attempt to
connect, and on a transport that cannot be woken."""

_LONGEST_TICK = 1.0
"""Seconds between them at the most."""


class broker_errors:  # noqa: N801 - a context, used as contextlib's are
    """A context that turns what a driver raises into kchat's errors. It holds no state and can be entered again.

    Arguments:
        broker: the one that the driver talks to.
        doing: a verb: ``connect``, ``send``, ``listen``.
    """

    __slots__ = ("_broker", "_doing")

    def __init__(self, broker: Broker, doing: str) -> None:
        self._broker = broker
        self._doing = doing

    def __enter__(self) -> None:  # a class costs a subscriber's single message less than a generator does
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, errors.KchatError):
            mapped = self._broker.transport.explain(error, self._broker, self._doing)
            if mapped is not None:
                raise mapped from error


def connect(
    settings: Settings,
    *,
    purpose: str,
    heartbeat: float = 0,
    on_blocked: Callable[[str], None] | None = None,
    on_unblocked: Callable[[], None] | None = None,
) -> tuple[protocols.Connection, Broker]:
    """Connect to the first broker that answers.

    Arguments:
        settings: the brokers to connect to; each is tried once, in order.
        purpose: what the connection is for; stands in RabbitMQ's dashboard as part of the connection's name.
        heartbeat: seconds between heartbeats, 0 for none.
        on_blocked: called with the broker's reason when it stops taking messages.
        on_unblocked: called when it takes them again.

    Returns:
        The connected connection and the broker it leads to.

    Raises:
        kchat.errors.BrokerError: what went wrong; of several brokers, what the first one said that answered at all, or
            else the last one.
        kchat.errors.MissingExtra: the transport's driver is not installed.
        kchat.errors.SettingsError: the keyring does not give the password.
    """
    settings.transport.require()
    settings = settings.unlocked()
    failure: errors.KchatError | None = None
    for broker in settings.brokers:
        connection = settings.transport.connect(
            settings, broker, purpose, heartbeat, on_blocked, on_unblocked
        )
        try:
            with broker_errors(broker, "connect"):
                # Kombu's connect() would try a second time, 2 s later.
                connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
                return connection, broker
        except BaseException as error:
            settings.transport.drop(connection)
            if not isinstance(error, errors.BrokerError):
                raise
            logger.debug("%s", error)
            if not isinstance(failure, errors.Refused):
                failure = error
    assert failure is not None
    raise failure


class State(Enum):
    """Of a :class:`Connection`."""

    CLOSED = "closed"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


class Connection(ABC):
    """The connection of a sender or a subscriber to its room: made, watched, lost, and made again.

    ::

        CLOSED ───────▶ CONNECTING ───────▶ CONNECTED
           ▲             │      ▲               │
           │       fails │      │ is due        │ is lost
           │             ▼      │               │
           └───────── DISCONNECTED ◀────────────┘
         close(), drop()

    The first attempt fails fast, unless it should ``wait``. After that, a connection that has worked is made again at once,
    one that has not after a pause; everything is declared afresh, and ``on_event`` is told.

    Threads: a caller of a method holds ``in_use``. :meth:`wake` may be called from any thread or a signal handler, and
    needs no lock.

    Arguments:
        settings: the room and its brokers.
        on_event: told what happens to it, see :mod:`kchat.events`.
        wait: retry for ever when no broker can be reached at the start.
        patience: seconds without success after which to give up a connection that worked before.
        heartbeat: seconds between heartbeats, 0 for none.
    """

    purpose: ClassVar[str]
    """What the connection is for, as :func:`connect` takes it."""
    doing: ClassVar[str]
    """The verb for errors."""

    def __init__(
        self,
        settings: Settings,
        on_event: events.OnEvent,
        *,
        wait: bool,
        patience: float = math.inf,
        heartbeat: float = 0,
    ) -> None:
        self.in_use = RLock()
        """Held by a thread that uses it; heartbeats are sent by a second one while nobody holds it."""
        self.stopping: Callable[[], bool] = bool
        """True ends a pause before the next attempt. Nothing does by default."""
        self.state = State.CLOSED
        self.broker = settings.broker
        self.errors = broker_errors(self.broker, self.doing)
        """Turns what the methods raise into kchat's errors."""
        self.connected_at = 0.0
        """When this connection was made, by the monotonic clock; 0 if none was since it was closed."""
        self._settings = settings
        self._on_event = on_event
        self._wait = wait
        self._patience = patience
        self._heartbeat = heartbeat
        self._backoff = Backoff()
        self._alive_at = 0.0  # when it was last known to work
        self._lost_at: float | None = None
        self._failing_since: float | None = None
        self._connection: protocols.Connection | None = None
        self._channel: protocols.Channel | None = None
        self._drain_events: Callable[..., None] | None = None
        self._beating: Heartbeat | None = None
        self.waker: protocols.Waker | None = None
        """What ends a wait; without one, waits have to be short."""
        self._tick = min(_LONGEST_TICK, heartbeat / TICKS or _LONGEST_TICK)
        self._tick_due = 0.0

    # ---- what a sender and a subscriber do each in its own way

    _on_blocked: Callable[[str], None] | None = None
    _on_unblocked: Callable[[], None] | None = None

    @abstractmethod
    def _join(self, connection: protocols.Connection, *, again: bool) -> None:
        """Open a channel, and prepare what is used on it. ``again``: the room was there before."""

    @abstractmethod
    def _has_worked(self, since: float) -> bool:
        """Whether it has done since then what it is for, so that one failure is worth an attempt at once."""

    @abstractmethod
    def _reconnected(self, seconds: float) -> events.Reconnected | None:
        """What to tell when it is connected again; ``None`` where that is told later."""

    def _given_up(self, error: errors.KchatError) -> errors.KchatError:
        """What to raise when it did not work for as long as there is patience for."""
        return error

    def _on_notice(self, event: events.Event) -> None:
        """The transport has something to tell."""
        self._on_event(event)

    def _look(self, now: float) -> None:  # noqa: B027 - a hook that need not do anything
        """Called five times in a heartbeat, at least once a second, while somebody waits."""

    def _forget(self) -> None:  # noqa: B027 - likewise
        """It is gone, and what was known of it with it."""

    # ---- what both share

    @property
    def settings(self) -> Settings:
        """The room and its brokers; with the passwords of the keyring after the first attempt to connect."""
        return self._settings

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self.state is State.CONNECTED

    @property
    def channel(self) -> protocols.Channel:
        """The open channel; without one, the error of a lost connection is raised."""
        if self._channel is None:
            raise amqp.exceptions.RecoverableConnectionError("the connection was closed")
        return self._channel

    def open(self, deadline: float | None = None, *, again: bool = False) -> bool:
        """Connect, if it is not connected, and retry when that is due; returns whether it is connected.

        It is not at the deadline, by the monotonic clock, or when asked to stop. Without ``again`` or ``wait`` the first
        failure is raised, and in any case one that another attempt does not change.
        """
        while self.state is not State.CONNECTED:
            retry = self._wait or (again and self._lost_at is not None)
            if retry and not self.pause(deadline):
                return False
            try:
                self._attempt()
            except (errors.Unreachable, errors.Closed) as error:
                if not retry or isinstance(error, errors.Untrusted):
                    raise
                self.fail(error)
        return True

    def _attempt(self) -> None:
        self.state = State.CONNECTING
        again = self._lost_at is not None
        try:
            self._settings = self._settings.unlocked()  # once, and not for every attempt
            connection, self.broker = self._connect()
            self._connection = connection
            self.errors = broker_errors(self.broker, self.doing)
            # Kombu's own looks each time whether there is a connection, and would make another one without telling.
            self._drain_events = partial(connection.transport.drain_events, connection.connection)
            self._join(connection, again=again)
            if hasattr(connection.connection, "tell"):
                notifies: protocols.Notifies = connection.connection
                notifies.tell(self._on_notice)
        except BaseException:
            self._release(self._settings.transport.drop, State.DISCONNECTED)
            raise
        self.connected_at = self._alive_at = monotonic()
        self._tick_due = self.connected_at + self._tick
        if self._heartbeat:
            self._beating = Heartbeat(connection, self.in_use, self._heartbeat)
        self.state = State.CONNECTED
        if self._lost_at is not None:
            away, self._lost_at = self.connected_at - self._lost_at, None
            if (back := self._reconnected(away)) is not None:
                self._on_event(back)

    def _connect(self) -> tuple[protocols.Connection, Broker]:
        """A connection, and the broker that it leads to; see :func:`connect`."""
        return connect(
            self._settings,
            purpose=self.purpose,
            heartbeat=self._heartbeat,
            on_blocked=self._on_blocked,
            on_unblocked=self._on_unblocked,
        )

    def fail(self, error: errors.KchatError, *, lost: bool = True) -> None:
        """Note that it does not work, tell, and decide when the next attempt is due.

        ``lost``: the connection itself is of no use any more. Raises :meth:`_given_up` when the patience is at its end.
        """
        now = monotonic()
        was_connected = self.connected
        worked = self._has_worked(-math.inf if self._failing_since is None else self._failing_since)
        if worked or self._failing_since is None:
            self._failing_since = now
            self._backoff.reset()
        if was_connected and lost:
            self._lost_at = self._last_alive()
            self._release(self._settings.transport.drop, State.DISCONNECTED)
            self._on_event(events.Disconnected(error))
        elif not was_connected:
            self.state = State.DISCONNECTED
        if worked and was_connected:
            return
        if now - self._failing_since > self._patience:
            raise self._given_up(error) from error
        pause = self._backoff.fail()
        if not (was_connected and lost):
            self._on_event(events.Reconnecting(error, pause, self._backoff.attempt))

    def pause(self, deadline: float | None = None) -> bool:
        """Wait until the next attempt is due; returns whether it is: not at the deadline, or when asked to stop."""
        while (left := self._backoff.remaining()) > 0:
            if deadline is not None:
                left = min(left, deadline - monotonic())
            if left <= 0 or self.stopping():
                return False
            sleep(min(left, STOP_LOOK))
        return True

    def _last_alive(self) -> float:
        return self._alive_at

    def drain(self, timeout: float | None) -> bool:
        """Wait for something to arrive, but no longer than until the next look at the heartbeats, or until woken.

        Returns whether something came, be it what it may. A driver's error means that the connection is of no use any more.
        """
        if self._connection is None or self._drain_events is None:
            raise amqp.exceptions.RecoverableConnectionError("the connection was closed")
        came = True
        try:
            self._drain_events(timeout=self._tick if timeout is None else min(timeout, self._tick))
        except TimeoutError:
            came = False
        now = monotonic()
        # After the draining: a caller that was busy for long finds the broker's heartbeats there.
        if now >= self._tick_due:
            self._tick_due = now + self._tick
            if self._beating is not None:
                try:
                    self._beating.check()
                except amqp.exceptions.ConnectionForced:
                    self._alive_at = self._beating.heard_at
                    raise
            self._look(now)
        self._alive_at = now
        return came

    def wake(self) -> None:
        """End the :meth:`drain` that waits, or the next one. From any thread or a signal handler; needs no lock."""
        if (waker := self.waker) is not None:
            waker.wake()

    def close(self) -> None:
        """Say goodbye, if it is connected."""
        self._end(self._settings.transport.close)

    def drop(self) -> None:
        """Drop the connection without closing it properly; never blocks, whatever state it is in."""
        self._end(self._settings.transport.drop)

    def _end(self, how: Callable[[protocols.Connection], None]) -> None:
        self._lost_at = self._failing_since = None
        self.connected_at = 0.0
        self._backoff.reset()
        self._release(how, State.CLOSED)

    def _release(self, how: Callable[[protocols.Connection], None], state: State) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        self.state = state
        self._forget()
        if self._beating is not None:
            self._beating.stop()
            self._beating = None
        if self.waker is not None:
            self.waker.close()
            self.waker = None
        if connection is not None:
            how(connection)
