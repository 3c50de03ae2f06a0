"""The report as a picture, by matplotlib: the charts that tell most, on one sheet."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kchat.archive.report import charts, series, wording
from kchat.archive.report.palette import HEAT
from kchat.archive.report.palette import LIGHT as COLORS
from kchat.display.escaping import display_name
from kchat.errors import MissingExtra

if TYPE_CHECKING:
    from kchat.archive.stats import Stats

_DPI = 160
_WIDTH, _HEIGHT = 10.0, 8.0  # inches
_PEOPLE = 8  # names
_NAME = 18  # columns of a name
_LABELS = 6  # under a chart

_FONTS = (
    "DejaVu Sans",
    *(
        f"Noto Sans{script}"
        for script in ("", " CJK JP", " CJK SC", " Arabic", " Hebrew", " Devanagari", " Thai")
    ),
    *("Hiragino Sans", "Arial Unicode MS", "Symbola", "Unifont"),
)
"""Those of them that are installed are used, each for the letters that the ones before it do not have."""


def write(stats: Stats, path: Path) -> None:
    """Write the picture as PNG. It needs no screen.

    Arguments:
        stats: the figures.
        path: of the file.

    Raises:
        kchat.errors.MissingExtra: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra(
            "matplotlib, which draws the picture, is not installed",
            hint='install it with: pip install "kombu-chat[png]"',
        ) from error
    with _own_style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT), facecolor=COLORS["paper"])
        _draw(figure, stats)
        figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": "kchat", "Title": _title(stats)})


@contextmanager
def _own_style() -> Iterator[None]:
    """Matplotlib as it comes, whatever the user's matplotlibrc says, with our colours; names are never formulas."""
    from matplotlib import font_manager, style

    installed = {font.name for font in font_manager.fontManager.ttflist}
    own = {
        "font.family": [name for name in _FONTS if name in installed] or ["sans-serif"],
        "font.size": 8,
        "text.parse_math": False,
        "text.color": COLORS["ink"],
        "axes.edgecolor": COLORS["muted"],
        "axes.labelcolor": COLORS["muted"],
        "axes.titlecolor": COLORS["ink"],
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlepad": 10,
        "axes.axisbelow": True,
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "grid.color": COLORS["line"],
        "grid.linewidth": 0.6,
        "xtick.color": COLORS["muted"],
        "ytick.color": COLORS["muted"],
        "ytick.major.size": 0,
        "xtick.major.size": 3,
    }
    with style.context(["default", own]), warnings.catch_warnings():
        # A letter that no installed font has is a box, and older releases join no letters; the reader sees that.
        for message in ("Glyph ", "Matplotlib currently does not support "):
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        yield


def _title(stats: Stats) -> str:
    return (
        display_name(stats.rooms[0], 2 * _NAME)
        if len(stats.rooms) == 1
        else wording.count(len(stats.rooms), "room")
    )


def _name(username: str | None) -> str:
    return wording.NOBODY if username is None else display_name(username, _NAME)


def _draw(figure: Any, stats: Stats) -> None:
    when = f"{wording.period(stats.first.date(), stats.last.date())} · " if stats.first and stats.last else ""
    figure.text(0.06, 0.945, _title(stats), fontsize=22, fontweight="bold", va="center")
    figure.text(0.06, 0.905, f"{when}times in {stats.zone}", color=COLORS["muted"], fontsize=9, va="center")
    headlines = (
        ("Messages", wording.number(stats.messages)),
        ("People", wording.number(stats.people)),
        ("Messages a day", wording.average(stats.per_day)),
        ("Conversations", wording.number(stats.conversations)),
        ("Median reply", wording.duration(stats.replies.p50)),
        ("Verified", wording.share(stats.verified_share)),
    )
    for place, (title, told) in enumerate(headlines):
        x = 0.06 + place * 0.152
        figure.text(x, 0.858, title, color=COLORS["muted"], fontsize=8, va="center")
        figure.text(x, 0.828, told, fontsize=14, fontweight="bold", va="center")
    if not stats.messages:
        figure.text(
            0.5,
            0.4,
            "No messages of these rooms and this time",
            color=COLORS["muted"],
            ha="center",
            fontsize=12,
        )
        return
    _over_time(figure.add_axes((0.06, 0.575, 0.88, 0.175)), stats)
    _hours(figure.add_axes((0.06, 0.325, 0.38, 0.155)), stats)
    _week(figure.add_axes((0.54, 0.325, 0.40, 0.155)), stats)
    _people(figure.add_axes((0.17, 0.05, 0.27, 0.18)), stats)
    _presence(figure.add_axes((0.54, 0.065, 0.40, 0.165)), stats)


