"""Ending a wait from elsewhere."""

from __future__ import annotations

import os
import select
import threading

import pytest

from kchat.transports.waker import Waker


@pytest.fixture(params=["poll", "select"])
def waker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Waker:
    """With the system's poll, and where eventlet or gevent has taken it away."""
    if request.param == "select":
        monkeypatch.delattr(select, "poll")
    return Waker()


def test_a_wait_is_ended_from_another_thread(waker: Waker) -> None:
    threading.Timer(0.05, waker.wake).start()
    assert waker.wait(30) == [waker.fileno()]


def test_the_next_wait_is_ended_if_nobody_waits_now_and_only_that_one(waker: Waker) -> None:
    for _ in range(100_000):  # more than a pipe holds
        waker.wake()
    assert waker.wait(30)
    assert waker.wait(0.01) == []
    assert not waker.take()


def test_a_readable_descriptor_ends_the_wait_too(waker: Waker) -> None:
    reads, writes = os.pipe()
    os.write(writes, b"x")
    assert waker.wait(30, reads) == [reads]
    os.close(reads)
    os.close(writes)


def test_a_closed_one_wakes_nobody_and_writes_into_nobodys_file(waker: Waker) -> None:
    waker.close()
    waker.close()
    reads, writes = os.pipe()  # the same descriptors again
    os.set_blocking(reads, False)
    waker.wake()
    with pytest.raises(BlockingIOError):
        os.read(reads, 1)
    with pytest.raises(ValueError, match="closed"):
        waker.fileno()
    os.close(reads)
    os.close(writes)
