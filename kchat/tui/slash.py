"""What is typed at the prompt: a message, or a command such as ``/join ops``."""

from __future__ import annotations

from typing import NamedTuple

_MOST_SHOWN = 16
"""Characters of an unknown command that are shown: what to do fits behind them, in 80 columns."""

_MOST_LAST = 1_000_000
"""Maximum number after ``/last``."""


class Command(NamedTuple):
    """A command that people can type.

    Attributes:
        name: without the slash.
        takes: what comes after it, for the help; empty for nothing.
        needed: whether that may not be left out.
        help: what it does.
    """

    name: str
    takes: str
    needed: bool
    help: str

    @property
    def usage(self) -> str:
        """``/join NAME``."""
        takes = self.takes if self.needed or not self.takes else f"[{self.takes}]"
        return f"/{self.name} {takes}".rstrip()


COMMANDS = {
    each.name: each
    for each in (
        Command("help", "", False, "show the keys and commands"),
        Command("who", "", False, "list who is here"),
        Command("nick", "NAME", True, "change your name"),
        Command("me", "TEXT", True, "say what you do: /me waves"),
        Command("join", "ROOM", True, "join another room"),
        Command("leave", "", False, "leave this room"),
        Command("last", "N", True, "show the last N messages of the history"),
        Command("search", "TEXT", False, "search this room"),
        Command("quit", "", False, "leave all rooms"),
    )
}
"""All commands, in the order to show."""


class Say(NamedTuple):
    """A message to send. ``action``: what the sender does (``/me``)."""

    text: str
    action: bool = False


class Do(NamedTuple):
    """A command, and what was typed after it."""

    name: str
    argument: str


class Mistake(NamedTuple):
    """Not sent: what is wrong with it, in one line."""

    text: str


def parse(typed: str) -> Say | Do | Mistake | None:
    """Tell a message from a command. ``//`` begins a message with one slash.

    Returns:
        What to do; ``None`` for nothing but spaces and newlines.
    """
    if not typed.strip():
        return None
    if typed.startswith("//"):
        return Say(typed[1:])
    if not typed.startswith("/"):
        return Say(typed)
    word, _, rest = typed[1:].partition(" ")
    if "\n" in word:
        return Mistake(f"/{_cut(word.partition(chr(10))[0])} is on a line of its own; // sends it as text")
    if not word:
        return Do("search", rest.strip())
    known = COMMANDS.get(word.lower())
    if known is None:
        return Mistake(f"there is no command /{_cut(word)}; // sends it as text; see /help")
    rest = rest.strip()
    if wrong := _wrong(known, rest):
        return Mistake(wrong)
    if known.name == "me":
        return Say(rest, action=True)
    return Do(known.name, rest)


def _wrong(command: Command, argument: str) -> str:
    """What is wrong with what was typed after a command; empty for nothing."""
    if command.needed and not argument:
        return f"usage: {command.usage}"
    if not command.takes and argument:
        return f"/{command.name} takes nothing after it"
    if command.name == "last" and not _is_number(argument):
        return f"usage: {command.usage}, a number of messages"
    return ""


def _is_number(text: str) -> bool:
    # Its length first: Python makes no number of thousands of digits.
    return (
        text.isascii()
        and text.isdecimal()
        and len(text) <= len(str(_MOST_LAST))
        and 0 < int(text) <= _MOST_LAST
    )


def _cut(word: str) -> str:
    return word if len(word) <= _MOST_SHOWN else f"{word[: _MOST_SHOWN - 1]}…"
