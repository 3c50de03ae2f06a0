"""Messages on their way over a bridge: what was received, to be published again elsewhere."""

from __future__ import annotations

import hashlib
import re
import socket
from collections import Counter, deque
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kchat.client.deduplication import Deduplicator
from kchat.client.gathering import Gathering
from kchat.client.subscriber import Subscriber
from kchat.client.subscriber_connection import as_bytes, is_redelivered
from kchat.message import Message
from kchat.message.bridged import HEADER, with_account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kchat.client.acknowledgements import Position
    from kchat.config.settings import Broker, Settings
    from kchat.transports import protocols

_TOKEN_LENGTH = 12
_TOKENS = re.compile(rf"(?<!\S)[0-9a-f]{{{_TOKEN_LENGTH}}}(?!\S)")
_MOST_ROOMS = 30
"""Of a mark that anybody can have written: further than through this number of rooms, no message goes."""

_LONGEST_MARK = (_TOKEN_LENGTH + 1) * (_MOST_ROOMS + 1)
_MACHINE_ID = "/etc/machine-id"


class Carried(Message):
    """A message with what travels beside its body.

    Attributes:
        been: the tokens of the rooms where it has been, in that order (:func:`place_of`).
        headers: to publish it with.
        number: its place in what was taken, from 1 on.
    """

    been: tuple[str, ...] = ()
    headers: Mapping[str, str] = MappingProxyType({})
    number: int = 0


class _Gathering(Gathering):
    """Makes :class:`Carried` messages, and hands over repeats, too: those may not be acknowledged yet."""

    def _is_new(self, message: Message) -> bool:  # noqa: ARG002 - they all are
        return True

    def _message(self, delivery: protocols.Delivery, *, verifies: bool) -> Carried:
        body = delivery.body
        message = Carried.from_body(
            body if isinstance(body, bytes) else as_bytes(body),
            account=delivery.account(self._connection.room) if verifies else None,
            redelivered=is_redelivered(delivery),
        )
        if mark := _mark(delivery):
            message.been = tuple(_TOKENS.findall(mark[:_LONGEST_MARK]))
        return message


class Source(Subscriber):
    """A subscriber that hands over :class:`Carried` messages, each as often as it comes.

    Arguments as of :class:`~kchat.client.subscriber.Subscriber`.
    """

    _gathers = _Gathering
    _begins_anew = True  # the bridge knows whether the history was carried whole


def _mark(delivery: protocols.Delivery) -> str:
    if hasattr(delivery, "text_header"):
        return delivery.text_header(HEADER) or ""
    mark: Any = (getattr(delivery, "headers", None) or {}).get(HEADER)
    return mark if isinstance(mark, str) else ""


class Intake:
    """Which of the messages that were received are to be published, and up to where they can be acknowledged.

    Arguments:
        source: the token of the room that they come from.
        target: of the one where they go.
    """

    def __init__(self, source: str, target: str) -> None:
        self.passed_by = 0
        """Number of messages that had been there before, and so were left out."""
        self._source = source
        self._target = target
        self._headers: dict[tuple[str, ...], dict[str, str]] = {}
        self._duplicates = Deduplicator()
        self._connected_at = 0.0
        self._unsettled: deque[tuple[int, int]] = deque()  # without an id: number and hash
        self._again: Counter[int] = Counter()  # of these, those that come again by a new connection
        self._number = 0  # of the last message that was taken
        self._settled = 0  # up to this one, all are
        self._beyond: set[int] = set()  # these are, too
        self._ends: deque[tuple[int, Position]] = deque()

    @property
    def in_flight(self) -> bool:
        """Whether something was received and cannot be acknowledged yet."""
        return bool(self._ends)

    @property
    def taken(self) -> int:
        """The number of the last message that was taken."""
        return self._number

    def is_settled(self, number: int) -> bool:
        """Whether the target has, or will never take, all messages up to a number."""
        return self._settled >= number

    def take(self, message: Carried) -> Carried | None:
        """The message as it is to be published; ``None`` if it is not."""
        been = message.been
        if been and (self._target in been or self._source in been or len(been) > _MOST_ROOMS):
            self.passed_by += 1
            return None
        key = 0
        if message.id is None:
            key = hash(message.body)
            if message.redelivered and self._again[key] > 0:
                self._again[key] -= 1
                return None
        elif self._duplicates.has(message):
            return None
        carried = message
        if message.account is not None and message.problem is None:
            carried = message._replace(body=with_account(message.body, message.account))
        self._number += 1
        carried.number = self._number
        carried.been = (*been, self._source)
        headers = self._headers.get(carried.been)
        if headers is None:
            if len(self._headers) >= 1000:  # anybody can make up others
                self._headers.clear()
            headers = self._headers[carried.been] = {HEADER: " ".join(carried.been)}
        carried.headers = headers
        if message.id is None:
            self._unsettled.append((self._number, key))
        return carried

    def begin(self, connected_at: float) -> None:
        """What is taken from here on came by that connection: by another one, what is not acknowledged comes again."""
        if connected_at != self._connected_at:
            self._connected_at = connected_at
            self._again = Counter(key for _, key in self._unsettled)

    def end(self, position: Position) -> None:
        """All up to that position was taken."""
        self._ends.append((self._number, position))

    def settle(self, message: Carried) -> None:
        """The target has it, or will never take it."""
        self._beyond.add(message.number)
        while self._settled + 1 in self._beyond:
            self._settled += 1
            self._beyond.discard(self._settled)

    def settled_position(self) -> Position | None:
        """The position up to which everything can be acknowledged, once; ``None`` if there is no new one."""
        position = None
        while self._ends and self._ends[0][0] <= self._settled:
            position = self._ends.popleft()[1]
        # Of an earlier connection, it has no effect.
        if position is not None and position.connected_at == self._connected_at:
            while self._unsettled and self._unsettled[0][0] <= self._settled:
                self._unsettled.popleft()
        return position


def place_of(settings: Settings) -> str:
    """The token of a room on a broker: the same, whoever names the broker by the same host, and with whatever account.

    What only this machine reaches has the machine's own name in it: ``localhost`` is another place elsewhere.
    """
    brokers = sorted(map(_address, settings.brokers))
    return hashlib.sha256("\n".join([settings.room, *brokers]).encode()).hexdigest()[:_TOKEN_LENGTH]


def _address(broker: Broker) -> str:
    transport = broker.transport
    host = broker.host.lower()
    if transport.embedded or transport.in_one_process or _is_loopback(host):
        host = _machine()
    return f"{transport.name}://{host}:{broker.port or ''}/{broker.path}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost")


def _machine() -> str:
    try:
        number = Path(_MACHINE_ID).read_text().strip()
    except OSError:
        number = ""
    return f"{socket.gethostname()}.{number}".lower()
