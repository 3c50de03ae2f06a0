"""What is shown over the window: the help, and the question before something is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from kchat.tui.slash import COMMANDS

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from kchat.tui.palette import Palette

KEYS = (
    ("Enter", "send"),
    ("Alt+Enter, Shift+Enter", "a new line"),
    ("Up, Down", "what you sent before"),
    ("Tab", "complete a name or command"),
    ("Ctrl+A, Ctrl+E", "to the start, the end of the line"),
    ("Ctrl+W, Ctrl+U, Ctrl+K", "delete the word, to the start, the end"),
    ("PgUp, PgDn, wheel", "look back"),
    ("Home, End", "the oldest, the newest; Ctrl if you write"),
    ("Ctrl+F", "search"),
    ("Alt+1 to Alt+9", "go to a room"),
    ("Ctrl+N, Ctrl+P", "the next, the previous room"),
    ("Ctrl+R, Ctrl+X", "send again, discard what was not sent"),
    ("Ctrl+O", "copy a link; again, the one above"),
    ("Ctrl+T", "dark or light"),
    ("Ctrl+L", "draw again"),
    ("Ctrl+Z", "suspend"),
    ("Ctrl+Q, Ctrl+C twice", "leave"),
)
"""The keys, in the order to show."""

_KEY_COLUMNS = 26

_ALWAYS = (
    Binding("ctrl+z", "app.suspend_process", show=False, priority=True),
    Binding("ctrl+l", "app.redraw", show=False, priority=True),
)
"""Keys that do the same whatever is shown over the window."""


def help_text(palette: Palette, columns: int) -> Text:
    """The keys and commands. In a narrow window each explanation is on a row of its own."""
    strong, muted = Style(color=palette.accent, bold=True), Style(color=palette.text)
    text = Text("Esc closes this, ↑ ↓ scroll\n\n", Style(color=palette.muted))
    commands = [(command.usage, command.help) for command in COMMANDS.values()]
    commands.append(("//TEXT", "send a text that begins with a slash"))
    for title, rows in (("Keys", KEYS), ("Commands", commands)):
        text.append(f"{title}\n", Style(color=palette.muted))
        for key, what in rows:
            if columns < 70:
                text.append(f" {key}\n", strong).append(f"   {what}\n", muted)
            else:
                text.append(f" {key:<{_KEY_COLUMNS}}", strong).append(f"{what}\n", muted)
        text.append("\n")
    text.append("Marks of names\n", Style(color=palette.muted))
    for mark, what in (
        ("ada ?", "nobody has checked this name"),
        ("ada (via guest)", "the broker checked the account: it is guest"),
        ("Ada (looks like ada)", "another name, which you may mistake for ada"),
    ):
        text.append(f" {mark}\n" if columns < 70 else f" {mark:<{_KEY_COLUMNS}}", strong)
        text.append(f"   {what}\n" if columns < 70 else f"{what}\n", muted)
    text.append("\nEsc closes this", Style(color=palette.muted))
    return text


class Help(ModalScreen[None]):
    """The keys and commands.

    Arguments:
        palette: the colours.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q,enter,ctrl+c", "dismiss(None)", show=False, priority=True),
        Binding("ctrl+q", "leave", show=False, priority=True),
        *_ALWAYS,
    ]
    CSS = """
    Help { align: center middle; }
    #help { width: 94%; max-width: 84; height: 90%; padding: 0 1; }
    """

    def __init__(self, palette: Palette) -> None:
        super().__init__()
        self._palette = palette

    def compose(self) -> ComposeResult:
        """A text that can be scrolled."""
        with VerticalScroll(id="help") as scroll:
            scroll.styles.background = self._palette.bar
            yield Static(help_text(self._palette, self.app.size.width))

    def on_mount(self) -> None:
        """Let the arrows scroll it."""
        self.query_one(VerticalScroll).focus()

    async def action_leave(self) -> None:
        """Leave, as this very text says."""
        self.dismiss(None)
        await self.app.run_action("leave")


class Question(ModalScreen[bool]):
    """Asked before something is lost: whether to leave all the same.

    Arguments:
        palette: the colours.
        number: of messages that are not sent.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,Y", "dismiss(True)", show=False, priority=True),
        Binding("n,N,escape,enter", "dismiss(False)", show=False, priority=True),
        *_ALWAYS,
    ]
    CSS = """
    Question { align: center middle; }
    #question { width: auto; max-width: 90%; height: auto; padding: 1 3; }
    """

    def __init__(self, palette: Palette, number: int) -> None:
        super().__init__()
        self._palette = palette
        self._text, self._lost = (
            ("1 message is not sent.", "it") if number == 1 else (f"{number} messages are not sent.", "them")
        )

    def compose(self) -> ComposeResult:
        """The question, and the keys that answer it."""
        text = Text(self._text, Style(color=self._palette.text, bold=True))
        text.append("\n\ny", Style(color=self._palette.error, bold=True)).append(
            f" leave, and lose {self._lost}     "
        )
        text.append("n", Style(color=self._palette.accent, bold=True)).append(" stay")
        static = Static(text, id="question")
        static.styles.background = self._palette.bar
        yield static
