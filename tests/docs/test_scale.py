"""docs/scale.md says what was measured, and what the model makes of it."""

from __future__ import annotations

import re

import pytest

from benchmarks.scale.doc import CHART, MARKED, PAGE, digest, page
from benchmarks.scale.figures import BLOCKS
from benchmarks.scale.model import held_out
from benchmarks.scale.points import HELD_OUT, RATES, Kind, read
from tests.brokers.processes import Commands
from tests.docs.examples import ROOT, Example, examples, run, unmarked

TEXT = PAGE.read_text("utf-8")
EXAMPLES = examples("docs/scale.md")


def test_the_page_has_the_figures_that_were_measured() -> None:
    assert page(TEXT, read()) == TEXT, "run: python -m benchmarks.scale.doc"


def test_every_part_with_figures_is_on_the_page_once() -> None:
    assert sorted(name for _, name, _ in MARKED.findall(TEXT)) == sorted(BLOCKS)


def test_a_figure_that_was_changed_by_hand_is_found() -> None:
    changed = TEXT.replace("used", "is said to use")
    assert page(changed, read()) != changed


def test_the_chart_was_drawn_from_what_was_measured() -> None:
    assert f"{digest()}<" in CHART.read_text("utf-8"), "run: python -m benchmarks.scale.doc"


@pytest.mark.parametrize("kind", ["queue", "stream"])
def test_1_to_200_subscribers_and_two_points_to_check_were_measured(kind: Kind) -> None:
    rows = read().of(kind)
    assert {row.subscribers for row in rows if not row.held_out} == set(RATES[kind])
    assert {row.subscribers for row in held_out(read(), kind)} == set(HELD_OUT[kind])


def test_figures_of_other_pages_are_as_they_stand_there() -> None:
    performance = (ROOT / "docs/performance.md").read_text("utf-8")
    told = {
        "24 µs": r"`kchat send -` on AMQP, CPU a message: .* \| 55 µs \| 24 µs \|",
        "19 µs": r"`kchat subscribe` on AMQP, CPU a message: .* \| 31 µs \| 19 µs \|",
        "125 µs": r"ten subscribers at 100 messages/s, CPU a message: .* \| 125 µs \|",
        "13 %": r"\| 500 \| 222 \| 13 \|",
    }
    for figure, source in told.items():
        assert figure in TEXT
        assert re.search(source, performance), f"docs/performance.md has no {figure} any more"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.where)
def test_an_example_runs_and_prints_what_the_page_says(example: Example, commands: Commands) -> None:
    run(example, commands, {})


def test_no_python_is_left_out() -> None:
    assert len(EXAMPLES) == 1
    assert unmarked("docs/scale.md") == []
