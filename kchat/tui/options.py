"""What a window is opened with, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kchat.tui.people import PresenceOf, be_here, be_hidden

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kchat.client.filters import Filter
    from kchat.config.settings import Settings
    from kchat.errors import KchatError
    from kchat.transports.durable import Durable
    from kchat.tui.read_marks import ReadMarks


class ChatOptions:
    """What a window is opened with.

    Arguments:
        settings: the rooms to join, one at least, in the order to show.
        username: the name in messages. Default: the settings', else the login name.
        highlight: words that stand out, besides the name.
        durable, last, since: as of :class:`~kchat.client.subscriber.Subscriber`.
        where: which of others' messages to show, and of one's own from elsewhere. Default: all.
        wait: retry for ever when no broker can be reached at the start.
        hidden: do not count as here.
        bell: ring when this user is mentioned.
        notify: desktop notice when this user is mentioned: ``osc9``, ``osc777`` or None for none.
        theme: ``dark`` or ``light``; None as the terminal says.
        mouse: whether the mouse is used.
        presence_of: makes what knows who is here. Default: a :class:`kchat.client.presence.Presence`.
        marks: where one left off. Default: the user's file.
    """

    def __init__(
        self,
        settings: Sequence[Settings],
        username: str | None = None,
        *,
        highlight: Sequence[str] = (),
        durable: str | Durable | None = None,
        last: int | None = None,
        since: float | None = None,
        where: Filter | None = None,
        wait: bool = False,
        hidden: bool = False,
        bell: bool = False,
        notify: str | None = None,
        theme: str | None = None,
        mouse: bool = True,
        presence_of: PresenceOf | None = None,
        marks: ReadMarks | None = None,
    ) -> None:
        self.settings = settings
        self.username = username
        self.highlight = highlight
        self.durable, self.last, self.since = durable, last, since
        self.where = where
        self.wait, self.hidden = wait, hidden
        self.bell, self.notify = bell, notify
        self.theme, self.mouse = theme, mouse
        self.presence_of = presence_of or (be_hidden if hidden else be_here)
        self.marks = marks


class Outcome(NamedTuple):
    """How it ended.

    Attributes:
        error: why it ended by itself; None where the user has ended it.
        unsent: what was written and not sent, as ``room: text``, as it was typed.
    """

    error: KchatError | None = None
    unsent: tuple[str, ...] = ()
