"""The message, its id, its times, and what is safe to show of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kchat.message.message import Message

__all__ = ["Message"]


def __getattr__(name: str) -> object:
    # When it is first used: times and ids are read without a message, too.
    if name == "Message":
        from kchat.message.message import Message

        return Message
    raise AttributeError(f"module 'kchat.message' has no attribute {name!r}")
