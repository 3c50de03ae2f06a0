"""The room for asyncio, under the name that programs use: :mod:`kchat.client.aio`."""

from __future__ import annotations

from kchat.client.aio import Room, connect

__all__ = ["Room", "connect"]
