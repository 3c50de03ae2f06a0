"""How a subscriber of an embedded room comes to know of a message: by the kernel, or by looking."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import pytest

from kchat.transports.local import connection as local_connection
from kchat.transports.local import polling, store
from tests.brokers.processes import Commands
from tests.brokers.wait import Deadline, soon
from tests.integration.local.conftest import Connect
from tests.integration.local.drive import drain, listen, own_queue, send


@pytest.mark.parametrize("kernel_tells", [True, False])
@pytest.mark.parametrize(("interval", "count"), [(0.02, 50), (0.7, 8)])
def test_a_subscriber_is_woken_by_the_kernel_or_looks_often(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, kernel_tells: bool, interval: float, count: int
) -> None:
    pauses: list[float] = []
    wait = polling.PollingInterval.wait

    def waited(self: polling.PollingInterval, now: float, *, told: bool = False) -> float:
        pauses.append(wait(self, now, told=told))
        return pauses[-1]

    if kernel_tells:
        for module in (local_connection, polling):
            monkeypatch.setattr(module, "ASLEEP", 1000)  # no look by itself
    else:  # as on systems without inotify, and where its limits are reached
        monkeypatch.setattr(polling, "_watch", lambda *paths: -1)
        monkeypatch.setattr(polling.PollingInterval, "wait", waited)
    listener, sender = connect(), connect().channel()
    channel = listener.channel()
    sender.exchange_declare("chat", "fanout")
    arrived = listen(channel, own_queue(channel, "chat"), no_ack=True)
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(interval):
            send(sender, "hello", exchange="chat")

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        drain(listener, arrived, count)
    finally:
        stop.set()
        speaker.join()
    # How many milliseconds it takes is for benchmarks/ to say.
    assert kernel_tells or 0 < max(pauses) < 1.1 * polling.LONGEST


def test_a_write_that_has_been_seen_does_not_wake_a_subscriber_later(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, sender = connect(), connect().channel()
    channel = listener.channel()
    sender.exchange_declare("chat", "fanout")
    arrived = listen(channel, own_queue(channel, "chat"), no_ack=True)
    told: list[bool] = []
    wait = polling.Watch.wait

    def waited(self: polling.Watch, *arguments: Any) -> tuple[bool, bool]:
        written, woken = wait(self, *arguments)
        told.append(written)
        return written, woken

    monkeypatch.setattr(polling.Watch, "wait", waited)
    for number in range(1, 4):
        # The second is found by looking, since there has just been the first.
        for count in (2 * number - 1, 2 * number):
            send(sender, "hello", exchange="chat")
            drain(listener, arrived, count)
        told.clear()
        with pytest.raises(TimeoutError):
            listener.drain_events(timeout=0.6)
        assert told, "the kernel was never asked"
        assert not any(told), "the kernel told of what had been seen"


def test_a_subscriber_that_waits_in_short_steps_looks_no_more_often_than_one_that_waits_for_long(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, sender = connect(), connect().channel()
    sender.exchange_declare("chat", "fanout")
    arrived = listen(listener.channel(), own_queue(listener.channel(), "chat"), no_ack=True)
    with pytest.raises(TimeoutError):
        listener.drain_events(timeout=1)  # until the kernel is asked
    looks = []
    changed = store.Store.changed

    def looked(self: store.Store) -> bool:
        looks.append(self)
        return changed(self)

    monkeypatch.setattr(store.Store, "changed", looked)
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(TimeoutError):
            listener.drain_events(timeout=0.01)
    assert len(looks) <= (time.monotonic() - began) / polling.ASLEEP + 1
    # A message is not waited for until the next look.
    monkeypatch.setattr(polling, "ASLEEP", 1000)
    send(sender, "hello", exchange="chat")
    deadline = Deadline(soon(10))
    while not arrived and not deadline.passed:
        with suppress(TimeoutError):
            listener.drain_events(timeout=0.01)
    assert arrived


def test_an_idle_subscriber_is_rarely_woken(commands: Commands, local_url: str) -> None:
    """The kernel counts how often a process was put to sleep. In a process of its own, since it counts all threads."""
    script = (
        "import resource, kombu\n"
        "from kchat import transports\n"
        "transports.register()\n"
        f"connection = kombu.Connection({local_url!r})\n"
        "channel = connection.channel()\n"
        "channel.exchange_declare('chat', 'fanout')\n"
        "queue = channel.queue_declare(exclusive=True, auto_delete=True).queue\n"
        "channel.queue_bind(queue, 'chat', '')\n"
        "channel.basic_consume(queue, callback=print)\n"
        "def idle(seconds):\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw\n"
        "    try: connection.drain_events(timeout=seconds)\n"
        "    except TimeoutError: return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before\n"
        "idle(1)  # until the kernel is asked\n"
        "print(idle(2))\n"
    )
    process = commands.python(script)
    assert process.wait() == 0, process.stderr
    # One look in each pause; twice as many, as the kernel has reasons of its own. Without it there are 140 a second.
    assert int(process.stdout) <= 2 * (2 / polling.ASLEEP + 1)
