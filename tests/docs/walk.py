"""Walks through a page as its reader does: types its commands into terminals, saves its programs, looks for its outputs.

The page's blocks are done in their order:

- ``sh``: each line is typed at the prompt of the current terminal, once the prompt is back.
- ``text``: what the current terminal shows, line by line and in this order. ``...`` stands for anything within a line, and
  any time of day for any other.
- ``python``: a file, named by the comment in its first line. One without a name is not a part of the walk.

Comments, which a reader does not see, say the rest. Each acts where it stands:

``terminal 2``
    The current terminal, from here on. One that is not named by a number is somebody else's, with a home of its own.
``press C-c``
    A key in the current terminal, named as tmux names it.
``run kchat who``
    A command that the page does not print.
``type y``, ``paste kchat://``
    A line in the current terminal: this one, or the last word that begins like that in any terminal.
``shows sent to chat ...``
    Output that the page does not print, as a ``text`` block has it.
``sees connected``
    Words anywhere on the screen, for programs that draw; several are several lines.
``publish``
    The next block is the payload that is typed into the dashboard's form.
``needs jq``
    The next block is left out, with its output, where that command is not installed.
``not run: it installs packages``
    The next block is not run, and why.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.brokers.wait import wait_until
from tests.docs.examples import ROOT
from tests.window import Window

SECONDS = 60.0
COLUMNS, LINES = 110, 40

_PART = re.compile(
    r"^ *<!--(?P<comment>.*?)-->|^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
NAME = re.compile(r"# (\w+\.py)\n")
"""The first line of a program that the reader saves."""
_OF_OTHERS = ("prints", "begin:", "end")
"""How the comments begin that other tests read."""


class Part(NamedTuple):
    """A block of a page, or a comment.

    Attributes:
        where: ``docs/course.md:12``.
        language: of the block; None for a comment.
        text: of the block or the comment.
    """

    where: str
    language: str | None
    text: str


def parts(page: str) -> Iterator[Part]:
    """The blocks and comments of a page, by its path in the repository."""
    text = (ROOT / page).read_text("utf-8")
    for match in _PART.finditer(text):
        where = f"{page}:{text.count(chr(10), 0, match.start()) + 1}"
        if match["comment"] is None:
            yield Part(where, match["language"], match["text"])
        elif not match["comment"].strip().startswith(_OF_OTHERS):
            yield Part(where, None, match["comment"].strip())


def commands_of(block: str) -> list[str]:
    """The command lines of a block, each with the lines that continue it."""
    lines = block.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def pattern(line: str) -> re.Pattern[str]:
    """What a line of an output matches."""
    text = re.escape(line.strip())
    text = text.replace(re.escape("..."), ".*")
    text = re.sub(r"\d\d:\d\d:\d\d", lambda _: r"\d\d:\d\d:\d\d", text)
    return re.compile(re.sub(r"(\\ ){2,}", lambda _: " +", text))


class Terminal:
    """A terminal with bash, and how far its output has been looked through."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._seen = 0

    def output(self) -> list[str]:
        """All lines so far, what the terminal has wrapped put together again."""
        lines = self.window._run("capture-pane", "-p", "-J", "-S", "-").split("\n")
        while lines and not lines[-1].strip():
            lines.pop()
        return [line.rstrip() for line in lines]

    def write(self, line: str) -> None:
        """Type a line and Enter."""
        self.window._run("send-keys", "-l", "--", line)
        self.window.type("Enter")

    def commands(self, lines: list[str], where: str) -> None:
        """Type commands, each once the prompt is back. What they show is looked for from the first one on."""
        begin = None
        for line in lines:
            wait_until(
                self._has_prompt,
                SECONDS,
                lambda line=line: f"{where}: a prompt for {line}\n{self._all()}",  # type: ignore[misc]
            )
            before = len(self.output())
            begin = before - 1 if begin is None else begin
            self.write(line)
            # Until it is echoed, the prompt that it was typed at looks like the one after it.
            wait_until(lambda: len(self.output()) > before or not self._has_prompt(), SECONDS, line)  # noqa: B023
        self._seen = begin or 0

    def _has_prompt(self) -> bool:
        return re.fullmatch(r"(\^C)?\$", self.output()[-1]) is not None

    def shows(self, text: str, where: str) -> None:
        """Wait for lines of output."""
        for line in filter(str.strip, text.splitlines()):
            self._seen = wait_until(
                lambda line=line: self._find(line),  # type: ignore[misc]
                SECONDS,
                lambda line=line: f"{where}: {line!r} in\n{self._all()}",  # type: ignore[misc]
            )

    def _find(self, line: str) -> int:
        """The number of the line behind the first one that matches; 0 where there is none yet."""
        wanted = pattern(line)
        for number, shown in enumerate(self.output()[self._seen :], self._seen):
            if wanted.fullmatch(shown.strip()):
                return number + 1
        return 0

    def draws(self, text: str, where: str) -> None:
        """Wait for lines on the screen."""
        for line in filter(str.strip, text.splitlines()):
            wanted = pattern(line)
            wait_until(
                lambda wanted=wanted: any(wanted.search(row) for row in self.window.rows()),  # type: ignore[misc]
                SECONDS,
                lambda line=line: f"{where}: {line!r} on\n{self.window.text()}",  # type: ignore[misc]
            )

    def _all(self) -> str:
        return "\n".join(self.output()[-60:])


