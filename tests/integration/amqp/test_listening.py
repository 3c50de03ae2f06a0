"""A subscriber on RabbitMQ: its queue, the room as it is found, and what others send."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import amqp.channel
import pika
import pytest

from kchat import Message, NotAuthorised, Refused, Sender, Settings, SettingsError, Subscriber
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until


def one(subscriber: Subscriber) -> Message:
    """The one message that is there."""
    (message,) = subscriber.receive(timeout=30)
    subscriber.acknowledge()
    return message


def queue_of(rabbitmq: RabbitMQ, vhost: str, name: str) -> dict[str, Any]:
    """What the dashboard knows of a queue, once it knows it."""
    return wait_until(lambda: rabbitmq.management.queue(vhost, name), what="the queue in the dashboard")


def test_a_subscribers_queue_is_its_own_and_cannot_fill_the_broker(rabbitmq: RabbitMQ, vhost: str) -> None:
    with Subscriber(Settings.resolve(url=rabbitmq.url_for(vhost)), "bob") as subscriber:
        assert subscriber.queue_name.startswith(f"kchat.chat.{rabbitmq.username}.bob.")
        queue = queue_of(rabbitmq, vhost, subscriber.queue_name)
        assert queue["exclusive"] is True
        assert queue["auto_delete"] is True
        assert queue["durable"] is False
        assert queue["arguments"]["x-overflow"] == "drop-head"
        assert queue["arguments"]["x-max-length"] > 0
    wait_until(
        lambda: rabbitmq.management.queue(vhost, subscriber.queue_name) is None, what="the queue to go"
    )


def test_two_subscribers_of_one_name_each_get_every_message(amqp_url: str) -> None:
    settings = Settings.resolve(url=amqp_url)
    with (
        Subscriber(settings, "bob") as first,
        Subscriber(settings, "bob") as second,
        Sender(settings, "ada") as sender,
    ):
        sender.send("hello")
        assert one(first).text == one(second).text == "hello"


@pytest.mark.parametrize("durable", [True, False])
def test_a_room_that_exists_with_other_flags_is_adopted(
    rabbitmq: RabbitMQ, vhost: str, durable: bool
) -> None:
    rabbitmq.management.add_exchange(vhost, "chat", durable=durable)
    settings = Settings.resolve(url=rabbitmq.url_for(vhost))
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
        sender.send("hello")
        assert one(subscriber).text == "hello"


def test_an_exchange_that_is_no_fanout_is_no_room(rabbitmq: RabbitMQ, vhost: str) -> None:
    rabbitmq.management.add_exchange(vhost, "chat", kind="direct")
    with pytest.raises(Refused, match="not a fanout exchange"):
        Subscriber(Settings.resolve(url=rabbitmq.url_for(vhost)), "bob").open()


def test_an_account_that_may_not_declare_the_room_can_listen_to_it(rabbitmq: RabbitMQ, vhost: str) -> None:
    rabbitmq.management.add_exchange(vhost, "chat")
    own = r"^kchat\.chat\..*"
    with (
        rabbitmq.new_account(vhost, configure=own, write=rf"{own}|^chat$", read=rf"{own}|^chat$") as account,
        Subscriber(Settings.resolve(url=account.url), "bob") as subscriber,
        Sender(Settings.resolve(url=account.url), "ada") as sender,
    ):
        sender.send("hello")
        assert one(subscriber).account == account.username


def test_an_account_that_may_not_listen_is_told_so(rabbitmq: RabbitMQ, vhost: str) -> None:
    rabbitmq.management.add_exchange(vhost, "chat")
    with rabbitmq.new_account(vhost, write="^chat$") as account, pytest.raises(NotAuthorised):
        Subscriber(Settings.resolve(url=account.url), "bob").open()


def test_unacknowledged_messages_stay_with_the_broker(amqp_url: str) -> None:
    settings = Settings.resolve(url=amqp_url)
    with Subscriber(settings, "bob", durable="archive") as subscriber, Sender(settings, "ada") as sender:
        list(sender.send_many(["a", "b", "c"]))
        assert subscriber.receive(timeout=30, limit=1)[0].text == "a"
        subscriber.acknowledge()
        assert subscriber.receive(timeout=30, limit=1)[0].text == "b"
    with Subscriber(settings, "bob", durable="archive") as again:
        received = [one_more for _ in range(2) for one_more in again.receive(timeout=30, limit=1)]
        again.acknowledge()
    assert [message.text for message in received] == ["b", "c"]
    assert received[0].redelivered


def test_a_durable_queue_keeps_what_is_sent_while_its_subscriber_is_away(
    rabbitmq: RabbitMQ, vhost: str
) -> None:
    settings = Settings.resolve(url=rabbitmq.url_for(vhost))
    with Subscriber(settings, "bob", durable="archive") as subscriber:
        name = subscriber.queue_name
    assert queue_of(rabbitmq, vhost, name)["arguments"]["x-queue-type"] == "quorum"
    with Sender(settings, "ada") as sender:
        assert sender.send("while you were out").routed is True
    with Subscriber(settings, "bob", durable="archive") as subscriber:
        assert one(subscriber).text == "while you were out"


@pytest.mark.parametrize("first", ["kchat", "pika"])
def test_a_tutorial_client_and_kchat_talk_both_ways_whoever_comes_first(amqp_url: str, first: str) -> None:
    settings = Settings.resolve(url=amqp_url)
    subscriber = Subscriber(settings, "bob")
    if first == "kchat":
        subscriber.open()
    with closing(pika.BlockingConnection(pika.URLParameters(amqp_url))) as connection:
        channel = connection.channel()
        channel.exchange_declare(exchange="chat", exchange_type="fanout")
        queue = channel.queue_declare(queue="", exclusive=True).method.queue
        channel.queue_bind(exchange="chat", queue=queue)
        with subscriber, Sender(settings, "ada") as sender:
            channel.basic_publish(
                "chat", "", json.dumps({"username": "tutor", "message": "from pika"}).encode()
            )
            routed = one(subscriber)
            assert (routed.username, routed.text) == ("tutor", "from pika")
            sender.send("from kchat")
            told, properties = next(
                (message, properties)
                for _, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=30)
                if (message := json.loads(body))["message"] == "from kchat"
            )
    assert told["username"] == "ada"
    assert properties.content_type == "application/json"
    assert properties.message_id == told["id"]
    assert properties.user_id == settings.broker.account


def test_text_typed_into_the_dashboard_is_a_message_of_nobody(rabbitmq: RabbitMQ, vhost: str) -> None:
    with Subscriber(Settings.resolve(url=rabbitmq.url_for(vhost)), "bob") as subscriber:
        assert rabbitmq.management.publish(vhost, "chat", "hello from the dashboard")
        message = one(subscriber)
    assert (message.username, message.text) == (None, "hello from the dashboard")


def test_a_message_that_says_it_is_compressed_or_pickled_is_neither_inflated_nor_run(amqp_url: str) -> None:
    with (
        Subscriber(Settings.resolve(url=amqp_url), "bob") as subscriber,
        closing(pika.BlockingConnection(pika.URLParameters(amqp_url))) as connection,
    ):
        properties = pika.BasicProperties(
            content_type="application/x-python-serialize",
            content_encoding="binary",
            headers={"compression": "application/x-gzip"},
        )
        connection.channel().basic_publish("chat", "", b"\x1f\x8b not inflated", properties)
        assert one(subscriber).body == b"\x1f\x8b not inflated"


def test_a_subscriber_whose_queue_an_operator_deletes_listens_again_under_a_new_name(
    rabbitmq: RabbitMQ, vhost: str
) -> None:
    settings = Settings.resolve(url=rabbitmq.url_for(vhost))
    told: list[str] = []
    with Subscriber(settings, "bob", on_event=lambda event: told.append(type(event).__name__)) as subscriber:
        before = subscriber.queue_name
        queue_of(rabbitmq, vhost, before)
        # An exclusive queue is locked for everybody but its owner, so it goes with its connection.
        (connection,) = wait_until(
            lambda: rabbitmq.management.connections(vhost), what="the connection in the dashboard"
        )
        rabbitmq.management.close_connection(connection["name"])
        wait_until(lambda: subscriber.receive(timeout=0.1) == [] and "Reconnected" in told, 30)
        assert subscriber.queue_name != before
        with Sender(settings, "ada") as sender:
            sender.send("hello again")
        assert one(subscriber).text == "hello again"
    assert told[0] == "Disconnected"


def test_the_brokers_own_fanout_exchange_is_a_room_that_is_never_declared(
    rabbitmq: RabbitMQ, vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared: list[tuple[str, bool]] = []
    declare = amqp.channel.Channel.exchange_declare

    def noted(self: Any, exchange: str, *arguments: Any, passive: bool = False, **options: Any) -> Any:
        declared.append((exchange, passive))
        return declare(self, exchange, *arguments, passive=passive, **options)

    monkeypatch.setattr(amqp.channel.Channel, "exchange_declare", noted)
    settings = Settings.resolve(url=rabbitmq.url_for(vhost), room="amq.fanout")
    with (
        Subscriber(settings, "bob") as subscriber,
        Subscriber(settings, "bob", durable="archive") as archive,
        Sender(settings, "ada") as sender,
    ):
        assert sender.send("hello").routed
        assert one(subscriber).text == one(archive).text == "hello"
    assert declared
    assert ("amq.fanout", False) not in declared


def test_the_brokers_own_exchanges_of_other_types_are_no_rooms(amqp_url: str) -> None:
    for name in ("amq.direct", "amq.topic", "amq.headers", "amq.match"):
        with pytest.raises(SettingsError):
            Settings.resolve(url=amqp_url, room=name)


def test_a_messages_routing_key_is_its_room_so_that_mqtt_clients_get_a_topic(
    rabbitmq: RabbitMQ, vhost: str
) -> None:
    settings = Settings.resolve(url=rabbitmq.url_for(vhost), room="lunch")
    parameters = pika.URLParameters(rabbitmq.url_for(vhost))
    with (
        Subscriber(settings, "bob") as subscriber,
        closing(pika.BlockingConnection(parameters)) as connection,
    ):
        # As somebody sets it up: the plug-in's clients are bound to amq.topic, by topics in which "/" is ".".
        channel = connection.channel()
        channel.exchange_bind("amq.topic", "lunch")
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "amq.topic", "lunch")
        with Sender(settings, "ada") as sender:
            sender.send("hello")
        method, _, body = wait_until(lambda: _got(channel, queue), what="the message behind amq.topic")
        assert method.routing_key == "lunch"
        assert json.loads(body)["message"] == "hello"
        assert one(subscriber).text == "hello"


def _got(channel: Any, queue: str) -> Any:
    found = channel.basic_get(queue)
    return found if found[0] else None


def test_the_broker_hands_over_no_more_than_the_prefetch_unacknowledged(
    rabbitmq: RabbitMQ, vhost: str
) -> None:
    settings = Settings.resolve(url=rabbitmq.url_for(vhost))
    with Subscriber(settings, "bob", prefetch=7) as subscriber, Sender(settings, "ada") as sender:
        list(sender.send_many(map(str, range(100))))
        came: list[str] = []
        while len(came) < 7:
            came += [message.text for message in subscriber.receive(timeout=30)]
        assert subscriber.receive(timeout=1) == []
        assert came == [str(number) for number in range(7)]
        subscriber.acknowledge()
        assert subscriber.receive(timeout=30)[0].text == "7"
