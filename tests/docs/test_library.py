"""Every Python example of the pages below runs as it stands, on brokers that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archive.filled import fill
from tests.brokers.processes import Commands
from tests.docs.examples import Example, examples, run, unmarked

PAGES = ["docs/library.md", "docs/history.md", "docs/wire.md", "README.md"]
EXAMPLES = [example for page in PAGES for example in examples(page)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.where)
def test_an_example_runs_and_prints_what_the_page_says(
    example: Example, commands: Commands, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if example.not_run:
        pytest.skip(example.not_run)
    instead, env = {"local:///tmp": f"local://{tmp_path}"}, {}
    if 'open("archive.db")' in example.code:
        instead["archive.db"] = str(fill(tmp_path / "archive.db"))
    if "rmq:secret@localhost/" in example.code:
        instead["amqp://rmq:secret@localhost/"] = request.getfixturevalue("amqp_url")
    if "BlockingConnection()" in example.code:
        parameters = f"pika.URLParameters({request.getfixturevalue('amqp_url')!r})"
        instead["BlockingConnection()"] = f"BlockingConnection({parameters})"
    if "pubsub://my-project" in example.code:
        emulator = request.getfixturevalue("pubsub_emulator")
        instead["pubsub://my-project"] = emulator.url(emulator.new_project())
        env["PUBSUB_EMULATOR_HOST"] = emulator.address
    run(example, commands, instead, env)


def test_no_python_is_left_out() -> None:
    assert {page: unmarked(page) for page in PAGES} == {page: [] for page in PAGES}
    assert len(EXAMPLES) >= 14
    assert not [example.where for example in EXAMPLES if example.not_run]
