"""The sections on who writes: people, conversations, mentions, what is verified, and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kchat.archive.report import charts, series, tables, wording
from kchat.archive.report.markup import Child, Element, element
from kchat.archive.report.sections import section
from kchat.archive.report.tables import Line

if TYPE_CHECKING:
    from kchat.archive.stats import Stats

_LINES = 25
"""Lines of a list; ``--top`` may ask for more, and those stand folded under it."""


def people(stats: Stats) -> Element:
    """Who wrote most."""
    first, *others = stats.top
    says: list[Child] = [
        wording.name(first.username),
        f" wrote {wording.share(first.share)} of all messages",
        f"; the first three {wording.share(sum(each.share for each in stats.top[:3]))}."
        if len(others) > 2
        else ".",
    ]
    if stats.people > len(stats.top):
        says.append(
            f" Shown are {wording.number(len(stats.top))} of {wording.count(stats.people, 'person', 'people')}."
        )
    head = ("Person", "Messages", "Share", "Characters each", "Verified", "Conversations begun")
    lines = [
        Line(
            wording.name(each.username),
            each.messages / first.messages,
            (
                wording.number(each.messages),
                wording.share(each.share),
                wording.number(round(each.characters / each.messages)),
                wording.share(each.verified / each.messages),
                wording.number(each.conversations),
            ),
        )
        for each in stats.top
    ]
    return section("people", "Who writes", says, *_ranking("The most active people", head, lines))


def _ranking(caption: str, head: Sequence[str], lines: Sequence[Line], always: int = 2) -> Iterator[Element]:
    yield tables.ranking(caption, head, lines[:_LINES], always=always)
    if lines[_LINES:]:
        more = tables.ranking(f"{caption}, continued", head, lines[_LINES:], always=always)
        unseen = element("span", f": {caption}", class_="unseen")
        summary = element("summary", f"{wording.number(len(lines) - _LINES)} more", unseen)
        yield element("details", summary, more)


def presence(stats: Stats) -> Element:
    """How many people wrote in a day and in a week: new and returning ones."""
    known = [day.people for day in stats.per_date]
    average = sum(known) / len(known)
    says = f"On average {wording.average(average)} {'person writes' if average == 1 else 'people write'} on a day"
    unit, weeks = series.people_by_week(stats.per_week)
    if len(stats.per_week) > 1:
        each = sum(week.people for week in stats.per_week) / len(stats.per_week)
        says += f", {wording.average(each)} in a week"
    shown: list[Element] = [charts.legend([("second", "new: for the first time"), ("bar", "returning")])]
    if len(stats.per_date) <= series.MOST_DAYS:
        shown += _presence("day", "People per day", "Day", series.people_by_day(stats.per_date))
    if len(stats.per_week) > 1:
        title = "People per week" if unit == "week" else f"People per week, on average in each {unit}"
        shown += _presence("weekly", title, unit.capitalize(), weeks)
    return section("presence", "Active people", [f"{says}."], *shown)


def _presence(key: str, title: str, unit: str, bins: Sequence[series.Presence]) -> Iterator[Element]:
    most = max(bins, key=lambda each: each.new + each.returning)
    wide, narrow = charts.date_ticks([each.start for each in bins])
    yield element("h3", title)
    yield charts.bars(
        f"presence-{key}-chart",
        title,
        f"Bars of two parts, returning people below and new ones above, {wording.number(len(bins))} in all. The highest is "
        f"{most.label}, with {wording.number(most.new)} new and {wording.number(most.returning)} returning. The numbers are "
        "in the table below.",
        [each.label for each in bins],
        [
            charts.Layer("bar", "returning", [each.returning for each in bins]),
            charts.Layer("second", "new", [each.new for each in bins]),
        ],
        wide,
        narrow,
    )
    yield tables.numbers(
        title,
        (unit, "New", "Returning"),
        [(each.label, wording.number(each.new), wording.number(each.returning)) for each in bins],
    )


def conversations(stats: Stats) -> Element:
    """Who begins conversations."""
    each = stats.messages / stats.conversations
    says = (
        f"{wording.count(stats.conversations, 'conversation')} of {wording.average(each)} "
        f"{'message' if each == 1 else 'messages'} on average. A new one begins after a pause of 30 minutes."
    )
    most = stats.starters[0].conversations if stats.starters else 1
    lines = [
        Line(
            wording.name(one.username),
            one.conversations / most,
            (wording.number(one.conversations), wording.share(one.conversations / stats.conversations)),
        )
        for one in stats.starters
    ]
    head = ("Person", "Begun", "Share")
    return section(
        "conversations",
        "Conversations",
        [says],
        *(_ranking("Who begins conversations", head, lines) if lines else ()),
    )


def mentions(stats: Stats) -> Element:
    """Who mentions whom."""
    first = stats.mentions[0]
    lines = [
        Line(
            element("span", wording.name(each.by), " mentions ", wording.name(each.of), class_="pair"),
            each.messages / first.messages,
            (wording.number(each.messages),),
        )
        for each in stats.mentions
    ]
    says = (
        wording.name(first.by),
        " mentions ",
        wording.name(first.of),
        f" most, in {wording.count(first.messages, 'message')}.",
    )
    return section(
        "mentions",
        "Who mentions whom",
        says,
        *_ranking("Who mentions whom", ("Pair", "Messages"), lines, always=1),
    )


def origins(stats: Stats) -> Element:
    """How much is verified, and which clients wrote."""
    total = stats.messages
    own, others = (stats.clients.get(each, 0) for each in ("kchat", "others"))
    shown: list[Element] = []
    for key, title, parts in (
        ("verified", "Verified", (("verified", stats.verified), ("not verified", total - stats.verified))),
        ("clients", "Clients", (("kchat", own), ("other clients", others))),
    ):
        told = ", ".join(f"{name} {wording.share(many / total)}" for name, many in parts)
        looks = ("bar", "second")
        table = element("table", element("caption", title), class_="facts legend-table")
        table.append(
            element(
                "thead",
                element("tr", *(element("th", text, scope="col") for text in ("", "Messages", "Share"))),
            )
        )
        body = element("tbody")
        for look, (name, many) in zip(looks, parts, strict=True):
            swatch = charts.swatch(look)
            body.append(
                element(
                    "tr",
                    element("th", swatch, name, scope="row"),
                    element("td", wording.number(many)),
                    element("td", wording.share(many / total)),
                )
            )
        table.append(body)
        bar = charts.shares(
            f"{key}-chart",
            f"{title}: shares of all messages",
            f"A bar in two parts: {told}.",
            [(look, many / total) for look, (_, many) in zip(looks, parts, strict=True)],
        )
        shown += [element("h3", title), bar, element("div", table, class_="table")]
    return section(
        "senders",
        "Senders",
        [
            f"Of {wording.share(stats.verified_share)} of the messages the broker checked that the account is the ",
            "username. ",
            f"{wording.share(own / total)} were written as kchat writes them.",
        ],
        *shown,
    )


def words(stats: Stats) -> Element:
    """The most frequent words."""
    found = stats.words or ()
    if not found:
        return section("words", "Words", ["No texts were kept of this time, or no words in them."])
    lines = [
        Line(wording.safe(each.word), each.count / found[0].count, (wording.number(each.count),))
        for each in found
    ]
    says = ("Most frequent: ", wording.safe(found[0].word), ".")
    return section(
        "words", "Words", says, *_ranking("The most frequent words", ("Word", "Times"), lines, always=1)
    )
