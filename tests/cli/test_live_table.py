"""The rich table where people see it: in a real terminal, resized while messages come, and ended in all ways."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.brokers.wait import wait_until
from tests.window import Window

SUBSCRIBER = """
import sys, time
from kchat.display import create
from kchat.message import Message
display = create("rich")
number = 0
try:
    display.open("chat on local://")
    while True:
        number += 1
        display.show(Message.compose("王小明" if number % 3 else "ada", f"#{number} " + "漢字 words " * (number % 12)))
        display.flush()
        time.sleep(0.01)
        if number == int(sys.argv[1]):
            raise RuntimeError("as broken as can be")
except KeyboardInterrupt:
    pass
finally:
    display.close()
"""


def subscribe(window: Window, tmp_path: Path, end_after: int = 0) -> None:
    script = tmp_path / "subscriber.py"
    script.write_text(SUBSCRIBER)
    root = Path(__file__).parents[3]
    window.type(f"PYTHONPATH={root} {sys.executable} {script} {end_after}", "Enter")


def fits(rows: list[str]) -> bool:
    """Whether the screen is the table and nothing but: each row in its place, and newer than the one above."""
    numbers = [int(found.group(1)) for row in rows if (found := re.search(r"#(\d+)", row))]
    header = [row for row in rows if re.match(r"User\w* +(Date / time|Time|Date?) +Mes", row)]
    return (
        len(header) == 1
        and bool(re.match(r"([\d,]+ messages.*)? +Ctrl\+C ends$", rows[-1]))
        and len(numbers) > 0
        and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    )


def fits_in(screen: Window, lines: int) -> bool:
    rows = screen.rows()
    return len(rows) == lines and fits(rows)


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 50), (20, 5)])
def test_the_table_fits_and_follows_resizes_while_messages_come(
    window: Callable[[int, int], Window], tmp_path: Path, columns: int, lines: int
) -> None:
    screen = window(columns, lines)
    subscribe(screen, tmp_path)
    wait_until(lambda: fits(screen.rows()), 20, screen.text)
    for size in ((100, 30), (33, 7), (columns, lines)):
        screen.resize(*size)
        wait_until(partial(fits_in, screen, size[1]), 10, screen.text)
    screen.type("C-c")
    wait_until(lambda: screen.modes() == "0 1 1", 10, screen.modes)


@pytest.mark.parametrize("end_after", [0, 50], ids=["Ctrl+C", "an exception"])
def test_the_screen_is_as_before_when_it_ends_with_the_last_table_below(
    window: Callable[[int, int], Window], tmp_path: Path, end_after: int
) -> None:
    screen = window(80, 24)
    screen.type("echo what stood here", "Enter")
    subscribe(screen, tmp_path, end_after)
    if not end_after:
        wait_until(lambda: fits(screen.rows()), 20, screen.text)
        assert screen.modes() == "1 0 0"
        screen.type("C-c")
    # The prompt from before it began does not show that it has ended.
    wait_until(lambda: "Username" in screen.history() and screen.modes() == "0 1 1", 20, screen.text)
    wait_until(lambda: screen.text().rstrip().endswith("$"), 20, screen.text)
    assert screen.modes() == "0 1 1"
    text = screen.history()
    above, header, below = text.partition("Username")
    assert "what stood here" in above
    assert header
    assert "#50 " in below or not end_after
    assert ("as broken as can be" in text) is bool(end_after)
