"""What an account may do, and how refusals come out. The emulator knows no accounts, so another server answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import kombu
import pytest
from amqp.exceptions import AccessRefused, AMQPError, RecoverableConnectionError, ResourceError
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]  # it has no types
from google.pubsub_v1 import types

from kchat.transports.pubsub import ownership_labels
from kchat.transports.pubsub.errors import NoCredentials, PublishTimedOut
from tests.brokers.wait import soon, wait_until
from tests.integration.pubsub.answering import Answer, Service, answering, no
from tests.integration.pubsub.driving import drain, fanout, listen, send


@contextmanager
def service(monkeypatch: pytest.MonkeyPatch, **answers: Answer) -> Iterator[tuple[kombu.Connection, Service]]:
    """A connection to a server that answers so; times are short."""
    options = {"confirm_timeout": 2.0, "connect_timeout": 1.0, "heartbeat": 1.0}
    with answering(**answers) as (address, notes):
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
        with kombu.Connection(
            "pubsub://project", connect_timeout=1.0, transport_options=options
        ) as connection:
            yield connection, notes


def published(request: Any) -> types.PublishResponse:
    return types.PublishResponse(message_ids=[str(number) for number in range(len(request.messages))])


def send_and_drain(connection: kombu.Connection, channel: Any) -> None:
    """Outside of confirm mode the first raises, in it the second."""
    send(channel, "room", b"x")
    drain(connection, lambda: False)


def test_an_account_that_may_only_publish_can_send(monkeypatch: pytest.MonkeyPatch) -> None:
    with service(monkeypatch, Publish=published) as (connection, notes):
        channel = connection.channel()
        send(channel, "room", b"at once")
        acks: list[int] = []
        channel.confirm_select()
        channel.events["basic_ack"].add(lambda tag, _: acks.append(tag))
        send(channel, "room", b"1", b"2")
        drain(connection, lambda: acks[-1:] == [2])
    # It made no other call, whatever its right to.
    assert notes.methods() == {"Publish"}


def test_an_account_that_may_only_consume_can_consume(monkeypatch: pytest.MonkeyPatch) -> None:
    message = types.PubsubMessage(data=b"hi", message_id="1")
    pulled = types.StreamingPullResponse(
        received_messages=[types.ReceivedMessage(ack_id="a1", message=message)]
    )
    with service(monkeypatch, StreamingPull=lambda _: pulled, Acknowledge=lambda _: Empty()) as (
        connection,
        notes,
    ):
        channel = connection.channel()
        arrived = listen(channel, "queue-of-somebody")
        drain(connection, lambda: bool(arrived))
        channel.basic_ack(arrived[0].delivery_tag)
        assert list(notes.wait_for("Acknowledge").ack_ids) == ["a1"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("PERMISSION_DENIED", AccessRefused),
        ("UNAUTHENTICATED", NoCredentials),
        ("RESOURCE_EXHAUSTED", ResourceError),
        ("UNAVAILABLE", RecoverableConnectionError),
        ("INTERNAL", RecoverableConnectionError),
    ],
)
@pytest.mark.parametrize("confirmed", [False, True], ids=["one by one", "a stream"])
def test_a_refused_publish_says_why(
    monkeypatch: pytest.MonkeyPatch, status: str, error: type[AMQPError], confirmed: bool
) -> None:
    def refuse(request: Any) -> Any:
        # The greeting of a new connection is a publish to nowhere.
        raise LookupError(status if request.topic else "INVALID_ARGUMENT")

    with service(monkeypatch, Publish=refuse) as (connection, _):
        channel = connection.channel()
        if confirmed:
            channel.confirm_select()
        began = time.monotonic()
        with pytest.raises(error) as raised:
            send_and_drain(connection, channel)
        assert type(raised.value) is error
        assert time.monotonic() - began < soon(4)


def test_a_publish_without_an_answer_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with service(monkeypatch, Publish=published) as (connection, notes):
        channel = connection.channel()
        connection.connect()
        notes.answers["Publish"] = lambda _: time.sleep(4)
        began = time.monotonic()
        with pytest.raises(PublishTimedOut, match="no answer within 2 s"):
            send(channel, "room", b"x")
        assert 1.9 < time.monotonic() - began < soon(3.5)


@pytest.mark.parametrize(
    ("status", "error"),
    [("PERMISSION_DENIED", AccessRefused), ("UNAVAILABLE", RecoverableConnectionError)],
)
def test_a_refused_pull_is_an_error_and_not_an_empty_queue(
    monkeypatch: pytest.MonkeyPatch, status: str, error: type[AMQPError]
) -> None:
    with service(monkeypatch, Publish=published, StreamingPull=no(status)) as (connection, _):
        listen(connection.channel(), "queue")
        with pytest.raises(error):
            drain(connection, lambda: False)


def test_a_stream_that_the_service_ends_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # The service ends each after half an hour or so. This is about the service: with an emulator it is done otherwise.
    pulled = types.StreamingPullResponse(
        received_messages=[types.ReceivedMessage(ack_id="a", message=types.PubsubMessage(data=b"x"))]
    )
    asked: list[Any] = []

    def pull(request: Any) -> types.StreamingPullResponse:
        asked.append(request)
        if len(asked) < 4:
            raise LookupError("UNAVAILABLE")
        return pulled

    with service(monkeypatch, Publish=published, StreamingPull=pull, Acknowledge=lambda _: Empty()) as (
        connection,
        _,
    ):
        connection.connect()
        connection.connection.clients.emulator = ""
        arrived = listen(connection.channel(), "queue", no_ack=True)
        drain(connection, lambda: bool(arrived))
    # Under one name, by which the service keeps an ordering key's messages with one client.
    assert len({request.client_id for request in asked}) == 1


def test_a_refused_acknowledgement_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    received = types.ReceivedMessage(ack_id="a1", message=types.PubsubMessage(data=b"x", message_id="1"))
    pulled = types.StreamingPullResponse(received_messages=[received])
    with service(monkeypatch, Publish=published, StreamingPull=lambda _: pulled) as (connection, _):
        channel = connection.channel()
        arrived = listen(channel, "queue")
        drain(connection, lambda: bool(arrived))
        channel.basic_ack(arrived[0].delivery_tag)
        with pytest.raises(AccessRefused, match="acknowledge"):
            drain(connection, lambda: False)


def test_a_refused_declaration_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with service(monkeypatch) as (connection, _):
        channel = connection.channel()
        with pytest.raises(AccessRefused, match="declare exchange room"):
            fanout("room")(channel).declare()
        with pytest.raises(AccessRefused, match="find exchange room"):
            channel.exchange_declare("room", passive=True)


def test_a_history_is_sought_before_anything_is_received(monkeypatch: pytest.MonkeyPatch) -> None:
    # The emulator cannot seek.
    def topic(_: Any) -> types.Topic:
        return types.Topic(
            name="t", message_retention_duration={"seconds": 600}, labels={"kchat-type": "fanout"}
        )

    answers: dict[str, Answer] = {
        "CreateTopic": lambda request: request,
        "GetTopic": topic,
        "CreateSubscription": lambda request: request,
        "Seek": lambda _: types.SeekResponse(),
    }
    with service(monkeypatch, **answers) as (connection, notes):
        queue = kombu.Queue(
            "queue", fanout("room"), durable=True, queue_arguments={"x-history-since": 1e9 + 0.5}
        )
        queue(connection.channel()).declare()
    request = notes.wait_for("Seek")
    assert request.subscription == "projects/project/subscriptions/queue"
    assert request.time.timestamp() == 1e9 + 0.5


def test_an_exclusive_queues_subscription_expires_and_is_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, Answer] = {
        "CreateTopic": lambda request: request,
        "CreateSubscription": lambda request: request,
        "StreamingPull": lambda _: types.StreamingPullResponse(),
        "DeleteSubscription": lambda _: Empty(),
    }
    with service(monkeypatch, **answers) as (connection, notes):
        channel = connection.channel()
        kombu.Queue("kchat-room-ada-1", fanout("room"), exclusive=True, auto_delete=True, durable=False)(
            channel
        ).declare()
        listen(channel, "kchat-room-ada-1")
    created = notes.wait_for("CreateSubscription")
    assert created.enable_message_ordering
    assert created.expiration_policy.ttl.days == 1
    assert created.message_retention_duration.seconds == 600
    assert ownership_labels.is_mine(created.labels)
    assert (
        notes.wait_for("DeleteSubscription").subscription == "projects/project/subscriptions/kchat-room-ada-1"
    )


def test_a_lasting_subscription_never_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, Answer] = {
        "CreateTopic": lambda request: request,
        "CreateSubscription": lambda request: request,
    }
    with service(monkeypatch, **answers) as (connection, notes):
        kombu.Queue("lasting", fanout("room"), durable=True)(connection.channel()).declare()
    created = types.Subscription.pb(notes.wait_for("CreateSubscription"))
    assert created.HasField("expiration_policy")
    assert not created.expiration_policy.HasField("ttl")
    assert dict(created.labels) == {"app": "kchat"}
    assert "DeleteSubscription" not in notes.methods()


def test_a_prefetch_count_that_grows_opens_a_stream_that_gets_so_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As Celery's does with each task that waits for its time. The emulator does not count.
    with service(monkeypatch, StreamingPull=lambda _: types.StreamingPullResponse()) as (connection, notes):
        channel = connection.channel()
        connection.connection.clients.emulator = ""
        channel.basic_qos(0, 4, True)
        listen(channel, "queue")
        assert notes.wait_for("StreamingPull").max_outstanding_messages == 4
        for count in (3, 5, 6, 7, 50):
            channel.basic_qos(0, count, True)

        def limits() -> list[int]:
            pulls = [request for method, request in list(notes.asked) if method == "StreamingPull"]
            return [request.max_outstanding_messages for request in pulls]

        wait_until(lambda: limits()[-1] >= 50, what=lambda: f"a wider stream: {limits()}")
        assert len(limits()) <= 4
