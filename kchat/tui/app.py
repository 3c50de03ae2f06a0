"""The window of ``kchat chat``. What it shows and does is in :mod:`kchat.tui.session`; here it meets Textual."""

from __future__ import annotations

import gc
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.message import Message

from kchat.display.escaping import width
from kchat.errors import KchatError
from kchat.tui import commands
from kchat.tui.alerts import Alerts
from kchat.tui.alt_keys import know_alt_keys
from kchat.tui.bars import Bar, header, prompt, where
from kchat.tui.editor import MOST_ROWS, SEARCH_KEYS, Editor
from kchat.tui.inbox import Inbox
from kchat.tui.leaving import CLOSE_TIMEOUT, CONFIRM_WAIT, Leaving
from kchat.tui.message_list import MessageList
from kchat.tui.options import ChatOptions, Outcome
from kchat.tui.palette import DARK, LIGHT, chosen
from kchat.tui.room_list import COLUMNS, RoomList
from kchat.tui.searching import Searching
from kchat.tui.session import HISTORY, Session
from kchat.tui.slash import Do, Mistake, Say, parse
from kchat.tui.status import HINT_SECONDS, Status
from kchat.tui.theme import theme_of
from kchat.tui.view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.strip import Strip
    from textual.timer import Timer as TextualTimer

    from kchat.tui.room import Room

FRAME = 0.05
"""Seconds from one drawing of the messages to the next, however many come: keys are never late."""

MOST_SEARCHED = 5_000
"""Maximum number of older messages to fetch at a time for a search: each time, the keys wait for them."""

SAVE_EVERY = 30.0
"""Seconds between notes of where one left off."""


