"""The walk to a room in this process's memory: a short one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kchat.doctor import Check, Options, driver

if TYPE_CHECKING:
    from kchat.config.settings import Settings


class Walk:
    """Nothing to hold.

    Arguments:
        settings: the room and its broker.
        options: what to look at.
    """

    def __init__(self, settings: Settings, options: Options) -> None:
        self.settings = settings
        self.options = options

    def close(self) -> None:
        """Nothing to close."""


CHECKS = (Check("settings", driver),)
