"""Each way to fail has an error of its own, so that a program can act on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pika
import pytest

from kchat import (
    Blocked,
    BrokerError,
    KchatError,
    NotAuthorised,
    NotConfirmed,
    NotFound,
    Refused,
    Rejected,
    Returned,
    Sender,
    SendError,
    Settings,
    Subscriber,
    TooLarge,
    Unreachable,
    errors,
    events,
)
from tests.brokers.ports import free_port
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.faults.parts import Listening


@pytest.fixture
def settings(amqp_url: str, room: str) -> Settings:
    return Settings.resolve(url=amqp_url, room=room)


@pytest.fixture
def full_queue(amqp_url: str, settings: Settings) -> Iterator[None]:
    """A queue in the room that takes no more: RabbitMQ then says basic.nack."""
    with closing(pika.BlockingConnection(pika.URLParameters(amqp_url))) as connection:
        channel = connection.channel()
        channel.exchange_declare(settings.room, "fanout")
        arguments = {"x-max-length": 0, "x-overflow": "reject-publish"}
        queue = channel.queue_declare("", exclusive=True, arguments=arguments).method.queue
        channel.queue_bind(queue, settings.room)
        yield


def test_a_message_that_the_broker_gives_back_is_rejected_and_the_stream_goes_on(
    full_queue: None, settings: Settings
) -> None:
    with Sender(settings, "ada") as sender:
        with pytest.raises(Rejected, match=r"basic\.nack"):
            sender.send("hello")
        receipts = list(sender.send_many(["a", "b"]))
    assert [type(each.error) for each in receipts] == [Rejected, Rejected]


def test_a_message_that_nobody_hears_is_returned_to_who_insists(settings: Settings) -> None:
    with Sender(settings, "ada", mandatory=True) as sender, pytest.raises(Returned):
        sender.send("hello")


def test_a_message_that_is_too_large_is_told_before_anything_is_sent(settings: Settings) -> None:
    with Sender(settings, "ada") as sender, pytest.raises(TooLarge):
        sender.send("x" * (17 << 20))


def test_a_broker_that_does_not_answer_is_unreachable(settings: Settings) -> None:
    with pytest.raises(Unreachable):
        Sender(Settings.resolve(url=f"amqp://127.0.0.1:{free_port()}/"), "ada").send("hello")


def test_a_broker_that_says_no_has_refused(rabbitmq: RabbitMQ, vhost: str) -> None:
    with pytest.raises(NotAuthorised):
        Subscriber(Settings.resolve(url=rabbitmq.url_for(vhost, password="wrong")), "bob").open()
    with pytest.raises(NotFound):
        Subscriber(Settings.resolve(url=rabbitmq.url_for("no-such-vhost")), "bob").open()


def test_a_connection_that_ends_is_closed(
    rabbitmq: RabbitMQ, vhost: str, proxy_to: Callable[[int], Proxy]
) -> None:
    link = proxy_to(rabbitmq.port)
    settings = Settings.resolve(url=rabbitmq.url_for(vhost, host=link.host, port=link.port))
    with Listening(settings) as listening:
        link.cut()
        told = listening.wait_for(events.Disconnected, 5)
        listening.wait_for(events.Reconnected, 10)
    assert isinstance(told.event.error, errors.Closed)


@pytest.mark.parametrize(
    ("error", "family"),
    [
        (Unreachable, BrokerError),
        (Refused, BrokerError),
        (errors.Closed, BrokerError),
        (Blocked, BrokerError),
        (NotConfirmed, SendError),
        (Rejected, SendError),
        (Returned, SendError),
        (TooLarge, SendError),
    ],
)
def test_the_cases_are_told_apart_and_have_one_base(
    error: type[KchatError], family: type[KchatError]
) -> None:
    assert issubclass(error, family)
    assert issubclass(family, KchatError)
    others = {Unreachable, Refused, errors.Closed, Blocked, NotConfirmed, Rejected, Returned, TooLarge} - {
        error
    }
    assert not any(issubclass(error, other) for other in others)