class Walk:
    """A walk through a page.

    Arguments:
        folder: an empty one, for the terminals; its folder ``checkout`` is the working directory.
        tmux: the path of the program.
        environment: of all terminals; ``PATH`` has to lead to kchat.
        instead: what stands in the page → what the test has in its place, such as ports.
        publish: does what the dashboard's form does, with a payload.
    """

    def __init__(
        self,
        folder: Path,
        tmux: str,
        environment: Mapping[str, str],
        instead: Mapping[str, str],
        publish: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self.checkout = folder / "checkout"
        self._tmux = tmux
        self._environment = dict(environment)
        self._instead = dict(instead)
        self._publish = publish
        self._terminals: dict[str, Terminal] = {}
        self._current = "1"
        self._next = ""
        self._skipping = False
        self.left_out: list[str] = []

    # ---- terminals

    @property
    def terminal(self) -> Terminal:
        """The current one."""
        if self._current not in self._terminals:
            self._terminals[self._current] = self._open(self._current)
        return self._terminals[self._current]

    def _open(self, name: str) -> Terminal:
        home = self._folder / ("home" if name.isdigit() else name)
        home.mkdir(exist_ok=True)
        socket = self._folder / name  # short: a socket's path has about 100 characters at most
        socket.mkdir(exist_ok=True)
        environment = {
            **self._environment,
            "HOME": str(home),
            "TERM": "tmux-256color",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PS1": "$ ",
            "LOGNAME": "ada" if name.isdigit() else name,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }
        words = [f"{key}={value}" for key, value in environment.items()]
        nothing_else = ["env", "-i", "-C", str(self.checkout)]
        shell = shlex.join([*nothing_else, *words, "bash", "--norc", "--noprofile"])
        return Terminal(Window(self._tmux, socket, COLUMNS, LINES, shell))

    def close(self) -> None:
        """End all terminals."""
        for terminal in self._terminals.values():
            terminal.window.close()

    # ---- walking

    def go(self, page: str) -> None:
        """Do all that the page says, from its beginning to its end."""
        for part in parts(page):
            if part.language is None:
                self._heed(part)
            else:
                self._do(part)

    def _heed(self, part: Part) -> None:
        """Do what a comment says, or keep it for the block after it."""
        word, _, rest = part.text.partition(" ")
        text = self._here(rest)
        actions: dict[str, Callable[[], object]] = {
            "run": lambda: self.terminal.commands([text], part.where),
            "type": lambda: self.terminal.write(text),
            "paste": lambda: self.terminal.write(self._last_word(text)),
            "press": lambda: self.terminal.window.type(*text.split()),
            "shows": lambda: self.terminal.shows(text, part.where),
            "sees": lambda: self.terminal.draws(text, part.where),
        }
        if word == "terminal":
            self._current = rest
        elif word in {"publish", "needs", "not"}:
            self._next = part.text
        elif word not in actions:
            raise ValueError(f"{part.where}: what is to be done with {part.text!r}?")
        elif not self._skipping:
            actions[word]()

    def _last_word(self, beginning: str) -> str:
        found = [
            word
            for terminal in self._terminals.values()
            for line in terminal.output()
            for word in line.split()
            if word.startswith(beginning)
        ]
        return found[-1]

    def _do(self, part: Part) -> None:
        """Do what a block wants."""
        order, self._next = self._next, ""
        word, _, rest = order.partition(" ")
        if part.language != "text":
            self._skipping = word == "not" or (word == "needs" and not self._has(rest))
        if self._skipping:
            self.left_out.append(f"{part.where}: {order}")
            return
        text = self._here(part.text)
        if word == "publish":
            self._publish(text.strip())
        elif part.language == "sh":
            self.terminal.commands(commands_of(text), part.where)
        elif part.language == "python":
            if name := NAME.match(text):
                (self.checkout / name[1]).write_text(text)
        elif part.language == "text":
            self.terminal.shows(text, part.where)
        else:
            raise ValueError(f"{part.where}: nothing runs {part.language!r}")

    def _here(self, text: str) -> str:
        """Text of the page with what the test has in its place."""
        for there, here in self._instead.items():
            text = text.replace(there, here)
        return text

    def _has(self, command: str) -> bool:
        return shutil.which(command, path=self._environment["PATH"]) is not None


def path_with(folder: Path, **programs: str) -> str:
    """A ``PATH`` that leads to programs first: name → text of a script."""
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
