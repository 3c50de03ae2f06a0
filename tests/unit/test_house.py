"""The house: imports go down the list of folders in docs/architecture.md and never up."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import kchat
from kchat.transports import TRANSPORTS
from tests.unit.sources import nodes, trees

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "kchat"

FLOORS = (
    {"__main__"},
    {"cli"},
    {"tui", "web"},
    {"archive"},
    {"bench", "doctor"},
    {"hosting"},
    {"display"},
    {"aio"},
    {"client"},
    {"config"},
    {"transports"},
    {"message", "plugins"},
    {"events", "chance"},
    {"errors"},
)
"""From the top to the bottom; what stands on one floor does not import each other."""

TRANSPORT_NAMES = {*TRANSPORTS, *(scheme for each in TRANSPORTS.values() for scheme in each.schemes)}
"""What only the folder of a transport may compare with."""

FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}


def modules() -> dict[str, Path]:
    """Every module of kchat by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imports(module: str) -> list[tuple[int, str]]:
    """The modules of kchat that a module imports, wherever in it and be it for types alone, with the lines."""
    path = MODULES[module]
    found = []
    for node in nodes(trees()[path]):
        if isinstance(node, ast.Import):
            named = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                above = package[: len(package) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            named = [f"{base}.{each.name}" for each in node.names]
        else:
            continue
        for name in named:
            while name and name not in MODULES:
                name = name.rpartition(".")[0]  # noqa: PLW2901 - a name in a module is the module's
            if name.startswith("kchat."):
                found.append((node.lineno, name))
    return found


def room_of(module: str) -> str:
    """The file or folder of the package that a module is in: ``kchat.client.sender`` is in ``client``."""
    return module.split(".")[1]


def test_every_file_and_folder_has_its_floor() -> None:
    assert {room_of(name) for name in MODULES if name != "kchat"} == set(FLOOR_OF)


def test_imports_go_down_and_never_up() -> None:
    up = [
        f"{module}:{line} imports {other}"
        for module in MODULES
        if module != "kchat"
        for line, other in imports(module)
        if room_of(other) != room_of(module) and FLOOR_OF[room_of(other)] <= FLOOR_OF[room_of(module)]
    ]
    assert up == []


def test_parsing_options_imports_nothing_that_connects() -> None:
    """That it reads no keyring: ``tests/unit/profiles/test_keyring.py``."""
    rooms = {other for _, other in imports("kchat.cli.options")}
    assert not [name for name in rooms if name.startswith(("kchat.client", "kchat.config.keyring"))]


def test_the_hunt_for_imports_finds_those_within_functions_and_relative_ones() -> None:
    assert "kchat.client.subscriber" in [name for _, name in imports("kchat.cli.subscribe")]
    assert "kchat.transports.local.store" in [
        name for _, name in imports("kchat.transports.local.connection")
    ]


def test_transports_import_each_other_only_where_they_share_something() -> None:
    """A transport's folder is whole: what two of them need stands in `kchat/transports/` itself."""
    crossing = [
        f"{module}:{line} imports {other}"
        for module in MODULES
        if module.startswith("kchat.transports.") and module.count(".") > 2
        for line, other in imports(module)
        if other.startswith("kchat.transports.")
        and other.count(".") > 2
        and other.split(".")[2] != module.split(".")[2]
    ]
    assert crossing == []


def test_nothing_outside_the_transports_imports_one_of_them() -> None:
    """What others need of a transport is in the port: `kchat/transports/*.py`."""
    ones = {name for name, path in MODULES.items() if name.count(".") == 2 and path.name == "__init__.py"}
    ones = {name for name in ones if name.startswith("kchat.transports.")} | {"kchat.transports.memory"}
    assert ones == {f"kchat.transports.{name}" for name in TRANSPORTS}
    imported = [
        f"{module}:{line} imports {other}"
        for module in MODULES
        if module == "kchat" or room_of(module) != "transports"
        for line, other in imports(module)
        if other in ones or other.rpartition(".")[0] in ones
    ]
    assert imported == []
    assert not [home for home in kchat._HOMES if home in ones or home.rpartition(".")[0] in ones]


def is_transport_name(node: ast.AST | None) -> bool:
    """Whether it is the name of a transport or of a URL's scheme, as a text: ``"amqp"``, ``"amqp:"``, ``"amqp://"``."""
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.removesuffix("//").removesuffix(":") in TRANSPORT_NAMES
    )


def compared(node: ast.AST) -> Iterator[ast.AST | None]:
    """What a node of the syntax tree compares something with, or looks up."""
    match node:
        case ast.Compare():
            for side in (node.left, *node.comparators):
                yield from side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
        case ast.MatchValue():
            yield node.value
        case ast.Dict():
            yield from node.keys
        case ast.Set():
            yield from node.elts
        case ast.Subscript():
            yield node.slice
        case ast.Call(func=ast.Attribute(attr="startswith" | "endswith" | "removeprefix" | "get")):
            for given in node.args[:1]:
                yield from given.elts if isinstance(given, ast.Tuple) else [given]


def comparisons(source: str) -> list[int]:
    """The lines that branch on the name of a transport or of a scheme."""
    return [
        found.lineno
        for node in ast.walk(ast.parse(source))
        for found in compared(node)
        if isinstance(found, ast.Constant) and is_transport_name(found)
    ]


def test_nothing_outside_the_transports_branches_on_a_transports_name() -> None:
    branches = [
        f"{module}:{line}"
        for module, path in MODULES.items()
        if module != "kchat" and room_of(module) != "transports"
        for line in comparisons(path.read_text(encoding="utf-8"))
    ]
    assert branches == []


def test_the_hunt_for_branches_finds_each_kind_and_nothing_else() -> None:
    for source in (
        'name == "amqp"',
        '"redis" != name',
        'name in ("local", "pubsub")',
        'if broker.scheme in {"amqps", other}: pass',
        '{"memory": 1}[name]',
        'makers["local"]',
        'makers.get("local")',
        'url.startswith("amqp://")',
        'url.startswith(("kchat://", "rediss:"))',
        'match name:\n    case "pubsub": pass',
        '_SERVERLESS = {"local", "memory"}',
    ):
        assert comparisons(source), source
    for source in ('DEFAULT = "local://"', 'run(["gcloud", "pubsub"])', "name == other", '"memory" + name'):
        assert not comparisons(source), source


def test_config_holds_no_sockets() -> None:
    """Encrypting a connection is :mod:`kchat.transports.tls`'s; what is read and what is trusted stays data."""
    found = [
        (module, name.name)
        for module in MODULES
        if module.startswith("kchat.config.")
        for node in nodes(trees()[MODULES[module]])
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
        if name.name.partition(".")[0] in {"socket", "ssl"}
    ]
    assert found == []
