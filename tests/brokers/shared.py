"""One broker for all processes of a parallel run (pytest-xdist): the first that wants it starts it and tells the others.

Whether a process is still there is told by its lock (``flock(2)``), which goes with it however it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

T = TypeVar("T")

_presence: list[IO[str]] = []
"""The lock that this worker holds while it may still want a broker."""


def _folder() -> Path | None:
    """The folder that the workers of this run share; ``None`` where there is one process only."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None or "PYTEST_XDIST_WORKER" not in os.environ:
        return None
    return Path(tempfile.gettempdir()) / f"kchat-tests-{run}"


def join_run() -> None:
    """Says that this worker is there, until it ends; the worker that starts a broker keeps it for that long."""
    folder = _folder()
    if folder is not None:
        folder.mkdir(0o700, exist_ok=True)  # the brokers' passwords are in it
        present = (folder / "workers").open("a")
        fcntl.flock(present, fcntl.LOCK_SH)
        _presence.append(present)


def leave_run() -> None:
    """Says that this worker will want no broker any more."""
    while _presence:
        _presence.pop().close()


@contextmanager
def one_for_all(
    name: str,
    start: Callable[[], AbstractContextManager[T]],
    describe: Callable[[T], Mapping[str, str]],
    attach: Callable[[Mapping[str, str]], T],
) -> Iterator[T]:
    """Gives a broker that all workers share, started by the first of them; the one process of a plain run starts its own.

    Arguments:
        name: of the broker, such as ``rabbitmq``.
        start: starts it; it is ended after the last worker.
        describe: what others need to know to use it.
        attach: the same broker, from what was described.
    """
    folder = _folder()
    if folder is None:
        with start() as own:
            yield own
        return
    described = folder / f"{name}.json"
    with (folder / f"{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if described.exists():
            lock.close()
            yield attach(json.loads(described.read_text()))
            return
        with start() as own:
            described.write_text(json.dumps(dict(describe(own))))
            lock.close()
            try:
                yield own
            finally:
                _wait_for_the_others(folder)


def _wait_for_the_others(folder: Path) -> None:
    leave_run()
    with suppress(FileNotFoundError), (folder / "workers").open("a") as everybody:
        fcntl.flock(everybody, fcntl.LOCK_EX)
        # All others have left, or wait here to do the same.
        shutil.rmtree(folder, ignore_errors=True)
