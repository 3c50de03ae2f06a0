"""Fixtures for all tests: real brokers, found or started, and kchat's commands as processes.

A fixture whose name begins with ``own_`` gives a broker that the test may stop, kill and start.
"""

from __future__ import annotations

import gc
import importlib.util
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest

from kchat.hosting.certificates import make_client, make_server
from tests.brokers.clickhouse import ClickHouse, find_clickhouse, start_clickhouse
from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import (
    RabbitMQ,
    find_rabbitmq,
    start_rabbitmq,
    start_rabbitmq_cluster,
    start_rabbitmq_with_tls,
)
from tests.brokers.redis import Redis, find_redis, start_redis
from tests.brokers.require import choice, in_ci, require
from tests.brokers.shared import join_run, leave_run
from tests.brokers.wait import wait_until
from tests.brokers.warm import end_warm
from tests.window import Window

if importlib.util.find_spec("tests.brokers.pubsub") is not None:
    from tests.brokers.pubsub import pubsub_emulator  # noqa: F401 - a fixture


# How long an example takes says how busy the machine is, and nothing about the code.
hypothesis.settings.register_profile("kchat", deadline=None)
hypothesis.settings.load_profile("kchat")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that runs the contract on somebody else's transport."""
    parser.addoption(
        "--place",
        action="append",
        metavar="MODULE:CLASS",
        help="run tests/contract on the transport of this place (tests.contract.places.Place) instead of kchat's own",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Lets Ctrl+C be heard by the commands that tests start: a shell's background jobs have it ignored, and pass that on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # What nohup starts has this one ignored.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    join_run()


def pytest_sessionfinish() -> None:
    """Lets the worker that started a shared broker end it."""
    try:
        end_warm()
    finally:
        leave_run()


IN_ONE_PROCESS = ("breakable_rabbitmq", "tls_rabbitmq", "clickhouse_server", "breakable_clickhouse")
"""Fixtures that start a broker for all tests that use them: it takes seconds to start, and processor time. Those that one
process breaks or talks over cannot be used by another meanwhile."""

OF_ONE_FILE = ("rabbitmq_cluster", "own_pubsub_emulator")
"""Likewise, for the tests of one file."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps what shares a broker of its own together, for `pytest -n 6 --dist loadgroup`; the rest goes anywhere."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if (
            "own_place" in names and "[amqp" in item.name
        ):  # of the contract, which asks for its broker by name
            names.add("breakable_rabbitmq")
        for name in IN_ONE_PROCESS:
            if name in names:
                item.add_marker(pytest.mark.xdist_group(name))
                break
        else:
            if names & set(OF_ONE_FILE):
                item.add_marker(pytest.mark.xdist_group(item.path.name))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names a long text by its length: its id is printed, and handed to every process that a test starts."""
    return f"{argname}-of-{len(val)}" if isinstance(val, (str, bytes)) and len(val) > 60 else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuses a pytest that leaves xdist's groups out, and keeps what was collected from later searches for garbage."""
    if hasattr(session.config, "workerinput") and session.config.getvalue("loadgroup"):
        for item in session.items:
            if item.get_closest_marker("xdist_group") and "@" not in item.nodeid.rpartition("]")[2]:
                raise pytest.UsageError(
                    f"pytest {pytest.__version__} does not group tests: install the group `test`"
                )
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    """Tells at the top of a run where brokers may come from, and what becomes of a test without its own."""
    missing = "fails its tests (CI is set)" if in_ci() else "skips its tests"
    return f"brokers: {choice()}; a missing one {missing}"


@pytest.fixture(autouse=True)
def _leaves_no_thread() -> Iterator[None]:
    """Fails a test that leaves a thread of kchat's running: it would go on in the midst of the tests after it."""
    before = set(threading.enumerate())
    yield

    def left() -> list[str]:
        return [each.name for each in threading.enumerate() if _is_ours(each) and each not in before]

    if left():
        wait_until(lambda: not left(), 10, "the end of every thread of kchat's")


def _is_ours(thread: threading.Thread) -> bool:
    return thread.name.startswith(("kchat ", "pubsub-"))


# ---- RabbitMQ


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """The RabbitMQ that all tests share. Not to be stopped or put under an alarm: see `own_rabbitmq`."""
    with find_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture
def vhost(rabbitmq: RabbitMQ) -> Iterator[str]:
    """The name of a fresh vhost on the shared RabbitMQ, so that no test sees another's rooms."""
    with rabbitmq.new_vhost() as name:
        yield name


@pytest.fixture
def amqp_url(rabbitmq: RabbitMQ, vhost: str) -> str:
    """The URL of that vhost, with the administrator's password."""
    return rabbitmq.url_for(vhost)


@pytest.fixture(scope="session")
def breakable_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A RabbitMQ for all tests that break it, in whatever state the last one left it: see `own_rabbitmq`."""
    with start_rabbitmq(tmp_path_factory.mktemp("own-rabbitmq")) as node:
        yield node


@pytest.fixture
def own_rabbitmq(breakable_rabbitmq: RabbitMQ) -> RabbitMQ:
    """A running RabbitMQ that the test may stop, kill, restart and put under an alarm.

    One for all of them: it is started again where the test before left it dead.
    """
    if not breakable_rabbitmq.running:
        breakable_rabbitmq.start()
    return breakable_rabbitmq


@pytest.fixture(scope="module")
def rabbitmq_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RabbitMQ]]:
    """A cluster of two RabbitMQ nodes, of which the module's tests may end one."""
    with start_rabbitmq_cluster(tmp_path_factory.mktemp("rabbitmq-cluster"), 2) as nodes:
        if nodes[0].version >= (4, 2):
            pytest.skip(
                "RabbitMQ 4.2 and newer decide by majority (Khepri): two nodes do not outlive one of them"
            )
        yield nodes


@pytest.fixture(scope="session")
def tls_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A RabbitMQ that speaks AMQP with TLS and no other; its ``tls`` is the folder that `kchat certify` made.

    There is a client's certificate for an account ``ada``, which is there and has all rights.
    """
    tls = tmp_path_factory.mktemp("certificates")
    make_server(tls, ["broker.example"])
    make_client(tls, "ada")
    with start_rabbitmq_with_tls(tmp_path_factory.mktemp("tls-rabbitmq"), tls) as node:
        node.management.add_user("ada", secrets.token_urlsafe(12))
        node.management.permit("/", "ada", ".*", ".*", ".*")
        yield node


# ---- Redis


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """The Redis that all tests share. Not to be stopped: see `own_redis`."""
    with find_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """The URL of an empty database on the shared Redis."""
    return redis_server.new_database()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis that the test may kill and start."""
    with start_redis(tmp_path) as server:
        yield server


# ---- ClickHouse


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """The ClickHouse that all tests share. Not to be stopped: see `own_clickhouse`."""
    with find_clickhouse(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture
def clickhouse(clickhouse_server: ClickHouse) -> Iterator[str]:
    """The URL of an empty database on the shared ClickHouse."""
    with clickhouse_server.new_database() as url:
        yield url


@pytest.fixture(scope="session")
def breakable_clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """A ClickHouse for all tests that break it, in whatever state the last one left it: see `own_clickhouse`."""
    with start_clickhouse(tmp_path_factory.mktemp("own-clickhouse")) as server:
        yield server


@pytest.fixture
def own_clickhouse(breakable_clickhouse: ClickHouse) -> ClickHouse:
    """A running ClickHouse that the test may stop, kill and start."""
    breakable_clickhouse.start()
    return breakable_clickhouse


# ---- what every test may want


@pytest.fixture
def room() -> str:
    """A room's name that no other test uses."""
    return f"room-{secrets.token_hex(4)}"


@pytest.fixture
def local_url(tmp_path: Path) -> str:
    """The URL of an embedded room in a file of the test's own, which is not there yet."""
    return f"local://{tmp_path}/room.db"


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    """Starts kchat's commands, and others, as processes with a home of their own; ends them afterwards."""
    home = tmp_path / "home"
    home.mkdir()
    started = Commands(home)
    try:
        yield started
    finally:
        started.end()


@pytest.fixture
def proxy_to() -> Iterator[Callable[[int], Proxy]]:
    """Makes a TCP proxy in front of a port, which the test may cut, black-hole and mend."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(Proxy(port))


@pytest.fixture(scope="session")
def tmux() -> str:
    """The path of ``tmux``, for tests that look at a terminal's screen."""
    return require("tmux", "the rich table is looked at in a real terminal")


@pytest.fixture
def window(tmux: str, tmp_path: Path) -> Iterator[Callable[..., Window]]:
    """Makes terminals of a given number of columns and lines, with a shell in them."""
    made: list[Window] = []

    def make(columns: int, lines: int, shell: str = "sh") -> Window:
        made.append(Window(tmux, tmp_path, columns, lines, shell))
        return made[-1]

    yield make
    for one in made:
        one.close()
