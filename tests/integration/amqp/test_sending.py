"""A sender on RabbitMQ: confirmed, heard or not, with no right but the one to write."""

from __future__ import annotations

import pytest

from kchat import (
    Message,
    NotAuthorised,
    NotFound,
    Receipt,
    Returned,
    Sender,
    Settings,
    Subscriber,
    TooLarge,
    Unreachable,
)
from tests.brokers.ports import free_port
from tests.brokers.rabbitmq import RabbitMQ


def drain(subscriber: Subscriber, count: int) -> list[Message]:
    """Receives until so many messages are there, or none comes for 5 s."""
    messages: list[Message] = []
    while len(messages) < count and (batch := subscriber.receive(timeout=5)):
        messages += batch
        subscriber.acknowledge()
    return messages


def test_a_message_is_confirmed_and_heard(amqp_url: str) -> None:
    settings = Settings.resolve(url=amqp_url)
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
        receipt = sender.send("hello")
        assert receipt.confirmed
        assert receipt.heard is True
        (message,) = drain(subscriber, 1)
    assert (message.username, message.message, message.id) == ("ada", "hello", receipt.message.id)


def test_the_first_message_makes_the_room(rabbitmq: RabbitMQ, vhost: str) -> None:
    with Sender(Settings.resolve(url=rabbitmq.url_for(vhost), room="new room"), "ada") as sender:
        assert sender.send("hello").heard is False
    exchange = rabbitmq.management.exchange(vhost, "new room")
    assert exchange is not None
    assert (exchange["type"], exchange["durable"], exchange["auto_delete"]) == ("fanout", False, False)


def test_who_insists_on_a_listener_is_told_that_there_is_none(amqp_url: str) -> None:
    with Sender(Settings.resolve(url=amqp_url), "ada", mandatory=True) as sender, pytest.raises(Returned):
        sender.send("hello")


def test_an_account_that_may_only_write_can_send_to_a_room_that_exists(
    rabbitmq: RabbitMQ, vhost: str
) -> None:
    with (
        Subscriber(Settings.resolve(url=rabbitmq.url_for(vhost)), "bob") as subscriber,
        rabbitmq.new_account(vhost, write="^chat$") as account,
        Sender(Settings.resolve(url=account.url), "ada") as sender,
    ):
        assert sender.send("hello").heard is True
        (message,) = drain(subscriber, 1)
    assert message.account == account.username


def test_an_account_that_may_only_write_is_told_when_the_room_is_missing(
    rabbitmq: RabbitMQ, vhost: str
) -> None:
    with (
        rabbitmq.new_account(vhost, write="^chat$") as account,
        Sender(Settings.resolve(url=account.url), "ada") as sender,
        pytest.raises((NotAuthorised, NotFound)),
    ):
        sender.send("hello")


def test_an_account_that_may_not_write_gets_an_error_and_no_success(rabbitmq: RabbitMQ, vhost: str) -> None:
    with (
        Subscriber(Settings.resolve(url=rabbitmq.url_for(vhost)), "bob"),
        rabbitmq.new_account(vhost, read=".*") as account,
        Sender(Settings.resolve(url=account.url), "ada") as sender,
        pytest.raises(NotAuthorised),
    ):
        sender.send("hello")


def test_a_stream_is_confirmed_message_by_message_and_arrives_in_order(amqp_url: str) -> None:
    settings = Settings.resolve(url=amqp_url)
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada", window=100) as sender:
        receipts = list(sender.send_many(str(number) for number in range(3000)))
        messages = drain(subscriber, 3000)
    assert all(receipt.confirmed for receipt in receipts)
    assert [message.message for message in messages] == [str(number) for number in range(3000)]


def test_a_stream_to_a_room_that_does_not_exist_loses_nothing_to_its_making(amqp_url: str) -> None:
    with Sender(Settings.resolve(url=amqp_url), "ada") as sender:
        receipts = list(sender.send_many(["a", "b", "c"]))
    assert [receipt.message.message for receipt in receipts] == ["a", "b", "c"]
    assert all(receipt.confirmed for receipt in receipts)


def test_a_message_over_the_limit_is_refused_before_it_is_sent_and_the_stream_goes_on(amqp_url: str) -> None:
    settings = Settings.resolve(url=amqp_url)
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
        receipts: list[Receipt] = list(sender.send_many(["a", "x" * (17 << 20), "b"]))
        assert [message.message for message in drain(subscriber, 2)] == ["a", "b"]
    refused = [receipt for receipt in receipts if not receipt.confirmed]
    assert len(refused) == 1
    assert isinstance(refused[0].error, TooLarge)


def test_a_megabyte_of_any_script_goes_through(amqp_url: str) -> None:
    settings = Settings.resolve(url=amqp_url)
    text = "aé部🚀" * (1024 * 1024 // 10)
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
        sender.send(text)
        (message,) = drain(subscriber, 1)
    assert message.message == text


def test_a_pause_in_the_stream_hands_out_the_receipts_so_far(amqp_url: str) -> None:
    seen: list[Receipt] = []

    def lines() -> object:
        yield "a"
        while not seen:
            yield None
        yield "b"

    with Sender(Settings.resolve(url=amqp_url), "ada") as sender:
        for receipt in sender.send_many(lines()):  # type: ignore[arg-type]  # a generator, told apart by what it yields
            seen += [receipt]
    assert [receipt.message.message for receipt in seen] == ["a", "b"]


def test_nothing_listens_on_a_closed_port() -> None:
    with pytest.raises(Unreachable, match="connection refused"):
        Sender(Settings.resolve(url=f"amqp://127.0.0.1:{free_port()}/"), "ada").send("hello")


def test_a_wrong_password_is_told_apart_from_a_wrong_virtual_host(rabbitmq: RabbitMQ, vhost: str) -> None:
    wrong_password = Settings.resolve(
        host=rabbitmq.host, port=rabbitmq.port, vhost=vhost, username=rabbitmq.username, password="not this"
    )
    with pytest.raises(NotAuthorised):
        Sender(wrong_password, "ada").send("hello")
    with pytest.raises(NotFound, match="virtual host"):
        Sender(Settings.resolve(url=rabbitmq.url_for("no-such-vhost")), "ada").send("hello")


def test_the_connection_is_recognisable_in_the_dashboard(rabbitmq: RabbitMQ, vhost: str) -> None:
    with Sender(Settings.resolve(url=rabbitmq.url_for(vhost)), "ada") as sender:
        sender.send("hello")
        assert sender.settings.broker.password
        names = rabbitmq.ctl("list_connections", "client_properties", "vhost")
    assert "kchat send chat" in names
    assert sender.settings.broker.password not in names
