"""Charts, as SVG: the bars, and how cost grows with the size of messages and with subscribers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.margins import Margin, margins
from benchmarks.report import Outcome

OURS, MISSED = "#2a6f97", "#c1121f"

LONGEST = 6
"""Multiples of a bar that are drawn at most: one that is exceeded twenty times would flatten all the others."""

# Text stays text, and the same figures make the same file.
mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "kchat",
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def draw(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Draw what the outcomes have data for."""
    folder.mkdir(parents=True, exist_ok=True)
    by_name = {outcome.case.name: outcome for outcome in outcomes if outcome.results}
    if rows := [row for outcome in by_name.values() for row in margins(outcome)]:
        _bars(folder / "bench.svg", rows)
    if "amqp-size" in by_name and "local-size" in by_name:
        _sizes(folder / "bench-sizes.svg", by_name["amqp-size"], by_name["local-size"])
    if "amqp-crowd" in by_name and "local-crowd" in by_name:
        _crowds(folder / "bench-subscribers.svg", by_name["amqp-crowd"], by_name["local-crowd"])


def save(figure: Any, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a figure as SVG; metadata by the names that matplotlib's SVG backend knows."""
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None, **(metadata or {})})
    plt.close(figure)


def _bars(path: Path, rows: Sequence[Margin]) -> None:
    figure, axes = plt.subplots(figsize=(10, 0.55 * len(rows) + 1))
    for place, row in enumerate(rows):
        length = min(row.times, LONGEST)
        axes.barh(place, length, color=OURS if row.held else MISSED, height=0.6)
        told = row.told if row.times <= LONGEST else f"{row.told}: {row.times:,.0f} times better"
        # Beside the line at 1, not across it.
        axes.text(max(length, 1) + 0.05, place, told, va="center", color="black" if row.held else MISSED)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, LONGEST)
    axes.set_xlabel(
        f"measured, in multiples of the bar (1); longer is better, and cut at {LONGEST}; red is missed"
    )
    save(figure, path)


def _line(axes: Any, outcome: Outcome, figure: str, label: str, **style: Any) -> None:
    # Sides beside the scale are for comparison, in the table.
    sides = {side: figures for side, figures in outcome.results.items() if side.isdecimal()}
    scale = [float(side) for side in sides]
    samples = [figures[figure] for figures in sides.values()]
    axes.plot(scale, [each.median for each in samples], marker="o", label=label, **style)
    axes.fill_between(
        scale,
        [each.least for each in samples],
        [each.most for each in samples],
        alpha=0.15,
        color=style["color"],
    )


def _sizes(path: Path, amqp: Outcome, local: Outcome) -> None:
    figure, (rates, memory) = plt.subplots(1, 2, figsize=(11, 4))
    for outcome, name, color in ((amqp, "AMQP", OURS), (local, "embedded room", "#e07a1f")):
        _line(rates, outcome, "sent/s", f"{name}, sent", color=color)
        _line(rates, outcome, "read/s", f"{name}, read", color=color, linestyle="--")
        _line(memory, outcome, "sender MiB", f"{name}, sender", color=color)
        _line(memory, outcome, "subscriber MiB", f"{name}, subscriber", color=color, linestyle="--")
    for axes, label in ((rates, "messages a second"), (memory, "peak memory of the process, MiB")):
        axes.set_xscale("log", base=2)
        axes.set_xticks([float(side) for side in amqp.results])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _readable(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("size of a message's text")
        axes.set_ylabel(label)
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    rates.set_yscale("log")
    memory.set_ylim(bottom=0)
    figure.tight_layout()
    save(figure, path)


def _readable(size: float) -> str:
    """``64 B``, ``16 KiB``."""
    for unit in ("B", "KiB"):
        if size < 1024:
            return f"{size:g} {unit}"
        size /= 1024
    return f"{size:g} MiB"


def _crowds(path: Path, amqp: Outcome, local: Outcome) -> None:
    figure, (age, cost, rate) = plt.subplots(1, 3, figsize=(13, 4))
    for share, color in (("p50 ms", OURS), ("p99 ms", "#e07a1f")):
        _line(age, amqp, share, share.removesuffix(" ms"), color=color)
    age.axhline(50, color="black", linewidth=1, linestyle=":")
    age.set_title("AMQP, 100 messages/s: age when shown, ms")
    age.legend(frameon=False)
    _line(cost, amqp, "CPU µs a message", "", color=OURS)
    cost.set_title("AMQP: CPU of each subscriber, µs a message")
    _line(rate, local, "messages/s", "", color=OURS)
    rate.set_title("embedded room: sent/s")
    for axes in (age, cost, rate):
        axes.set_xlabel("subscribers")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    # A round that something disturbed would flatten all the others.
    age.set_ylim(top=max(60, *(1.2 * figures["p99 ms"].median for figures in amqp.results.values())))
    figure.tight_layout()
    save(figure, path)
