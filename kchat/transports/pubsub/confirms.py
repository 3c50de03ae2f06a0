"""Publisher confirms: what is told to whom about the messages of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amqp.exceptions import AMQPError

    from .channel import Channel


class Stream:
    """The messages that a channel publishes in confirm mode, numbered from 1, until one of them is refused.

    Its methods are called in the publisher's thread, and report to whoever drains the connection's events.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.published = 0

    def confirmed(self, tag: int) -> None:
        """The service has all messages up to this one."""
        self._channel.connection.report(lambda: self._channel.on_confirmed(self, tag))

    def refused(self, error: AMQPError) -> None:
        """The service did not take the next one."""
        self._channel.connection.report(lambda: self._channel.on_refused(self, error))
