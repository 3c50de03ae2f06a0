"""The corpus through every display of the registry: one safe row for each input."""

from __future__ import annotations

import io
import re

import pytest

from kchat.display import create
from kchat.message import Message
from tests.cases import check_each
from tests.hostile.corpus import BODIES, TEXTS
from tests.hostile.safe import ROW, why_unsafe
from tests.unit.display.modes import DISPLAYS

ROWS = {
    "plain": ROW,
    "print": re.compile("Received "),
    "json": re.compile(r"\{"),
    "rich": re.compile(r"(?! |Username).{8,32}  [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}  "),
}
"""How the first row of a message begins, where a mode says more than that it is not indented."""

NOT_INDENTED = re.compile(r"(?! )")


def show(mode: str, *messages: Message) -> str:
    stream = io.StringIO()
    display = create(mode, stream)
    for message in messages:
        display.show(message)
    display.flush()
    return stream.getvalue()


@pytest.mark.parametrize("mode", DISPLAYS)
def test_every_hostile_body_is_one_safe_row(mode: str) -> None:
    row = ROWS.get(mode, NOT_INDENTED)

    def is_one_safe_row(body: bytes) -> None:
        output = show(mode, Message.from_body(body))
        assert not why_unsafe(output)
        first, *further = output.split("\n")[:-1]
        assert row.match(first)
        assert all(line.startswith("         ") for line in further)
        if mode != "json":
            assert len(output.encode()) < 65536 + 200

    check_each(BODIES, is_one_safe_row)


@pytest.mark.parametrize("mode", DISPLAYS)
def test_no_hostile_account_or_problem_does_harm(mode: str) -> None:
    def does_no_harm(text: str) -> None:
        output = show(mode, Message(None, "hello", body=b"hello", account=text, problem=text))
        assert not why_unsafe(output)
        assert output.count("\n") == 1

    check_each(TEXTS, does_no_harm)
