"""The window's colours, on a dark and on a light ground, and the style of each kind of span."""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple

from rich.style import Style

from kchat.tui.names import COLORS


class Palette(NamedTuple):
    """Colours as ``#rrggbb``. Each text has a contrast of 4.5 : 1 to its ground, at least (WCAG 2.2, 1.4.3).

    Grounds are nearly grey: where a terminal has 256 colours, others would become blue or red.

    Attributes:
        ground, bar, own, failed: behind messages, bars, one's own messages, and what was not sent.
        text, muted, faint: of what is read, of what is beside it, and of lines.
        accent, error, new: of the prompt, of what went wrong, and of what is new.
        link: of links.
        mention: of one's name, and what is behind it.
        names: of senders, in pairs of a darker and a lighter one, round the circle of hues without red.
    """

    is_dark: bool
    ground: str
    bar: str
    own: str
    failed: str
    text: str
    muted: str
    faint: str
    accent: str
    error: str
    new: str
    link: str
    mention: tuple[str, str]
    names: tuple[str, ...]

    @property
    def styles(self) -> dict[str, Style]:
        """The style of each kind of span."""
        return styles_of(self)


@cache
def styles_of(palette: Palette) -> dict[str, Style]:
    """The style of each kind of span."""
    own = Style(bgcolor=palette.own)
    failed = Style(bgcolor=palette.failed)
    text = Style(color=palette.text)
    muted = Style(color=palette.muted)
    return {
        "text": text,
        "text-action": text + Style(italic=True),
        "time": muted,
        "note": muted + Style(italic=True),
        "mark": muted,
        "day": Style(color=palette.faint),
        "day-text": muted,
        "new": Style(color=palette.new),
        "new-text": Style(color=palette.new, bold=True),
        "link": Style(color=palette.link, underline=True),
        "mention": Style(color=palette.mention[0], bgcolor=palette.mention[1], bold=True),
        "found": Style(reverse=True),
        "own": text + own,
        "own-action": text + own + Style(italic=True),
        "own-name": Style(color=palette.text, bold=True) + own,
        "own-note": muted + own + Style(italic=True),
        "sending": muted + Style(dim=True) + own,
        "sending-name": muted + Style(dim=True) + own,
        "failed": Style(color=palette.error) + failed,
        "failed-name": Style(color=palette.error, bold=True) + failed,
        "reason": Style(color=palette.error, italic=True) + failed,
        "name": muted,
        **{f"name-{number}": Style(color=palette.names[number], bold=True) for number in range(COLORS)},
        "bar": Style(color=palette.text, bgcolor=palette.bar),
        "bar-muted": Style(color=palette.muted, bgcolor=palette.bar),
        "bar-strong": Style(color=palette.text, bgcolor=palette.bar, bold=True),
        "bar-error": Style(color=palette.error, bgcolor=palette.bar, bold=True),
        "bar-new": Style(color=palette.new, bgcolor=palette.bar, bold=True),
        "bar-here": Style(color=palette.bar, bgcolor=palette.accent, bold=True),
        "prompt": Style(color=palette.accent, bgcolor=palette.ground, bold=True),
    }


DARK = Palette(
    is_dark=True,
    ground="#14171a",
    bar="#2a2e34",
    own="#1f2329",
    failed="#331c1f",
    text="#e3e6ea",
    muted="#98a1ad",
    faint="#4b535e",
    accent="#6cb6ff",
    error="#ff8d85",
    new="#ff9d5c",
    link="#8ecbff",
    mention=("#ffe28a", "#453a10"),
    names=(
        *("#ef7926", "#ffc573", "#b49f03", "#b8e45c", "#37bb62", "#16f2cb"),
        *("#1db2c0", "#9ddafe", "#6f9afe", "#d4c8fe", "#d275d8", "#fdbbd9"),
    ),
)
LIGHT = Palette(
    is_dark=False,
    ground="#ffffff",
    bar="#e6e8ea",
    own="#eff1f3",
    failed="#ffdddb",
    text="#1b1f24",
    muted="#59626e",
    faint="#b6bec8",
    accent="#0a5ea8",
    error="#b3261e",
    new="#a84600",
    link="#0a5ea8",
    mention=("#503c00", "#ffe9a8"),
    names=(
        *("#7b3702", "#946200", "#584e05", "#5b780a", "#015e28", "#0f7f69"),
        *("#05585f", "#0777a5", "#1e41a8", "#7b57c8", "#781b7e", "#b53c7f"),
    ),
)


def chosen(theme: str | None) -> Palette:
    """The palette of a theme, ``dark`` or ``light``. Default: as the terminal says in ``COLORFGBG``, else dark."""
    if theme is None:
        # "15;0": the number of the background's colour is last; 7 and 9 to 15 are light ones.
        ground = os.environ.get("COLORFGBG", "").rpartition(";")[2]
        theme = "light" if ground.isdecimal() and int(ground) in (7, *range(9, 16)) else "dark"
    return LIGHT if theme == "light" else DARK
