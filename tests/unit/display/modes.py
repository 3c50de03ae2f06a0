"""The displays of the registry, each under one name: an alias shows what the display behind it shows."""

from __future__ import annotations

from kchat.display import MODES

DISPLAYS = list({mode.path: name for name, mode in reversed(MODES.items())}.values())[::-1]
"""A mode for each display, without aliases."""
