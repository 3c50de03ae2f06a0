"""The contract: each test runs on every transport of kchat's, or on that of `--place`, and a table tells what each keeps.

A test belongs to a promise, ``@pytest.mark.promise("...")``. Where a transport declares that it cannot do something, its
test asks `can`, sees to it that the refusal is clear, and stands in the table as "cannot". What the transport could, but
not on the broker of the tests, is "not here".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from kchat import TRANSPORTS, Transport
from tests.brokers.processes import Commands
from tests.brokers.pubsub import own_pubsub_emulator
from tests.contract.people import People, people_at
from tests.contract.places import Place, places_of
from tests.contract.table import rows

__all__ = ["own_pubsub_emulator"]  # a fixture

Can = Callable[[str], bool]


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line(
        "markers", "promise(text): what a transport promises, a row of the contract's table"
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Notes the row and the column of the table that a test belongs to, also if it never gets to run."""
    promise = item.get_closest_marker("promise")
    if promise is not None and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
        item.user_properties.append(("contract", (promise.args[0], item.callspec.params["transport"])))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table: a row for each promise, a column for each transport."""
    lines = rows(terminalreporter, list(places_of(terminalreporter.config)))
    if lines:
        terminalreporter.section("the contract")
        for line in lines:
            terminalreporter.write_line(line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs what needs a transport on each."""
    if "transport" in metafunc.fixturenames:
        metafunc.parametrize("transport", places_of(metafunc.config), indirect=True)


@pytest.fixture
def transport(request: pytest.FixtureRequest) -> Transport:
    """Each transport."""
    return TRANSPORTS[request.param]


@pytest.fixture
def kind(request: pytest.FixtureRequest, transport: Transport) -> type[Place]:
    """Its place, to be made."""
    return places_of(request.config)[transport.name]


@pytest.fixture
def place(request: pytest.FixtureRequest, kind: type[Place]) -> Iterator[Place]:
    """A broker of that kind in which nobody but the test is."""
    with kind.shared(request) as found:
        yield found


@pytest.fixture
def own_place(request: pytest.FixtureRequest, kind: type[Place]) -> Iterator[Place]:
    """A broker of that kind that the test may restart."""
    with kind.own(request) as found:
        yield found


@pytest.fixture
def people(place: Place, commands: Commands) -> Iterator[People]:
    """Those who listen and speak in that place."""
    with people_at(place, commands) as found:
        yield found


@pytest.fixture
def can(request: pytest.FixtureRequest, transport: Transport, commands: Commands) -> Can:
    """Asks whether the transport can do something. If not, that is declared, shown, and noted in the table.

    It takes the name of an ability of the registry, or ``processes``, or ``last``: to begin with a number of messages.
    """

    def ask(ability: str) -> bool:
        able = {
            **dict(transport.capabilities.items()),
            "processes": not transport.in_one_process,
            "last": transport.history("chat").by_number,
        }[ability]
        if not able:
            request.node.user_properties.append(("cannot", ability))
            shown = json.loads(commands.run_kchat("transports", "--json").stdout)
            (line,) = (each for each in shown if each["transport"] == transport.name)
            if ability == "processes":
                assert "one process" in line["note"]
            elif ability == "last":
                assert "not --last" in line["note"]
            else:
                assert line["capabilities"][ability] is False
        return able

    return ask
