"""The chart of ``docs/scale.md``: what was measured, and what the model says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

from benchmarks import charts
from benchmarks.scale.model import fit, fitted, held_out
from benchmarks.scale.points import Kind, Measured, Row

LINES = {1: "#1b4965", 10: "#2a9d8f", 50: "#e07a1f", 200: "#9d2a6f"}
"""Numbers of subscribers that have a line, and their colours."""

OTHERS, CHECKED = "#8a8f94", "#c1121f"


def draw(path: Path, measured: Measured, source: str) -> None:
    """Draw processor time by deliveries for queues and for the stream, and memory by subscribers.

    Arguments:
        path: the SVG file.
        measured: what to draw.
        source: names the data that it was drawn from, in the file.
    """
    figure, (queue, stream, memory) = plt.subplots(1, 3, figsize=(14, 4.4))
    top = 0.0
    panels: tuple[tuple[Any, Kind, str], ...] = (
        (queue, "queue", "a queue for each subscriber"),
        (stream, "stream", "one stream, read by all"),
    )
    for axes, kind, title in panels:
        top = max(top, _processor(axes, measured, kind))
        axes.set_title(title)
    for axes in (queue, stream):
        axes.set_ylim(0.005, 1.5 * top)
    _memory(memory, measured)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    charts.save(figure, path, {"Identifier": source})


def _processor(axes: Any, measured: Measured, kind: Kind) -> float:
    """The largest of what is drawn."""
    model = fit(measured, kind)
    rows = [row for row in fitted(measured, kind) if row.rate]
    for subscribers, color in LINES.items():
        mine = [row for row in rows if row.subscribers == subscribers]
        ends = min(row.per_second for row in mine), max(row.per_second for row in mine)
        rates = [ends[0] * (ends[1] / ends[0]) ** (step / 50) for step in range(51)]
        axes.plot(
            [subscribers * rate for rate in rates],
            [model.cores(subscribers, rate) for rate in rates],
            color=color,
            linewidth=1.2,
        )
        _dots(axes, mine, color, f"{subscribers} subscriber{'s' if subscribers > 1 else ''}")
    _dots(axes, [row for row in rows if row.subscribers not in LINES], OTHERS, "other numbers")
    checked = held_out(measured, kind)
    _dots(axes, checked, CHECKED, "not fitted to", marker="D")
    axes.plot(
        [row.deliveries for row in checked],
        [model.cores(row.subscribers, row.per_second) for row in checked],
        linestyle="none",
        marker="x",
        markersize=9,
        color=CHECKED,
        label="... the model there",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_xlabel("deliveries a second (messages/s × subscribers)")
    axes.set_ylabel("cores that the broker uses")
    axes.grid(alpha=0.3)
    if kind == "queue":
        axes.legend(frameon=False, fontsize=8, title="dots measured, lines the model", title_fontsize=8)
    return max(row.cores for row in [*rows, *checked])


def _dots(axes: Any, rows: list[Row], color: str, label: str, marker: str = "o") -> None:
    axes.plot(
        [row.deliveries for row in rows],
        [row.cores for row in rows],
        linestyle="none",
        marker=marker,
        markersize=5,
        color=color,
        label=label,
    )


def _memory(axes: Any, measured: Measured) -> None:
    kinds: tuple[tuple[Kind, str, str], ...] = (
        ("queue", charts.OURS, "a queue each"),
        ("stream", "#e07a1f", "one stream"),
    )
    for kind, color, label in kinds:
        model, rows = fit(measured, kind), fitted(measured, kind)
        axes.plot(
            [row.subscribers for row in rows],
            [row.rss_mib for row in rows],
            linestyle="none",
            marker="o",
            markersize=5,
            color=color,
            label=label,
        )
        ends = [0, max(row.subscribers for row in rows)]
        axes.plot(ends, [model.memory(each) for each in ends], color=color, linewidth=1.2)
        checked = held_out(measured, kind)
        axes.plot(
            [row.subscribers for row in checked],
            [row.rss_mib for row in checked],
            linestyle="none",
            marker="D",
            markersize=5,
            color=CHECKED,
            label="not fitted to" if kind == "stream" else None,
        )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("subscribers")
    axes.set_ylabel("resident memory of the broker, MiB")
    axes.set_title("memory")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
