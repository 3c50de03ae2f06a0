"""``kchat send -`` at a terminal: a prompt, and each line is confirmed before the next one is asked for.

The line editor and its history are Python's (:mod:`readline`), where this Python has it; else the terminal's own.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kchat import errors
from kchat.cli.flags import with_flags
from kchat.cli.line_editor import LineEditor, has_editor
from kchat.cli.stderr import line_writer, write_line
from kchat.cli.stream import Totals
from kchat.client.in_flight import Receipt
from kchat.display.escaping import display_name
from kchat.message import Message

if TYPE_CHECKING:
    from kchat.cli.receipts import Receipts
    from kchat.cli.shutdown import Shutdown
    from kchat.client.sender import Sender

_ONE_LINE = (errors.SendError, errors.Unreachable, errors.Closed, errors.Blocked)
"""Errors after which the next line may be sent."""


def send_typed(
    sender: Sender,
    stop: Shutdown,
    quiet: bool,
    *,
    allow_empty: bool = False,
    receipts: Receipts | None = None,
) -> int:
    """Send what somebody types, until Ctrl+D. Returns the exit code.

    What could not be sent is said at once; the line can be brought back by the key Up. ``receipts`` get each receipt.
    """
    from kchat.cli import DONE, FAILED, INTERRUPTED

    typed = _Typed(f"{display_name(sender.username)}> ")
    totals, talk = Totals(), _Talk(sender, quiet=quiet, editor=typed.has_editor)
    code = DONE
    why: object = "interrupted before it was confirmed: it may or may not have been delivered"
    try:
        with typed, sender:
            for text in typed:
                if not allow_empty and not text.strip():
                    continue
                stop.graceful = True  # what is typed by now is sent
                message = Message.compose(sender.username, text)
                if receipts is not None:
                    receipts.expect(message)
                receipt = _send(sender, message)
                totals.add(receipt)
                if receipts is not None:
                    receipts.write(receipt)
                talk.about(receipt)
                stop.graceful = False
                if stop():
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        code = INTERRUPTED
        typed.end_line()  # behind the prompt, or the ^C of the terminal
    except errors.KchatError as error:
        why = error
        raise
    finally:
        if receipts is not None:
            receipts.fail(why)
        line_writer(quiet)(totals.line(sender))
    return FAILED if totals.failed else code


def _send(sender: Sender, message: Message) -> Receipt:
    try:
        return sender.send(message)
    except _ONE_LINE as error:
        return Receipt(message, error=error)  # type: ignore[arg-type]  # a broker's error, too, is why it was not sent


class _Talk:
    """What is said between the lines.

    Arguments:
        sender: whose.
        quiet: whether nothing is said but errors.
        editor: whether Up brings a line back.
    """

    def __init__(self, sender: Sender, *, quiet: bool, editor: bool) -> None:
        self._sender = sender
        self._report = line_writer(quiet)
        self._editor = editor
        self._was_alone = False

    def about(self, receipt: Receipt) -> None:
        """Say that a line was not sent and why; or that nobody is listening, when that begins."""
        error: errors.KchatError | None = receipt.error
        if error is None:
            if receipt.routed is False and not self._was_alone:
                kept = "; the room's history keeps it" if self._sender.keeps_unrouted() else ""
                self._report(f"nobody is listening{kept}")
            self._was_alone = receipt.routed is False
            return
        unknown = isinstance(error, errors.NotConfirmed)
        write_line(f"kchat: {error}" if unknown else f"kchat: not sent: {error}")
        again = "Up brings the line back" if self._editor else ""
        if hint := "; ".join(filter(None, (with_flags(error.hint), again))):
            write_line(f"  {hint}")


class _Typed:
    """The lines that are typed at the terminal.

    Arguments:
        prompt: stands before each.
    """

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        # The editor needs the terminal for both. Where receipts go to a file, the prompt does not go there as well.
        self._both = sys.stdout is not None and sys.stdout.isatty()
        self._editor = LineEditor(prompt) if has_editor() and self._both else None
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="backslashreplace")  # so that no byte is lost

    @property
    def has_editor(self) -> bool:
        """Whether lines are edited, and can be brought back."""
        return self._editor is not None

    def __enter__(self) -> None:
        if self._editor is not None:
            self._editor.open()

    def __exit__(self, *_: object) -> None:
        if self._editor is not None:
            self._editor.close()

    def __iter__(self) -> Iterator[str]:
        while True:
            try:
                line = self._ask()
            except EOFError:
                self.end_line()  # behind the prompt
                return
            # A pasted block, where the terminal marks pastes and the editor takes them as one.
            yield from line.split("\n")

    def _ask(self) -> str:
        if self._editor is not None:
            line = self._editor.ask()
        elif self._both:
            line = input(self._prompt)
        else:
            self._show(self._prompt)
            line = sys.stdin.readline()
            if not line:
                raise EOFError
        return line.removesuffix("\n")

    def end_line(self) -> None:
        """What is written next begins on a line of its own."""
        if self._both:
            sys.stdout.write("\n")
            sys.stdout.flush()
        else:
            self._show("\n")

    def _show(self, text: str) -> None:
        if sys.stderr is not None and sys.stderr.isatty():
            sys.stderr.write(text)
            sys.stderr.flush()
