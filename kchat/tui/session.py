"""What a window does, without a window: rooms, their workers, and what is done with reports and commands."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from kchat import events
from kchat.config.validation import check_name, check_room, login_name
from kchat.display.escaping import display_name
from kchat.errors import KchatError, SettingsError
from kchat.message.unprintable import escape_unprintable
from kchat.tui.options import Outcome
from kchat.tui.outbox import State
from kchat.tui.people import CROWD, Presences
from kchat.tui.reports import Arrived, Failed, Happened, Joined, NotSent, Older, PeopleChanged, Report, Sent
from kchat.tui.room import CONNECTING, Room
from kchat.tui.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kchat.config.settings import Settings
    from kchat.message import Message
    from kchat.tui.inbox import Inbox
    from kchat.tui.options import ChatOptions
    from kchat.tui.timeline import Entry

HISTORY = 200
"""Messages of the history to begin with, and to fetch at a time."""

MOST_HISTORY = 1_000_000
"""Maximum number of messages of the history that are looked through."""

_SETTLE = 3.0
"""Seconds after which a confirmed message is shown as one of the room, though it did not come back."""

_AWAY_SHOWN = 15.0
"""Seconds for which it is shown that the connection was away."""


class Session:
    """Rooms that one is in. For one thread, but for the inbox.

    Arguments:
        options: what to open.
        inbox: gets the reports of the workers.

    Attributes:
        rooms: in the order to show.
        current: the one that is looked at.
        looking: whether somebody looks at all; a terminal says when another window is in front.
        username: the name in what is sent.
    """

    def __init__(self, options: ChatOptions, inbox: Inbox) -> None:
        self.options = options
        default = options.settings[0].username or login_name()
        self.username = default if options.username is None else options.username
        check_name(self.username)
        self._inbox = inbox
        self._marks = options.marks
        self._read: Mapping[str, float] = {}
        self._workers: dict[str, Worker] = {}
        self._presences = Presences(options.presence_of, lambda *told: inbox.put(PeopleChanged(*told)))
        self._away: dict[str, tuple[float, str]] = {}
        self._blocked: dict[str, str] = {}
        self._fatal: KchatError | None = None
        self._ever_joined = False
        self.looking = True
        self.rooms: list[Room] = [self._room(settings) for settings in options.settings]
        self.current = self.rooms[0]

    def start(self) -> None:
        """Begin to join all rooms."""
        if self._marks is None:
            from kchat.tui.read_marks import ReadMarks

            self._marks = ReadMarks()
        self._read = self._marks.load()
        for room in self.rooms:
            self._join(room)

    def _room(self, settings: Settings) -> Room:
        return Room(settings, self.username, self.options.highlight, self.options.where)

    def _join(self, room: Room) -> None:
        options = self.options
        last, since, if_kept = options.last, options.since, False
        if room.received:  # it is joined again, and what it had is shown
            last = since = None
        elif last is None and since is None:
            last, if_kept = HISTORY, True
        room.status = CONNECTING
        room.left_off_at(self._read.get(str(room.settings), 0.0))
        worker = self._workers[room.name] = Worker(
            room.settings,
            self.username,
            self._inbox,
            durable=options.durable,
            last=last,
            since=since,
            if_kept=if_kept,
            wait=options.wait,
        )
        worker.start()
        for written in room.outbox:
            if written.state is State.SENDING:  # before it was joined, or could not be read any more
                worker.send(written.message)

    # ---- what the workers report

    def take(self) -> list[tuple[Room, Entry]]:
        """Do what the reports say that have come; returns the messages among them that mention this user."""
        mentions: list[tuple[Room, Entry]] = []
        for report in self._inbox.take():
            room = self.find(report.room)
            if room is not None:  # it may have been left meanwhile
                mentions += ((room, entry) for entry in self._handle(room, report))
        return mentions

    def _handle(self, room: Room, report: Report) -> list[Entry]:
        match report:
            case Arrived(_, messages):
                return room.arrive(messages, watched=self.looking and room is self.current).mentions
            case Joined(_, has_history):
                self._on_joined(room, has_history=has_history)
            case Sent(_, message_id, routed):
                room.all_known = self._presences.known(room.name)
                room.confirm(message_id, routed=routed)
            case NotSent(_, message_id, error):
                room.outbox.fail(message_id, _safe(error))
            case Older(_, messages):
                if messages is None:
                    room.miss_older()
                else:
                    room.arrive_older(messages)
            case Happened(_, event, sending):
                self._on_event(room, event, sending=sending)
            case Failed(_, error, joined):
                self._on_failed(room, error, joined=joined)
            case PeopleChanged(_, people):
                room.all_known = self._presences.known(room.name)
                room.see_people(people)
        return []

    def _on_joined(self, room: Room, *, has_history: bool) -> None:
        self._ever_joined = True
        room.begin(has_history=has_history)
        self._presences.start(room.settings, self.username)

    def _on_failed(self, room: Room, error: KchatError, *, joined: bool) -> None:
        room.joined = False
        room.status = _safe(error)
        self._presences.stop(room.name)
        if joined or self._ever_joined or len(self.rooms) > 1:
            hint = f" ({escape_unprintable(error.hint, keep_newlines=False)})" if error.hint else ""
            room.note(f"not connected: {_safe(error)}{hint}")
        if not self._ever_joined and all(each.status not in ("", CONNECTING) for each in self.rooms):
            self._fatal = error

    def _on_event(self, room: Room, event: events.Event, *, sending: bool) -> None:
        match event:
            case events.Blocked(reason):
                self._blocked[room.name] = (
                    f"the broker takes no messages: {escape_unprintable(reason, keep_newlines=False)}"
                )
            case events.Unblocked():
                self._blocked.pop(room.name, None)
            case _ if sending:
                pass  # the subscriber tells the same
            case events.Disconnected():
                room.status = "connection lost, connecting again"
                if not room.has_history:  # else it has what was confirmed
                    room.outbox.doubt()
            case events.Reconnecting(_, seconds, attempt):
                room.status = f"no connection, trying again in {seconds:.0f} s (attempt {attempt})"
            case events.Reconnected(_, seconds):
                missed = event.missed
                text = f"reconnected after {seconds:.0f} s, {missed}"
                self._away[room.name] = time.monotonic(), text
                room.begin_again(text)
            case _:
                room.note(_safe(event))

    @property
    def fatal(self) -> KchatError | None:
        """Why no room could be joined; None while one is or may be."""
        return self._fatal

    def tick(self) -> bool:
        """Once a second while something changes by itself; returns whether something still does."""
        for room in self.rooms:
            room.settle(_SETTLE)
            room.all_known = self._presences.known(room.name)
            room.tell_comings()
            room.tell_alone()
        now = time.monotonic()
        self._away = {name: away for name, away in self._away.items() if now - away[0] < _AWAY_SHOWN}
        return bool(self._away) or any(
            room.outbox.is_settling or room.door.waits or room.doubts or not room.all_known
            for room in self.rooms
        )

    def status(self, room: Room) -> tuple[str, str]:
        """What a room's connection does, in words, and what kind of news that is: ``good``, ``new`` or ``bad``."""
        if room.status == CONNECTING:
            return "connecting…", "good"
        if room.status:
            return room.status, "bad"
        if room.name in self._blocked:
            return self._blocked[room.name], "bad"
        if room.name in self._away:
            return self._away[room.name][1], "new"
        return "connected", "good"

    # ---- what the user does

    def find(self, name: str) -> Room | None:
        """A room by its name; None for one that this is not in."""
        return next((room for room in self.rooms if room.name == name), None)

    def look_at(self, room: Room) -> None:
        """Look at a room from now on."""
        if room is not self.current:
            self.current.look_away()
            self.current = room
        if self.looking:
            room.look()

    def look(self, *, looking: bool) -> None:
        """The terminal is in front now, or no longer."""
        self.looking = looking
        if looking:
            self.current.look()
        else:
            self.current.look_away()

    def say(self, room: Room, text: str, *, action: bool = False) -> None:
        """Send a message; it is shown at once.

        Raises:
            kchat.errors.TooLarge: it is more than a subscriber reads; nothing was sent.
        """
        self._send(room, room.write(text, action=action))

    def _send(self, room: Room, message: Message) -> None:
        if room.name in self._workers:  # or it is sent when it is joined
            self._workers[room.name].send(message)

    def retry(self, room: Room) -> int:
        """Send again what was not sent; returns the number of messages."""
        again = room.outbox.retry()
        for message in again:
            self._send(room, message)
        return len(again)

    def rename(self, name: str) -> None:
        """Send under another name from now on.

        Raises:
            kchat.errors.SettingsError: it is not valid.
        """
        check_name(name)
        self.username = name
        for room in self.rooms:
            also = ", as somebody else here is" if room.has_other(name) else ""
            room.rename(name)
            room.note(f"you are {display_name(name)} now{also}")
            self._presences.rename(room.settings, name)

    def join(self, name: str) -> Room:
        """Join a room of the same broker, or return to it; one that cannot be read is tried again.

        Raises:
            kchat.errors.SettingsError: the name is not valid.
        """
        known = self.find(name)
        if known is not None:
            if not known.joined and known.status != CONNECTING:
                self._stop(known.name)
                self._join(known)
            return known
        settings = self.options.settings[0]
        check_room(name, predeclared=settings.transport.predeclared_rooms)
        room = self._room(replace(settings, room=name))
        self.rooms.append(room)
        self._join(room)
        return room

    def leave(self, room: Room) -> None:
        """Leave a room, and look at the one before it.

        Raises:
            kchat.errors.SettingsError: it is the only one.
        """
        if len(self.rooms) == 1:
            raise SettingsError("this is the only room: /quit leaves it")
        index = self.rooms.index(room)
        self.save_marks()
        self.rooms.remove(room)
        if room is self.current:
            self.current = self.rooms[max(0, index - 1)]
            self.current.look()
        self._stop(room.name)

    def who(self, room: Room) -> str:
        """Who is here, in one line."""
        if not room.settings.transport.capabilities.presence:
            return f"who is here is not known on the {room.settings.transport.name} transport"
        people, problem = room.here, self._presences.problem(room.name)
        if problem is not None:
            return _safe(problem)
        if people is None:
            return (
                "who is here is not known yet"
                if room.joined and not room.status
                else "who is here is not known now"
            )
        names = room.who()[:CROWD]
        more = f" and {people.count - len(names):,} more" if people.count > len(names) else ""
        return f"{people}: {', '.join(names)}{more}" if names else str(people)

    def fetch_older(self, room: Room, number: int = HISTORY) -> bool:
        """Have older messages fetched from the room's history; returns whether there may be some.

        Arguments:
            room: the room.
            number: how many more.
        """
        if room.complete or room.timeline.is_full or not room.joined or not room.timeline.oldest_message():
            return False
        room.fetching, room.fetch_failed = True, False
        self._workers[room.name].fetch_older(min(MOST_HISTORY, room.received + number), room.is_oldest)
        return True

    @property
    def unsent(self) -> list[tuple[Room, str]]:
        """What was written and the broker has not confirmed."""
        return [(room, written.message.text) for room in self.rooms for written in room.outbox.unsent]

    def save_marks(self) -> None:
        """Note where one left off."""
        if self._marks is not None:
            self._marks.save({str(room.settings): room.read for room in self.rooms if room.read})

    # ---- the end

    def _stop(self, name: str) -> Callable[[float], None]:
        presence, worker = self._presences.stop(name), self._workers.pop(name, None)
        if worker is not None:
            worker.stop()

        def join(seconds: float) -> None:
            until = time.monotonic() + seconds
            if presence is not None:
                presence.close(seconds)
            if worker is not None:  # else it has not begun
                worker.join(max(0.0, until - time.monotonic()))

        return join

    def close(self, seconds: float) -> Outcome:
        """Leave all rooms, and wait for that no longer than this; returns how it ended."""
        unsent = tuple(f"{display_name(room.name)}: {text}" for room, text in self.unsent)
        self.save_marks()
        self._inbox.close()
        until = time.monotonic() + seconds
        for join in [self._stop(room.name) for room in self.rooms]:
            join(max(0.0, until - time.monotonic()))
        return Outcome(self._fatal, unsent)


def _safe(text: object) -> str:
    from kchat.config.masking import mask

    return escape_unprintable(mask(str(text)), keep_newlines=False)
