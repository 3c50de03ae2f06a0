"""What the window does for a command such as ``/join ops``, and for some keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kchat.errors import KchatError
from kchat.tui.session import HISTORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.tui.app import ChatApp
    from kchat.tui.slash import Do

NO_HISTORY = "this room keeps no history: these are the messages since you came"
"""What is said of a transport, by its name, to somebody who looks for older messages."""

NOT_FETCHED = "older messages cannot be fetched now: try again"
"""What is said where a history could not be read."""


def run(app: ChatApp, command: Do) -> None:
    """Do what a command says; what is wrong with it is said at the bottom."""
    session, argument = app.session, command.argument
    try:
        match command.name:
            case "who":
                session.current.note(session.who(session.current))
            case "nick":
                session.rename(argument)
                app.messages.view.refresh()
            case "join":
                app.go_to(session.join(argument))
            case "leave":
                _leave(app)
            case "last":
                _last(app, argument)
            case "search":
                app.searching.begin(argument)
            case "help":
                app.action_help()
            case _:
                app.action_leave()
    except KchatError as error:
        app.hint(str(error), "bar-error")


def _leave(app: ChatApp) -> None:
    room = app.session.current
    if room.outbox.unsent:
        app.hint("some messages are not sent yet: Ctrl+X discards those that failed", "bar-error")
        return
    app.session.leave(room)
    app.show_room()


def _last(app: ChatApp, argument: str) -> None:
    if not app.session.current.has_history:
        app.hint(NO_HISTORY)
    _look_at_last(app, int(argument))


def _look_at_last(app: ChatApp, number: int) -> None:
    """Look at as many of the last messages, and fetch those that are missing: :func:`go_on_fetching` looks again."""
    view, room = app.messages.view, app.session.current
    view.to_last(number)
    fetches = bool(view.wanted) and app.session.fetch_older(room, max(HISTORY, number - room.received))
    app.messages.to_last(number)
    if not fetches:
        view.wanted = 0


def go_on_fetching(app: ChatApp) -> None:
    """Older messages may have come: look for those that a search or ``/last`` wants."""
    room, view = app.session.current, app.messages.view
    if room.fetching:
        return
    if room.fetch_failed:
        if app.searching.give_up() or view.wanted:
            app.hint(NOT_FETCHED, "bar-error")
        view.wanted = 0
        return
    app.searching.go_on()
    if view.wanted:
        _look_at_last(app, view.wanted)


def look_back(app: ChatApp, move: Callable[[], object]) -> None:
    """Move up; at the oldest message of a room without a history, say that there is nothing older."""
    move()
    if app.messages.view.is_at_start and not app.session.current.has_history:
        app.hint(NO_HISTORY)


def retry(app: ChatApp) -> None:
    """Send again what was not sent."""
    number = app.session.retry(app.session.current)
    app.hint(f"sending {number} again" if number else "there is nothing to send again")


def discard(app: ChatApp) -> None:
    """Give up what was not sent; without any, cut what is selected in the prompt."""
    discarded = app.session.current.outbox.discard()
    if discarded:
        app.hint(f"{len(discarded)} discarded")
    else:
        app.editor.action_cut()


def copy_link(app: ChatApp) -> None:
    """Copy the lowest link on the screen; again, the one above it."""
    links = app.messages.links()
    left = [link for link in links if link not in app.copied_links] or links
    if not left:
        app.hint("there is no link on the screen")
        return
    again = left != links
    app.copied_links = (*app.copied_links, left[0]) if again else (left[0],)
    app.copy_to_clipboard(left[0])
    app.hint(f"copied {left[0]}")
