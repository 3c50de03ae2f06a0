"""The names that kchat promises, and that they cost nothing until they are used."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import kchat
from kchat import errors
from tests.cases import check_each
from tests.unit.sources import PACKAGE, nodes, trees

NAMES = [
    "TRANSPORTS",
    "Blocked",
    "Broker",
    "BrokerError",
    "Closed",
    "DecodeError",
    "Display",
    "Durable",
    "KchatError",
    "Message",
    "MissingExtra",
    "NotAuthorised",
    "NotConfirmed",
    "NotFound",
    "Receipt",
    "Refused",
    "Rejected",
    "Returned",
    "Room",
    "SendError",
    "Sender",
    "Settings",
    "SettingsError",
    "Subscriber",
    "TlsOptions",
    "TooLarge",
    "Transport",
    "Unavailable",
    "Unreachable",
    "Untrusted",
    "__version__",
    "aio",
    "connect",
    "events",
    "listen",
]


def test_the_public_names_are_these() -> None:
    assert sorted(kchat.__all__) == sorted(NAMES)


def test_every_public_name_is_there() -> None:
    def is_there(name: str) -> None:
        assert getattr(kchat, name) is not None
        assert name in dir(kchat)

    check_each(NAMES, is_there)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nosuch"):
        _ = kchat.nosuch


def test_the_documentation_imports_promised_modules_alone() -> None:
    docs = Path(__file__).parents[2] / "docs"
    section = (
        (docs / "library.md").read_text("utf-8").partition("\n## What is promised\n")[2].partition("\n## ")[0]
    )
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    promised = set(re.findall(r"`([a-z_.]+)`", " ".join(rows)))
    check_each(sorted(promised), import_module)
    used = set()
    for page in (docs.parent / "README.md", *docs.glob("*.md")):
        used |= set(re.findall(r"^ *(?:import|from) (kchat[\w.]*)", page.read_text("utf-8"), re.MULTILINE))
    assert promised >= used


def error_classes() -> list[str]:
    """The leaves of the tree of errors, the bases left out."""
    classes = [
        each
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if each.__module__ == errors.__name__ and issubclass(each, errors.KchatError)
    ]
    return [each.__name__ for each in classes if not each.__subclasses__()]


def test_every_error_is_raised_somewhere() -> None:
    made: set[str] = set()
    for path, tree in trees().items():
        if path != PACKAGE / "errors.py":
            for node in nodes(tree):
                if isinstance(node, ast.Call):
                    made |= {getattr(node.func, "id", ""), getattr(node.func, "attr", "")}
    assert set(error_classes()) <= made


def test_the_tree_of_errors_is_drawn_in_its_modules_docstring() -> None:
    classes = [
        name
        for name, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, errors.KchatError)
    ]
    for name in classes:
        assert name in (errors.__doc__ or ""), name
