"""Rooms and messages for tests without a broker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kchat.config.settings import Settings
from kchat.events import People, Person
from kchat.message import Message
from kchat.tui.room import Room
from kchat.tui.view import View


def settings(room: str = "lunch", url: str = "memory://") -> Settings:
    return Settings.resolve(url=url, room=room)


def room(username: str = "ada", *words: str, url: str = "memory://", read: float = 0.0) -> Room:
    made = Room(settings(url=url), username, words)
    made.left_off_at(read)
    return made


def said(username: str | None, text: str, *, ago: float = 0.0, account: str | None = None) -> Message:
    """A message as it comes from a broker. ``ago``: how many seconds before now it was sent."""
    sent_at = datetime.now(UTC) - timedelta(seconds=ago)
    if username is None:
        return Message.from_body(text.encode(), account=account, sent_at=sent_at)
    return Message.from_body(Message.compose(username, text, sent_at=sent_at).body, account=account)


def people(*names: str, count: int = 0) -> People:
    """Those who are here, and nobody has checked their names. ``count``: where there are more of them."""
    return People(tuple(map(Person, names)), count or len(names))


def lines(view: View) -> list[str]:
    """What is seen, without spaces at the ends."""
    return ["".join(span.text for span in seen.row).rstrip() for seen in view.seen()]
