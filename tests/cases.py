"""Many cases in one test: all are tried, and those that fail are named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")

_NAMED = 20
"""Maximum number of failed cases to tell of in full; the others are counted."""


def check_each(cases: Mapping[str, T] | Iterable[T], check: Callable[[T], object]) -> None:
    """Check each case, go on after one that fails, and fail with the names of all that did.

    Arguments:
        cases: by name; or values that name themselves.
        check: asserts what has to hold for one of them.

    Raises:
        AssertionError: some failed; the text names them, and the first one's error is its cause.
    """
    named = cases.items() if isinstance(cases, Mapping) else ((repr(case), case) for case in cases)
    tried = 0
    failed: dict[str, Exception] = {}
    for name, case in named:
        tried += 1
        try:
            check(case)
        except Exception as error:  # noqa: BLE001 - told below, by the case's name
            failed[name] = error
    assert tried, "there are no cases"
    if failed:
        told = [f"{name[:100]}: {_first_line(error)}" for name, error in list(failed.items())[:_NAMED]]
        more = [f"and {len(failed) - _NAMED} more"] if len(failed) > _NAMED else []
        text = "\n  ".join([f"{len(failed)} of {tried} cases failed:", *told, *more])
        raise AssertionError(text) from next(iter(failed.values()))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
