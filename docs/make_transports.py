"""Writes the tables of docs/transports.md: what each transport can do, and the contract, from the port itself.

    python docs/make_transports.py

`tests/unit/test_transports.py` fails where the page is out of date.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType

from kchat.cli.transports import as_markdown
from kchat.transports import Capabilities, Transport, base, protocols

PAGE = Path(__file__).parent / "transports.md"
MARKED = re.compile(r"(<!-- begin: (\w+), by make_transports\.py -->\n).*?(<!-- end -->)", re.DOTALL)

GIVEN = {"RoomSettings"}
"""The protocols of what a transport is given; the others are of what it gives."""


def page() -> str:
    """The whole page, with its tables as they are now."""
    return MARKED.sub(
        lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", PAGE.read_text(encoding="utf-8")
    )


def capabilities() -> str:
    """What each column of the table of transports means."""
    (body,) = (
        node.body
        for node in syntax(base).body
        if isinstance(node, ast.ClassDef) and node.name == Capabilities.__name__
    )
    told = dict(documented(body))
    return table("capability", [(name.replace("_", " "), told[name]) for name in Capabilities._fields])


def attributes() -> str:
    """What a transport declares: the attributes of its class, with their defaults."""
    section = inspect.cleandoc(Transport.__doc__ or "").partition("Attributes:\n")[2]
    told = {
        name: line(text) for name, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    }
    if undocumented := [name for name in Transport.__annotations__ if name not in told]:
        raise LookupError(f"Transport's docstring does not have the attributes {', '.join(undocumented)}")
    if unknown := [name for name in told if name not in Transport.__annotations__]:
        raise LookupError(
            f"Transport's docstring has attributes that it does not declare: {', '.join(unknown)}"
        )
    return table("attribute", ((f"`{name}`{value(name)}", told[name]) for name in Transport.__annotations__))


def value(name: str) -> str:
    """An attribute's default, if it has one that says something."""
    if not hasattr(Transport, name):
        return ", required"
    default = getattr(Transport, name)
    return f" = `{default!r}`" if isinstance(default, bool | int | None) else ""


def hooks() -> str:
    """What a transport may do in another way than most: the methods of its class."""
    found = {name: member for name, member in vars(Transport).items() if not name.startswith("_")}
    rows = []
    for name, member in found.items():
        if isinstance(member, FunctionType):
            rows.append(
                (f"`{name}({', '.join(list(inspect.signature(member).parameters)[1:])})`", summary(member))
            )
        elif hasattr(member, "__get__"):
            rows.append((f"`{name}`", summary(member)))
    return table("method or property", rows)


def contract() -> str:
    """What kchat uses of Kombu's objects: the protocols, member by member."""
    return members(lambda name: name not in GIVEN)


def settings() -> str:
    """What a transport is given."""
    return members(lambda name: name in GIVEN)


def members(wanted: Callable[[str], bool]) -> str:
    """The protocols with such names, member by member."""
    rows = []
    for node in syntax(protocols).body:
        if isinstance(node, ast.ClassDef) and wanted(node.name):
            rows.append((f"**{node.name}**", line(ast.get_docstring(node) or "")))
            rows += [(f"`{name}`", text) for name, text in documented(node.body)]
    return table("name", rows)


TABLES = {
    "transports": as_markdown,
    "capabilities": capabilities,
    "contract": contract,
    "attributes": attributes,
    "hooks": hooks,
    "settings": settings,
}


def syntax(module: object) -> ast.Module:
    """A module's syntax: docstrings of attributes stand nowhere else."""
    return ast.parse(inspect.getsource(module))  # type: ignore[arg-type]  # it is a module


def documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """The methods and attributes in a class's body that have a docstring, and that."""
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
            a_property = any(
                isinstance(each, ast.Name) and each.id == "property" for each in node.decorator_list
            )
            names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)][
                1:
            ]
            yield node.name if a_property else f"{node.name}({', '.join(names)})", line(text)
        elif isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr):
            assert isinstance(node.target, ast.Name)
            assert isinstance(after.value, ast.Constant)
            yield node.target.id, line(str(after.value.value))


def summary(member: object) -> str:
    """The first paragraph of a docstring."""
    return line(inspect.getdoc(member) or "").partition(" Arguments:")[0].partition(" Raises:")[0]


def line(text: str) -> str:
    """A docstring in one line of Markdown."""
    plain = re.sub(r":\w+:`[~.]?([^`]*)`", r"`\1`", text).replace("``", "`")
    return " ".join(plain.split()).replace("|", "\\|")


def table(title: str, rows: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> str:
    """A table of two columns."""
    return "\n".join(
        [f"| {title} | meaning |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
