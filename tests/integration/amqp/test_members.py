"""Members of one room on a real RabbitMQ are walled off from each other, and leave nothing behind that publishes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from kchat import Refused, Sender, Settings, SettingsError, Subscriber
from kchat.transports.amqp.accounts import Accounts
from kchat.transports.amqp.room import RoomPolicy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.integration.amqp.guests import channel_of, got, invite, names, refused, spoil, widen

# ---- walls


def test_no_member_reaches_anothers_queue_or_the_hosts(
    management: Accounts, settings: Settings, name: str
) -> None:
    # Names of which one is the beginning of another, or looks like one in a pattern.
    mallory = invite(management, settings, name)
    others = {each: invite(management, settings, each) for each in (f"{name}.b", f"{name}b", f"{name}.")}
    for other in others.values():
        with Subscriber(other, durable="archive") as subscriber:
            queue = subscriber.queue_name
        with Subscriber(other) as passing:
            for victim in (queue, passing.queue_name):
                for method, more in (
                    ("queue_delete", ()),
                    ("queue_purge", ()),
                    ("basic_get", ()),
                    ("basic_consume", (print,)),
                    ("queue_unbind", ("chat",)),
                    ("queue_declare", ()),
                ):
                    refused(
                        mallory, lambda channel, do=(method, victim, *more): getattr(channel, do[0])(*do[1:])
                    )
    with Subscriber(settings, durable="archive") as host:
        assert host.queue_name == "kchat.chat.archive"
        refused(mallory, lambda channel: channel.queue_purge("kchat.chat.archive"))
        refused(mallory, lambda channel: channel.queue_delete("kchat.chat.archive"))
    own = f"kchat.chat.{name}.mine"
    for do in (
        lambda channel: channel.exchange_delete("kchat.chat.durable"),
        lambda channel: channel.exchange_declare("kchat.chat.durable", "direct", durable=True),
        lambda channel: channel.exchange_unbind("kchat.chat.durable", "chat"),
        lambda channel: channel.basic_publish("kchat.chat.durable", "", b"to those alone who are away"),
        lambda channel: channel.queue_declare(own, arguments={"x-dead-letter-exchange": "lunch"}),
        lambda channel: channel.exchange_declare("kchat.chat.new", "fanout"),
    ):
        refused(mallory, do)


@pytest.mark.parametrize(
    "account", ["ada", "ada.b", "a+d*a?(b)[c]|d^e$f", "部屋", "ada lovelace", "a%2Eb", "x" * 150]
)
def test_a_member_of_any_name_listens_through_queues_of_its_own(
    management: Accounts, settings: Settings, name: str, account: str
) -> None:
    account = f"{name}{account}"
    member = invite(management, settings, account)
    with (
        Subscriber(member, "another name") as subscriber,
        Subscriber(member, account) as own,
        Subscriber(member, durable="archive") as durable,
        Sender(member, account) as sender,
    ):
        assert subscriber.queue_name.startswith(
            RoomPolicy(settings.room).queue_name(account, "another name") + "."
        )
        assert own.queue_name.rpartition(".")[0] == RoomPolicy(settings.room).queue_name(account)
        assert durable.queue_name == RoomPolicy(settings.room).queue_name(account, "archive")
        sender.send("hello")
        for each in (subscriber, own, durable):
            (message,) = each.receive(timeout=30)
            assert message.verified
            each.acknowledge()


def test_a_members_durable_queue_survives_what_a_restart_takes_away(
    rabbitmq: RabbitMQ, management: Accounts, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name)
    with Subscriber(member, durable="archive"):
        pass
    # As a restart does: the room goes, and with it its bindings.
    rabbitmq.management.delete_exchange(settings.broker.vhost, "chat")
    with Sender(settings, "host") as sender:
        assert sender.send("while nobody was there").routed is True
    with Subscriber(member, durable="archive") as subscriber:
        (message,) = subscriber.receive(timeout=30)
        assert message.text == "while nobody was there"
        subscriber.acknowledge()
        # What keeps the exchange is not the last queue.
    with channel_of(member) as channel:
        channel.queue_delete(RoomPolicy(member.room).queue_name(name, "archive"))
    assert rabbitmq.management.exchange(settings.broker.vhost, "kchat.chat.durable") is not None
    management.revoke(name)
    assert names(rabbitmq, settings) == set(), "nothing is left once there are no members"


def test_a_member_that_comes_back_finds_its_durable_queue_again(
    rabbitmq: RabbitMQ, management: Accounts, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name)
    told: list[Any] = []
    with (
        Subscriber(settings, durable="archive"),
        Subscriber(member, durable="archive", on_event=told.append) as own,
    ):
        management.close_connections(name, "a test")
        wait_until(
            lambda: own.receive(timeout=0.1) or any(type(each).__name__ == "Reconnected" for each in told), 20
        )
        assert told[-1].durable
        assert own.queue_name == RoomPolicy(member.room).queue_name(name, "archive")


def test_the_name_of_the_exchange_that_members_read_is_not_a_queues(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="durable"):
        Subscriber(settings, durable="durable")


# ---- an exchange in the way


def test_an_exchange_that_a_member_has_put_in_the_way_locks_nobody_out_and_is_replaced(
    rabbitmq: RabbitMQ, management: Accounts, settings: Settings, name: str
) -> None:
    vhost = settings.broker.vhost
    wide = invite(management, settings, name)
    widen(management, settings, name)
    honest = invite(management, settings, f"{name}-honest")
    with Subscriber(settings, durable="archive"), Subscriber(honest, durable="archive"):
        pass
    for kind, more in (
        ("direct", {}),
        ("fanout", {"durable": True}),
        ("fanout", {"durable": True, "auto_delete": True, "arguments": {"alternate-exchange": "chat"}}),
        ("fanout", {"durable": True, "auto_delete": True, "internal": True}),
    ):
        spoil(wide, kind, **more)
        for anybody in (settings, honest):
            with Subscriber(anybody, durable="archive") as subscriber, Sender(settings, "host") as sender:
                sent = sender.send("hello").message
                wait_until(partial(got, subscriber, sent.id), 10)
        assert management.repair_room(settings, management.all_accounts())
        assert not management.repair_room(settings, management.all_accounts())
    spoil(wide, "topic")
    management.revoke(name)
    exchange = rabbitmq.management.exchange(vhost, "kchat.chat.durable")
    assert exchange is not None
    assert (exchange["type"], exchange["durable"], exchange["auto_delete"]) == ("fanout", True, True)
    bound = {each["destination"] for each in rabbitmq.management.bindings(vhost, "kchat.chat.durable")}
    archives = {"kchat.chat.archive", RoomPolicy(settings.room).queue_name(f"{name}-honest", "archive")}
    assert bound == {"kchat.chat.durable", *archives}
    assert "kchat.chat.durable" in {
        each["destination"] for each in rabbitmq.management.bindings(vhost, "chat")
    }


def test_an_exchange_in_the_way_is_replaced_in_a_room_without_members_too(
    rabbitmq: RabbitMQ, management: Accounts, settings: Settings
) -> None:
    with Subscriber(settings, durable="archive"):
        pass
    spoil(settings)
    assert management.repair_room(settings, [])
    vhost = settings.broker.vhost
    bound = {each["destination"] for each in rabbitmq.management.bindings(vhost, "kchat.chat.durable")}
    assert bound == {"kchat.chat.archive"}
    rabbitmq.management.delete_queue(vhost, "kchat.chat.archive")
    assert names(rabbitmq, settings) == set()


# ---- what is left


# ---- names


def test_no_account_is_made_whose_name_can_be_taken_for_anothers(
    management: Accounts, settings: Settings, name: str
) -> None:
    invite(management, settings, name)
    odd = [
        f"{name} ",
        f" {name}",
        f"{name}\u00a0",
        f"{name}\u200b",
        f"{name}\u202e",
        f"{name}\u115f",
        f"{name}\ufe0f",
        f"\u0430{name}",  # Cyrillic
        "ne\u0301e",  # not in form C
        "\uff41da",  # fullwidth
        f"bob (via {name})",
        f"{name}?",
        f"{name}  b",
    ]
    taken = []
    for each in odd:
        try:
            management.create(settings, each)
        except SettingsError:
            assert management.user(each) is None
        else:
            taken.append(each)
    assert taken == []
    invite(management, settings, f"O{name}")
    with pytest.raises(Refused, match="looks like"):
        management.create(settings, f"0{name}")
