"""Two RabbitMQ and a bridge both ways between them, each of which is ended and started again under load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from kchat import Settings, events
from kchat.client.way import PREFETCH
from tests.brokers.processes import Commands, Process
from tests.brokers.rabbitmq import RabbitMQ, start_rabbitmq
from tests.brokers.wait import wait_until
from tests.faults.parts import Listening, Sending

pytestmark = pytest.mark.slow  # as long as RabbitMQ takes to start, several times

COUNT = 20_000
ROOM = "bridged"


@pytest.fixture(scope="module")
def other_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A second RabbitMQ that the tests of this module break."""
    with start_rabbitmq(tmp_path_factory.mktemp("other-rabbitmq")) as node:
        yield node


def restart_app(node: RabbitMQ) -> None:
    """Ends the broker and starts it in the node that goes on."""
    node.ctl("stop_app")
    node.ctl("start_app")
    node.wait_until_ready()


class Streams:
    """What is sent on both sides, held up until a test lets it go on."""

    def __init__(self) -> None:
        self.upto = 0
        self.sent = {"ada": 0, "eve": 0}

    def of(self, who: str) -> Iterator[str | None]:
        for number in range(COUNT):
            while number >= self.upto:
                yield None
            self.sent[who] = number
            yield f"{who} {number}"

    def go_on(self, upto: int) -> None:
        """Have the next ones sent; returns in the middle of it."""
        half = (self.upto + upto) // 2
        self.upto = upto
        wait_until(lambda: min(self.sent.values()) >= half, 120, lambda: f"{self.sent} sent, not {half}")


def test_nothing_is_lost_or_twice_whatever_is_ended_under_load(
    own_rabbitmq: RabbitMQ, other_rabbitmq: RabbitMQ, commands: Commands, measured: Callable[..., None]
) -> None:
    nodes = own_rabbitmq, other_rabbitmq
    ends = [Settings.resolve(url=node.url, room=ROOM) for node in nodes]
    whole = [[f"{who} {number}" for number in range(COUNT)] for who in ("ada", "eve")]

    def start(name: str) -> Process:
        process = commands.kchat(
            "bridge",
            "--from",
            nodes[0].url,
            "--to",
            nodes[1].url,
            "--both",
            "--room-map",
            ROOM,
            "--name",
            name,
        )
        process.wait_for("bridging", seconds=60)
        return process

    streams = Streams()
    with ExitStack() as stack:
        heard = [stack.enter_context(Listening(end, durable="all", prefetch=2000)) for end in ends]
        process = start("one")
        sending = [
            stack.enter_context(Sending(end, streams.of(who), who, reconnect_for=300))
            for end, who in zip(ends, ("ada", "eve"), strict=True)
        ]
        for number, node in enumerate(nodes):
            streams.go_on(streams.upto + 4_000)
            restart_app(node)
            heard[number].wait_for(events.Reconnected, 60)
        streams.go_on(streams.upto + 4_000)
        process.signal(9)
        process.wait()
        process = start("one")
        streams.go_on(streams.upto + 4_000)
        for listening in heard:
            listening.wait_for_count(2 * streams.upto, 180)
        # The first one has caught up: the second one begins here, and would be ahead of it.
        second = start("two")
        streams.go_on(COUNT)
        for stream in sending:
            stream.join(300)
            assert stream.error is None
            assert all(receipt.confirmed for receipt in stream.receipts)
        for listening in heard:
            listening.wait_for_count(2 * COUNT, 180)
        for bridge in (process, second):
            bridge.interrupt()
            assert bridge.wait(30) == 0
        told = process.stderr + second.stderr
    for listening in heard:
        for who, all_of_them in zip(("ada", "eve"), whole, strict=True):
            assert [text for text in listening.texts if text.startswith(who)] == all_of_them
        assert len(listening.texts) == 2 * COUNT
    assert "not bridged" not in told
    measured("brokers restarted, bridge killed, two bridges", "durable subscriber behind a bridge", lost=0)


def test_with_one_side_away_the_bridge_takes_no_more_than_its_window_and_can_be_ended(
    own_rabbitmq: RabbitMQ, other_rabbitmq: RabbitMQ, commands: Commands
) -> None:
    room = "waiting"
    one, other = (Settings.resolve(url=node.url, room=room) for node in (own_rabbitmq, other_rabbitmq))
    texts = [str(number) for number in range(COUNT)]
    command = ["bridge", "--from", own_rabbitmq.url, "--to", other_rabbitmq.url, "--room-map", room]
    with Listening(other, durable="all", prefetch=2000) as heard:
        process = commands.kchat(*command, "--name", "b")
        process.wait_for("bridging")
        other_rabbitmq.ctl("stop_app")
        with Sending(one, iter(texts)) as sending:
            pass
        assert all(receipt.confirmed for receipt in sending.receipts)

        def taken() -> dict[str, int] | None:
            found = own_rabbitmq.management.queue("/", f"kchat.{room}.b") or {}
            return found if found.get("messages") == COUNT and found["messages_unacknowledged"] else None

        assert wait_until(taken, 30, "the queue's length")["messages_unacknowledged"] <= PREFETCH
        assert "connection lost" in process.stderr
        process.interrupt()
        assert process.wait(30) == 0
        process = commands.kchat(*command, "--name", "b", "--wait")
        process.wait_for("trying again")
        other_rabbitmq.ctl("start_app")
        heard.wait_for_count(COUNT, 120)
        assert heard.texts == texts
        process.interrupt()
        assert process.wait(30) == 0
