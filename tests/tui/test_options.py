"""``kchat chat`` and its options, before a window is opened."""

from __future__ import annotations

import pytest

from kchat.cli import chat
from kchat.errors import MissingExtra
from tests.brokers.processes import Commands


def test_a_missing_library_names_the_extra() -> None:
    with pytest.raises(MissingExtra) as caught:
        chat._require("a_library_that_is_not_installed")
    assert 'pip install "kombu-chat[chat]"' in caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lunch", "--room", "ops"), "--room"),
        (("amqp://ada:secret@host/",), "--url"),
        (("a\x1b[31mroom",), "control characters"),
        (("--theme", "blue"), "blue"),
        (("--username", ""), "the username is empty"),
        (("--durable", " "), "the durable name is empty"),
        (("--url", "memory://"), "nobody else could be in it"),
        (("--url", "nonsense"), "not a valid connection URL"),
    ],
)
def test_wrong_usage_is_refused(commands: Commands, arguments: tuple[str, ...], words: str) -> None:
    result = commands.run_kchat("chat", *arguments)
    assert result.code == 2
    assert words in result.stderr
    assert "secret" not in result.stderr


def test_several_rooms_are_each_named_once(commands: Commands, local_url: str) -> None:
    result = commands.run_kchat(
        "chat", "lunch", "ops", "lunch", "--url", local_url, env={"KCHAT_ROOM": "other"}
    )
    assert result.code == 2
    assert "needs a terminal" in result.stderr
