"""Celery's workers as they are started by default, over Pub/Sub."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.brokers.processes import Commands, Process
from tests.brokers.pubsub import Emulator
from tests.brokers.wait import wait_until

APP = """
from celery import Celery
from kchat import transports

transports.register()
app = Celery("tasks", broker=BROKER)
app.conf.worker_prefetch_multiplier = 1

@app.task(name="add")
def add(number, text=""):
    with open("executed", "a") as executed:
        executed.write(f"{number}\\n")

@app.task(name="add_late", acks_late=True)
def add_late(number):
    add(number)
"""

PING = "assert tasks.app.control.ping(timeout=30, limit=1)"
"""Asks all workers for a sign of life, and goes on at the first."""

SECONDS = 60.0
TASKS = 100


class Celery:
    """An app of a project of its own, its workers, and what they have executed.

    Arguments:
        commands: starts them, in its home.
        emulator: where the project is.
    """

    def __init__(self, commands: Commands, emulator: Emulator) -> None:
        self._commands = commands
        self._environment = emulator.environment
        self._executed = Path(commands.home, "executed")
        url = emulator.url(emulator.new_project())
        Path(commands.home, "tasks.py").write_text(APP.replace("BROKER", repr(url)))

    def worker(self, *arguments: str) -> Process:
        """Starts a worker, under one and the same node name, and returns it."""
        main = "import celery.__main__; celery.__main__.main()"
        given = ["-A", "tasks", "worker", "-l", "INFO", "-c", "2", "-n", "node@host", *arguments]
        return self._commands.python(main, *given, env=self._environment)

    def ready(self, *arguments: str) -> Process:
        """Starts a worker and returns it when it takes tasks."""
        worker = self.worker(*arguments)
        worker.wait_for(" ready.", "stderr", SECONDS)
        return worker

    def send(self, script: str) -> None:
        """Runs a script in which ``tasks`` is imported."""
        sender = self._commands.python(f"import tasks\n{script}", env=self._environment)
        assert sender.wait(SECONDS) == 0, sender.stderr

    def executed(self, count: int) -> Counter[str]:
        """How often each task was executed, once that number has been."""
        wait_until(
            lambda: len(self._lines()) >= count, SECONDS, lambda: f"{len(self._lines())} of {count} tasks"
        )
        return Counter(self._lines())

    def _lines(self) -> list[str]:
        return self._executed.read_text().splitlines() if self._executed.exists() else []


@pytest.fixture
def celery(commands: Commands, pubsub_emulator: Emulator) -> Celery:
    return Celery(commands, pubsub_emulator)


@pytest.mark.parametrize(
    "pool",
    [
        "prefork",
        pytest.param("threads", marks=pytest.mark.slow),
        pytest.param("solo", marks=pytest.mark.slow),
    ],
)
def test_a_worker_executes_each_task_once_and_does_not_wait_between_them(celery: Celery, pool: str) -> None:
    worker = celery.ready("-P", pool)
    # With the prefetch multiplier 1, each waits for another one's acknowledgement: at two seconds each it took 95 s.
    celery.send(f"for n in range({TASKS}): (tasks.add, tasks.add_late)[n % 2].delay(n)")
    assert celery.executed(TASKS) == Counter(map(str, range(TASKS)))
    worker.terminate()
    assert worker.wait(SECONDS) == 0
    assert celery.executed(TASKS).total() == TASKS
    assert "Traceback" not in worker.stderr


def test_tasks_for_later_do_not_hold_up_those_for_now(celery: Celery) -> None:
    # Each that waits for its time raises the prefetch count by one, while the consumer is running.
    celery.ready("-P", "prefork")
    celery.send("for n in range(10): tasks.add.apply_async((n,), countdown=600)")
    celery.send("for n in range(10, 30): tasks.add.delay(n)")
    assert set(celery.executed(20)) == set(map(str, range(10, 30)))


def test_long_arguments_and_signatures_arrive(celery: Celery) -> None:
    worker = celery.ready("-P", "solo")
    long = "é" * 4000
    celery.send(
        f"text = {long!r}\n"
        "tasks.add.delay(1, text)\n"
        "tasks.add.delay(2, text=[text] * 3)\n"
        "(tasks.add.si(3, text) | tasks.add.si(4, text)).delay()\n"
        "tasks.add.apply_async((5,), headers={'trace': text})"
    )
    assert celery.executed(5) == Counter("12345")
    assert "Traceback" not in worker.stderr


def test_remote_control_and_events_work(celery: Celery) -> None:
    celery.ready("-P", "prefork", "-E")
    celery.send(PING)
    celery.send(
        "def stop(event): receiver.should_stop = True\n"
        "with tasks.app.connection() as connection:\n"
        "    receiver = tasks.app.events.Receiver(connection, {'task-succeeded': stop})\n"
        "    receiver.on_consume_ready = lambda *_, **__: tasks.add.delay(1)\n"
        "    receiver.capture(timeout=30)\n"
        "assert receiver.should_stop"
    )


def test_a_second_worker_of_a_nodes_name_is_refused_and_after_a_kill_it_starts_at_the_first_try(
    celery: Celery,
) -> None:
    first = celery.ready("-P", "prefork")
    second = celery.worker("-P", "prefork")
    assert second.wait(SECONDS) != 0
    assert "ResourceLocked" in second.stderr
    celery.send(PING)
    celery.send("for n in range(10): tasks.add.delay(n)")
    assert set(celery.executed(10)) == set(map(str, range(10)))
    first.kill()
    celery.ready("-P", "prefork")
    celery.send(PING)
    celery.send("for n in range(10, 20): tasks.add.delay(n)")
    assert set(celery.executed(20)) == set(map(str, range(20)))
