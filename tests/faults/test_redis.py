"""Redis killed, and the link to it cut and silenced. It keeps nothing: what matters is to come back, and to say so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import monotonic

import pytest

from kchat import Sender, Settings, events
from tests.brokers.proxy import Proxy
from tests.brokers.redis import Redis
from tests.brokers.wait import soon
from tests.faults.parts import Listening, Sending

Measured = Callable[..., None]


def test_a_restart_is_survived_by_both_and_told(own_redis: Redis, room: str, measured: Measured) -> None:
    settings = Settings.resolve(url=own_redis.url, room=room)
    with Listening(settings) as listening, Sender(settings, "ada") as sender:
        sender.send("before")
        listening.wait_for_text("before", 5)
        killed_at = monotonic()
        own_redis.kill()
        noticed = listening.wait_for(events.Disconnected, 5).at
        own_redis.start()
        ready_at = monotonic()
        back = listening.wait_for(events.Reconnected, 10)
        assert "may have been missed" in str(back.event)
        assert sender.send("after").confirmed
        listening.wait_for_text("after", 5)
    measured(
        "server killed and started",
        "subscriber",
        on="redis",
        noticed=noticed - killed_at,
        back=back.at - ready_at,
    )
    measured("server killed and started", "sender of one message", on="redis", lost=0)


def test_a_stream_goes_on_after_a_restart(own_redis: Redis, room: str, measured: Measured) -> None:
    settings = Settings.resolve(url=own_redis.url, room=room)

    killed = threading.Event()

    def stream() -> Iterator[str]:
        for number in range(2000):
            if number == 1000:
                killed.wait(30)
            yield str(number)

    with Listening(settings) as listening:
        with Sending(settings, stream()) as sending:
            listening.wait_for_count(1000, 20)
            own_redis.kill()
            killed.set()
            sending.wait_for(events.Reconnecting, 10)
            own_redis.start()
        assert sending.error is None
        listening.wait_for_text("1999", 20)
    assert all(receipt.confirmed for receipt in sending.receipts)
    missing = 2000 - len(set(listening.texts))
    measured("server killed and started", "sender of a stream", on="redis", lost=missing)
    assert missing == 0, "nobody was listening, and the sender did not wait"


@pytest.mark.parametrize("how", ["cut", "silent"])
def test_a_broken_link_is_noticed(
    own_redis: Redis, proxy_to: Callable[[int], Proxy], room: str, how: str, measured: Measured
) -> None:
    link = proxy_to(own_redis.port)
    url = f"redis://{link.host}:{link.port}/0"
    settings = Settings.resolve(url=url, room=room, connect_timeout=1, confirm_timeout=1, heartbeat=1)
    straight = Settings.resolve(url=own_redis.url, room=room)
    with Listening(settings) as listening:
        broken_at = monotonic()
        if how == "cut":
            link.cut()
        else:
            link.black_hole()
        noticed = listening.wait_for(events.Disconnected, 5).at
        assert noticed - broken_at < soon(2.5)
        link.restore()
        restored_at = monotonic()
        back = listening.wait_for(events.Reconnected, 10).at
        with Sender(straight, "ada") as sender:
            sender.send("hello")
        listening.wait_for_text("hello", 5)
    measured(
        f"link {how}",
        "subscriber",
        on="redis",
        noticed=noticed - broken_at,
        back=back - restored_at,
    )
