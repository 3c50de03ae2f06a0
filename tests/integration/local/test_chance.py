"""The generator of Python's `random` belongs to the program: who seeded it gets its numbers, whatever kchat does."""

from __future__ import annotations

import random
from pathlib import Path

import kchat
from kchat.client.backoff import Backoff


def test_a_seeded_program_gets_its_numbers_while_it_chats(tmp_path: Path) -> None:
    random.seed(1)
    expected = [random.random() for _ in range(3)]
    random.seed(1)

    seen = [random.random()]
    with kchat.connect(f"local://{tmp_path}/room.db", username="ada", presence=True) as room:
        room.send("hello")
        message = room.receive(timeout=10)
        assert message is not None
        assert message.text == "hello"
        seen.append(random.random())
        Backoff().fail()
    seen.append(random.random())

    assert seen == expected
