"""Where a stream is: the ``id`` of its events, which comes back in ``Last-Event-ID``.

It names, for each room of the stream, the last message before it: by its number in this run of the server, and by a digest,
by which another run finds it in what the room's history gives. A signature keeps guests from naming a number that they were
never at.
"""

from __future__ import annotations

import hmac
import os
import re
import time
from collections import deque
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kchat.message import Message

LONGEST = 4096
"""Characters of a position that is looked at."""

EMPTY = "-"
"""Stands for the digest where the room held nothing."""

_CONTEXT = 64
"""Messages without an id whose bodies count in a digest: those of one body are told apart by what came before them."""

_PLACE = re.compile(r"([0-9a-f]{6})-(\d{1,15})-([0-9a-f]{16}|-)", re.ASCII)


class Place(NamedTuple):
    """Where a stream is in one room.

    Attributes:
        number: of the last message, in this run of the server; 0 where only the digest is known.
        digest: of that message.
    """

    number: int
    digest: str


class Position(NamedTuple):
    """Where a stream is.

    Attributes:
        is_ours: whether it is of this run of the server, so that the numbers count.
        milliseconds: when that was, UNIX time.
        places: by the tags of the rooms.
    """

    is_ours: bool
    milliseconds: int
    places: Mapping[str, Place]

    def of(self, room: str) -> Place | None:
        """The place in a room; None where the stream was not in it."""
        return self.places.get(_tag(room))


class Positions:
    """The positions of one run of the server."""

    def __init__(self) -> None:
        self._epoch = os.urandom(6).hex()
        self._key = os.urandom(16)
        self._number = 0
        self._tags: dict[str, str] = {}
        self.last: dict[str, Place] = {}
        """The place at the end of each room."""

    def next(self) -> int:
        """The number of the next event over all rooms, from 1."""
        self._number += 1
        return self._number

    def text(self, places: Mapping[str, Place]) -> str:
        """A position, for pages. No line ends are in it.

        Arguments:
            places: by the names of the rooms.
        """
        parts = [self._epoch, str(int(time.time() * 1000))]
        for room, place in places.items():
            tag = self._tags.get(room) or self._tags.setdefault(room, _tag(room))
            parts.append(f"{tag}-{place.number}-{place.digest}")
        text = ".".join(parts)
        return f"{text}.{self._signature(text)}"

    def read(self, text: str | None) -> Position | None:
        """What comes back; None for what is no position, or no position of ours under our name."""
        if not text or len(text) > LONGEST or not text.isascii():
            return None
        signed, _, signature = text.rpartition(".")
        epoch, *rest = signed.split(".")
        if not rest or not rest[0].isdigit() or len(rest[0]) > 15:
            return None
        is_ours = epoch == self._epoch
        if is_ours and not hmac.compare_digest(signature, self._signature(signed)):
            return None
        places = {}
        for part in rest[1:]:
            if (found := _PLACE.fullmatch(part)) is None:
                return None
            places[found[1]] = Place(int(found[2]), found[3])
        return Position(is_ours, int(rest[0]), places)

    def _signature(self, text: str) -> str:
        return blake2b(text.encode(), digest_size=6, key=self._key).hexdigest()


class Digests:
    """The digests of a room's messages, one after the other. One thread uses it.

    The digest of a message with an id is that of its body. Without one, messages may be alike: then it is that of the bodies
    from the last message with an id on, of up to 64 of them. What came before the first message is not known, and another
    reader may begin elsewhere: until there are as many, or one has an id, the digests are nobody else's.
    """

    def __init__(self) -> None:
        self._before: deque[bytes] = deque([os.urandom(8)], maxlen=_CONTEXT)

    def of(self, message: Message) -> str:
        """The digest of the next message: the same each time that the room's history gives it."""
        body = blake2b(message.body, digest_size=8).digest()
        if message.id is not None:
            self._before.clear()
        self._before.append(body)
        return blake2b(b"".join(self._before), digest_size=8).hexdigest()


def _tag(room: str) -> str:
    return blake2b(room.encode("utf-8", "replace"), digest_size=3).hexdigest()
