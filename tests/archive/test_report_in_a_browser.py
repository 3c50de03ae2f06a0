"""The report in a browser: Chromium, where it is installed. It is too large to be installed for this."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kchat.archive.report import html, palette
from kchat.archive.stats import Stats
from tests.brokers.chromium import Page, find_chromium
from tests.unit.archive.talk import moment, said, stats_of, talk

pytestmark = pytest.mark.xdist_group("chromium")  # one at a time

NOON = moment("2026-03-01T12:00")
LONG = "x" * 255
HOSTILE = (
    "<script>document.title='broken'</script>",
    LONG,
    "\u202egnp.exe",
    "\u0645\u0631\u062d\u0628\u0627",
    "\x1b[31m",
    "",
)


def strangers() -> Stats:
    """Figures in which every text is somebody's who means no good."""
    texts = [
        said(NOON + number * 90_000, name, f"hello @{HOSTILE[0]}") for number, name in enumerate(HOSTILE)
    ]
    long = [said(NOON + number, room=LONG) for number in range(9)]
    return stats_of([*texts, *long], words=[(LONG, 9)], archive=LONG)


# Computed for the tests that look at them: it takes seconds, and every process of a parallel run has this module.
PAGES: dict[str, Callable[[], Stats]] = {
    "nothing": lambda: stats_of([]),
    "one message": lambda: stats_of([said(NOON)]),
    "three months": lambda: stats_of(talk(92), words=[("coffee", 12), ("queue", 3)]),
    "ten years": lambda: stats_of(talk(3653, a_day=2)),
    "large numbers": lambda: stats_of(
        talk(30, a_day=3000, names=[f"person-{number}" for number in range(200)]), top=30
    ),
    "strangers": strangers,
    "many rooms": lambda: stats_of([said(NOON + number, room=f"a-room-{number}") for number in range(40)]),
}
"""Figures of which each makes the page look different."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as files."""
    place = tmp_path_factory.mktemp("reports")
    for name, stats in PAGES.items():
        (place / f"{name}.html").write_text(html(stats()), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed")
    with Page(program, tmp_path_factory.mktemp("chromium")) as page:
        page.watch()
        yield page


def show(browser: Page, file: Path) -> None:
    """Open a page and wait until it is there."""
    browser.open(file.as_uri())
    browser.wait_for(f"document.readyState === 'complete' && location.href === '{file.as_uri()}'")


TOO_WIDE = """
(() => {
  const wide = [];
  if (document.documentElement.scrollWidth > innerWidth) wide.push('the page');
  for (const place of document.querySelectorAll('.table'))
    if (place.scrollWidth > place.clientWidth + 1) wide.push(place.querySelector('caption').textContent);
  for (const text of document.querySelectorAll('svg text, h1, h2, h3, p, dd, td, th, li')) {
    const box = text.getBoundingClientRect();
    if (box.width && (box.left < -0.5 || box.right > innerWidth + 0.5)) wide.push(text.textContent);
  }
  return wide;
})()
"""

OVERLAPPING = """
[...document.querySelectorAll('svg[role=img]')].flatMap(chart => {
  const texts = [...chart.querySelectorAll('text')]
    .map(text => [text.textContent, text.getBoundingClientRect()]).filter(([_, box]) => box.width);
  return texts.flatMap(([one, a], place) => texts.slice(place + 1)
    .filter(([_, b]) => a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
    .map(([other]) => `${chart.querySelector('title').textContent}: ${one} over ${other}`));
})
"""

OPEN = "document.querySelectorAll('details').forEach(each => each.open = true)"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_telephones_and_desks_and_its_labels_do_not_overlap(
    browser: Page, folder: Path, name: str
) -> None:
    show(browser, folder / f"{name}.html")
    browser.run(OPEN)
    wrong = {}
    for width in (320, 390, 600, 820, 1280):
        browser.look_at(width, 844)
        wrong[width] = [*browser.run(TOO_WIDE), *browser.run(OVERLAPPING)]
    assert not any(wrong.values()), wrong


def test_the_hunt_for_what_is_too_wide_or_overlaps_finds_it(browser: Page, folder: Path) -> None:
    show(browser, folder / "three months.html")
    browser.look_at(1280, 844)
    browser.run("document.querySelectorAll('.narrow').forEach(each => each.removeAttribute('class'))")
    assert "Messages per day: 2 Mar over Mar" in browser.run(OVERLAPPING)
    browser.run("document.querySelector('main').style.width = '3000px'")
    assert "the page" in browser.run(TOO_WIDE)


def test_the_texts_of_charts_have_one_size_on_every_screen(browser: Page, folder: Path) -> None:
    show(browser, folder / "three months.html")
    heights = (
        "[...new Set([...document.querySelectorAll('svg text')]"
        ".map(text => Math.round(text.getBoundingClientRect().height)).filter(high => high))]"
    )
    found = []
    for width in (320, 1280):
        browser.look_at(width, 844)
        found.append(sorted(browser.run(heights)))
    assert found[0] == found[1]
    assert min(found[0]) >= 12


def test_a_page_asks_for_nothing_and_nothing_in_it_is_refused(browser: Page, folder: Path) -> None:
    asked = len(browser.requests)
    said_before = len(browser.console)
    files = [folder / f"{name}.html" for name in ("three months", "strangers")]
    for file in files:
        show(browser, file)
        browser.run(OPEN)
    assert browser.requests[asked:] == [file.as_uri() for file in files]
    assert browser.console[said_before:] == []


def test_a_script_in_a_name_is_text(browser: Page, folder: Path) -> None:
    show(browser, folder / "strangers.html")
    assert browser.run("document.title") != "broken"
    assert browser.run("document.scripts.length") == 0
    assert HOSTILE[0] in browser.text
    assert r"\u202egnp.exe" in browser.text


def test_what_somebody_slips_into_a_page_is_not_run_or_loaded(
    browser: Page, folder: Path, tmp_path: Path
) -> None:
    """The policy holds where the escaping would have a hole."""
    text = (folder / "one message.html").read_text(encoding="utf-8")
    slipped = "<script>document.title='broken'</script><p id=slipped style='color: rgb(1, 2, 3)'>here</p>"
    broken = tmp_path / "slipped.html"
    broken.write_text(text.replace("<main>", f"<main>{slipped}"), encoding="utf-8")
    show(browser, broken)
    assert browser.run("document.title") != "broken"
    assert browser.run("getComputedStyle(document.getElementById('slipped')).color") != "rgb(1, 2, 3)"


def rgb(color: str) -> str:
    """A colour as browsers tell it."""
    return f"rgb({', '.join(str(int(color[place : place + 2], 16)) for place in (1, 3, 5))})"


COLORS = """
[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,
 getComputedStyle(document.querySelector('svg .bar')).fill, getComputedStyle(document.querySelector('.heat-1')).fill]
"""


@pytest.mark.parametrize(
    ("dark", "paper", "colors"),
    [(False, False, palette.LIGHT), (True, False, palette.DARK), (True, True, palette.LIGHT)],
    ids=["light", "dark", "printed by somebody who prefers dark"],
)
def test_a_page_has_the_colors_that_its_reader_prefers(
    browser: Page, folder: Path, dark: bool, paper: bool, colors: dict[str, str]
) -> None:
    show(browser, folder / "three months.html")
    browser.look_at(1280, 900, dark=dark, paper=paper)
    assert browser.run(COLORS) == [rgb(colors[name]) for name in ("paper", "ink", "accent", "heat-1")]


def test_light_and_dark_are_different_pictures(browser: Page, folder: Path, tmp_path: Path) -> None:
    show(browser, folder / "three months.html")
    pictures = set()
    for dark in (False, True):
        browser.look_at(390, 844, dark=dark)
        pictures.add(browser.picture(tmp_path / "screen.png"))
    assert len(pictures) == 2


def test_on_paper_the_numbers_are_there_and_charts_stay_whole(browser: Page, folder: Path) -> None:
    show(browser, folder / "three months.html")
    seen = (
        "[...document.querySelectorAll('details tbody th')]"
        ".filter(cell => cell.checkVisibility({contentVisibilityAuto: true}) && cell.getBoundingClientRect().height).length"
    )
    browser.look_at(720, 1000)
    assert browser.run(seen) == 0
    browser.look_at(720, 1000, paper=True)
    rows = "document.querySelectorAll('details tbody th').length"
    assert browser.run(rows) > 200
    browser.wait_for(f"{seen} === {rows}")  # drawn anew for paper
    breaks = (
        "[...document.querySelectorAll('svg[role=img]')].map(chart => getComputedStyle(chart).breakInside)"
    )
    assert set(browser.run(breaks)) == {"avoid"}


def test_a_printed_report_is_a_few_sheets_of_a4(browser: Page, folder: Path) -> None:
    show(browser, folder / "three months.html")
    printed = browser.printed()
    sheets = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
    assert {(round(float(width)), round(float(height))) for width, height in sheets} == {(595, 842)}
    assert 2 <= len(sheets) <= 8


@pytest.mark.parametrize("width", [390, 1280])
def test_a_screen_reader_is_told_charts_tables_and_their_numbers(
    browser: Page, folder: Path, width: int
) -> None:
    show(browser, folder / "three months.html")
    browser.run(OPEN)
    browser.look_at(width, 844)
    told = browser.accessible
    roles = Counter(role for role, _ in told)
    assert [name for role, name in told if role == "image"] == [
        "Messages per day",
        "Messages by hour of the day",
        "Messages by weekday and hour",
        "People per day",
        "People per week",
        "Gaps between messages, and reply times",
        "Verified: shares of all messages",
        "Clients: shares of all messages",
    ]
    tables = [name for role, name in told if role == "table"]
    assert len(tables) == browser.run("document.querySelectorAll('table').length")
    assert "The most active people" in tables
    assert roles["rowheader"] == browser.run("document.querySelectorAll('tbody th').length")
    assert roles["cell"] + roles["gridcell"] >= browser.run("document.querySelectorAll('tbody td').length")
