"""A sender on RabbitMQ: confirmed, heard or not, with no right but the one to write."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from kchat import (
    Message,
    NotAuthorised,
    NotConfirmed,
    NotFound,
    Receipt,
    Returned,
    Sender,
    Settings,
    Subscriber,
    TooLarge,
    Unreachable,
)
from kchat.events import Event
from tests.brokers.ports import free_port
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until


def drain(subscriber: Subscriber, count: int) -> list[Message]:
    """Receives until that number of messages is there, or none comes for 5 s."""
    messages: list[Message] = []
    while len(messages) < count and (batch := subscriber.receive(timeout=30)):
        messages += batch
        subscriber.acknowledge()
    return messages


def receipts_and_error(stream: Iterator[Receipt]) -> tuple[list[Receipt], Exception | None]:
    """What a stream hands out, and what it raises at the end."""
    receipts: list[Receipt] = []
    try:
        for receipt in stream:
            receipts.append(receipt)  # noqa: PERF402 - they are returned if it raises
    except Exception as error:  # noqa: BLE001 - a test says which it has to be
        return receipts, error
    return receipts, None


def refuse_events(event: Event) -> None:
    """An ``on_event`` for a sender of which a test knows that its connection stays."""
    raise AssertionError(event)


def test_a_message_is_confirmed_and_heard(amqp_url: str) -> None:
    settings = Settings.resolve(url=amqp_url)
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
        receipt = sender.send("hello")
        assert receipt.confirmed
        assert receipt.routed is True
        (message,) = drain(subscriber, 1)
    assert (message.username, message.text, message.id) == ("ada", "hello", receipt.message.id)


def test_the_first_message_makes_the_room(rabbitmq: RabbitMQ, vhost: str) -> None:
    with Sender(Settings.resolve(url=rabbitmq.url_for(vhost), room="new room"), "ada") as sender:
        assert sender.send("hello").routed is False
    exchange = rabbitmq.management.exchange(vhost, "new room")
    assert exchange is not None
    assert (exchange["type"], exchange["durable"], exchange["auto_delete"]) == ("fanout", False, False)


def test_a_mandatory_message_without_a_subscriber_is_returned(amqp_url: str) -> None:
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
        assert sender.send("hello").routed is True
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
    assert [message.text for message in messages] == [str(number) for number in range(3000)]


def test_a_stream_to_a_room_that_does_not_exist_loses_nothing_to_its_making(amqp_url: str) -> None:
    with Sender(Settings.resolve(url=amqp_url), "ada") as sender:
        receipts = list(sender.send_many(["a", "b", "c"]))
    assert [receipt.message.text for receipt in receipts] == ["a", "b", "c"]
    assert all(receipt.confirmed for receipt in receipts)


def test_a_message_over_the_limit_is_refused_before_it_is_sent_and_the_stream_goes_on(amqp_url: str) -> None:
    settings = Settings.resolve(url=amqp_url)
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
        receipts: list[Receipt] = list(sender.send_many(["a", "x" * (17 << 20), "b"]))
        assert [message.text for message in drain(subscriber, 2)] == ["a", "b"]
    refused = [receipt for receipt in receipts if not receipt.confirmed]
    assert len(refused) == 1
    assert isinstance(refused[0].error, TooLarge)


def test_a_megabyte_of_any_script_goes_through(amqp_url: str) -> None:
    settings = Settings.resolve(url=amqp_url)
    text = "aé部🚀" * (1024 * 1024 // 10)
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
        sender.send(text)
        (message,) = drain(subscriber, 1)
    assert message.text == text


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
    assert [receipt.message.text for receipt in seen] == ["a", "b"]


def test_receipts_come_while_the_stream_goes_on(amqp_url: str) -> None:
    seen: list[Receipt] = []

    def lines() -> Iterator[str]:
        for number in range(500):
            if seen:
                return
            threading.Event().wait(0.02)
            yield str(number)
        raise AssertionError("not one receipt in ten seconds")

    with Sender(Settings.resolve(url=amqp_url), "ada") as sender:
        for receipt in sender.send_many(lines()):
            seen.append(receipt)  # noqa: PERF402 - the iterable looks at it meanwhile


def test_a_stream_that_raises_has_its_earlier_messages_sent(amqp_url: str) -> None:
    def lines() -> Iterator[str]:
        yield from map(str, range(300))
        raise LookupError("no more")

    settings = Settings.resolve(url=amqp_url)
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
        receipts, error = receipts_and_error(sender.send_many(lines()))
        assert isinstance(error, LookupError)
        assert sender.unsettled == 0
        assert len(drain(subscriber, 300)) == 300
    assert [receipt.confirmed for receipt in receipts] == [True] * 300


def test_an_invalid_item_fails_after_the_messages_before_it(amqp_url: str) -> None:
    with Sender(Settings.resolve(url=amqp_url), "ada") as sender:
        receipts, error = receipts_and_error(sender.send_many(["a", 5, "b"]))  # type: ignore[list-item]  # the 5
        assert isinstance(error, TypeError)
        assert sender.send("c").confirmed
    assert [receipt.message.text for receipt in receipts] == ["a"]


@pytest.mark.parametrize("one", ["hello", Message.compose("ada", "hello")], ids=["text", "message"])
def test_one_message_is_not_taken_for_many(one: str | Message) -> None:
    with pytest.raises(TypeError, match="iterable"):
        next(iter(Sender(Settings.resolve(), "ada").send_many(one)))  # type: ignore[arg-type]  # what the test is about


def test_a_message_that_cannot_be_written_is_not_confirmed_by_the_next_one(amqp_url: str) -> None:
    settings = Settings.resolve(url=amqp_url)
    unwritable = Message.compose("ada", "bad")._replace(id="x" * 300)
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada", on_event=refuse_events) as sender:
        sender.send("first")
        with pytest.raises(struct.error):
            list(sender.send_many([unwritable]))
        assert sender.unsettled == 1
        receipts = list(sender.send_many(["second", "third"]))
        assert [message.text for message in drain(subscriber, 3)] == ["first", "second", "third"]
    assert [(each.message.text, each.confirmed) for each in receipts] == [
        ("second", True),
        ("third", True),
    ]


def test_receipts_that_have_come_are_handed_out_although_a_later_message_cannot_be_written(
    amqp_url: str,
) -> None:
    unwritable = Message.compose("ada", "bad")._replace(id="x" * 300)
    receipts: list[Receipt] = []
    with Sender(Settings.resolve(url=amqp_url), "ada") as sender:
        for receipt in sender.send_many(["a", "b", "c"]):
            receipts.append(receipt)
            break
        sender.send("and all before it")
        with pytest.raises(struct.error):
            sender.send(unwritable)
        receipts += sender.send_many(["d"])
    assert [each.message.text for each in receipts] == ["a", "b", "c", "d"]


def test_a_message_sent_amid_a_stream_takes_none_of_its_receipts(amqp_url: str) -> None:
    receipts: list[Receipt] = []
    with Sender(Settings.resolve(url=amqp_url), "ada") as sender:
        for receipt in sender.send_many(map(str, range(5000))):
            receipts.append(receipt)
            if len(receipts) % 500 == 0:
                assert sender.send("so far").message.text == "so far"
    assert [int(receipt.message.text) for receipt in receipts] == list(range(5000))


def test_a_message_can_be_sent_again_while_it_is_in_flight(amqp_url: str) -> None:
    message = Message.compose("ada", "again")
    with Sender(Settings.resolve(url=amqp_url), "ada") as sender:
        for _ in sender.send_many([message] * 3):
            break
        assert sender.send(message).confirmed
        assert len(list(sender.send_many([]))) == 2


def test_a_loop_that_ends_early_gets_the_other_receipts_from_the_next_call(amqp_url: str) -> None:
    with Sender(Settings.resolve(url=amqp_url), "ada") as sender:
        for _ in sender.send_many(map(str, range(1500))):
            break
        left = sender.unsettled
        assert left
        assert len(list(sender.send_many([]))) == left


def test_a_closed_port_is_reported_as_one_on_which_nothing_listens() -> None:
    with pytest.raises(Unreachable, match="connection refused"):
        Sender(Settings.resolve(url=f"amqp://127.0.0.1:{free_port()}/"), "ada").send("hello")


def test_a_wrong_password_is_told_apart_from_a_wrong_virtual_host(rabbitmq: RabbitMQ, vhost: str) -> None:
    wrong_password = Settings.resolve(
        host=rabbitmq.host, port=rabbitmq.port, vhost=vhost, account=rabbitmq.username, password="not this"
    )
    with pytest.raises(NotAuthorised):
        Sender(wrong_password, "ada").send("hello")
    with pytest.raises(NotFound, match="virtual host"):
        Sender(Settings.resolve(url=rabbitmq.url_for("no-such-vhost")), "ada").send("hello")


def properties_of_connections(rabbitmq: RabbitMQ, vhost: str) -> str:
    """What the dashboard shows of a vhost's connections; empty until RabbitMQ's statistics know of one."""
    connections = rabbitmq.management.get("connections")
    return " ".join(str(each["client_properties"]) for each in connections if each.get("vhost") == vhost)


def test_the_connection_is_recognisable_in_the_dashboard(rabbitmq: RabbitMQ, vhost: str) -> None:
    with Sender(Settings.resolve(url=rabbitmq.url_for(vhost)), "ada") as sender:
        sender.send("hello")
        assert sender.settings.broker.password
        told = wait_until(
            lambda: properties_of_connections(rabbitmq, vhost), 20, "the connection's properties"
        )
    assert "kchat send chat" in told
    assert sender.settings.broker.password not in told


@pytest.mark.parametrize(("size", "most"), [(1, 10), (1 << 20, 4)], ids=["messages", "bytes"])
def test_no_more_than_a_window_is_on_its_way_unconfirmed(
    rabbitmq: RabbitMQ, vhost: str, proxy_to: Callable[[int], Proxy], size: int, most: int
) -> None:
    link = proxy_to(rabbitmq.port)
    url = rabbitmq.url_for(vhost, host=link.host, port=link.port)
    settings = Settings.resolve(url=url, confirm_timeout=2, connect_timeout=2)
    taken: list[int] = []

    def stream() -> Iterator[str]:
        for number in range(100):
            taken.append(number)
            yield "x" * size

    with Sender(settings, "ada", window=10, reconnect_for=1) as sender:
        sender.send("hello")
        link.black_hole("to_client")
        with pytest.raises((NotConfirmed, Unreachable)):
            list(sender.send_many(stream()))
    # Ten messages, or 4 MiB of them; perhaps the next one, which waits.
    assert most <= len(taken) <= most + 1


def test_subscribers_that_leave_meanwhile_are_no_reason_to_be_rejected(amqp_url: str) -> None:
    settings = Settings.resolve(url=amqp_url)
    left = threading.Event()

    def come_and_go() -> None:
        for _ in range(15):
            with Subscriber(settings, "guest") as guest:
                guest.receive(timeout=0.1)
        left.set()

    def stream() -> Iterator[str]:
        number = 0
        while not left.is_set() or number < 100:
            yield str(number)
            number += 1

    guests = threading.Thread(target=come_and_go)
    with Subscriber(settings, "bob"), Sender(settings, "ada", window=20) as sender:
        guests.start()
        receipts = list(sender.send_many(stream()))
        guests.join()
    assert [receipt.error for receipt in receipts if not receipt.confirmed] == []
