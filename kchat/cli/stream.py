"""Sending a stream: each refusal is said as it happens, and the totals at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

from kchat.cli.stderr import line_writer, write_line

if TYPE_CHECKING:
    from kchat.cli.receipts import Receipts
    from kchat.cli.shutdown import Shutdown
    from kchat.client.in_flight import Receipt
    from kchat.client.sender import Sender
    from kchat.message import Message

_PROGRESS_SECONDS = 0.1


class Lines:
    """Lines as messages. Blank ones are left out and counted, unless they are ``wanted``.

    Arguments:
        lines: texts, and ``None`` where there is nothing for now.
        wanted: whether empty and blank ones are messages, too.
    """

    def __init__(self, lines: Iterable[str | None], *, wanted: bool) -> None:
        self._lines = lines
        self._wanted = wanted
        self.taken = self.blank = 0

    def __iter__(self) -> Iterator[str | None]:
        for line in self._lines:
            if line is not None:
                if not self._wanted and not line.strip():
                    self.blank += 1
                    continue
                self.taken += 1
            yield line


class Totals:
    """What became of the messages, in numbers."""

    def __init__(self) -> None:
        self.confirmed = self.failed = self.unrouted = self.blank = 0

    def add(self, receipt: Receipt) -> None:
        """The broker has one, or has refused it."""
        if receipt.error is None:
            self.confirmed += 1
            self.unrouted += receipt.routed is False
        else:
            self.failed += 1

    def line(self, sender: Sender) -> str:
        """All of them, in a line."""
        parts = [f"{self.confirmed:,} sent to {sender.settings}"]
        if self.unrouted:
            parts.append(f"{self.unrouted:,} with nobody listening")
        if self.failed:
            parts.append(f"{self.failed:,} not sent")
        if sender.unsettled:
            parts.append(f"{sender.unsettled:,} not confirmed, which may or may not have been delivered")
        if self.blank:
            skipped = "1 blank line" if self.blank == 1 else f"{self.blank:,} blank lines"
            parts.append(f"{skipped} skipped (--allow-empty sends them)")
        return ", ".join(parts)


def send_stream(
    sender: Sender,
    messages: Iterable[str | Message | None],
    stop: Shutdown,
    quiet: bool,
    *,
    endless: bool = False,
    meter: bool = False,
    progress: Progress | None = None,
    receipts: Receipts | None = None,
) -> int:
    """Send a stream. Returns the exit code.

    When asked to stop, it takes no more messages, and waits for outstanding confirmations as long as the signal allows;
    that is success if the stream is ``endless``. A ``meter`` counts on a terminal, or ``progress`` says more there.
    ``receipts`` get each receipt.
    """
    from kchat.cli import DONE, FAILED, INTERRUPTED

    report = line_writer(quiet)
    progress = progress or Progress(show=meter and not quiet)
    totals = Totals()
    code = DONE
    taken: Iterable[str | Message | None] = takewhile(lambda _: not stop(), messages)
    if receipts is not None:
        taken = receipts.watch(taken)
    why: object = "interrupted before it was confirmed: it may or may not have been delivered"
    try:
        with sender:
            stop.graceful = True
            for receipt in sender.send_many(taken):
                totals.add(receipt)
                if receipts is not None:
                    receipts.write(receipt)
                if receipt.error is not None:
                    progress.clear()
                    write_line(f"kchat: {receipt.error}")
                progress.update(totals.confirmed)
        if stop():
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        code = DONE if endless else INTERRUPTED
    except Exception as error:
        why = error
        raise
    finally:
        progress.clear()
        if receipts is not None:
            receipts.fail(why)
        if isinstance(messages, Lines):
            totals.blank = messages.blank
        report(totals.line(sender))
    return FAILED if totals.failed else code


class Progress:
    """A counter on one line of a terminal, redrawn at most ten times a second.

    Arguments:
        show: whether it is wanted. Without a terminal there is none.
        more: what else to say, from the seconds since it began. Default nothing.
        done: what has become of that many. Default: they are sent.
    """

    def __init__(self, show: bool, more: Callable[[float], str] = lambda _: "", done: str = "sent") -> None:
        self._show = show and sys.stderr is not None and sys.stderr.isatty()
        self._more = more
        self._done = done
        self._started = self._drawn = time.monotonic()
        self._width = self._count = 0

    @property
    def shown(self) -> bool:
        """Whether anybody sees it."""
        return self._show

    def update(self, count: int | None = None) -> None:
        """That many are sent. Default: as many as before, and the time has passed."""
        if not self._show:
            return
        self._count = self._count if count is None else count
        now = time.monotonic()
        if now - self._drawn < _PROGRESS_SECONDS:
            return
        self._drawn, seconds = now, now - self._started
        line = f"{self._count:,} {self._done}, {self._count / seconds:,.0f}/s{self._more(seconds)}"
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def clear(self) -> None:
        """Take it off the screen."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0
