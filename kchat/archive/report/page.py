"""The page as a whole: its head, the headline figures, the sections, and how it was counted."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from kchat.archive.report import palette, senders, times, wording
from kchat.archive.report.markup import Child, Element, document, element

if TYPE_CHECKING:
    from kchat.archive.stats import Stats

_NAMED = 6
"""Rooms that are named at the top."""

_COUNTED = (
    "A message counts when it was sent, or when it was received if it does not say. A conversation begins after a pause of "
    "30 minutes in its room. A gap is the time from a message to the next one of its room; a reply is a gap of less than "
    "30 minutes between two people. p50 and p95 are within 1.6%. Verified means that the broker checked that the "
    "account is the username. People are told apart by their usernames."
)


@cache
def style() -> str:
    """The style sheet, with the colours."""
    colors = (
        f":root{{{palette.variables(palette.LIGHT)}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{palette.variables(palette.DARK)}}}}}\n"
    )
    return colors + files(__package__).joinpath("style.css").read_text(encoding="utf-8")


def page(stats: Stats) -> str:
    """The report on the figures as an HTML document."""
    shown = list(_sections(stats)) if stats.messages else [_nothing()]
    return document(
        element(
            "html",
            _head(stats),
            element(
                "body",
                element("header", *_header(stats)),
                element("main", *shown),
                element("footer", *_footer(stats)),
            ),
            lang="en",
        )
    )


def _sections(stats: Stats) -> Iterator[Element]:
    yield times.over_time(stats)
    yield times.by_hour(stats)
    yield times.by_weekday(stats)
    yield senders.people(stats)
    yield senders.presence(stats)
    yield times.pace(stats)
    yield senders.conversations(stats)
    if stats.mentions:
        yield senders.mentions(stats)
    yield senders.origins(stats)
    if stats.words is not None:
        yield senders.words(stats)


def _head(stats: Stats) -> Element:
    # The style sheet by its digest: no other style, and nothing else, can be in the page or be loaded by it.
    digest = b64encode(sha256(style().encode()).digest()).decode()
    rules = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=rules),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content="kchat"),
        element("title", _title(stats)),
        element("style", style()),
    )


def _title(stats: Stats) -> str:
    rooms = (
        wording.plain(stats.rooms[0]) if len(stats.rooms) == 1 else wording.count(len(stats.rooms), "room")
    )
    when = f", {_period(stats)}" if stats.first else ""
    return f"{rooms}: {wording.count(stats.messages, 'message')}{when}"


def _period(stats: Stats) -> str:
    assert stats.first is not None
    assert stats.last is not None
    return wording.period(stats.first.date(), stats.last.date())


def _header(stats: Stats) -> list[Child]:
    if len(stats.rooms) == 1:
        heading = element("h1", wording.safe(stats.rooms[0]))
    else:
        heading = element("h1", wording.count(len(stats.rooms), "room") if stats.rooms else "No messages")
    when = f"{_period(stats)} · " if stats.first else ""
    return [
        element("p", "Room report", class_="eyebrow"),
        heading,
        element("p", f"{when}times in {stats.zone}", class_="when"),
        element("dl", *_headlines(stats), class_="headlines"),
        _rooms(stats) if len(stats.rooms) > _NAMED else None,
    ]


def _headlines(stats: Stats) -> list[Element]:
    found = [
        _headline("Messages", wording.number(stats.messages), f"{wording.average(stats.per_day)} a day"),
        _headline("People", wording.number(stats.people), *_newcomers(stats)),
        _headline("Days", wording.number(stats.days), _from_to(stats)),
        _headline("Rooms", wording.number(len(stats.rooms)), *_room_names(stats)),
    ]
    if stats.busiest:
        found += [
            _headline(
                "Busiest minute",
                wording.number(stats.busiest.messages),
                f"{'message' if stats.busiest.messages == 1 else 'messages'} at {_unbroken(stats.busiest.at)}",
            ),
            _headline(
                "Verified", wording.share(stats.verified_share), wording.count(stats.verified, "message")
            ),
        ]
    return found


def _headline(title: str, figure: str, *more: Child) -> Element:
    return element("div", element("dt", title), element("dd", figure), element("dd", *more, class_="more"))


def _newcomers(stats: Stats) -> tuple[Child, ...]:
    new = sum(day.new for day in stats.per_date)
    return (f"{wording.number(new)} for the first time",)


def _from_to(stats: Stats) -> str:
    if stats.first is None or stats.last is None:
        return wording.DASH
    return f"{_unbroken(stats.first)} {wording.DASH} {_unbroken(stats.last)}"


def _unbroken(moment: datetime) -> str:
    return wording.moment(moment).replace(" ", "\N{NO-BREAK SPACE}")


def _room_names(stats: Stats) -> list[Child]:
    found: list[Child] = []
    for room in stats.rooms[:_NAMED]:
        found += [", " if found else None, wording.safe(room)]
    if len(stats.rooms) > _NAMED:
        found.append(f" and {wording.number(len(stats.rooms) - _NAMED)} more")
    return found


def _rooms(stats: Stats) -> Element:
    names = element("ul", *(element("li", wording.safe(room)) for room in stats.rooms), class_="rooms")
    return element("details", element("summary", "All rooms"), names)


def _nothing() -> Element:
    return element(
        "section",
        element("div", element("h2", "No messages", id="nothing"), class_="says"),
        element(
            "div", element("p", "The archive has no messages of these rooms and this time."), class_="shows"
        ),
        aria_labelledby="nothing",
    )


def _footer(stats: Stats) -> list[Child]:
    asked = []
    if stats.since:
        asked.append(f"from {wording.moment(stats.since)}")
    if stats.until:
        asked.append(f"until {wording.moment(stats.until)}")
    return [
        element("h2", "How it was counted"),
        element("p", _COUNTED),
        element(
            "p",
            "Made by kchat from ",
            # Not the folder or the host that it is in: the page is passed on.
            wording.safe(stats.archive.rpartition("/")[2]),
            f", {' '.join(asked)}" if asked else "",
            f". All times are in {stats.zone}.",
        ),
    ]
