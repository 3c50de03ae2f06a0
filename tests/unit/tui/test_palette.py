"""The colours: everything can be read, and twelve names can be told apart."""

from __future__ import annotations

from itertools import combinations

import pytest

from kchat.tui.names import COLORS
from kchat.tui.palette import DARK, LIGHT, Palette, chosen

LEAST_CONTRAST = 4.5
LEAST_DISTANCE = 0.05
"""Of two colours in OKLab, where 0.02 is what most people just see."""


def channels(color: str) -> list[float]:
    """Linear red, green and blue of ``#rrggbb`` (IEC 61966-2-1)."""
    values = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    return [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]


def contrast(one: str, other: str) -> float:
    """By WCAG 2.2."""
    lights = sorted(
        sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), channels(x), strict=True)) for x in (one, other)
    )
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def oklab(color: str) -> tuple[float, float, float]:
    r, g, b = channels(color)
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=["dark", "light"])
def test_all_text_can_be_read(palette: Palette) -> None:
    pairs = {
        **{f"name {number}": (color, palette.ground) for number, color in enumerate(palette.names)},
        "text": (palette.text, palette.ground),
        "muted": (palette.muted, palette.ground),
        "link": (palette.link, palette.ground),
        "new": (palette.new, palette.ground),
        "own": (palette.text, palette.own),
        "own name": (palette.accent, palette.own),
        "failed": (palette.error, palette.failed),
        "mention": palette.mention,
        "bar": (palette.muted, palette.bar),
        "bar, error": (palette.error, palette.bar),
        "bar, new": (palette.new, palette.bar),
        "the room that is looked at": (palette.bar, palette.accent),
    }
    bad = {
        what: round(contrast(*pair), 2) for what, pair in pairs.items() if contrast(*pair) < LEAST_CONTRAST
    }
    assert bad == {}


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=["dark", "light"])
def test_twelve_names_are_apart_and_none_looks_like_ones_own_or_an_error(palette: Palette) -> None:
    assert len(palette.names) == COLORS
    colors: dict[int | str, str] = {**dict(enumerate(palette.names)), "error": palette.error}
    near = [
        (one, other)
        for one, other in combinations(colors, 2)
        if sum((a - b) ** 2 for a, b in zip(oklab(colors[one]), oklab(colors[other]), strict=True)) ** 0.5
        < LEAST_DISTANCE
    ]
    assert near == []


def test_the_terminals_word_chooses_the_theme(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, expected in (
        ("15;0", DARK),
        ("0;15", LIGHT),
        ("0;default;15", LIGHT),
        ("", DARK),
        ("x;y", DARK),
    ):
        monkeypatch.setenv("COLORFGBG", said)
        assert chosen(None) is expected
    assert chosen("light") is LIGHT
    assert chosen("dark") is DARK


def test_each_span_has_a_style() -> None:
    for palette in (DARK, LIGHT):
        assert {f"name-{number}" for number in range(COLORS)} <= set(palette.styles)
