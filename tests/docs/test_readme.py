"""The README's commands can be typed as they stand."""

from __future__ import annotations

from tests.docs.walk import Walk


def test_the_readme_can_be_walked_from_its_beginning_to_its_end(walk: Walk) -> None:
    walk.go("README.md")
    assert [where.partition(": ")[2] for where in walk.left_out] == ["not run: it installs packages"]
