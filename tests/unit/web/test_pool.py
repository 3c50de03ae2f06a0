"""Few threads for many jobs."""

from __future__ import annotations

import threading
from functools import partial

from kchat.web.pool import Pool
from tests.brokers.wait import wait_until


def test_jobs_take_as_many_threads_as_there_may_be_and_all_are_done() -> None:
    pool, go, done = Pool(most=3), threading.Event(), []
    before = threading.active_count()

    def job() -> None:
        go.wait(20)
        done.append(threading.get_ident())

    for _ in range(10):
        pool.start(job)
    assert threading.active_count() - before == 3
    go.set()
    pool.end(20)
    assert len(done) == 10
    assert len(set(done)) <= 3
    assert threading.active_count() == before


def test_a_thread_without_a_job_ends_and_another_one_comes() -> None:
    pool = Pool(most=2, idle=0.05)
    done: list[int] = []
    for number in range(2):
        pool.start(partial(done.append, number))
        wait_until(lambda: not pool._threads)
    assert done == [0, 1]
