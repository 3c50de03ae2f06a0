"""What of a room's history on RabbitMQ is too old to be shown: RabbitMQ itself deletes only what fills a segment.

An account that may read a stream cannot see its limits: only the management API tells them. So the host writes them down in
a second stream, ``kchat-history.<room>.limits``, of which the last message counts. A member may read it, as the history, and
do nothing else to it: streams are not purged, and reading takes nothing away.

Age is counted by the broker's clock alone. An offset such as ``604800s`` is a time before now as the broker sees it
(https://www.rabbitmq.com/docs/streams#consuming), and is compared with the time at which the broker wrote a chunk: neither a
reader's nor a sender's clock hides anything.
"""

from __future__ import annotations

import json
from time import sleep
from typing import TYPE_CHECKING, Any

import amqp
import amqp.exceptions

from .history_limits import KIND, SEGMENT, SMALLEST_SEGMENT, Limits
from .history_reader import LATE, channel_of, close_channel, offset_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kchat.transports.protocols import Channel, Connection, Delivery

_CHUNK = 1_000
"""Enough for all that hosts write within one moment."""

_ALL_OLD = (*LATE, 0.3)
"""Seconds to wait, one after the other, before nothing is left to be shown: a busy broker must not hide all."""

_TRIES = 5
"""To write the limits down, while others do."""

_LONGEST = 50 * 365 * 86_400.0
"""Seconds. What is kept longer is always shown: the broker's clock begins in 1970."""


def write(channel: Channel, stream: str, limits: Limits) -> None:
    """Write the limits down, as the last ones.

    It goes by an exchange of the stream's name, which is deleted again: that takes no right on the default exchange.

    Arguments:
        channel: of the host's.
        stream: the name of the stream of limits.
        limits: of the history.

    Raises:
        amqp.exceptions.AMQPError: this account may not, or something else is wrong.
    """
    driver: Any = channel
    try:
        driver.queue_declare(stream, passive=True)
    except amqp.exceptions.NotFound:
        made = KIND | {SEGMENT: SMALLEST_SEGMENT}
        driver.queue_declare(stream, durable=True, auto_delete=False, arguments=made)
    for left in reversed(range(_TRIES)):
        try:
            _publish(driver, stream, limits)
        except (
            amqp.exceptions.NotFound
        ):  # another host, which writes at the same moment, has deleted the exchange
            if not left:
                raise
        else:
            return


def _publish(driver: Any, stream: str, limits: Limits) -> None:
    driver.exchange_declare(stream, "fanout", durable=False, auto_delete=False)
    try:
        driver.queue_bind(stream, stream)
        body = json.dumps({"keep": limits.keep, "max_size": limits.max_size})
        message = amqp.Message(body, content_type="application/json", delivery_mode=2)
        driver.basic_publish_confirm(message, exchange=stream)
    finally:
        driver.exchange_delete(stream)


class Age:
    """Tells what is too old in one history.

    Arguments:
        history: the name of its stream.
        limits: and of the stream of its limits.
    """

    def __init__(self, history: str, limits: str) -> None:
        self._history = history
        self._stream = limits
        self._known = Limits()

    def limits(self, connection: Connection) -> Limits:
        """The limits that the host has written down last; none where there are none, or this account may not read them."""
        channel = channel_of(connection)
        try:
            return self._read(channel)
        finally:
            close_channel(channel)

    def first(self, connection: Connection, end: int) -> int:
        """The first offset that is not too old; behind ``end`` where everything up to there is; 0 without a limit of age.

        Arguments:
            connection: connected.
            end: the history's last offset.

        Raises:
            amqp.exceptions.AMQPError: this account may not read the history, or something else is wrong.
        """
        channel = channel_of(connection)
        try:
            limits = self._read(channel)
            if limits.keep is None or limits.keep >= _LONGEST or end < 0:
                return 0
            # To within a chunk of the stream, whose messages came within milliseconds of each other.
            came = _come(channel, self._history, str(limits.age), 1, _ALL_OLD)
        finally:
            close_channel(channel)
        return offset_of(came[0]) if came else end + 1

    def _read(self, channel: Any) -> Limits:
        """As :meth:`limits`. Afterwards the channel is open, if the connection is."""
        try:
            came = _come(channel, self._stream, "last", _CHUNK)
        except amqp.exceptions.ChannelError:
            # Not there: perhaps not yet, after a restart of the broker; or not to be read.
            return self._known
        if came:
            self._known = _limits_in(came[-1].body)
        return self._known


def _come(
    channel: Any, stream: str, where: str, prefetch: int, pauses: Sequence[float] = LATE
) -> Sequence[Delivery]:
    """A stream's first messages from there on, at least the first one; none where there are none after these pauses.

    It goes on to consume until the channel is closed.
    """
    came: list[Delivery] = []
    channel.basic_qos(0, prefetch, False)
    channel.basic_consume(stream, callback=came.append, arguments={"x-stream-offset": where})
    channel.basic_qos(0, prefetch, False)
    for pause in pauses:
        if came:
            break
        sleep(pause)
        channel.basic_qos(0, prefetch, False)
    return came


def _limits_in(body: bytes | str) -> Limits:
    """What was written down; nonsense counts as no limit."""
    try:
        found = json.loads(body)
        keep, most = found.get("keep"), found.get("max_size")
        seconds = float(keep) if type(keep) in (int, float) else 0.0
    except (ValueError, AttributeError, RecursionError, OverflowError):
        return Limits()
    known = 1 <= seconds < float("inf")
    return Limits(seconds if known else None, most if type(most) is int and most > 0 else None)
