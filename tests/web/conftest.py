"""Browsers and servers for the tests of the page.

All tests in a browser are of one xdist group, so that one Chromium, one RabbitMQ and one server for each module do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.brokers.chromium import Chromium, find_chromium
from tests.brokers.require import missing
from tests.web.elsewhere import Elsewhere, elsewhere_site
from tests.web.guests import Guests, Served, serve_on

_REPORT = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps the tests in a browser together."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("chromium"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        item.stash[_REPORT] = True
    return report


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Elsewhere]:
    """Another site, to which all names that end in ``.example`` lead."""
    with elsewhere_site() as site:
        yield site


@pytest.fixture(scope="session")
def chromium(elsewhere: Elsewhere, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One Chromium for all tests, in which ``rebound.test`` leads to this machine."""
    program = find_chromium()
    if program is None:
        missing("Chromium is not installed")
    leads_to = {"*.example": f"127.0.0.1:{elsewhere.port}", "rebound.test": "127.0.0.1"}
    with Chromium(program, tmp_path_factory.mktemp("chromium"), leads_to=leads_to) as started:
        yield started


@pytest.fixture
def guests(
    chromium: Chromium, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Guests]:
    """Makes browsers. Screenshots of a failed test are in pytest's temporary folder."""
    made = Guests(chromium, tmp_path_factory.mktemp("pictures"))
    yield made
    made.close(failed=request.node.stash.get(_REPORT, False))


@pytest.fixture(scope="module", params=["local", "rabbitmq"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with two rooms, for all tests of a module."""
    kind = request.param
    node = request.getfixturevalue("rabbitmq") if kind == "rabbitmq" else None
    rooms = ("--room", "chat", "--room", "tea")
    with serve_on(kind, tmp_path_factory.mktemp(kind), node, *rooms) as running:
        yield running


@pytest.fixture(scope="module")
def local_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on an embedded room, for all tests of a module that no broker makes a difference to."""
    with ExitStack() as stack:
        yield stack.enter_context(serve_on("local", tmp_path_factory.mktemp("local"), None))
