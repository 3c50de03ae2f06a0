"""Announcements are read back as they were written, and what is none is refused, whatever it is."""

from __future__ import annotations

import json

from kchat.message.announcement import (
    ASK,
    GONE,
    HERE,
    LARGEST,
    LIST,
    LONGEST,
    MOST_OTHERS,
    MOST_PEOPLE,
    Announcement,
    Other,
)
from tests.cases import check_each

BOB = ["bob", "5a20c4e177f0", 41.2, False]


def written(**more: object) -> bytes:
    """A body, with some keys as one likes."""
    return json.dumps(
        {"presence": HERE, "session": "8c1f", "username": "ada", "lasts": 55.0, **more}
    ).encode()


def test_an_announcement_is_read_back_as_it_was_written() -> None:
    def check(said: Announcement) -> None:
        assert Announcement.decode(said.encode()) == said

    check_each(
        {
            "here": Announcement(HERE, "8c1f", "ada", 55.0),
            "here, and asks": Announcement(HERE, "8c1f", '部屋 \U0001f41d"\\', 57.5, asks=True),
            "here, with a list": Announcement(
                HERE, "8c1f", "ada", 55.0, False, 2, (Other("bob", "5a20", 3.5, True),)
            ),
            "gone": Announcement(GONE, "8c1f"),
            "asks": Announcement(ASK, "8c1f", asks=True),
            "a list of nobody": Announcement(LIST, "8c1f", count=0),
        },
        check,
    )


def test_the_largest_announcement_is_read() -> None:
    others = tuple(Other('"' * 255, "a" * 32, 57.9) for _ in range(MOST_OTHERS))
    said = Announcement(HERE, "a" * 32, '"' * 255, 57.9, True, MOST_PEOPLE, others)
    assert len(said.encode()) <= LARGEST
    assert Announcement.decode(said.encode()) == said


def test_what_is_no_announcement_is_refused() -> None:
    def check(body: bytes) -> None:
        assert Announcement.decode(body) is None

    check_each(
        {
            "nothing": b"",
            "no JSON": b"{",
            "no UTF-8": b'{"presence":"here","session":"8c1f","username":"\xff","lasts":1}',
            "no object": b"[]",
            "a message": b'{"username":"ada","message":"here"}',
            "another word": written(presence="away"),
            "a word of another type": written(presence=["here"]),
            "no name": written(username=None),
            "an empty name": written(username=" "),
            "a long name": written(username="\u00e4" * 128),
            "a name with a newline": written(username="ada\nbob"),
            "a name that reads backwards": written(username="ada\u202e"),
            "a name with half a character": b'{"presence":"here","session":"8c1f","username":"\\ud800","lasts":1}',
            "a session of another type": written(session=1),
            "a long session": written(session="a" * 33),
            "a session with a space": written(session="a b"),
            "no time": written(lasts="55"),
            "a time that is true": written(lasts=True),
            "an endless time": b'{"presence":"here","session":"8c1f","username":"ada","lasts":Infinity}',
            "a time beyond a double": b'{"presence":"here","session":"8c1f","username":"ada","lasts":1'
            + b"0" * 400
            + b"}",
            "a count that is true": written(count=True),
            "too many others": written(count=30, others=[BOB] * (MOST_OTHERS + 1)),
            "others that are no list": written(count=1, others={"bob": 1}),
            "another without a session": written(count=2, others=[["bob", None, 1.0, True]]),
            "another of two parts": written(count=2, others=[["bob", "5a20"]]),
            "too large": written(more="x" * LARGEST),
            "deep": b"[" * (LARGEST - 1),
        },
        check,
    )


def test_what_it_says_of_times_and_numbers_is_bounded() -> None:
    said = Announcement.decode(written(lasts=1e9, count=10**9, others=[["bob", "5a20", -5, 1]]))
    assert said is not None
    assert said.lasts == LONGEST
    assert said.count == MOST_PEOPLE + 1
    assert said.others == (Other("bob", "5a20", 0.0),)
