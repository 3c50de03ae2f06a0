"""What docstrings refer to, as in ``:func:`kchat.connect```, exists."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

from tests.unit.sources import PACKAGE, nodes, trees

_ROLE = re.compile(r":(?:mod|class|func|meth|attr|data|exc|obj|const):`~?([^`]+)`")


def test_the_references_of_docstrings_resolve() -> None:
    stale = [
        f"{path.relative_to(PACKAGE)}:{line}: {name}"
        for path, tree in trees().items()
        for line, name in references(tree)
        if not (exists(absolute(name, path)) or set(name.split(".")) <= known(tree))
    ]
    assert stale == []


def test_a_stale_reference_is_found() -> None:
    here = PACKAGE / "transports" / "amqp" / "checks.py"
    assert exists(absolute(".errors.explain", here))
    assert exists("kchat.transports.url.Broker.account")
    assert not exists("kchat.transports.url.Broker.username")
    assert not exists(absolute(".nowhere", here))


def references(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for found in _ROLE.finditer(node.value):
                yield node.lineno, found[1]


def absolute(name: str, path: Path) -> str:
    """``.errors`` in a module of a package is the package's."""
    package = path.parent.relative_to(PACKAGE.parent).parts
    return ".".join(package) + name if name.startswith(".") else name


@cache
def known(tree: ast.Module) -> set[str]:
    """All names that a module gives to something, and Python's own."""
    names = set(dir(builtins))
    for node in nodes(tree):
        for field in ("name", "id", "arg", "attr", "asname"):
            names.add(getattr(node, field, None) or "")
    return names


def exists(name: str) -> bool:
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            if part in getattr(found, "__annotations__", {}):
                return True
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False
