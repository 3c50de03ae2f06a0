"""docs/archive.md can be walked as it stands, and its program runs."""

from __future__ import annotations

import pytest

from tests.brokers.processes import Commands
from tests.docs.examples import Example, examples, run, unmarked
from tests.docs.walk import Walk

PAGE = "docs/archive.md"
EXAMPLES = examples(PAGE)


def test_the_page_about_archives_can_be_walked(walk_without_a_broker: Walk) -> None:
    walk_without_a_broker.go(PAGE)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.where)
def test_an_example_runs_and_prints_what_the_page_says(example: Example, commands: Commands) -> None:
    run(example, commands, {})


def test_no_python_is_left_out() -> None:
    assert unmarked(PAGE) == []
    assert EXAMPLES
