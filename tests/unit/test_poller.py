"""Waiting for a descriptor where eventlet or gevent have taken ``select.poll`` away."""

from __future__ import annotations

import os
import select

import pytest

from kchat.transports.poller import new_poller


def test_a_poller_waits_by_select_where_there_is_no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "poll")
    reading, writing = os.pipe()
    try:
        nothing, poller = new_poller(), new_poller()
        nothing.register(reading, 0)
        poller.register(reading, select.POLLIN)
        for each in (nothing, poller):
            assert each.poll(0) == []
            assert each.poll(20) == []
        os.write(writing, b"x")
        assert poller.poll() == [(reading, select.POLLIN)]
        poller = new_poller()
        poller.register(writing, select.POLLOUT)
        assert poller.poll(0) == [(writing, select.POLLOUT)]
    finally:
        os.close(reading)
        os.close(writing)
