"""What a subscriber does with the messages that it receives: the display modes, and what each of them has to do.

A new mode is one new module and one line in :data:`MODES`; other distributions add theirs by an entry point in the group
``kchat.displays``: the class, which is called as :class:`Factory` says, and need not derive from anything. A module is
imported when its mode is used: ``rich`` takes as long to import as everything else together.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

from kchat.errors import SettingsError
from kchat.plugins import Entry, Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.message import Message


class Display(Protocol):
    """Shows messages, from a single thread.

    Whatever a message holds, nothing of it may reach a terminal as a control character or as markup
    (:mod:`kchat.display.escaping`), and no message may look like two of them. Errors of the output, such as BrokenPipeError
    when the reader of a pipe is gone, are raised by :meth:`show`, :meth:`flush` and :meth:`open`.

    The class of a mode also has these attributes, by which ``tests/unit/display/test_every_display.py`` holds it to that:

    - ``ROW``: a regular expression for the beginning of a message, where the output is not a terminal. A message's
      further lines begin with two spaces or more;
    - ``DAY``, if it writes a line between messages where the day changes: a regular expression for that line;
    - ``LONGEST``: the most bytes that it makes of a message. Default: 64 KiB and 200 bytes.
    """

    def open(self, title: str) -> None:
        """Begin. ``title`` names the room and the broker, without secrets."""

    def show(self, message: Message) -> None:
        """Take a message. Cheap: it may be held back until :meth:`flush`."""

    def flush(self) -> bool:
        """Bring out what was taken; only then is it acknowledged to the broker.

        Called before and after messages are shown, every 50 ms while it returns False, and once a second while nothing
        comes; a display that needs it more often has an attribute ``tick``, in seconds.

        Returns:
            Whether all of it is out. False is for a display that draws at its own pace, and is soon called again.
        """

    def status(self, text: str) -> None:
        """Show the state of the connection, if the mode has a place for it; the command line also writes it to stderr.

        Arguments:
            text: what happened. It may quote the broker, so it is not safe for a terminal.
        """

    def close(self) -> None:
        """End, and leave the terminal as it was. May be called twice, without :meth:`open`, and after an error."""


class FullScreen(Display, Protocol):
    """A display that may have the whole screen of a terminal, and then shares it with a shell and takes keys.

    These are used where a display has them:

    - ``press(key)``: called with the keys ``up``, ``down``, ``pageup``, ``pagedown``, ``home``, ``end``;
    - ``hurry()``: called before the last :meth:`flush`, which does not have to wait for more to bring out;
    - ``note(event)``: called in place of :meth:`status`, with one of :mod:`kchat.events`;
    - ``keys_hint``: becomes the ``hint`` where it gets keys;
    - ``remark``: is set to a few words about the room, before it is opened;
    - ``empty``: is set to what to show while there are no messages. It is not safe for a terminal.

    Attributes:
        live: whether it has the screen, once it is open.
        hint: how to end it, in a few words.
    """

    live: bool
    hint: str

    def suspend(self) -> None:
        """Give the screen back until :meth:`open` is called again."""


class Factory(Protocol):
    """What a mode is in the registry, and what an entry point in the group ``kchat.displays`` leads to: a display's class.

    It may ignore the named arguments, but has to take ``color``, ``mark_unverified`` and ``own``. Those that follow them
    here are younger: a plug-in's class gets those of them that it has, and need not have any.

    Arguments:
        stream: where to write.
        color: True, False, or None for what the terminal, ``NO_COLOR`` and ``FORCE_COLOR`` say:
            :attr:`kchat.display.output.Output.color`.
        mark_unverified: whether to mark names that the broker has not checked (:attr:`kchat.Message.verified`): where it
            checks them at all. Where it does not, that is said once, by the command line.
        own: the viewer's account; None where there is none.
        utc: whether times are in UTC. Default: in local time.
        date: whether each message has its date. Default: as the mode has it.
        tell: called with a line about the display itself that the viewer should read once, safe for a terminal: that all
            share an account, say (:class:`kchat.display.names.Names`). Default: nobody is told.
    """

    def __call__(
        self,
        stream: TextIO,
        *,
        color: bool | None = None,
        mark_unverified: bool = False,
        own: str | None = None,
        utc: bool = False,
        date: bool = False,
        tell: Callable[[str], object] = ...,
    ) -> Display:
        """Make a display that is not open yet."""


class _PlugIn:
    """A plug-in's display. An error in it is told in one line that names the plug-in; those of the output pass."""

    def __init__(self, entry: Entry, display: Display) -> None:
        self.__dict__.update(_entry=entry, _display=display)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._display, name)
        return self._entry.blamed(OSError)(found) if callable(found) else found

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._display, name, value)


MODES: Registry[Factory] = Registry(
    "kchat.displays",
    Entry("plain", "kchat.display.plain:Plain", "a line per message"),
    Entry("print", "kchat.display.print:Print", "the body as received"),
    Entry("simple", "kchat.display.print:Print", "same as print"),
    Entry("json", "kchat.display.json:Json", "an object per line"),
    Entry("rich", "kchat.display.rich:Rich", "a live table"),
    fault=lambda entry, found: "" if callable(found) else f"{entry.path} is not a display's class",
)
"""Display modes by name. The first is the default."""


def create(
    mode: str,
    stream: TextIO | None = None,
    *,
    color: bool | None = None,
    mark_unverified: bool = False,
    own: str | None = None,
    utc: bool = False,
    date: bool = False,
    tell: Callable[[str], object] = lambda text: None,  # noqa: ARG005 - nobody is told
) -> Display:
    """Make the display of a mode.

    Arguments:
        mode: a key of :data:`MODES`.
        stream: where it writes. Default standard output.
        color: see :class:`Factory`, as for those below.
        mark_unverified: Default no.
        own: Default none.
        utc: Default no.
        date: Default no.
        tell: Default: nobody is told.

    Raises:
        SettingsError: there is no such mode, or it is a plug-in that cannot be loaded, cannot be made with these
            arguments, or lacks a method of :class:`Display`. Its display raises it too, from methods that fail.
    """
    if mode not in MODES:
        raise SettingsError(f"no display mode {mode!r}", f"the modes are: {', '.join(MODES)}")
    entry, make = MODES.entry(mode), MODES[mode]
    with entry.blamed():
        younger: dict[str, Any] = {"utc": utc, "date": date, "tell": tell}
        if entry.distribution:
            younger = _taken(make, younger)
        display = make(
            sys.stdout if stream is None else stream,
            color=color,
            mark_unverified=mark_unverified,
            own=own,
            **younger,
        )
    if not entry.distribution:
        return display
    wanted = [Display, FullScreen] if getattr(display, "live", False) else [Display]
    names = [name for each in wanted for name in vars(each) if not name.startswith("_")]
    if missing := [name for name in names if not callable(getattr(display, name, None))]:
        raise entry.unusable(f"its display has no {', '.join(missing)}")
    return cast("Display", _PlugIn(entry, display))


def _taken(make: Factory, younger: dict[str, Any]) -> dict[str, Any]:
    """Those of the younger arguments that a plug-in's class takes."""
    from inspect import Parameter, signature

    try:
        known = signature(make).parameters
    except (TypeError, ValueError):  # written in C, say
        return {}
    takes_any = any(each.kind is Parameter.VAR_KEYWORD for each in known.values())
    return {name: value for name, value in younger.items() if takes_any or name in known}
