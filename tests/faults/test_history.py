"""A room with history, its broker restarted and the link cut in the middle of a stream: a plain subscriber misses nothing.

``KCHAT_TEST_HISTORY=all`` takes 100,000 messages, three restarts and 50 cuts; else it is shorter.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest

from kchat import Sender, Settings, Subscriber, events
from kchat.client.connection import connect
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.contract.people import drain
from tests.faults.parts import Listening, Sending

_ALL = os.environ.get("KCHAT_TEST_HISTORY") == "all"
COUNT, CUTS, KILLS = (100_000, 50, (False, True, True)) if _ALL else (20_000, 8, (False, True))
ROOM = "remembered"

pytestmark = pytest.mark.slow  # as long as RabbitMQ takes to start


def test_restarts_and_cuts_in_the_middle_of_a_stream_lose_nothing_and_double_nothing(
    breakable_rabbitmq: RabbitMQ,
) -> None:
    rabbitmq = breakable_rabbitmq
    if not rabbitmq.running:
        rabbitmq.start()
    settings = Settings.resolve(url=rabbitmq.url, room=ROOM)
    connection, _ = connect(settings, purpose="test")
    settings.transport.history(ROOM).switch_on(connection.channel())
    settings.transport.close(connection)
    sent = 0

    def stream() -> Iterator[str | None]:
        """As many as a part of the story takes, and then one now and then."""
        nonlocal sent
        for number in count():
            while number >= allowed[0]:
                yield None
                if over[0]:
                    return
            sent = number + 1
            yield str(number)

    allowed, over = [0], [False]
    breaks = CUTS + len(KILLS)
    part = COUNT // (2 * breaks)
    with Proxy(rabbitmq.port) as proxy:
        through = Settings.resolve(url=replace(settings.broker, port=proxy.port).url(), room=ROOM)
        with Listening(through) as listening, Sending(settings, stream(), reconnect_for=120) as sending:
            for number in range(breaks):
                allowed[0] += part
                wait_until(lambda: sent >= allowed[0] - part // 2, 60)  # in the middle of it
                if number < CUTS:
                    proxy.cut()
                else:
                    _restart(rabbitmq, kill=KILLS[number - CUTS])
                allowed[0] += part
                listening.wait_for(events.Reconnected, 120, number + 1)
            allowed[0] = COUNT
            over[0] = True
            sending.join(120)
            assert all(receipt.confirmed for receipt in sending.receipts)
            listening.wait_for_count(len(sending.receipts), 120)
            listening.subscriber.wake()
        assert listening.texts == [str(number) for number in range(len(sending.receipts))]
        told = [event for event in listening.told if isinstance(event, events.Reconnected)]
        assert len(told) >= breaks
        assert all(event.caught_up is not None and not event.missing for event in told)


def _restart(rabbitmq: RabbitMQ, *, kill: bool) -> None:
    if kill:
        rabbitmq.restart(kill=True)
    else:
        rabbitmq.ctl("stop_app")
        rabbitmq.ctl("start_app")
        rabbitmq.wait_until_ready()


def test_the_first_to_send_after_a_restart_is_in_the_history(breakable_rabbitmq: RabbitMQ) -> None:
    rabbitmq = breakable_rabbitmq
    if not rabbitmq.running:
        rabbitmq.start()
    settings = Settings.resolve(url=rabbitmq.url, room=f"{ROOM}-too")
    connection, _ = connect(settings, purpose="test")
    settings.transport.history(settings.room).switch_on(connection.channel())
    settings.transport.close(connection)
    _restart(rabbitmq, kill=False)  # it takes connections a moment before its streams are there
    with Sender(settings, "ada") as sender:
        sender.send("first")
    with Subscriber(settings, "bob", last=10) as subscriber:
        assert [message.text for message in drain(subscriber, 1)] == ["first"]
