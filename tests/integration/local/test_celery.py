"""Celery on an embedded room: every task runs once, in every kind of pool."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.brokers.processes import Commands
from tests.brokers.wait import Deadline, soon

TASKS = 300

APP = """
import sys
from celery import Celery
from kchat import transports

transports.register()
app = Celery("tasks", broker=sys.argv.pop(1), backend="file://" + sys.argv.pop(1))
app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
EXECUTED = sys.argv.pop(1)


@app.task(name="add")
def add(x, y):
    with open(EXECUTED, "a") as file:  # one write of a few bytes: nobody else's comes in between
        file.write(f"{x} {y}\\n")
    return x + y


if __name__ == "__main__":
    app.worker_main(["worker", "--pool", sys.argv[1], "--concurrency", "2", "--loglevel", "INFO"])
"""


@pytest.mark.parametrize("pool", ["solo", "prefork", "threads"])
def test_a_celery_worker_runs_every_task_once(
    pool: str, commands: Commands, local_url: str, tmp_path: Path
) -> None:
    from celery import Celery

    results, executed = tmp_path / "results", tmp_path / "executed"
    results.mkdir()
    app = Celery("tasks", broker=local_url, backend=f"file://{results}")
    try:
        early = [app.send_task("add", (n, 1)) for n in range(TASKS // 2)]
        worker = commands.python(APP, local_url, str(results), str(executed), pool)
        worker.wait_for("ready.", seconds=30)
        late = [
            app.send_task("add", (n, 1), countdown=0.01 if n % 50 else None) for n in range(TASKS // 2, TASKS)
        ]
        deadline = Deadline(soon(60))
        assert [each.get(timeout=deadline.left, interval=0.02) for each in early + late] == [
            n + 1 for n in range(TASKS)
        ]
        worker.terminate()
        assert worker.wait(20) == 0
    finally:
        app.close()
    assert Counter(executed.read_text().splitlines()) == Counter(f"{n} 1" for n in range(TASKS))
