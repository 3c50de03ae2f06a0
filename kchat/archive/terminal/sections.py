"""The parts of the report, each as wide as it may be. What others wrote becomes text, never markup or control characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.table import Table
from rich.text import Text

from kchat.archive.terminal import amounts
from kchat.archive.terminal.drawing import Glyphs, bar, chart, level, shade, shade_ranges, squeeze
from kchat.display.escaping import cautious_cells, display_name, width

if TYPE_CHECKING:
    from datetime import date

    from kchat.archive.stats import Day, Stats, Times

TITLE, FAINT, ACCENT = "bold", "dim", "cyan"
"""Styles: colours that stand out on a dark and on a light background, and mean nothing by themselves."""

_HOURS = 24
_WEEKS = 8
"""Weeks that are shown, the last ones."""

_WIDEST_BAR = 40
"""Columns of the longest bar: the eye compares lengths, and needs no more for it."""


class Pen(NamedTuple):
    """What a part is drawn with: columns, and characters."""

    columns: int
    glyphs: Glyphs


def title(text: str, pen: Pen, note: str = "") -> list[Text | Table]:
    """The title of a part, with a remark behind it, or below where there is no room."""
    found = Text(text, style=TITLE)
    if not note:
        return [found]
    if len(text) + 2 + len(note) > pen.columns:
        return [found, Text(note, style=FAINT)]
    return [found.append(f"  {note}", style=f"not bold {FAINT}")]


def line(text: str, style: str = "") -> Text:
    """One line, cut at the margin."""
    return Text(text, style=style, no_wrap=True, overflow="crop")


def totals(stats: Stats, pen: Pen) -> list[Text | Table]:
    """The numbers of everything."""
    dot = f" {pen.glyphs.dot} "
    clients = dot.join(
        f"{name} {amounts.share(many / stats.messages)}" for name, many in stats.clients.items()
    )
    busiest = stats.busiest
    left = [
        ("messages", amounts.count(stats.messages)),
        ("people", amounts.count(stats.people)),
        ("per day", f"{amounts.rate(stats.per_day)} over {amounts.count(stats.days, 'day')}"),
        ("verified", amounts.share(stats.verified_share)),
    ]
    right = [
        ("first", amounts.moment(stats.first)),
        ("last", amounts.moment(stats.last)),
        (
            "busiest minute",
            f"{amounts.count(busiest.messages)} at {amounts.moment(busiest.at)}" if busiest else "",
        ),
        ("by client", clients),
    ]
    if pen.columns < 72:
        return [_pairs([*left, *right])]
    table = Table.grid(padding=(0, 6, 0, 0))
    table.add_row(_pairs(left), _pairs(right))
    return [table]


def _pairs(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style=FAINT, no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return table


class Rank(NamedTuple):
    """A line of a ranking: a label that is safe to show, its number, and what stands behind that."""

    label: str
    value: int
    behind: str = ""
    faint: bool = False


def ranking(rows: Sequence[Rank], pen: Pen) -> Table:
    """Lines with a bar, a number, and what stands behind it."""
    labels = max(width(row.label, cautious_cells) for row in rows)
    numbers = max(len(amounts.count(row.value)) for row in rows)
    behind = max(len(row.behind) for row in rows)
    rest = pen.columns - labels - numbers - (behind + 2 if behind else 0) - 4
    most = max((row.value for row in rows if not row.faint), default=0)
    longest = max(1, min(_WIDEST_BAR, rest))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, overflow="crop", width=labels)
    table.add_column(no_wrap=True, overflow="crop", width=longest, style=ACCENT)
    table.add_column(no_wrap=True, justify="right", width=numbers)
    if behind:
        table.add_column(no_wrap=True, justify="right", width=behind)
    for row in rows:
        drawn = "" if row.faint else bar(row.value, most, longest, pen.glyphs)
        cells = (Text(row.label), drawn, amounts.count(row.value), row.behind)
        table.add_row(*cells[: 4 if behind else 3], style=FAINT if row.faint else None)
    return table


def names_width(pen: Pen) -> int:
    """Columns that a name has in a ranking."""
    return max(6, min(24, pen.columns // 3))


def name_of(username: str | None, columns: int) -> str:
    """A name, safe to show; ``(no name)`` where there is none."""
    return "(no name)" if username is None else display_name(username, columns)


def most_active(stats: Stats, pen: Pen) -> list[Text | Table]:
    """Who wrote the most."""
    rows = [
        Rank(name_of(each.username, names_width(pen)), each.messages, amounts.share(each.share))
        for each in stats.top
    ]
    if rest := stats.messages - sum(each.messages for each in stats.top):
        others = stats.people - sum(each.username is not None for each in stats.top)
        label = "all others" if others <= 0 else f"{amounts.count(others)} other{'' if others == 1 else 's'}"
        rows.append(Rank(label, rest, amounts.share(rest / stats.messages), faint=True))
    return [*title("Most active", pen), ranking(rows, pen)]


def per_day(stats: Stats, pen: Pen) -> list[Text | Table]:
    """Messages of each date."""
    peak = max(stats.per_date, key=lambda each: each.messages)
    return _by_date(
        "Messages per day",
        f"most {amounts.count(peak.messages)} on {amounts.day(peak.date)}",
        [each.messages for each in stats.per_date],
        (stats.per_date[0].date, stats.per_date[-1].date),
        pen,
    )


def _by_date(
    text: str, note: str, values: Sequence[float], ends: tuple[date, date], pen: Pen, rows: int = 2
) -> list[Text | Table]:
    shown, together = squeeze(values, pen.columns)
    if together > 1:
        note += f" {pen.glyphs.dot} a column is {together} days, on average"
    cell = max(1, min(6, pen.columns // len(shown)))
    drawn = chart(shown, pen.glyphs, rows=rows, cell=cell)
    first, last = (each.isoformat() for each in ends)
    size = max(cell * len(shown) - (cell >= 3), 0)
    gap = size - len(first) - len(last)
    axis = first if first == last else (first + " " * gap + last if gap > 0 else f"{first} to {last}")
    return [*title(text, pen, note), *(line(each, ACCENT) for each in drawn), line(axis, FAINT)]


def per_hour(stats: Stats, pen: Pen) -> list[Text | Table]:
    """Messages of each hour of the day."""
    peak = max(range(_HOURS), key=lambda hour: stats.per_hour[hour])
    cell = max(1, min(3, (pen.columns - 4) // _HOURS))
    drawn = chart(stats.per_hour, pen.glyphs, rows=2, cell=cell)
    share = amounts.share(stats.per_hour[peak] / stats.messages)
    note = f"most {share} from {peak}:00 to {peak + 1}:00"
    # In the same columns as the weekdays' below.
    indent = " " * 4
    return [
        *title("Messages per hour of the day", pen, note),
        *(line(indent + each, ACCENT) for each in drawn),
        line(indent + _hours(cell), FAINT),
    ]


def _hours(cell: int) -> str:
    step = 6 if cell == 1 else 3
    return "".join(f"{hour:<{step * cell}}" for hour in range(0, _HOURS, step)).rstrip()


def heat_map(stats: Stats, pen: Pen) -> list[Text | Table]:
    """Messages by weekday and hour."""
    most = max(max(row) for row in stats.heat)
    cell = max(1, min(3, (pen.columns - 4) // _HOURS))
    heading = title("Weekday and hour", pen, "messages of all weeks together")
    found: list[Text | Table] = [*heading, line(" " * 4 + _hours(cell), FAINT)]
    for weekday, row in zip(amounts.WEEKDAYS, stats.heat, strict=True):
        shades = "".join(shade(many, most, pen.glyphs) * cell for many in row)
        found.append(line("").append(f"{weekday} ", style=FAINT).append(shades, style=ACCENT))
    return [*found, *_legend(most, pen, cell)]


def _legend(most: int, pen: Pen, cell: int) -> list[Text]:
    """What the shades mean, in as many lines as it takes."""
    lines, columns = [line("    ")], 4
    for each, low, high in shade_ranges(most, pen.glyphs):
        mark = each * min(2, cell)
        numbers = f" {amounts.count(low)}{f'-{amounts.count(high)}' if high > low else ''}"
        size = len(mark) + len(numbers)
        if columns + size > pen.columns and columns > 4:
            lines.append(line("    "))
            columns = 4
        lines[-1].append(mark, style=ACCENT).append(f"{numbers}  ", style=FAINT)
        columns += size + 2
    return lines


def times(stats: Stats, pen: Pen) -> list[Text | Table]:
    """Gaps, and replies. Nothing of a single message."""
    if not stats.gaps.count:
        return []
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=FAINT)
    table.add_column("", style=FAINT)
    table.add_column("to the next", justify="right")
    table.add_column("to a reply", justify="right")
    both: tuple[Times, Times] = (stats.gaps, stats.replies)
    measures = (
        ("mean", [each.mean for each in both]),
        ("half within", [each.p50 for each in both]),
        ("95 % within", [each.p95 for each in both]),
        ("longest", [each.longest for each in both]),
    )
    for label, values in measures:
        table.add_row(label, *(amounts.seconds(value) or "-" for value in values))
    table.add_row("how many", *(amounts.count(each.count) for each in both), style=FAINT)
    found: list[Text | Table] = [*title("Time between messages", pen), table]
    if stats.gaps.longest_at is not None:
        found.append(Text(f"The longest ended {amounts.moment(stats.gaps.longest_at)}.", style=FAINT))
    return found


def conversations(stats: Stats, pen: Pen) -> list[Text | Table]:
    """How many, and who begins them."""
    note = f"{amounts.count(stats.conversations)}, each after 30 minutes without a message"
    heading = title("Conversations", pen, note)
    rows = [
        Rank(
            name_of(each.username, names_width(pen)),
            each.conversations,
            amounts.share(each.conversations / stats.conversations),
        )
        for each in stats.starters
    ]
    if not rows:
        return heading
    return [*heading, line("Who begins them", FAINT), ranking(rows, pen)]


def mentions(stats: Stats, pen: Pen) -> list[Text | Table]:
    """Who mentions whom."""
    if not stats.mentions:
        return []
    columns = max(6, names_width(pen) * 2 // 3)
    rows = [
        Rank(
            f"{name_of(each.by, columns)} {pen.glyphs.arrow} {display_name(each.of, columns)}",
            each.messages,
        )
        for each in stats.mentions
    ]
    return [*title("Who mentions whom", pen), ranking(rows, pen)]


def people(stats: Stats, pen: Pen) -> list[Text | Table]:
    """Active people per day and week, new and returning."""
    peak = max(stats.per_date, key=lambda each: each.people)
    mean = sum(each.people for each in stats.per_date) / len(stats.per_date)
    ends = (stats.per_date[0].date, stats.per_date[-1].date)
    note = f"{amounts.rate(mean)} on average {pen.glyphs.dot} most {amounts.count(peak.people)} on {amounts.day(peak.date)}"
    values = [each.people for each in stats.per_date]
    daily = _by_date("Active people per day", note, values, ends, pen, rows=1)
    weeks = stats.per_week[-_WEEKS:]
    earlier = len(stats.per_week) - len(weeks)
    note = f"{amounts.count(earlier, 'earlier week')} not shown" if earlier else ""
    return [*daily, Text(""), *title("Active people per week", pen, note), _weeks(weeks, pen)]


def _weeks(weeks: Sequence[Day], pen: Pen) -> Table:
    full, light = pen.glyphs.shades[-1], pen.glyphs.shades[0]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=FAINT)
    table.add_column("week of", no_wrap=True)
    for name in ("people", "new", "returning"):
        table.add_column(name, justify="right", no_wrap=True)
    wide = pen.columns >= 60
    if wide:
        table.add_column("messages", justify="right", no_wrap=True)
    longest = min(_WIDEST_BAR, pen.columns - 54)
    drawn = longest >= 22
    if drawn:
        table.add_column(f"{full} returning  {light} new", no_wrap=True, width=longest)
    most = max(each.people for each in weeks)
    for each in weeks:
        cells = [each.date.isoformat(), *map(amounts.count, (each.people, each.new, each.returning))]
        if wide:
            cells.append(amounts.count(each.messages))
        row: list[str | Text] = [*cells]
        if drawn:
            whole = level(each.people, most, longest)
            new = level(each.new, most, longest)
            row.append(Text(full * (whole - new) + light * new, style=ACCENT))
        table.add_row(*row)
    return table


def words(stats: Stats, pen: Pen) -> list[Text | Table]:
    """The most frequent words, where they were asked for."""
    if stats.words is None:
        return []
    if not stats.words:
        return [
            *title("Words", pen),
            Text("none: the archive keeps no texts, or they have none", style=FAINT),
        ]
    rows = [Rank(display_name(each.word, names_width(pen)), each.count) for each in stats.words]
    return [*title("Words", pen), ranking(rows, pen)]
