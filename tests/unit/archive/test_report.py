"""The report as a page: what is in it, that it can be read by everybody, and that names are text in it."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kchat.archive.report import html, palette
from kchat.archive.stats import Stats
from tests.cases import check_each
from tests.hostile.corpus import TEXTS
from tests.hostile.safe import why_unsafe
from tests.unit.archive.pages import Node, read
from tests.unit.archive.talk import moment, said, stats_of, talk

NOON = moment("2026-03-01T12:00")
WORDS = [("coffee", 90), ("broker", 9)]


@cache
def rooms() -> dict[str, Stats]:
    """Small and large rooms, as figures."""
    return {
        "nothing": stats_of([]),
        "one message": stats_of([said(NOON)]),
        "one message without a username": stats_of([said(NOON, None)]),
        "two messages in one millisecond": stats_of([said(NOON), said(NOON, "bob")]),
        "a day": stats_of(talk(1)),
        "three months": stats_of(talk(92), words=WORDS),
        "a year": stats_of([*talk(366), *talk(366, room="ops", seed=2)], "America/St_Johns"),
        "ten years": stats_of(talk(3653, a_day=2)),
        "a thousand people": stats_of(
            talk(30, names=[f"p{number}" for number in range(1000)], a_day=300), top=1000
        ),
        "many rooms": stats_of([said(NOON + number, room=f"room-{number}") for number in range(200)]),
        "no words": stats_of([said(NOON)], words=()),
        "two messages, a century between them": stats_of([said(moment("1926-03-01T12:00")), said(NOON)]),
    }


@cache
def pages() -> dict[str, Node]:
    return {name: read(html(stats)) for name, stats in rooms().items()}


def test_a_page_has_a_language_a_title_a_viewport_and_one_main_heading() -> None:
    def check(page: Node) -> None:
        assert page.attributes["lang"] == "en"
        assert page.only("head").only("style").text
        assert next(page.only("head").all("title")).text
        metas = {each.attributes.get("name"): each.attributes.get("content") for each in page.all("meta")}
        assert metas["viewport"] == "width=device-width, initial-scale=1"
        assert page.only("h1").text
        assert page.only("main").children

    check_each(pages(), check)


def test_a_page_begins_with_its_doctype() -> None:
    assert html(rooms()["a day"]).startswith("<!DOCTYPE html>\n<html ")


def test_the_same_figures_give_the_same_page() -> None:
    assert html(stats_of(talk(9))) == html(stats_of(talk(9)))


def test_headings_leave_out_no_level() -> None:
    def check(page: Node) -> None:
        levels = [int(each.tag[1]) for each in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels)), levels

    check_each(pages(), check)


def test_every_chart_has_a_title_and_a_description_and_other_drawings_are_hidden_from_screen_readers() -> (
    None
):
    def check(page: Node) -> None:
        names = {each.attributes["id"]: each.text for each in page.all() if "id" in each.attributes}
        outer = [each for each in page.all("svg") if each.attributes.get("class") != "mark"]
        for each in outer:
            if each.attributes.get("role") == "img":
                assert names[each.attributes["aria-labelledby"]]
                assert names[each.attributes["aria-describedby"]]
                assert next(each.all("title")).attributes["id"] == each.attributes["aria-labelledby"]
            else:
                assert each.attributes["aria-hidden"] == "true"

    check_each(pages(), check)
    charts = [each for each in pages()["three months"].all("svg") if each.attributes.get("role") == "img"]
    assert len(charts) == 8


def test_what_unfolds_says_what_it_is() -> None:
    def check(page: Node) -> None:
        told = [each.only("summary").text for each in page.all("details")]
        assert len(told) == len(set(told))

    check_each(pages(), check)
    assert "Numbers: Messages per day" in [each.text for each in pages()["three months"].all("summary")]


def test_every_id_is_there_once() -> None:
    def check(page: Node) -> None:
        ids = [each.attributes["id"] for each in page.all() if "id" in each.attributes]
        assert len(ids) == len(set(ids))

    check_each(pages(), check)


def test_every_table_has_a_caption_and_its_headers_say_of_what() -> None:
    def check(page: Node) -> None:
        for table in page.all("table"):
            assert table.only("caption").text
            head, body = table.only("thead"), table.only("tbody")
            assert {each.attributes["scope"] for each in head.all("th")} == {"col"}
            columns = len(list(head.all("th", "td")))
            for row in body.all("tr"):
                assert [each.tag for each in row.all("th", "td")] == ["th", *["td"] * (columns - 1)]
                assert row.only("th").attributes["scope"] == "row"

    check_each(pages(), check)


def test_every_chart_with_bars_or_cells_is_followed_by_a_table() -> None:
    def check(page: Node) -> None:
        for place in page.all("div"):
            if place.attributes.get("class") != "shows":
                continue
            charts = tables = 0
            for each in place.all("svg", "table"):
                charts += each.attributes.get("role") == "img"
                tables += each.tag == "table"
            assert tables >= charts

    check_each(pages(), check)


def table(page: Node, caption: str) -> list[list[str]]:
    """The cells of a table."""
    (found,) = (each for each in page.all("table") if each.only("caption").text.startswith(caption))
    return [[cell.text for cell in row.all("th", "td")] for row in found.only("tbody").all("tr")]


def whole(text: str) -> int:
    return int(text.replace(",", ""))


def test_the_tables_have_the_numbers_of_the_figures() -> None:
    stats, page = rooms()["three months"], pages()["three months"]
    assert [whole(row[1]) for row in table(page, "Messages per day")] == [
        day.messages for day in stats.per_date
    ]
    assert [whole(row[1]) for row in table(page, "Messages by hour of the day")] == list(stats.per_hour)
    heat = [list(map(whole, row[1:])) for row in table(page, "Messages by weekday and hour")]
    assert list(zip(*heat, strict=True)) == list(stats.heat)
    people = table(page, "The most active people")
    assert [(row[0], whole(row[1])) for row in people] == [
        (each.username, each.messages) for each in stats.top
    ]
    weeks = [(whole(row[1]), whole(row[2])) for row in table(page, "People per week")]
    assert weeks == [(week.new, week.returning) for week in stats.per_week]
    assert [row[0] for row in table(page, "Who mentions whom")] == [
        f"{each.by} mentions {each.of}" for each in stats.mentions
    ]
    assert table(page, "The most frequent words") == [[word, str(many)] for word, many in WORDS]


def test_many_days_are_put_together_and_none_is_lost() -> None:
    def check(name: str) -> None:
        unit = {"a year": "week", "ten years": "month"}[name]
        rows = table(pages()[name], f"Messages per {unit}")
        assert len(rows) <= 120
        assert sum(whole(row[1]) for row in rows) == rooms()[name].messages

    check_each(["a year", "ten years"], check)


def test_the_headline_figures_come_first_with_separators() -> None:
    page = read(html(stats_of([said(NOON + number * 1000) for number in range(2000)], "Asia/Tokyo")))
    told = page.only("header").text
    assert "2,000" in told
    assert "Asia/Tokyo" in told
    assert [each.text for each in page.all("dt")][:4] == ["Messages", "People", "Days", "Rooms"]


def test_a_page_has_no_script_no_link_and_no_style_but_its_own() -> None:
    def check(page: Node) -> None:
        assert not list(
            page.all("script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "use")
        )
        for each in page.all():
            bad = [
                name for name in each.attributes if name.startswith("on") or name in ("style", "href", "src")
            ]
            assert not bad, (each.tag, bad)

    check_each(pages(), check)


def test_the_policy_of_a_page_allows_its_style_and_nothing_else() -> None:
    page = pages()["a day"]
    style = page.only("style").text
    digest = b64encode(sha256(style.encode()).digest()).decode()
    (policy,) = (
        each.attributes["content"]
        for each in page.all("meta")
        if each.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert "url(" not in style
    assert "@import" not in style
    assert "</" not in style


def hostile(*names: str) -> Stats:
    """Figures in which everything that a stranger can choose is one of these texts."""
    records = [said(NOON, room=names[0])]
    for number, name in enumerate(names, 1):
        times = [NOON + number * 10_000 + each for each in (0, 1000, 2000)]
        records += [said(time, name, "hello @ada", room=name) for time in times]
    return stats_of(records, top=20, words=[(name, 3) for name in names], archive=names[0])


@cache
def harmless_shape(names: int) -> str:
    return read(html(hostile(*(f"harmless{number}" for number in range(names))))).shape


def check_hostile(*names: str) -> None:
    page = read(html(hostile(*names)))
    assert page.shape == harmless_shape(len(names))
    texts: set[str] = set()
    for each in page.all():
        if each.tag != "style":
            texts.update(child for child in each.children if isinstance(child, str))
            texts.update(each.attributes.values())
    for text in texts:
        assert not why_unsafe(text.replace("\u2068", "").replace("\u2069", "").replace("\xa0", " ")), text
    for each in page.all("bdi"):
        assert 0 < len(each.text) < 1000
    page.text.encode()


def test_whatever_a_name_is_it_is_text_and_can_be_seen() -> None:
    markup = [
        "<script>alert(1)</script>",
        "</title><b>",
        "</style>",
        "<!--",
        "]]>",
        "&lt;i&gt;",
        "\"' onload=x",
        "{{x}}",
    ]
    names = list(dict.fromkeys([*markup, *TEXTS.values(), "x" * 255]))
    packs = {ascii(names[start])[:60]: names[start : start + 8] for start in range(0, len(names), 8)}

    def check(some: list[str]) -> None:
        check_hostile(*some)

    check_each(packs, check)


@settings(max_examples=25)
@given(st.text(max_size=60))
def test_any_name_leaves_the_page_as_it_is(name: str) -> None:
    check_hostile(name)


def test_a_name_with_markup_reads_as_it_was_written() -> None:
    page = read(html(hostile("<b>&amp;</b>")))
    assert {"<b>&amp;</b>", "ada"} <= {each.text for each in page.all("bdi")}


def test_a_page_does_not_tell_where_the_archive_is() -> None:
    for archive in ("/home/ada/chat/archive.db", "clickhouse://ada@db.example:9000/archive.db"):
        page = html(stats_of([said(NOON, "bob")], archive=archive))
        assert "Made by kchat from <bdi>archive.db</bdi>" in page
        assert "ada" not in page


def test_messages_without_a_username_are_told_from_a_name_that_says_so() -> None:
    page = read(html(stats_of([said(NOON, None), said(NOON + 1000, "(no name)")])))
    (people,) = (each for each in page.all("table") if each.only("caption").text == "The most active people")
    assert [child.tag for row in people.only("tbody").all("th") for child in row.all("span", "bdi")] == [
        "bdi",
        "span",
    ]


def luminance(color: str) -> float:
    """WCAG 2.2's relative luminance of ``#rrggbb``."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colors", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_texts_and_charts_have_enough_contrast(colors: dict[str, str]) -> None:
    for text in ("ink", "muted", "accent"):
        assert contrast(colors[text], colors["paper"]) >= 4.5, text
    for chart in ("accent", "second", "muted", "heat-4", "heat-5"):
        assert contrast(colors[chart], colors["paper"]) >= 3, chart
    steps = [luminance(colors[f"heat-{step}"]) for step in range(palette.HEAT + 1)]
    assert steps == sorted(steps, reverse=colors is palette.LIGHT)
    assert all(
        contrast(*pair) >= 1.15
        for pair in pairwise(colors[f"heat-{step}"] for step in range(palette.HEAT + 1))
    )


def test_the_contrast_is_computed_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_light_and_dark_have_the_same_colors_and_the_style_uses_them_all() -> None:
    style = files("kchat.archive.report").joinpath("style.css").read_text(encoding="utf-8")
    assert set(re.findall(r"var\(--([\w-]+)\)", style)) == set(palette.LIGHT) == set(palette.DARK)
