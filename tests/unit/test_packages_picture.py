"""The picture of the packages in docs/architecture.md shows the imports that the code has."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_house import FLOOR_OF

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def maker() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "make_packages_picture.py"))


def test_the_picture_is_up_to_date(maker: dict[str, Any]) -> None:
    drawn = (DOCS / "pictures/packages.svg").read_text(encoding="utf-8")
    assert drawn == maker["picture"](), "run: python docs/make_packages_picture.py"


def test_the_picture_has_a_row_for_every_package_and_none_imports_a_higher_one(maker: dict[str, Any]) -> None:
    rows, arrows = maker["rows_and_arrows"]()
    assert {row.partition("/")[0].removesuffix(".py") for row in rows} == set(FLOOR_OF) - {"__main__"}
    up = [(row, other) for row in rows for other in arrows[row] if rows.index(other) < rows.index(row)]
    assert up == []


def test_the_table_of_docs_architecture_names_every_row(maker: dict[str, Any]) -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = {each.rstrip("/") for each in re.findall(r"`kchat/([\w/.]+?)`", text)}
    rows, _ = maker["rows_and_arrows"]()
    assert {row.partition("/")[0] for row in rows} - named == set()
