"""Every Python example of docs/transports.md runs as it stands, on brokers that are there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kombu.transport
import pytest

from tests.brokers.pubsub import Emulator
from tests.brokers.redis import Redis

PAGE = Path(__file__).parents[2] / "docs" / "transports.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, redis_server: Redis, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs an example in a Kombu that has not heard of kchat; files and servers are the test's."""
    aliases = kombu.transport.TRANSPORT_ALIASES
    for alias in ("local", "pubsub"):
        monkeypatch.delitem(aliases, alias, raising=False)

    def execute(text: str, **instead: str) -> dict[str, Any]:
        places = {
            "/tmp/jobs.db": f"{tmp_path}/jobs.db",
            "redis://localhost:6379/0": redis_server.new_database(),
        }
        for there, here in (places | instead).items():
            text = text.replace(there, here)
        names: dict[str, Any] = {"__name__": "tasks"}
        exec(compile(text, str(PAGE), "exec"), names)
        return names

    return execute


def the(word: str) -> str:
    """The one example with that word in it."""
    (block,) = (str(each) for each in BLOCKS if word in each)
    return block


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[-1].strip()[:30])
def test_each_python_example_runs(run: Run, block: str) -> None:
    run(block)


def test_no_python_is_left_out() -> None:
    """Neither in a block of another mark nor indented, where nothing would run it."""
    rest = re.sub(r"^```python\n.*?^```$", "", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"^ *(import |from \w+ import |\w+ = \w+[.(])", rest, re.MULTILINE)
    assert len(BLOCKS) >= 4


def test_kombu_gets_what_it_has_put(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(the("SimpleQueue"))
    assert capsys.readouterr().out == "{'hello': 'world'}\n"


def test_the_redis_example_gets_kchats_transport(run: Run) -> None:
    from kchat.transports.redis.transport import Transport

    assert isinstance(run(the("redis.transport:Transport"))["connection"].transport, Transport)


@pytest.mark.parametrize("broker", ["local", "pubsub"])
def test_the_celery_example_sends_a_task(
    run: Run, broker: str, pubsub_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator.address)
    url = pubsub_emulator.url(pubsub_emulator.new_project())
    instead = {"local:///tmp/jobs.db": url} if broker == "pubsub" else {}
    names = run(the("from celery"), **instead)
    app = names["app"]
    sent = names["add"].delay(1, 2)
    with app.connection_for_read() as connection, connection.SimpleQueue("celery") as tasks:
        message = tasks.get(timeout=30)
        message.ack()
    assert message.headers["id"] == sent.id
    assert message.payload[0] == [1, 2]
    app.close()
