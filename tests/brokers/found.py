"""The order in which a broker is looked for, once for all brokers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

from tests.brokers.require import choice, missing

T = TypeVar("T")


class NotHere(Exception):
    """This way to a broker does not exist on this machine: no engine, no image, no package."""


@contextmanager
def first_that_starts(
    broker: str,
    *,
    docker: Callable[[], AbstractContextManager[T]],
    machine: Callable[[], AbstractContextManager[T]],
) -> Iterator[T]:
    """Gives what the first way gives that exists: Docker, then the machine's own packages.

    Arguments:
        broker: its name, for the reason.
        docker: starts it by Docker, or raises :class:`NotHere`.
        machine: starts what is installed, or raises :class:`NotHere`.

    Raises:
        pytest.skip.Exception: neither exists; with ``CI=true`` the test fails instead.
    """
    ways = {"docker": docker, "machine": machine}
    if (chosen := choice()) != "auto":
        ways = {chosen: ways[chosen]}
    reasons = []
    with ExitStack() as stack:
        for start in ways.values():
            try:
                found = stack.enter_context(start())
            except NotHere as error:
                reasons.append(str(error))
            else:
                yield found
                return
    missing(f"no {broker}: {'; '.join(reasons)}")
