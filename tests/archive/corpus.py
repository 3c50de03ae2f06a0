"""100,000 messages of fourteen months, the same ones in every run: :func:`corpus`.

They are made to be awkward. Names differ in case alone, in the way that an accent is written, or are missing; clocks are
ahead, a day or two years behind, or not told; messages share a millisecond, arrive days late, in another order, and twice;
pauses are one millisecond short of thirty minutes; and in the nights on which clocks are changed in Berlin, in New York and
on Lord Howe Island people talk all the time. :mod:`tests.archive.answers` has the figures.
"""

from __future__ import annotations

import json
from bisect import bisect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate
from random import Random
from typing import NamedTuple
from uuid import UUID

from kchat.archive.record import Record
from kchat.message import Message

MESSAGES = 100_000
"""Different ones; 2,000 of them come twice."""

TWICE = 2_000

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """A time in UTC, in milliseconds since 1970."""
    return (datetime(year, month, day, hour, minute, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


BEGIN, END = ms(2024, 9, 14, 7), ms(2025, 11, 17, 20)

CHANGES = {
    "Europe/Berlin": (ms(2024, 10, 27, 1), ms(2025, 3, 30, 1), ms(2025, 10, 26, 1)),
    "America/New_York": (ms(2024, 11, 3, 6), ms(2025, 3, 9, 7), ms(2025, 11, 2, 6)),
    "Australia/Lord_Howe": (ms(2024, 10, 5, 15, 30), ms(2025, 4, 5, 15), ms(2025, 10, 4, 15, 30)),
}
"""When clocks were changed, by zone: back, forward, back; on Lord Howe Island, by half an hour, forward, back, forward."""

ROOMS = {"chat": 55, "ops": 25, "Ops": 8, "カフェ": 8, "a room, 'quoted\"": 4}
"""With their share of the messages, in per cent."""

_ODD = (
    *("ada", "Ada", "ADA", "straße", "STRASSE", "josé", "jose\u0301", "Ζωή", "李雷", "محمد", "अनिता", "தமிழ்"),
    *(
        "ОЛЬГА",
        "ольга",
        "🦊 fox",
        "o'brien",
        'say "hi"',
        "a.b-c",
        "ada ",
        " ",
        "",
        "None",
        "NULL",
        "back\\slash",
    ),
    *(
        "<b>bold</b>",
        "%s",
        "tab\there",
        "new\nline",
        "İstanbul",
        "ﬁn",
        "e\u0301lan",
        "x" * 120,
        "\u202eevil",
        "zoe",
    ),
)
"""Names that somebody could trip over. The first of them are the most active people."""

PEOPLE = (*_ODD, *(f"person{number:03}" for number in range(200 - len(_ODD))))

_ACCOUNTS = {
    "ada": ("ada", True),
    "Ada": ("ada", False),
    "jose\u0301": ("josé", True),  # the same name, in another normal form
    "李雷": ("李雷", True),
    "ada ": ("ada ", False),  # an account may be called so, and people take it for another
    "": ("", False),
    "ОЛЬГА": ("ольга", False),
    "zoe": ("zoe", True),
}
"""Accounts of odd names, and whether the name counts as verified then."""

_TEXT = """
    the a to and is it of that you in we on for this be have not are with but they so was can just do if like at
    all what my get would about know think one time there your more when out go up how some good now no see make
    deploy broker queue exchange lunch coffee tomorrow yesterday broken fixed ünïcode größe naïve 你好 مرحبا 🎉 👩‍👩‍👧
    don't e-mail 3.14 v2.0 https://example.org/a?b=c ok OK Ok
"""
_WORDS = _TEXT.split()


class Said(NamedTuple):
    """One message as it was delivered, with what is known of it beforehand.

    Attributes:
        room: the room.
        username: None where there is none.
        account: that the broker has checked, or None.
        text: of the message.
        id: or None.
        sent_at: in milliseconds since 1970, or None.
        received_at: by the archiver, likewise.
        position: the broker's, or None.
        place: given by the archiver, of a message that has neither id nor position.
        extra: other keys of the body.
        by_kchat: whether kchat wrote it.
        is_verified: whether the account is the username, and no name that looks like another.
    """

    room: str
    username: str | None
    account: str | None
    text: str
    id: str | None
    sent_at: int | None
    received_at: int
    position: str | None
    place: str
    extra: dict[str, object]
    by_kchat: bool
    is_verified: bool

    @property
    def body(self) -> bytes:
        """As it was on the wire, more or less; of importance only where there is neither id nor position."""
        return json.dumps([self.username, self.text]).encode()

    def record(self, secret: bytes | None = None) -> Record:
        """What an archive keeps of it, made as an archiver makes it."""
        sent = None if self.sent_at is None else _EPOCH + timedelta(milliseconds=self.sent_at)
        message = Message(
            self.username, self.text, self.id, sent, self.extra, self.body, self.account, room=self.room
        )
        return Record.of(
            message, self.room, self.received_at, position=self.position, place=self.place, secret=secret
        )


@cache
def corpus() -> tuple[Said, ...]:
    """All messages in the order in which they were delivered, those that came twice included."""
    return tuple(_Writer(Random(15)).delivered())


class _Writer:
    def __init__(self, random: Random) -> None:
        self._random = random
        # A few people say most; two in five join in the course of the year, and some of them leave.
        self._cumulated = list(accumulate(1 / (number + 3) for number in range(len(PEOPLE))))
        self._here = [
            (0, END) if number % 5 < 3 else (random.randrange(BEGIN, END), END)
            for number in range(len(PEOPLE))
        ]
        for number in range(4, len(PEOPLE), 7):
            joined, _ = self._here[number]
            self._here[number] = joined, random.randrange(max(joined, BEGIN), END)
        self._places: dict[tuple[str, str | None, str], int] = {}
        self._number = 0

    def delivered(self) -> list[Said]:
        said = [self._message(room, at) for room, at in self._times()]
        said += [
            each._replace(received_at=each.received_at + self._random.randrange(1, 5 * MINUTE))
            for each in self._random.sample(said, TWICE)
        ]
        said.sort(key=lambda each: each.received_at)
        return said

    # ---- when, and in which room

    def _times(self) -> list[tuple[str, int]]:
        times = [*self._nights(), *self._edges()]
        rooms = list(ROOMS)
        while len(times) < MESSAGES:
            room = self._random.choices(rooms, list(ROOMS.values()))[0]
            times += [(room, at) for at in self._conversation()]
        return times[:MESSAGES]

    def _conversation(self) -> Iterator[int]:
        """One that begins by day more often than by night, and on some days not at all."""
        random = self._random
        at = random.randrange(BEGIN, END)
        while (at // HOUR % 24 < 6 and random.random() < 0.7) or at // DAY % 17 == 5:
            at = random.randrange(BEGIN, END)
        for _ in range(random.randrange(2, 70)):
            if at >= END:
                return
            yield at
            chance = random.random()
            if chance < 0.03:
                continue  # another one in this very millisecond
            if chance < 0.05:
                at += 30 * MINUTE - 1
            elif chance < 0.07:
                at += 30 * MINUTE
            else:
                at += int(random.expovariate(1 / random.choice((300, 8_000, 45_000, 240_000))))

    def _nights(self) -> Iterator[tuple[str, int]]:
        """Around each change of clocks, and in the hours that are there twice."""
        for changes in CHANGES.values():
            for change in changes:
                for room in ("chat", "カフェ"):
                    at = change - 150 * MINUTE
                    while at < change + 150 * MINUTE:
                        yield room, at
                        at += self._random.randrange(2 * MINUTE)
                for beside in (-HOUR, -30 * MINUTE, -1, 0, 1, 30 * MINUTE, HOUR - 1, HOUR):
                    yield "ops", change + beside

    def _edges(self) -> Iterator[tuple[str, int]]:
        """The first and the last millisecond of hours and of quarters, midnights of all zones among them."""
        for number in range(400):
            hour = (BEGIN // HOUR + self._random.randrange((END - BEGIN) // HOUR)) * HOUR
            edge = hour + number % 4 * 15 * MINUTE
            yield ("chat", "Ops")[number % 2], edge
            yield "chat", edge - 1

    # ---- who, and what

    def _person(self, at: int) -> int:
        while True:
            number = self._anybody()
            joined, left = self._here[number]
            if joined <= at < left:
                return number

    def _message(self, room: str, at: int) -> Said:
        random = self._random
        self._number += 1
        person = self._person(at)
        username: str | None = PEOPLE[person]
        account, verified = self._account(person)
        received = at + int(random.expovariate(1 / 40))
        if random.random() < 0.02:
            received = at + random.randrange(4 * DAY)  # kept by the broker while no archiver was running
        position = str(self._number) if random.random() < 0.5 else None
        by_kchat = random.random() < 0.85
        id_, sent = (_uuid(random, 7, at), self._clock(at, received)) if by_kchat else self._by_others(at)
        if id_ is None and sent is None and random.random() < 0.2:
            username, verified = None, False  # not even a message of kchat's
        text = self._text(username)
        place = "0"
        if id_ is None and position is None:
            same = room, username, text
            place = str(self._places.get(same, 0))
            self._places[same] = int(place) + 1
        extra = {"priority": self._number % 3, "tags": ["ü", None]} if random.random() < 0.02 else {}
        return Said(
            room, username, account, text, id_, sent, received, position, place, extra, by_kchat, verified
        )

    def _clock(self, at: int, received: int) -> int:
        """What the sender's clock shows: nearly always the time."""
        random = self._random
        chance = random.random()
        if chance < 0.01:
            return received + random.randrange(1, 2 * HOUR)  # ahead
        if chance < 0.012:
            return received - random.randrange(367, 900) * DAY
        if chance < 0.014:
            return received - random.randrange(1, DAY)  # behind, which nobody can know
        return at

    def _by_others(self, at: int) -> tuple[str | None, int | None]:
        """Id and time of another client's message."""
        random = self._random
        return random.choice(
            (
                (None, None),  # the tutorial's client
                (None, at),
                (f"{self._number:x}-ü'\"", at),
                (_uuid(random, 7, at), None),
                (_uuid(random, 4, at), at),
            )
        )

    def _anybody(self) -> int:
        return bisect(self._cumulated, self._random.random() * self._cumulated[-1])

    def _account(self, person: int) -> tuple[str | None, bool]:
        """The account of somebody's message, and whether it is the username."""
        kind = self._random.random()
        if kind < 0.3 or person % 4 == 3:
            return None, False
        if kind < 0.4:
            return "guest", False
        return _ACCOUNTS.get(
            PEOPLE[person], ("guest", False) if person < len(_ODD) else (PEOPLE[person], True)
        )

    def _text(self, username: str | None) -> str:
        random = self._random
        chance = random.random()
        if chance < 0.01:
            return random.choice(
                ("", " ", "\x00", "a\x00b @ada", "🦊", "line\nline", "@", "@@ada", "x" * 5000, "👩‍👩‍👧" * 40)
            )
        if chance < 0.012:
            return "hello"  # the same body again and again
        words = random.choices(_WORDS, k=random.randrange(1, 12))
        if chance < 0.15:
            whom = PEOPLE[self._anybody()]
            mention = random.choice(
                (
                    f"@{whom}",
                    f"@{whom.upper()},",
                    f"(@{whom})",
                    f"@{whom} @{whom}!",
                    f"@{username} @{whom}...",
                    f"mail{whom}@example.org",
                    f"@nobody @{whom}-",
                    f"@{whom}.",
                )
            )
            words.insert(random.randrange(len(words) + 1), mention)
        return " ".join(words)


def _uuid(random: Random, version: int, at: int) -> str:
    bits = random.getrandbits(128)
    if version == 7:
        bits = (at << 80) | (bits & ((1 << 80) - 1))
    bits = bits & ~(0xF << 76) | version << 76
    return str(UUID(int=bits & ~(3 << 62) | 2 << 62))
