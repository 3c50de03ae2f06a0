"""A bridge with what RabbitMQ has: guests' accounts, a room's history, accounts that are checked."""

from __future__ import annotations

import time

import pytest

from kchat import Sender, Settings, Subscriber
from kchat.client.bridge import Bridge
from kchat.client.carried import Source
from kchat.client.connection import connect
from kchat.transports.amqp.accounts import Accounts
from tests.brokers.wait import Deadline, soon, wait_until
from tests.integration.amqp.guests import invite


@pytest.fixture
def other(local_url: str) -> Settings:
    """The room at the other end."""
    return Settings.resolve(url=local_url, room="chat")


def received(subscriber: Subscriber, last: str) -> list[str]:
    """The texts up to the last one."""
    deadline, texts = Deadline(soon(20)), list[str]()
    while last not in texts:
        assert not deadline.passed, texts
        texts += [message.text for message in subscriber.receive(timeout=0.5)]
        subscriber.acknowledge()
    return texts


def send(settings: Settings, *texts: str) -> None:
    with Sender(settings, "ada") as sender:
        assert all(receipt.confirmed for receipt in sender.send_many(texts))


def test_a_guests_account_is_enough_for_both_ways(
    management: Accounts, settings: Settings, name: str, other: Settings
) -> None:
    member = invite(management, settings, name)
    with Source(settings, "bob") as here, Source(other, "bob") as there:
        with Bridge(member, other, both=True) as bridge:
            send(settings, "from the host")
            send(other, "from over there")
            assert sorted(received(there, "from the host")) == ["from over there", "from the host"]
            assert sorted(received(here, "from over there")) == ["from over there", "from the host"]
        send(settings, "while the bridge is away")
        with Bridge(
            member, other, since=time.time() - 60
        ) as bridge:  # not its first start: nothing comes again
            assert received(there, "while the bridge is away") == ["while the bridge is away"]
    assert bridge.ways[0].durable is not None


def test_a_rooms_history_is_carried_over_before_what_is_said_now(settings: Settings, other: Settings) -> None:
    connection, _ = connect(settings, purpose="test")
    with Subscriber(settings):  # the room is there
        settings.transport.history(settings.room).switch_on(connection.channel())
    settings.transport.close(connection)
    before = [f"before {number}" for number in range(300)]
    send(settings, *before)
    since = time.time() - 60
    with Subscriber(other, "bob") as there:
        with Bridge(settings, other, since=since):
            send(settings, "now")
            assert received(there, "now") == [*before, "now"]
        send(settings, "later")
        with Bridge(settings, other, since=since) as again:
            assert received(there, "later") == ["later"]
        # "now" stood in the history and in the queue, which the first bridge may not have read any more.
        assert again.ways[0].bridged <= 2


def test_a_history_that_was_not_carried_whole_is_carried_again(
    management: Accounts, settings: Settings, name: str, other: Settings
) -> None:
    connection, _ = connect(settings, purpose="test")
    with Subscriber(settings):  # the room is there
        settings.transport.history(settings.room).switch_on(connection.channel())
    member = invite(management, settings, name)
    before = [f"before {number}" for number in range(3000)]
    send(settings, *before)
    since = time.time() - 60
    for source, bridge_name in ((settings, "host"), (member, "guest")):
        with Subscriber(other, "bob") as there:
            with Bridge(source, other, name=bridge_name, since=since) as first:
                pass
            assert first.ways[0].bridged < len(before)
            send(settings, f"away {bridge_name}")
            with Bridge(source, other, name=bridge_name, since=time.time()) as second:
                texts = received(there, f"away {bridge_name}")
                wait_until(lambda way=second.ways[0]: not way.carries_history)  # type: ignore[misc]  # bound now
            assert [text for text in texts if text in before] == before  # each id once
            with Bridge(source, other, name=bridge_name, since=since) as third:
                send(settings, f"later {bridge_name}")
                assert f"later {bridge_name}" in received(there, f"later {bridge_name}")
            assert third.ways[0].bridged <= 3
    settings.transport.close(connection)
