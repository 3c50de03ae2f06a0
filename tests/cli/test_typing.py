"""``kchat send -`` at a terminal: what somebody types is the only thing on its lines."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from tests.brokers.processes import Commands
from tests.brokers.wait import wait_until
from tests.window import Window

ROOT = Path(__file__).parents[2]


def test_typed_lines_have_no_output_beside_them(
    window: Callable[..., Window], commands: Commands, local_url: str, tmp_path: Path
) -> None:
    subscriber = commands.kchat("subscribe", "--url", local_url, "--mode", "json")
    subscriber.wait_for("listening")
    screen = window(90, 14)
    words = [sys.executable, "-m", "kchat", "send", "--url", local_url, "--username", "ada", "-"]
    screen.type(f"clear; HOME={tmp_path} PYTHONPATH={ROOT} {shlex.join(words)}; echo code $?", "Enter")
    wait_until(lambda: "Ctrl+D ends" in screen.text(), 20, screen.text)
    for line in ("hello everybody", "", "  ", "how are you"):
        if line:
            screen.type("-l", line)
        screen.type("Enter")
    subscriber.wait_for_lines(2)
    screen.type("-l", "typed slowly")
    wait_until(lambda: "typed slowly" in screen.text(), 10, screen.text)
    rows = [row.strip() for row in screen.rows() if row.strip()]
    start = rows.index("hello everybody")
    assert rows[start:] == ["hello everybody", "how are you", "typed slowly"]
    screen.type("Enter")
    screen.type("C-d")
    wait_until(lambda: "code 0" in screen.text(), 20, screen.text)
    assert "3 sent to chat" in screen.text()
    said = [json.loads(line)["message"] for line in subscriber.wait_for_lines(3)]
    assert said == ["hello everybody", "how are you", "typed slowly"]
