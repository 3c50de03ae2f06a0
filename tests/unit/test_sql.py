"""The SQL in the code: it runs on each Python that kchat runs on."""

from __future__ import annotations

import ast
import re

from tests.unit.sources import PACKAGE, nodes, trees


def test_no_statement_has_numbered_placeholders() -> None:
    """Python 3.12.0 to 3.12.3 take ``?1`` for a named one, and warn where it is given a sequence (CPython issue 117995)."""
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, tree in trees().items()
        for node in nodes(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"[\s(,]\?[0-9]", node.value)
    ]
    assert not found
