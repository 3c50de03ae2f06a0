"""The sections on when messages come: over time, by the clock, and how fast one follows the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kchat.archive.report import charts, ranges, series, tables, wording
from kchat.archive.report.markup import Child, Element, element
from kchat.archive.report.sections import section

if TYPE_CHECKING:
    from kchat.archive.stats import Stats, Times


def over_time(stats: Stats) -> Element:
    """Messages per day, week, month or year."""
    unit, bins = series.messages(stats.per_date, stats.per_week)
    best = max(stats.per_date, key=lambda day: day.messages)
    says: list[Child] = [
        f"Most on {wording.weekday(best.date)}: {wording.count(best.messages, 'message')}. ",
    ]
    silent = sum(not day.messages for day in stats.per_date)
    if stats.days > 1:
        says.append(f"A day has {wording.average(stats.per_day)} on average")
        says.append(
            f"; nobody wrote on {wording.count(silent, 'day')}." if silent else "; no day was silent."
        )
    most = max(bins, key=lambda each: each.messages)
    wide, narrow = charts.date_ticks([each.start for each in bins])
    title = f"Messages per {unit}"
    return section(
        "time",
        title,
        says,
        charts.bars(
            "time-chart",
            title,
            f"One bar for each {unit}, {wording.number(len(bins))} in all. The highest is {most.label}, with "
            f"{wording.count(most.messages, 'message')}. The numbers are in the table below.",
            [each.label for each in bins],
            [charts.Layer("bar", "messages", [each.messages for each in bins])],
            wide,
            narrow,
        ),
        tables.numbers(
            title,
            (unit.capitalize(), "Messages"),
            [(each.label, wording.number(each.messages)) for each in bins],
        ),
    )


def by_hour(stats: Stats) -> Element:
    """Messages in each hour of the day."""
    best = max(range(24), key=lambda hour: stats.per_hour[hour])
    title = "Hours of the day"
    of = wording.share(stats.per_hour[best] / stats.messages)
    return section(
        "hours",
        title,
        [f"Busiest from {wording.hour(best)} to {wording.hour(best + 1)}, with {of} of all messages."],
        charts.bars(
            "hours-chart",
            "Messages by hour of the day",
            f"One bar for each of the 24 hours. The highest is {wording.hour(best)}, with "
            f"{wording.count(stats.per_hour[best], 'message')}. The numbers are in the table below.",
            [_hour(hour) for hour in range(24)],
            [charts.Layer("bar", "messages", stats.per_hour)],
            *charts.hour_ticks(),
        ),
        tables.numbers(
            f"Messages by hour of the day, {stats.zone}",
            ("Hour", "Messages", "Share"),
            [
                (_hour(hour), wording.number(many), wording.share(many / stats.messages))
                for hour, many in enumerate(stats.per_hour)
            ],
        ),
    )


def _hour(hour: int) -> str:
    return f"{wording.hour(hour)}{wording.DASH}{wording.hour(hour + 1)}"


def by_weekday(stats: Stats) -> Element:
    """Weekdays and hours."""
    row, hour = max(
        ((row, hour) for row in range(7) for hour in range(24)), key=lambda cell: stats.heat[cell[0]][cell[1]]
    )
    totals = [sum(hours) for hours in stats.heat]
    best = totals.index(max(totals))
    title = "Days of the week"
    return section(
        "week",
        title,
        [
            f"{wording.WEEKDAYS[best]}s have the most, {wording.share(totals[best] / stats.messages)}; ",
            f"the busiest hour is {wording.WEEKDAYS[row]}s from {wording.hour(hour)}.",
        ],
        charts.heat_map(
            "week-chart",
            "Messages by weekday and hour",
            f"A heat map: seven rows from Monday to Sunday, 24 hours across; darker on a light page, lighter on a dark "
            f"one, is more. Most are on {wording.WEEKDAYS[row]} at {wording.hour(hour)}: "
            f"{wording.count(stats.heat[row][hour], 'message')}. The numbers are in the table below.",
            stats.heat,
        ),
        charts.heat_legend(stats.heat),
        tables.numbers(
            f"Messages by weekday and hour, {stats.zone}",
            ("Hour", *(weekday[:3] for weekday in wording.WEEKDAYS)),
            [
                (wording.hour(each), *(wording.number(hours[each]) for hours in stats.heat))
                for each in range(24)
            ],
            look="dense",
        ),
    )


def pace(stats: Stats) -> Element:
    """Gaps between messages, and replies."""
    rows = [("Gaps between messages", stats.gaps), ("Replies", stats.replies)]
    known = [(name, times) for name, times in rows if times.count]
    if not known:
        return section("pace", "Pace", ["A gap takes two messages in a room, and there are none."])
    says = [
        f"Half of all messages come within {wording.duration(stats.gaps.p50)} of the one before in their room."
    ]
    if stats.replies.count:
        says.append(f" Half of all replies take no more than {wording.duration(stats.replies.p50)}.")
    described = "; ".join(f"{name}: half within {wording.duration(times.p50)}" for name, times in known)
    marks = element("ul", class_="legend")
    for shape, text in ranges.SHAPES:
        swatch = element(
            "svg", ranges.drawing(shape), class_="swatch mark", viewBox="-11 -11 22 22", aria_hidden="true"
        )
        marks.append(element("li", swatch, text))
    head = ("", "Number", "Mean", "Half (p50)", "95 of 100 (p95)", "Longest", "Longest ended")
    table = element("table", element("caption", "Gaps between messages, and reply times"), class_="facts")
    table.append(
        element(
            "thead", element("tr", element("td"), *(element("th", name, scope="col") for name, _ in known))
        )
    )
    body = element("tbody")
    for number, title in enumerate(head[1:]):
        cells = [_times(times)[number] for _, times in known]
        body.append(
            element("tr", element("th", title, scope="row"), *(element("td", cell) for cell in cells))
        )
    table.append(body)
    return section(
        "pace",
        "Pace",
        says,
        ranges.chart(
            "pace-chart",
            "Gaps between messages, and reply times",
            f"Marks on a logarithmic scale, from short to long. {described}. The numbers are in the table below.",
            known,
        ),
        marks,
        element("div", table, class_="table"),
    )


def _times(times: Times) -> tuple[str, ...]:
    return (
        wording.number(times.count),
        *(_unbroken(wording.duration(each)) for each in (times.mean, times.p50, times.p95, times.longest)),
        f"{_unbroken(wording.day(times.longest_at))}, {times.longest_at:%H:%M}"
        if times.longest_at
        else wording.DASH,
    )


def _unbroken(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")