def _bars(
    axes: Any, values: Sequence[float], color: str, below: Sequence[float] | None = None, label: str = ""
) -> None:
    axes.bar(range(len(values)), values, 0.8, below, color=COLORS[color], label=label)
    middle, half = (len(values) - 1) / 2, max(len(values), 7) / 2
    axes.set_xlim(middle - half, middle + half)
    axes.grid(axis="y")


def _lines(axes: Any, most: float) -> None:
    lines = series.steps(most, 3)
    axes.set_yticks(lines, [wording.compact(each) for each in lines])
    axes.set_ylim(0, lines[-1])


def _ticks(axes: Any, marks: Sequence[series.Tick]) -> None:
    axes.set_xticks([each.place for each in marks], [each.text for each in marks])


def _over_time(axes: Any, stats: Stats) -> None:
    unit, bins = series.messages(stats.per_date, stats.per_week)
    axes.set_title(f"Messages per {unit}")
    _bars(axes, [each.messages for each in bins], "accent")
    _lines(axes, max(each.messages for each in bins))
    _ticks(axes, series.ticks([each.start for each in bins], 2 * _LABELS))


def _hours(axes: Any, stats: Stats) -> None:
    axes.set_title("Hours of the day")
    _bars(axes, stats.per_hour, "accent")
    _lines(axes, max(stats.per_hour))
    _ticks(axes, charts.hour_ticks()[0])


def _week(axes: Any, stats: Stats) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    axes.set_title("Days of the week")
    ends = charts.heat_steps(max(map(max, stats.heat)))
    looks = [
        COLORS["heat-0"],
        *(COLORS[f"heat-{HEAT - len(ends) + step}"] for step in range(1, len(ends) + 1)),
    ]
    norm = BoundaryNorm([-0.5, *(end + 0.5 for end in (0, *ends))], len(looks))
    axes.pcolormesh(
        stats.heat, cmap=ListedColormap(looks), norm=norm, edgecolors=COLORS["paper"], linewidth=1.2
    )
    axes.invert_yaxis()
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks(
        [each.place for each in charts.hour_ticks()[0]], [each.text for each in charts.hour_ticks()[0]]
    )
    axes.set_yticks([row + 0.5 for row in range(7)], [each[:3] for each in wording.WEEKDAYS])
    axes.tick_params(axis="x", length=0)
    _heat_legend(axes, looks, ends)


def _heat_legend(axes: Any, looks: Sequence[str], ends: Sequence[int]) -> None:
    from matplotlib.patches import Patch

    marks = [
        Patch(facecolor=look, label=text) for look, text in zip(looks, charts.heat_ranges(ends), strict=True)
    ]
    axes.legend(
        handles=marks,
        ncols=len(marks),
        loc="lower right",
        bbox_to_anchor=(1, 1.02),
        frameon=False,
        fontsize=6,
        handlelength=0.9,
        handletextpad=0.4,
        columnspacing=0.8,
        borderaxespad=0,
        labelcolor=COLORS["muted"],
    )


def _people(axes: Any, stats: Stats) -> None:
    shown = stats.top[:_PEOPLE]
    # Left of the names, which are as wide as they are.
    axes.set_title("Who writes", x=-0.11 / 0.27)
    places = range(len(shown))
    axes.barh(places, [each.messages for each in shown], 0.6, color=COLORS["accent"])
    axes.set_yticks(places, [_name(each.username) for each in shown], color=COLORS["ink"])
    axes.set_ylim(_PEOPLE - 0.5, -0.5)
    axes.set_xlim(0, shown[0].messages * 1.22)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    for place, each in enumerate(shown):
        told = f" {wording.number(each.messages)} · {wording.share(each.share)}"
        axes.text(each.messages, place, told, va="center", fontsize=7, color=COLORS["muted"])


def _presence(axes: Any, stats: Stats) -> None:
    if len(stats.per_week) > 1:
        unit, bins = series.people_by_week(stats.per_week)
        axes.set_title("People per week" if unit == "week" else f"People per week, on average in each {unit}")
    else:
        bins = series.people_by_day(stats.per_date)
        axes.set_title("People per day")
    returning = [each.returning for each in bins]
    _bars(axes, returning, "accent", label="returning")
    _bars(axes, [each.new for each in bins], "second", returning, "new")
    _lines(axes, max(each.new + each.returning for each in bins))
    _ticks(axes, series.ticks([each.start for each in bins], _LABELS))
    axes.legend(
        ncols=2,
        loc="lower right",
        bbox_to_anchor=(1, 1.02),
        frameon=False,
        fontsize=7,
        handlelength=0.9,
        borderaxespad=0,
        labelcolor=COLORS["muted"],
    )
