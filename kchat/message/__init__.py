"""What is said: the message, its id, its times, what is safe to show of it and how much."""

from __future__ import annotations

from kchat.message.message import Message

__all__ = ["Message"]
