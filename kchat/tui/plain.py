"""``kchat chat --plain``: line by line, with a prompt at the bottom, for plain terminals and screen readers.

What arrives is written above the prompt, and what is half written stays. A line that begins with a time is a message, and
one that begins with ``-`` is what kchat says; further lines and rows of a message begin with ``|``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout

from kchat.display.escaping import display_name, most_cells, width
from kchat.display.lines import local, wrap
from kchat.errors import KchatError
from kchat.message.unprintable import escape_unprintable
from kchat.tui.above import Above
from kchat.tui.commands import NO_HISTORY, NOT_FETCHED
from kchat.tui.inbox import Inbox
from kchat.tui.layout import day_name
from kchat.tui.leaving import AGAIN, CLOSE_TIMEOUT, CONFIRM_WAIT
from kchat.tui.session import HISTORY, Session
from kchat.tui.slash import COMMANDS, Do, Mistake, Say, parse
from kchat.tui.timeline import Kind
from kchat.tui.typed import complete
from kchat.tui.words import safe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prompt_toolkit.document import Document

    from kchat.tui.options import ChatOptions, Outcome
    from kchat.tui.room import Room
    from kchat.tui.timeline import Entry

_SAYS = "- "
_FURTHER = "      | "
_NARROWEST = 24  # columns, below which the rows of a message are indented less
_LOOK = 0.05  # seconds between looks whether the last messages are confirmed
_OWN = 20  # messages from here that may turn out to be read by nobody
_FOUND = 20  # lines that a search prints


def chat(options: ChatOptions) -> Outcome:
    """Talk until the user leaves.

    Arguments:
        options: what to open; what only a window can do is of no use.

    Returns:
        How it ended.

    Raises:
        kchat.errors.SettingsError: the username is not valid.
    """
    return asyncio.run(Plain(options).run())


class _Names(Completer):
    """Completes as the window's prompt does.

    Arguments:
        session: knows the names.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """What the word before the cursor may become."""
        before = document.text_before_cursor
        found = complete(before, self._session.current.likely_names())
        for word in found.words if found else ():
            yield Completion(word, start_position=found.start - len(before) if found else 0)


