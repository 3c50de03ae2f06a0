"""The report in a terminal: at every width, without colours, with hostile names."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kchat.archive.record import Record
from kchat.archive.span import Span
from kchat.archive.stats import Stats
from kchat.archive.terminal import ASCII, BLOCKS, NARROWEST, TWO_COLUMNS, WIDEST, amounts, report
from kchat.archive.terminal.drawing import bar, chart, level, shade, shade_ranges, squeeze
from kchat.display.escaping import width
from kchat.message.amounts import listed
from tests.unit.archive.facts_of import at, said, stats_of

HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07",
    "[red]markup[/red] :smile:",
    "a\nb\rc\td",
    "\u202egnirts\u202c",
    "x" * 5000,
    "e\u0301" * 40,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "",
    " ",
    "?",
    "\ud800",
    "\u674e\u96f7" * 30,
]


def talk(names: list[str | None], count: int = 400) -> list[Record]:
    """Messages of all of these people, over weeks; each mentions the next one."""
    return [
        said(
            at("2026-03-02") + number * 5_400_000 + number % 7 * 1000,
            names[number % len(names)],
            f"@{names[(number + 1) % len(names)]} hello",
            verified=number % 3 == 0,
            client="others" if number % 10 == 0 else "kchat",
        )
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def stats() -> Stats:
    words = [("broker", 300), ("\u674e\u96f7", 44), ("\x1b[31mred", 2)]
    return stats_of(talk(["ada", "bob", None, "Grace Hopper", *HOSTILE]), "Europe/Berlin", words=words)


def text(lines: list[str]) -> str:
    return "\n".join(lines)


PARTS = [
    "Most active",
    "Messages per day",
    "Messages per hour of the day",
    "Weekday and hour",
    "Active people per day",
    "Active people per week",
    "Time between messages",
    "Conversations",
    "Words",
]


@pytest.mark.parametrize("columns", [40, 60, 80, TWO_COLUMNS, 160, 400])
def test_every_part_is_there_and_no_line_is_wider_than_the_screen(stats: Stats, columns: int) -> None:
    lines = report(stats, columns)
    assert max(map(width, lines)) <= min(columns, WIDEST)
    shown = text(lines)
    assert [part for part in PARTS if part not in shown] == []
    for figure in (
        "messages",
        "people",
        "per day",
        "verified",
        "busiest minute",
        "by client",
        "first",
        "last",
    ):
        assert figure in shown, figure
    assert "times in Europe/Berlin" in shown


def test_a_wide_screen_has_two_columns(stats: Stats) -> None:
    assert len(report(stats, TWO_COLUMNS)) < 0.75 * len(report(stats, TWO_COLUMNS - 1))
    row = next(line for line in report(stats, 160) if line.startswith("Most active"))
    assert "Time between messages" in row


@pytest.mark.parametrize("columns", range(1, 140, 7))
def test_no_width_breaks_it(stats: Stats, columns: int) -> None:
    assert max(map(width, report(stats, columns))) <= max(columns, NARROWEST)
    assert report(stats_of([said("2026-03-02")]), columns)
    assert report(stats_of([]), columns)


def test_plain_lines_have_no_control_character_whatever_others_are_called(stats: Stats) -> None:
    for columns in (40, 80, 160):
        for glyphs in (BLOCKS, ASCII):
            for each in report(stats, columns, glyphs=glyphs):
                assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", each), each
    assert r"\x1b[2J" in text(report(stats, 80))
    assert "[red]markup[/red] :smi" in text(report(stats, 80))


def test_styled_lines_have_only_our_own_escape_sequences(stats: Stats) -> None:
    lines = report(stats, 80, styled=True)
    assert [each for line in lines for each in re.findall("\x1b(?!\\[[0-9;]*m)", line)] == []
    bare = [re.sub("\x1b\\[[0-9;]*m", "", line).rstrip() for line in lines]
    assert bare == report(stats, 80)


def test_without_colour_there_are_bold_and_faint_text_and_nothing_else(stats: Stats) -> None:
    codes = set(re.findall("\x1b\\[([0-9;]*)m", text(report(stats, 80, styled=True, color=False))))
    assert codes == {"0", "1", "2"}
    assert "36" in "".join(report(stats, 80, styled=True))


def test_ascii_draws_with_ascii() -> None:
    lines = report(stats_of(talk(["ada", "bob"])), 80, glyphs=ASCII)
    assert all(line.isascii() for line in lines)


def test_the_heading_tells_what_was_asked_for() -> None:
    span = Span(("chat",), at("2026-03-02 00:00"), at("2026-04-01 00:00"))
    lines = report(stats_of(talk(["ada"]), span=span), 80)
    assert lines[0] == "chat in archive.db"
    assert lines[1] == "since 2026-03-02 00:00 until 2026-04-01 00:00, times in UTC"


def test_nothing_yet_is_said_in_words() -> None:
    assert "No messages yet." in text(report(stats_of([]), 80))
    assert "No messages in this time." in text(report(stats_of([], span=Span((), 0, 1)), 80))


def test_the_others_of_a_short_list_are_summed_up() -> None:
    lines = report(stats_of(talk(["ada", "bob", "cy", None]), top=1), 80)
    assert next(line for line in lines if line.startswith("2 others")).split() == [
        "2",
        "others",
        "300",
        "75.0",
        "%",
    ]


def test_one_message_is_a_report_too() -> None:
    shown = text(report(stats_of([said("2026-03-02 09:30", verified=True)]), 80))
    assert re.search(r"verified +100 %", shown)
    assert "1 at 2026-03-02 09:30" in shown


# ---- drawing


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.integers(1, 100))
def test_a_bar_is_never_longer_than_it_may_be_and_shows_something_for_anything(
    value: int, most: int, columns: int
) -> None:
    for glyphs in (BLOCKS, ASCII):
        drawn = bar(min(value, most), most, columns, glyphs)
        assert len(drawn) <= columns
        assert bool(drawn) == bool(value)
        if value >= most:
            assert drawn == glyphs.eighths[-1] * columns


@settings(max_examples=50)
@given(st.integers(1, 3000))
def test_the_legend_is_right_for_each_number(most: int) -> None:
    ranges = shade_ranges(most, BLOCKS)
    assert [low for _, low, _ in ranges] == [1, *(high + 1 for _, _, high in ranges[:-1])]
    for each, low, high in ranges:
        for value in {low, high}:
            assert shade(value, most, BLOCKS) == each
    assert ranges[-1][2] == most
    assert len({each for each, _, _ in ranges}) == len(ranges)


def test_a_chart_is_higher_for_more() -> None:
    assert chart([0, 1, 4, 8], BLOCKS) == [" \u2581\u2584\u2588"]
    assert chart([0, 1, 8, 16], BLOCKS, rows=2, cell=3) == [
        "         " + "\u2588\u2588",
        "   \u2581\u2581 \u2588\u2588 \u2588\u2588",
    ]
    heights = [level(value, 1000, 16) for value in range(1001)]
    assert heights[0] == 0
    assert heights[1] == 1
    assert heights[-1] == 16
    assert all(a <= b for a, b in pairwise(heights))


def test_days_that_share_a_column_are_averaged() -> None:
    assert squeeze([1, 2, 3], 3) == ([1, 2, 3], 1)
    assert squeeze([1, 3, 5, 7, 9], 3) == ([2, 6, 9], 2)


# ---- amounts


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (0.0, "0 ms"),
        (0.35, "350 ms"),
        (12.14, "12.1 s"),
        (119.9, "119.9 s"),
        (2712.0, "45.2 min"),
        (19_440.0, "5.4 h"),
        (1_062_720.0, "12.3 d"),
    ],
)
def test_times_as_people_read_them(seconds: float | None, shown: str) -> None:
    assert amounts.seconds(seconds) == shown


@pytest.mark.parametrize(
    ("part", "shown"),
    [(0, "0 %"), (1, "100 %"), (0.253, "25.3 %"), (0.00001, "0.1 %"), (0.99999, "99.9 %")],
)
def test_a_share_that_is_not_all_or_nothing_does_not_look_like_it(part: float, shown: str) -> None:
    assert amounts.share(part) == shown


def test_counts_have_their_plural() -> None:
    assert [amounts.count(number, "message") for number in (1, 1234)] == ["1 message", "1,234 messages"]
    assert amounts.count(2, "person") == "2 people"


def test_many_names_are_not_all_listed() -> None:
    names = [f"r{number}" for number in range(300)]
    assert listed(names[:8]) == "r0, r1, r2, r3, r4, r5, r6, r7"
    assert listed(names) == "r0, r1, r2, r3, r4, r5, r6 and 293 more"


def test_few_messages_in_many_days_are_not_none_a_day() -> None:
    shown = text(report(stats_of([said("2020-01-01"), said("2026-01-01")]), 80))
    assert re.search(r"per day +<0\.1 over 2,193 days", shown)
    assert "<0.1 on average" in shown
    assert (amounts.rate(0.0), amounts.rate(0.05), amounts.rate(0.04)) == ("0.0", "0.1", "<0.1")


def test_a_single_message_has_no_times_and_one_person_no_replies() -> None:
    assert "Time between" not in text(report(stats_of([said("2026-01-01")]), 80))
    shown = text(report(stats_of([said("2026-01-01 09:00"), said("2026-01-01 09:01")]), 80))
    assert re.search(r"^half within +60\.0 s +-$", shown, re.MULTILINE)
