"""A Celery worker gets its tasks over Pub/Sub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.brokers.processes import Commands
from tests.brokers.pubsub import Emulator

APP = """
import sys
from celery import Celery
from kchat import transports
transports.register()
app = Celery("tasks", broker=PROJECT)
app.conf.update(worker_enable_remote_control=False, task_default_queue="celery-tasks")

@app.task(name="add")
def add(one, two):
    print(f"sum is {one + two}")
"""


def test_a_worker_runs_tasks_of_another_process(
    commands: Commands, project: str, pubsub_emulator: Emulator, name: Callable[[str], str]
) -> None:
    url = f"pubsub://{project}"
    Path(commands.home, "tasks.py").write_text(APP.replace("PROJECT", repr(url)))
    # Events and the like go through topic exchanges, which Pub/Sub does not have.
    quiet = "import celery.__main__; celery.__main__.main()"
    arguments = ["-A", "tasks", "worker", "-l", "INFO", "-P", "solo", "--without-gossip", "--without-mingle"]
    worker = commands.python(quiet, *arguments, "--without-heartbeat", env=pubsub_emulator.environment)
    worker.wait_for(" ready.", "stderr", 30)
    send = "from tasks import add\nfor number in range(3): add.delay(number, 1)"
    sender = commands.python(send, env=pubsub_emulator.environment)
    assert sender.wait(30) == 0, sender.stderr
    for number in range(3):
        worker.wait_for(f"sum is {number + 1}", "stderr", 30)
    worker.terminate()
    worker.wait(20)
