"""The palettes as Textual's themes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.theme import Theme

if TYPE_CHECKING:
    from kchat.tui.palette import Palette


def theme_of(palette: Palette) -> Theme:
    """Textual's theme for a palette."""
    return Theme(
        name="kchat-dark" if palette.is_dark else "kchat-light",
        primary=palette.accent,
        foreground=palette.text,
        background=palette.ground,
        surface=palette.ground,
        panel=palette.bar,
        error=palette.error,
        warning=palette.new,
        dark=palette.is_dark,
    )
