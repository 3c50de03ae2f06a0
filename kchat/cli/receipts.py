"""``kchat send --json``: what became of each message, as an object on a line of standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from kchat.errors import Returned
from kchat.message import Message, rfc3339

if TYPE_CHECKING:
    from kchat.client.in_flight import Receipt
    from kchat.client.sender import Sender


class Receipts:
    """Writes a line for each message that is handed over, when it is known what became of it.

    Messages come before their receipts: once nobody reads these any more, or the disk is full, no more are written, and all
    messages are sent.

    Arguments:
        sender: whose.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._open: dict[str | None, Message] = {}
        self._failure: OSError | None = None

    def watch(self, messages: Iterable[str | Message | None]) -> Iterator[Message | None]:
        """The same messages, composed; from now on they are waited for."""
        for item in messages:
            message = Message.compose(self._sender.username, item) if isinstance(item, str) else item
            if message is not None:
                self.expect(message)
            yield message

    def expect(self, message: Message) -> None:
        """This one is to be sent."""
        self._open[message.id] = message

    def write(self, receipt: Receipt) -> None:
        """The broker has it, or has refused it."""
        self._open.pop(receipt.message.id, None)
        self._write(receipt.message, receipt.routed, receipt.error)

    def fail(self, why: object) -> None:
        """All that are still waited for were not confirmed."""
        for message in self._open.values():
            self._write(message, False if isinstance(why, Returned) else None, why)
        self._open.clear()

    def close(self) -> None:
        """Raise what kept lines from being written, but not that their reader is gone: OSError."""
        if self._failure is not None and not isinstance(self._failure, BrokenPipeError):
            raise self._failure

    def _write(self, message: Message, routed: bool | None, error: object) -> None:
        line = {
            "id": message.id,
            "sent_at": None if message.sent_at is None else rfc3339.text(message.sent_at),
            "room": self._sender.settings.room,
            "username": message.username,
            "confirmed": error is None,
            "routed": routed,
            "error": None if error is None else str(error),
        }
        if self._failure is not None:
            return
        try:
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        except OSError as failure:
            self._failure = failure
            _give_up_standard_output()


def _give_up_standard_output() -> None:
    """What is left in its buffer would fail once more at the end, where it would change the exit code."""
    import os

    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    sys.stdout.flush()
