"""Ids are UUIDs of version 7: ordered, unique, and safe across threads and forks."""

from __future__ import annotations

import os
import re
import threading
import time
import uuid

import pytest

from kchat.message import uuid7 as module
from kchat.message.uuid7 import _Source, uuid7

FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_an_id_is_a_uuid_of_version_7_and_carries_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_source", _Source())  # ids that were made before may be ahead of the clock
    before = time.time_ns() // 1_000_000
    made = uuid7()
    after = time.time_ns() // 1_000_000
    assert FORM.fullmatch(made)
    assert uuid.UUID(made).version == 7
    assert uuid.UUID(made).variant == uuid.RFC_4122
    assert before <= int(made.replace("-", "")[:12], 16) <= after + 1


def test_every_id_is_greater_than_the_one_before() -> None:
    made = [uuid7() for _ in range(50_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_more_ids_than_the_counter_holds_run_ahead_of_the_clock() -> None:
    source = _Source()
    made = [source.next(1_000) for _ in range(10_000)]
    assert made == sorted(set(made))
    assert all(FORM.fullmatch(one) for one in made)
    assert int(made[-1].replace("-", "")[:12], 16) > 1_000


def test_a_clock_that_goes_backwards_does_not() -> None:
    source = _Source()
    assert source.next(2_000) < source.next(1_000) < source.next(1_999) < source.next(2_001)


def test_the_largest_time_fits() -> None:
    assert FORM.fullmatch(_Source().next((1 << 48) - 1))


def test_threads_never_make_the_same_id() -> None:
    made: list[list[str]] = [[] for _ in range(4)]

    def make(into: list[str]) -> None:
        into.extend(uuid7() for _ in range(5_000))

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set().union(*made)) == 20_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_ids_of_its_own() -> None:
    uuid7()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, uuid7(1_000).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        theirs = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    assert FORM.fullmatch(theirs)
    # The child began anew: neither the parent's time and counter nor its next random bits.
    assert theirs.startswith("00000000-03e8-7")
    assert theirs[-17:] != uuid7()[-17:]


def test_an_interrupt_while_random_numbers_are_fetched_spoils_none_of_the_ids_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = _Source()
    with monkeypatch.context() as patch:
        patch.setattr(os, "urandom", interrupt)
        with pytest.raises(KeyboardInterrupt):
            source.next(1)
    assert FORM.fullmatch(source.next(1))


def interrupt(_size: int) -> bytes:
    """What Ctrl+C does."""
    raise KeyboardInterrupt
