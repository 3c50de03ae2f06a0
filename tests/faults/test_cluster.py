"""A cluster of two: clients of the node that dies continue on the other one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic

import pytest

from kchat import Sender, Settings, events
from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ
from tests.faults.parts import Listening, Sending, lost, repeats

pytestmark = pytest.mark.slow  # two nodes take twice as long to start

Measured = Callable[..., None]


@pytest.fixture
def nodes(rabbitmq_cluster: list[RabbitMQ]) -> list[RabbitMQ]:
    """Both running, whatever the last test left."""
    for node in rabbitmq_cluster:
        if not node.running:
            node.start()
    return rabbitmq_cluster


def test_a_stream_and_its_subscriber_go_on_with_the_other_node(
    nodes: list[RabbitMQ], room: str, measured: Measured
) -> None:
    first, second = nodes
    both = Settings.resolve(url=f"{first.url};{second.url}", room=room)
    other = Settings.resolve(url=second.url, room=room)
    killed_at = 0.0

    def stream() -> Iterator[str]:
        nonlocal killed_at
        for number in range(4000):
            if number == 2000:
                listening.wait_for_count(1000, 20)
                killed_at = monotonic()
                first.kill()
            yield str(number)

    with Listening(other) as listening, Listening(both) as moving:
        with Sending(both, stream()) as sending:
            pass
        assert sending.error is None
        listening.wait_for_count(4000, 20)
        back = moving.wait_for(events.Reconnected, 20)
        with Sender(both, "ada") as sender:
            assert sender.send("afterwards").routed
        moving.wait_for_text("afterwards", 10)
        listening.wait_for_text("afterwards", 10)
    assert f":{second.port}/" in str(back.event)
    expected = [str(number) for number in range(4000)]
    assert listening.texts == [*expected, "afterwards"]
    measured(
        "node of a cluster lost",
        "sender of a stream",
        noticed=sending.wait_for(events.Disconnected, 0.1).at - killed_at,
        back=sending.wait_for(events.Reconnected, 0.1).at - killed_at,
        lost=lost(expected, listening.texts),
        note=f"{repeats(listening.texts)} shown twice by who was on the other node",
    )
    measured(
        "node of a cluster lost",
        "subscriber",
        noticed=moving.wait_for(events.Disconnected, 0.1).at - killed_at,
        back=back.at - killed_at,
        note="said that it may have missed some",
    )


def test_the_commands_take_hosts_joined_by_a_comma(
    nodes: list[RabbitMQ], commands: Commands, room: str, measured: Measured
) -> None:
    first, second = nodes
    hosts = f"{first.host}:{first.port},{second.host}:{second.port}"
    account = {"RABBITMQ_DEFAULT_USER": first.username, "RABBITMQ_DEFAULT_PASS": first.password}
    there = ["--host", hosts, "--room", room]
    subscriber = commands.kchat("subscribe", *there, env=account)
    subscriber.wait_for("listening")
    first.kill()
    killed_at = monotonic()
    subscriber.wait_for("listening again", seconds=20)
    back = monotonic() - killed_at
    assert commands.run_kchat("send", *there, "--mandatory", "hello", env=account).code == 0
    assert "hello" in subscriber.read_line()
    assert first.password not in subscriber.stderr
    measured("node of a cluster lost", "kchat subscribe --host a,b", back=back)
    measured("node of a cluster lost", "kchat send --host a,b", lost=0)
