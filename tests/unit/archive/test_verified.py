from __future__ import annotations

from kchat.archive.record import Record
from kchat.message import Message


def test_an_archive_calls_a_message_verified_where_displays_do() -> None:
    """A name that people take for another one is not, although an account is called so."""
    for username, account, verified in (
        ("ada", "ada", True),
        ("jose\u0301", "josé", True),
        ("Ada", "ada", False),
        ("ada ", "ada ", False),
        ("\u0430da", "\u0430da", False),  # with a Cyrillic letter
        ("ada", None, False),
    ):
        message = Message(username, "hello", account=account)
        assert Record.of(message, "chat", 0).verified is message.verified is verified, (username, account)
