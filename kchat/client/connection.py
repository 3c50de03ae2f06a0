"""From :class:`~kchat.config.settings.Settings` to a connected Kombu connection, and how one is let go of."""

from __future__ import annotations

import logging
import random
from contextlib import suppress
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING

from kchat import errors, events

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from kchat.config.settings import Broker, Settings
    from kchat.transports.protocols import Connection

logger = logging.getLogger(__name__)

_STOP_LOOK = 0.02
"""Seconds between looks whether to stop, while it waits for the next attempt."""

CLOSE_TIMEOUT = 1.0
"""Seconds that a polite goodbye may take; after that the socket is dropped."""


class broker_errors:  # noqa: N801 - a context, used as contextlib's are
    """A context that turns what a driver raises into kchat's errors. It holds no state: one will do for many times.

    Arguments:
        broker: whom the driver talks to.
        doing: a verb: ``connect``, ``send``, ``listen``.
    """

    __slots__ = ("_broker", "_doing")

    def __init__(self, broker: Broker, doing: str) -> None:
        self._broker = broker
        self._doing = doing

    def __enter__(self) -> None:
        """Nothing: a class costs a subscriber's single message less than a generator does."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raise the error of ours that a driver's error is."""
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
) -> tuple[Connection, Broker]:
    """Connect to the first broker that answers.

    Arguments:
        settings: whom to connect to; each broker is tried once, in order.
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
    """
    settings.transport.require()
    failure: errors.KchatError | None = None
    for broker in settings.brokers:
        connection = settings.transport.connect(
            settings, broker, purpose, heartbeat, on_blocked, on_unblocked
        )
        try:
            with broker_errors(broker, "connect"):
                # Kombu's connect() would try a second time, 2 s later.
                connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        except errors.BrokerError as error:
            drop(connection)
            logger.debug("%s", error)
            if not isinstance(failure, errors.Refused):
                failure = error
        except BaseException:
            drop(connection)
            raise
        else:
            return connection, broker
    assert failure is not None
    raise failure


def drainer(connection: Connection) -> Callable[..., None]:
    """The connection's ``drain_events``, without Kombu's looks, each time, whether there is a connection.

    Arguments:
        connection: connected, of :func:`connect`. With it the result is of no use any more.
    """
    return partial(connection.transport.drain_events, connection.connection)


def close(connection: Connection) -> None:
    """Say goodbye, but not for longer than :data:`CLOSE_TIMEOUT`."""
    sock = getattr(connection.connection, "sock", None) if connection.connected else None
    if sock is not None:
        # Without a limit, release() waits for ever for the close-ok of a broker that is gone.
        with suppress(OSError):
            sock.settimeout(CLOSE_TIMEOUT)
        if hasattr(connection.connection, "answer_timeout"):
            connection.connection.answer_timeout = CLOSE_TIMEOUT
    try:
        connection.release()
    except (*connection.connection_errors, *connection.channel_errors) as error:
        logger.debug("while closing: %s", error)
        drop(connection)


def drop(connection: Connection) -> None:
    """Drop a dead connection without sending ``connection.close``; ``release()`` would wait for the answer."""
    if getattr(connection, "_transport", None) is None:  # to ask for `transport` would import it
        return  # the import of its driver failed or was interrupted
    lost: tuple[type[Exception], ...] = (
        OSError,
        AttributeError,
        *connection.connection_errors,
        *connection.channel_errors,
    )
    try:
        if hasattr(connection.transport, "_collect"):
            connection.collect()
        else:
            # Here collect() would close it too, and change the default timeout of all sockets of all threads for that.
            connection.release()
    except lost as error:
        logger.debug("while dropping: %s", error)


def keep_trying(
    attempt: Callable[[], object], on_event: events.OnEvent, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Do it until the broker can be reached, with pauses in between.

    Arguments:
        attempt: connects, or raises.
        on_event: told of each pause.
        stopped: asked fifty times a second; true ends it. Default: never.

    Raises:
        kchat.errors.KchatError: what ``attempt`` raised that waiting does not mend.
    """
    backoff = Backoff()
    while not stopped():
        try:
            attempt()
        except (errors.Unreachable, errors.Closed) as error:
            if isinstance(error, errors.Untrusted):
                raise
            pause = backoff.fail()
            on_event(events.Reconnecting(error, pause, backoff.attempt))
            ends = monotonic() + pause
            while not stopped() and (left := ends - monotonic()) > 0:
                sleep(min(left, _STOP_LOOK))
        else:
            return


class Backoff:
    """Pauses between attempts to connect: doubling, with full jitter, so that a room does not come back in step.

    Arguments:
        first: upper bound of the first pause, in seconds.
        most: upper bound of all.
    """

    def __init__(self, first: float = 0.25, most: float = 5.0) -> None:
        self._first = first
        self._most = most
        self.reset()

    def reset(self) -> None:
        """Start over, after a success."""
        self.attempt = 0
        self.due = monotonic()

    def fail(self) -> float:
        """Note a failed attempt; returns the seconds until the next one is due."""
        bound = min(self._most, self._first * 2.0**self.attempt)
        self.attempt += 1
        pause = bound / 2 + random.uniform(0, bound / 2)  # noqa: S311 - spreads load, guards nothing
        self.due = monotonic() + pause
        return pause

    def remaining(self) -> float:
        """Seconds until the next attempt is due; 0 when it is."""
        return max(0.0, self.due - monotonic())
