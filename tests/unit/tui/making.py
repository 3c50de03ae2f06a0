"""Rooms and messages for tests without a broker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from kchat.config.settings import Settings
from kchat.events import People, Person
from kchat.message import Message
from kchat.tui.room import Room
from kchat.tui.view import View


def settings(room: str = "lunch", url: str = "memory://") -> Settings:
    return Settings.resolve(url=url, room=room)


NOON = datetime(2026, 5, 1, 12, 4, 5).timestamp()  # noqa: DTZ001 - by the clocks of this machine
"""When the rooms of tests are opened, UNIX seconds: no day begins while one runs."""


def room(
    username: str = "ada",
    *words: str,
    url: str = "memory://",
    read: float = 0.0,
    clock: Callable[[], float] = lambda: NOON,
) -> Room:
    """A room that takes it for noon, unless another clock is given."""
    made = Room(settings(url=url), username, words, clock=clock)
    made.left_off_at(read)
    return made


def said(username: str | None, text: str, *, ago: float = 0.0, account: str | None = None) -> Message:
    """A message as it comes from a broker. ``ago``: how many seconds before noon it was sent."""
    sent_at = datetime.fromtimestamp(NOON - ago, UTC)
    if username is None:
        return Message.from_body(text.encode(), account=account, sent_at=sent_at)
    return Message.from_body(Message.compose(username, text, sent_at=sent_at).body, account=account)


def people(*names: str, count: int = 0) -> People:
    """Those who are here, and nobody has checked their names. ``count``: where there are more of them."""
    return People(tuple(map(Person, names)), count or len(names))


def lines(view: View) -> list[str]:
    """What is seen, without spaces at the ends."""
    return ["".join(span.text for span in seen.row).rstrip() for seen in view.seen()]