class ChatApp(App[None], inherit_bindings=False):
    """The window.

    Arguments:
        options: what to open.

    Attributes:
        session: what it does.
    """

    CSS = f"""
    #messages {{ height: 1fr; }}
    #header, #room-row, #status {{ height: 1; }}
    #rooms {{ dock: left; width: {COLUMNS}; height: 100%; }}
    #prompt {{ height: auto; max-height: {MOST_ROWS}; }}
    #prompt-name {{ width: auto; height: 1; }}
    #editor {{ width: 1fr; height: auto; max-height: {MOST_ROWS}; border: none; padding: 0; }}
    #editor:focus {{ border: none; }}
    """
    ENABLE_COMMAND_PALETTE = False

    class Wake(Message):
        """There is something in the inbox."""

    def __init__(self, options: ChatOptions) -> None:
        self.palette = chosen(options.theme)
        know_alt_keys()
        super().__init__()
        for palette in (DARK, LIGHT):
            self.register_theme(theme_of(palette))
        self.theme = theme_of(self.palette).name
        self._inbox = Inbox(lambda: self.post_message(self.Wake()))
        self.session = Session(options, self._inbox)
        self.outcome = Outcome()
        self._are_left = False
        self.last_screen: list[Strip] = []
        self._views: dict[str, View] = {}
        self._drawn_at = 0.0
        self._drawn_on = (0, 0, 0)
        self._frame: TextualTimer | None = None
        self._ticking: TextualTimer | None = None
        self._status = Status()
        self.copied_links: tuple[str, ...] = ()
        self.leaving = Leaving(self.session, self._end, self._ask)
        self._alerts = Alerts(self._to_terminal, bell=options.bell, notify=options.notify)

    # ---- the window

    def compose(self) -> ComposeResult:
        """A bar, the messages with the rooms beside them, the rooms in a row, the prompt, the status."""
        self._header, self._status_bar = Bar("header", self.palette), Bar("status", self.palette)
        self._rooms = RoomList(self.palette)
        self._prompt = Bar("prompt-name", self.palette)
        self.messages = MessageList(self.palette, self._on_moved)
        self.editor = Editor(self._likely_names, self._enter, self._too_long, self.key_handlers())
        self.searching = Searching(
            self.editor, self.messages, self.hint, self._status.clear, self._fetch_to_search
        )
        yield self._header
        yield self.messages
        with Horizontal(id="prompt"):
            yield self._prompt
            yield self.editor
        yield self._status_bar

    def key_handlers(self) -> dict[str, Callable[[], object]]:
        """The keys that do something besides writing. The prompt calls them in the order in which they are typed."""
        return {
            "f1": self.action_help,
            "ctrl+q": self.action_leave,
            "ctrl+c": self.action_interrupt,
            "ctrl+z": self.action_suspend_process,
            "ctrl+l": self.action_redraw,
            "ctrl+f": self.action_search,
            "ctrl+r": partial(commands.retry, self),
            "ctrl+x": partial(commands.discard, self),
            "ctrl+o": partial(commands.copy_link, self),
            "ctrl+t": self.action_theme,
            "ctrl+n": partial(self.action_room, 1),
            "ctrl+p": partial(self.action_room, -1),
            "pageup": partial(commands.look_back, self, partial(self.messages.page, -1)),
            "pagedown": partial(self.messages.page, 1),
            "ctrl+home": partial(commands.look_back, self, self.messages.to_start),
            "ctrl+end": self.messages.to_end,
            **{f"alt+{number}": partial(self.action_room_number, number) for number in range(1, 10)},
            **{key: partial(self._search_key, key.partition(":")[2]) for key in SEARCH_KEYS},
        }

    def on_mount(self) -> None:
        """Show the empty window; the brokers are asked when it stands."""
        self.show_room()
        self.leaving.heed_signals()
        self.app_resume_signal.subscribe(self, lambda _: self.call_after_refresh(self.action_redraw))
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        if not gc.isenabled():
            gc.freeze()  # what is loaded by now stays, and is not looked at again while somebody types
            gc.enable()
        self._alerts.open()
        self.session.start()
        self.set_interval(SAVE_EVERY, self._look_up)
        self._draw()

    def _paint(self) -> None:
        self.theme = theme_of(self.palette).name
        for bar in (self._header, self._status_bar, self._rooms, self._prompt):
            bar.recolor(self.palette)
        self.messages.recolor(self.palette)

    def on_resize(self, _event: events.Resize) -> None:
        """Lay the bars out for another size."""
        self.call_after_refresh(self._draw)

    # ---- what arrives

    @on(Wake)
    def _on_wake(self) -> None:
        for room, entry in self.session.take():
            self._alerts.mention(room, entry)
        if self.session.fatal is not None:
            self._end()
            return
        commands.go_on_fetching(self)
        if self._ticking is None and self.session.tick():
            self._ticking = self.set_interval(1.0, self._tick)
        self.leaving.look()
        self._draw_soon()

    def _tick(self) -> None:
        if not self.session.tick() and self._ticking is not None:
            self._ticking.stop()
            self._ticking = None
        self._draw_soon()

    def _look_up(self) -> None:
        """Save where one left off; and where another day has begun, nothing is of today any more."""
        self.session.save_marks()
        if self.session.current.today != self._drawn_on:
            self._draw()

    def _draw_soon(self) -> None:
        """Draw now, or with all else that comes until the next frame."""
        if self._frame is not None:
            return
        wait = self._drawn_at + FRAME - monotonic()
        if wait <= 0:
            self._draw()
        else:
            self._frame = self.set_timer(wait, self._draw)

    def _draw(self) -> None:
        if not self._running or self._exit:  # what arrives meanwhile finds no screen any more
            return
        if self._frame is not None:
            self._frame.stop()
            self._frame = None
        self._drawn_at = monotonic()
        session = self.session
        self._drawn_on = session.current.today
        columns = self._rooms.draw(self.screen_stack[0], session, *self.size)
        self.messages.update_rows()
        self._header.set_rows([header(session.current, where(session.current), columns)])
        name = prompt(session.username, columns, searches=self.searching.active)
        self._prompt.set_rows([[(name, "prompt")]])
        self._prompt.styles.width = width(name)
        row = self._status.row(session, self.messages.view, columns, searches=self.searching.active)
        self._status_bar.set_rows([row])
        self._alerts.title(session.rooms, session.current)

    def hint(self, text: str, style: str = "bar-strong") -> None:
        """Say something at the bottom for a few seconds."""
        self._status.hint(text, style)
        self._draw()
        self.set_timer(HINT_SECONDS, self._draw)

    # ---- rooms

    def show_room(self) -> None:
        """Show the room that is current now."""
        room = self.session.current
        view = self._views.get(room.name)
        if view is None or view.room is not room:  # it was left, and joined again
            view = self._views[room.name] = View(room)
        self.editor.typed = room.typed
        if self.editor.text != room.draft:
            self.editor.put(room.draft)
        self.messages.show(view)
        self._draw()

    def go_to(self, room: Room) -> None:
        """Look at another room; what is half written stays with this one."""
        self.searching.end()
        self.session.current.draft = self.editor.text
        self.session.look_at(room)
        self.show_room()

    def action_room(self, step: int) -> None:
        """The next room, or the one before."""
        rooms = self.session.rooms
        self.go_to(rooms[(rooms.index(self.session.current) + step) % len(rooms)])

    def action_room_number(self, number: int) -> None:
        """A room by its number."""
        if number <= len(self.session.rooms):
            self.go_to(self.session.rooms[number - 1])

    def on_app_focus(self) -> None:
        """The terminal is in front."""
        self.session.look(looking=True)
        self._draw()

    def on_app_blur(self) -> None:
        """Another window is in front: what comes now is new."""
        self.session.look(looking=False)

    # ---- moving

    def _on_moved(self) -> None:
        if self.messages.view.is_at_start and not self.messages.view.follows:
            self._fetch_older()
        self._draw()

    def _likely_names(self) -> list[str]:
        return self.session.current.likely_names()

    def _fetch_older(self) -> bool:
        return self.session.fetch_older(self.session.current)

    def _fetch_to_search(self) -> bool:
        room = self.session.current
        # Each time as many as there are: the history is read from its end.
        return self.session.fetch_older(room, min(max(HISTORY, room.received), MOST_SEARCHED))

    def _search_key(self, key: str) -> None:
        self.searching.press(key)
        self._draw()

    def action_redraw(self) -> None:
        """Draw all of it again, over whatever stands there."""
        self._to_terminal("\x1b[2J")
        self.messages.view.refresh()
        self._draw()
        for widget in self.screen.walk_children(with_self=True):
            widget.refresh()

    def action_theme(self) -> None:
        """Dark to light, or back."""
        self.palette = LIGHT if self.palette.is_dark else DARK
        self._paint()
        self._draw()

    def action_search(self) -> None:
        """Begin to search, or look for the one before."""
        if self.searching.active:
            self.searching.press("enter")
        else:
            self.searching.begin()
        self._draw()

    # ---- writing

    def _enter(self, typed: str) -> None:
        if self.searching.active:
            self._search_key("enter")
            return
        self._status.clear()
        meant = parse(typed)
        match meant:
            case Say(text, action):
                self._say(text, action=action)
            case Do():
                commands.run(self, meant)
            case Mistake(text):
                self.editor.put(typed)
                self.hint(text, "bar-error")
        self._draw()

    def _too_long(self, size: int) -> None:
        self.hint(f"not pasted: {size:,} characters are too many for one message", "bar-error")

    def _say(self, text: str, *, action: bool) -> None:
        try:
            self.session.say(self.session.current, text, action=action)
        except KchatError as error:
            self.editor.put(text)
            self.hint(str(error), "bar-error")
            return
        self.messages.view.to_end()

    def action_help(self) -> None:
        """Show the keys and commands."""
        from kchat.tui.screens import Help

        self.push_screen(Help(self.palette))

    # ---- the end

    def action_interrupt(self) -> None:
        """Ctrl+C: copy what is selected; twice, leave."""
        selected = self.screen.get_selected_text() or self.editor.selected_text
        if selected:
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
            self.editor.move_cursor(self.editor.cursor_location)
            self.hint("copied")
            return
        if not self.leaving.interrupt():
            self.hint("Ctrl+C again leaves")

    def action_leave(self) -> None:
        """Leave, when all is sent; else ask."""
        self.leaving.leave()
        if self.leaving.is_waiting:
            self.set_timer(CONFIRM_WAIT, self.leaving.look)

    def _ask(self, number: int, answer: Callable[[bool | None], None]) -> None:
        from kchat.tui.screens import Question

        self.push_screen(Question(self.palette, number), answer)

    def _end(self) -> None:
        if self._exit:
            return
        self.messages.update_rows()
        self.last_screen = self.messages.drawn()
        self._leave_rooms()
        self.exit()

    def _leave_rooms(self) -> None:
        if self._are_left:
            return
        self._are_left = True
        self._alerts.close()
        self.outcome = self.session.close(CLOSE_TIMEOUT)

    def on_unmount(self) -> None:
        """Leave the rooms, however it ends: others see that, and no thread goes on by itself."""
        self._leave_rooms()

    def _to_terminal(self, sequence: str) -> None:
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)
