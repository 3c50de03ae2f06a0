"""The colours of the report, for the page and the picture.

Blue and orange are told apart with every kind of colour blindness. Texts have a contrast of 4.5 to 1 or more with what they
stand on, and the colours of charts 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11); ``tests/unit/archive/test_report.py`` computes
them.
"""

from __future__ import annotations

LIGHT = {
    "paper": "#ffffff",
    "panel": "#f4f6f9",
    "line": "#d5dbe3",
    "ink": "#18212d",
    "muted": "#525e6e",
    "accent": "#1c63a6",
    "second": "#b8570c",
    "heat-0": "#eef1f5",
    "heat-1": "#c9def2",
    "heat-2": "#93bfe5",
    "heat-3": "#5397cf",
    "heat-4": "#2269ab",
    "heat-5": "#0b3f74",
}
"""By name, on a light ground; on paper too."""

DARK = {
    "paper": "#11161d",
    "panel": "#1a212b",
    "line": "#323c4a",
    "ink": "#e9edf3",
    "muted": "#a4afbd",
    "accent": "#66aef0",
    "second": "#f0a050",
    "heat-0": "#1b222c",
    "heat-1": "#1d3a58",
    "heat-2": "#26598a",
    "heat-3": "#3a7fbf",
    "heat-4": "#6fb2ef",
    "heat-5": "#c4e2ff",
}
"""By the same names, on a dark ground."""

HEAT = 5
"""Steps of the heat map, but for none."""


def variables(colors: dict[str, str]) -> str:
    """The colours as CSS declares them."""
    return ";".join(f"--{name}:{color}" for name, color in colors.items())
