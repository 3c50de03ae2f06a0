"""A sender that leaves a trace: what is confirmed is in a file at once, so that it can be killed at any moment.

Run as `python -m tests.faults.attrition_sender URL ROOM USERNAME FILE RATE`. It sends the numbers from 0 on until SIGTERM,
waits for what it has sent, and exits with 0 if all of it was confirmed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

from kchat import Sender, Settings
from tests.faults.attrition_parts import CONFIRM_TIMEOUT, HEARTBEAT, text_of

BURST_SECONDS = 0.02


def main(url: str, room: str, username: str, path: str, rate: str) -> int:
    """Sends until SIGTERM; returns the exit code."""
    asked_to_end = False

    def end(*_: object) -> None:
        nonlocal asked_to_end
        asked_to_end = True

    signal.signal(signal.SIGTERM, end)

    def numbers() -> Iterator[str | None]:
        number, began = 0, time.monotonic()
        while not asked_to_end:
            due = int((time.monotonic() - began) * int(rate)) + 1
            while number < due:
                yield text_of(number)
                number += 1
            yield None
            time.sleep(BURST_SECONDS)

    settings = Settings.resolve(
        url=url, room=room, connect_timeout=2, confirm_timeout=CONFIRM_TIMEOUT, heartbeat=HEARTBEAT
    )
    trace = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    failed = 0
    with Sender(settings, username) as sender:
        for receipt in sender.send_many(numbers()):
            if receipt.confirmed:
                # One write(2) for each: what it has returned for is kept, whatever becomes of this process.
                os.write(trace, receipt.message.text.partition(" ")[0].encode() + b"\n")
            else:
                failed += 1
                print(receipt.error, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