class Plain:
    """The lines and the prompt.

    Arguments:
        options: what to open.
    """

    def __init__(self, options: ChatOptions) -> None:
        self._inbox = Inbox()
        self._session = Session(options, self._inbox)
        self._written: dict[int, int] = {}  # by room: the place up to which its entries are on the terminal
        self._day: tuple[int, int, int] | None = None
        self._told: dict[str, str] = {}  # by room: the state of its connection
        self._failed: set[str] = set()  # ids of messages that were not sent
        self._own: deque[tuple[Room, Entry]] = deque(maxlen=_OWN)  # what was sent from here
        self._looking_back: asyncio.Task[None] | None = None
        self._says_that_it_fetches = False
        self._marked: set[tuple[int, str]] = (
            set()
        )  # rooms and names of this user: others who use them are known
        self._end = asyncio.Event()
        self._asked: PromptSession[str] | None = None  # while it waits for a line
        self._above = Above(self._half_typed)
        self._ticking: asyncio.TimerHandle | None = None

    async def run(self) -> Outcome:
        """Talk until the user leaves; returns how it ended."""
        loop = asyncio.get_running_loop()
        self._inbox.wake = lambda: loop.call_soon_threadsafe(self._take)
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._end.set)
        with patch_stdout(raw=True):
            self._session.start()
            reading = asyncio.create_task(self._read())
            ending = asyncio.create_task(self._end.wait())
            await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
            for task in (reading, ending, self._looking_back):
                if task is not None:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
        return self._session.close(CLOSE_TIMEOUT)

    # ---- reading

    async def _read(self) -> None:
        """Ask for one line after the other."""
        keys = KeyBindings()

        @keys.add("escape", "enter")
        def _(event: KeyPressEvent) -> None:  # Alt+Enter
            event.current_buffer.insert_text("\n")

        prompt: PromptSession[str] = PromptSession(
            self._prompt,
            completer=_Names(self._session),
            complete_while_typing=False,
            key_bindings=keys,
            enable_suspend=True,
        )
        interrupted = -AGAIN
        while True:
            self._asked = prompt
            try:
                typed = await prompt.prompt_async()
                self._asked = None
            except EOFError:
                self._asked = None
                if await self._may_leave():
                    return
                continue
            except KeyboardInterrupt:
                self._asked = None
                if monotonic() - interrupted < AGAIN and await self._may_leave():
                    return
                interrupted = monotonic()
                self._say("Ctrl+C again leaves")
                continue
            if await self._enter(typed):
                return

    def _prompt(self) -> str:
        room = f"{display_name(self._session.current.name)} " if len(self._session.rooms) > 1 else ""
        return f"{room}{display_name(self._session.username)}> "

    def _half_typed(self) -> str | None:
        """The prompt as it stands there; None while there is none."""
        return None if self._asked is None else self._prompt() + self._asked.default_buffer.text

    async def _enter(self, typed: str) -> bool:
        """Do what was typed; returns whether that was to leave."""
        meant = parse(typed)
        try:
            match meant:
                case Say(text, action):
                    self._session.say(self._session.current, text, action=action)
                case Mistake(text):
                    self._say(text)
                case Do("quit"):
                    return await self._may_leave()
                case Do():
                    self._do(meant)
        except KchatError as error:
            self._say(str(error))
        return False

    def _do(self, command: Do) -> None:
        session = self._session
        match command.name:
            case "help":
                for each in COMMANDS.values():
                    self._say(f"{each.usage}: {each.help}")
            case "who":
                self._say(session.who(session.current))
            case "nick":
                session.rename(command.argument)
            case "join":
                session.look_at(session.join(command.argument))
            case "leave":
                session.leave(session.current)
            case "search" | "last":
                self._look_back(command)
        self._write_new()

    def _look_back(self, command: Do) -> None:
        """Do what may have to wait for older messages, while one goes on writing."""
        if self._looking_back is not None:
            self._looking_back.cancel()
        self._says_that_it_fetches = False
        does = self._last if command.name == "last" else self._search
        self._looking_back = asyncio.create_task(does(self._session.current, command.argument))

    async def _search(self, room: Room, words: str) -> None:
        """Write what was found last; where that is nothing, look further back."""
        if not words:
            self._say(f"usage: {COMMANDS['search'].usage}")
            return
        timeline, before, found = room.timeline, room.timeline.end, list[int]()
        while True:
            first = timeline.first
            place = timeline.search(words, before)
            while place is not None and len(found) < _FOUND:
                found.append(place)
                place = timeline.search(words, place)
            before = first
            if found or not await self._fetch_older(room, room.received):
                break
        for each in reversed(found):
            self._write(room, timeline[each])
        of = (
            ""
            if room.complete or not (found or room.fetch_failed)
            else f" in the last {room.received:,} messages"
        )
        self._answer(room, f"{len(found)} found{of}")

    async def _last(self, room: Room, argument: str) -> None:
        """Write the last messages, those of the history as well."""
        timeline, wanted = room.timeline, int(argument)
        while True:
            places = [place for place in range(timeline.first, timeline.end) if not timeline[place].is_note]
            if len(places) >= wanted or not await self._fetch_older(room, wanted - len(places)):
                break
        for place in places[-wanted:]:
            self._write(room, timeline[place])
        if len(places) < wanted and not room.fetch_failed:
            self._answer(room, f"there are no more than {len(places):,}" if room.has_history else NO_HISTORY)

    async def _fetch_older(self, room: Room, number: int) -> bool:
        """Wait until older messages have come; returns whether some have."""
        first = room.timeline.first
        if room not in self._session.rooms or not self._session.fetch_older(room, max(HISTORY, number)):
            return False
        if not self._says_that_it_fetches:
            self._says_that_it_fetches = True
            self._answer(room, "fetching older messages")
        while room.fetching and room in self._session.rooms:
            await asyncio.sleep(_LOOK)
            self._take()
        if room.fetch_failed:
            self._answer(room, NOT_FETCHED)
            return False
        return room.timeline.first < first or not room.complete

    async def _may_leave(self) -> bool:
        """Whether all is sent, or may be lost."""
        ends = monotonic() + CONFIRM_WAIT
        while self._session.unsent and monotonic() < ends:
            await asyncio.sleep(_LOOK)
            self._take()
        unsent = len(self._session.unsent)
        if not unsent:
            return True
        question: PromptSession[str] = PromptSession()
        with suppress(EOFError, KeyboardInterrupt):
            answer = await question.prompt_async(f"{unsent} not sent. Leave, and lose that? [y/N] ")
            return answer.strip().lower() in ("y", "yes")
        return False

    # ---- writing

    def _take(self) -> None:
        mentions = self._session.take()
        if mentions and self._session.options.bell:
            sys.stdout.write("\a")
        if self._session.tick() and self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(1.0, self._tick)
        if self._session.fatal is not None:
            self._end.set()
            return
        self._write_new()
        for room in self._session.rooms:
            text = self._session.status(room)[0]
            state = text.partition(",")[0]  # and not each attempt
            if state != self._told.get(room.name) and not text.startswith("reconnected"):  # which is a note
                self._told[room.name] = state
                self._say(f"{display_name(room.name)}: {text}")
            for written in room.outbox.failed:
                message_id = written.message.id
                if message_id is not None and message_id not in self._failed:
                    self._failed.add(message_id)
                    self._say_of(
                        room, f"not sent: {written.reason}: {escape_unprintable(written.message.text)}"
                    )

    def _tick(self) -> None:
        """Say what time alone brings: who came and left, say."""
        self._ticking = None
        self._take()

    def _write_new(self) -> None:
        for room in self._session.rooms:
            place = max(self._written.get(id(room), room.timeline.first), room.timeline.first)
            for each in range(place, room.timeline.end):
                entry = room.timeline[each]
                if not entry.typed:  # or it stands where it was typed
                    self._write(room, entry)
                else:
                    self._own.append((room, entry))
            self._written[id(room)] = room.timeline.end
        for room, entry in [each for each in self._own if each[1].alone]:
            self._own.remove((room, entry))
            self._say_of(room, "nobody is here to read it")

    def _write(self, room: Room, entry: Entry) -> None:
        if entry.is_note:
            self._say_of(room, entry.text)
            return
        if entry.day != self._day:
            self._day = entry.day
            self._say(day_name(entry, room.today))
        sender = room.names.sender(entry.username, entry.account, mine=entry.mine)
        where = f"[{display_name(room.name)}] " if len(self._session.rooms) > 1 else ""
        clock = time.strftime("%H:%M", local(entry.seconds))
        text = safe(entry.text, total=entry.total or None)
        mark = sender.mark or self._not_from_here(room, entry)
        does, colon = ("* ", "") if entry.kind is Kind.ACTION else ("", ":")
        self._above.write(_rows(f"{clock} {where}{does}{sender.name}{mark}{colon} ", text, _FURTHER))

    def _not_from_here(self, room: Room, entry: Entry) -> str:
        """A mark, once, where nobody is checked and somebody writes under this user's name, here or elsewhere."""
        name = self._session.username
        key = (id(room), name)
        if entry.mine or entry.username != name or room.names.checked or key in self._marked:
            return ""
        if room.is_kept(entry) or room.names.is_me(name, entry.account):
            return ""
        self._marked.add(key)
        return " (not from here)"

    def _answer(self, room: Room, text: str) -> None:
        if room is self._session.current:
            self._say(text)
        else:
            self._say_of(room, text)

    def _say_of(self, room: Room, text: str) -> None:
        where = f"{display_name(room.name)}: " if len(self._session.rooms) > 1 else ""
        self._say(f"{where}{text}")

    def _say(self, text: str) -> None:
        self._above.write(_rows(_SAYS, escape_unprintable(text, keep_newlines=False), "  "))


def _rows(lead: str, text: str, further: str) -> str:
    """What to write of a safe text: at the left margin is nothing but the lead, so that no message looks like two."""
    try:
        columns = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1).columns
    except OSError:  # it is gone
        columns = 0
    if 0 < columns < _NARROWEST:
        further = further[-2:]
    text = text.replace("\n", f"\n{further}")
    if columns:
        text = wrap(text, columns, width(lead, most_cells), further)
    return f"{lead}{text}\n"
