"""The Redis transport in plain Kombu: what its fanout promises, and that Kombu's own clients hear it and are heard."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import kombu
import pytest
import redis
from amqp.exceptions import ChannelError

from kchat.transports.redis.transport import Transport
from tests.brokers.wait import soon, wait_until
from tests.integration.redis.conftest import Open

ROOM = kombu.Exchange("chat", "fanout", durable=False)


def bound(channel: Any, *names: str, exchange: kombu.Exchange = ROOM) -> list[kombu.Queue]:
    """Queues of a subscriber's own, declared and bound."""
    queues = [
        kombu.Queue(name, exchange, exclusive=True, auto_delete=True, durable=False)(channel)
        for name in names
    ]
    for queue in queues:
        queue.declare()
    return queues


def publish(connection: kombu.Connection, *bodies: str, **options: Any) -> None:
    with connection.Producer(exchange=ROOM) as producer:
        for body in bodies:
            producer.publish(
                body, serializer="raw", content_type="text/plain", content_encoding="utf-8", **options
            )


def bodies(connection: kombu.Connection, queues: list[kombu.Queue], count: int) -> dict[str, list[bytes]]:
    """What each queue gets, until that number has come to all of them together."""
    got: dict[str, list[bytes]] = {queue.name: [] for queue in queues}
    for queue in queues:
        queue.consume(callback=lambda message, name=queue.name: got[name].append(message.body), no_ack=True)
    while sum(map(len, got.values())) < count:
        connection.drain_events(timeout=30)
    return got


def test_kombus_alias_stays_kombus() -> None:
    assert not issubclass(kombu.Connection("redis://").get_transport_cls(), Transport)


def test_two_queues_of_one_channel_both_get_everything(ours: Open) -> None:
    connection = ours()
    queues = bound(connection.channel(), "a", "b")
    publish(ours(), "1", "2", "3", "4", "5")
    assert bodies(connection, queues, 10) == {name: [b"1", b"2", b"3", b"4", b"5"] for name in ("a", "b")}


def test_channels_and_connections_do_not_disturb_each_other(ours: Open) -> None:
    connection, other = ours(), ours()
    here = bound(connection.channel(), "a") + bound(connection.channel(), "a again")
    there = bound(other.channel(), "a")
    publish(ours(), "1", "2")
    assert bodies(connection, here, 4) == {"a": [b"1", b"2"], "a again": [b"1", b"2"]}
    assert bodies(other, there, 2) == {"a": [b"1", b"2"]}


def test_a_queue_is_the_connections_whichever_channel_declared_it(ours: Open) -> None:
    # As Kombu's users do: the producer's channel declares, another one consumes, and the first may be closed by then.
    connection = ours()
    with connection.channel() as declaring:
        queues = [kombu.Queue(name, ROOM, durable=False) for name in ("a", "b")]
        kombu.Producer(declaring, ROOM).publish("hello", declare=list(queues))
    for queue in queues:
        got: list[str] = []
        with kombu.Consumer(
            connection, [queue], callbacks=[lambda body, _, got=got: got.append(body)], no_ack=True
        ):
            connection.drain_events(timeout=30)
        assert got == ["hello"]


def test_consumers_of_one_queue_share_its_messages(ours: Open) -> None:
    connection = ours()
    got: dict[str, list[bytes]] = {"one": [], "other": []}
    for arrived in got.values():
        queue = kombu.Queue("shared", ROOM, durable=False)(connection.channel())
        queue.declare()
        queue.consume(callback=lambda message, arrived=arrived: arrived.append(message.body), no_ack=True)
    publish(ours(), "1", "2", "3", "4")
    for _ in range(4):
        connection.drain_events(timeout=30)
    assert got == {"one": [b"1", b"3"], "other": [b"2", b"4"]}


def test_a_closed_channels_consumers_end_and_their_auto_delete_queues_with_them(
    ours: Open, server: redis.Redis, database: str
) -> None:
    connection = ours()
    for name in ("gone", "stays"):
        channel = connection.channel()
        queue = kombu.Queue(name, ROOM, durable=False, auto_delete=name == "gone")(channel)
        queue.declare()
        queue.consume(callback=lambda _message: None, no_ack=True)
        channel.close()
    publish(ours(), "1")
    channel = connection.channel()
    assert channel.queue_declare("stays", passive=True).queue == "stays"
    with pytest.raises(ChannelError):
        channel.queue_declare("gone", passive=True)
    assert bodies(connection, [kombu.Queue("stays", ROOM)(channel)], 1) == {"stays": [b"1"]}
    connection.release()
    wait_until(lambda: server.pubsub_numsub(f"/{database}.chat")[0][1] == 0, what="the subscription to end")


def test_a_queue_gets_what_is_published_from_its_binding_on(ours: Open) -> None:
    connection, publisher = ours(), ours()
    for turn in range(20):
        (queue,) = bound(connection.channel(), f"queue {turn}")
        publish(publisher, str(turn))
        assert bodies(connection, [queue], 1) == {queue.name: [str(turn).encode()]}
        queue.delete()


def test_a_queue_that_nobody_reads_keeps_the_newest(ours: Open) -> None:
    connection = ours()
    queue = kombu.Queue("a", ROOM, exclusive=True, queue_arguments={"x-max-length": 2})(connection.channel())
    queue.declare()
    publish(ours(), "1", "2", "3")
    other = bound(queue.channel, "b")
    publish(ours(), "4")
    bodies(connection, other, 1)  # reads the others' on its way
    assert [message.body for message in (queue.get(), queue.get(), queue.get()) if message] == [b"3", b"4"]


def test_a_queue_bound_later_gets_nothing_of_what_was_published_before(ours: Open) -> None:
    connection = ours()
    channel = connection.channel()
    queues = bound(channel, "early")
    publish(ours(), "1")
    queues += bound(channel, "late")
    publish(ours(), "2")
    assert bodies(connection, queues, 3) == {"early": [b"1", b"2"], "late": [b"2"]}


def test_a_cancelled_consumers_queue_hears_nothing_more(
    ours: Open, server: redis.Redis, database: str
) -> None:
    connection = ours()
    (queue,) = bound(connection.channel(), "a")
    tag = queue.consume(callback=lambda _message: None, no_ack=True, consumer_tag="tag")
    assert server.pubsub_numsub(f"/{database}.chat")[0][1] == 1
    queue.cancel("tag")
    wait_until(lambda: server.pubsub_numsub(f"/{database}.chat")[0][1] == 0, what="the subscription to end")
    assert tag == "tag"


def test_an_exchanges_name_is_no_pattern(ours: Open) -> None:
    connection = ours()
    channel = connection.channel()
    queues = [
        bound(channel, name, exchange=kombu.Exchange(name, "fanout", durable=False))[0]
        for name in ("*", "c?at", "c[h]at", "chat/x", "\\chat")
    ]
    queues += bound(channel, "the room itself")
    publish(ours(), "for the room")
    assert {name for name, got in bodies(connection, queues, 1).items() if got} == {"the room itself"}
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.2)


def test_binding_patterns_are_kombus(ours: Open) -> None:
    connection = ours()
    channel = connection.channel()
    queue = kombu.Queue("a", ROOM, routing_key="news.#", exclusive=True)(channel)
    queue.declare()
    publish(ours(), "yes", routing_key="news.today")
    publish(ours(), "no", routing_key="olds")
    assert bodies(connection, [queue], 1) == {"a": [b"yes"]}


@pytest.mark.parametrize("listener", ["ours", "kombus"])
@pytest.mark.parametrize("talker", ["ours", "kombus"])
def test_kombus_own_clients_hear_and_are_heard(
    request: pytest.FixtureRequest, server: redis.Redis, talker: str, listener: str
) -> None:
    hears: kombu.Connection = request.getfixturevalue(listener)()
    says: kombu.Connection = request.getfixturevalue(talker)()
    got: list[Any] = []
    with hears.Consumer(
        [kombu.Queue("", ROOM, exclusive=True)], callbacks=[lambda body, _: got.append(body)], no_ack=True
    ):
        with suppress(TimeoutError):
            hears.drain_events(timeout=0.01)  # Kombu subscribes only now
        wait_until(lambda: server.pubsub_numpat() or server.pubsub_channels(), what="somebody to listen")
        with says.Producer(exchange=ROOM, serializer="json") as producer:
            producer.publish({"text": "hellö"}, declare=[ROOM])
            producer.publish({"text": "much " * 1000}, compression="gzip")
        while len(got) < 2:
            hears.drain_events(timeout=30)
    assert got == [{"text": "hellö"}, {"text": "much " * 1000}]


ENVELOPE = {
    "body": "aGk=",
    "content-encoding": "utf-8",
    "content-type": "text/plain",
    "headers": {},
    "properties": {"delivery_tag": "1", "delivery_info": {}, "body_encoding": "base64"},
}


def envelope(**changed: Any) -> bytes:
    return json.dumps({**ENVELOPE, **changed}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"hi",
        b"",
        b"\xff\xfe\x00",
        b'{"username":"ada","message":"hi"}',
        b"[1, 2]",
        b"null",
        b"{" * 100_000,
        b'{"a":' * 100_000,
        envelope(body=5),
        envelope(body="no base64!"),
        envelope(headers=[]),
        envelope(properties={}),
        envelope(properties={"delivery_tag": "1", "delivery_info": 7}),
        envelope(properties=None),
        envelope(body={"__type__": "uuid", "__value__": {}}),
        json.dumps({"body": "mine", "properties": {"delivery_tag": "1"}}).encode(),
    ],
)
def test_whatever_is_published_is_a_message_with_its_bytes_as_body(
    ours: Open, server: redis.Redis, database: str, data: bytes
) -> None:
    connection = ours()
    queues = bound(connection.channel(), "a")
    assert server.publish(f"/{database}.chat", data) == 1
    assert bodies(connection, queues, 1) == {"a": [data]}


def test_an_envelope_is_opened(ours: Open, server: redis.Redis, database: str) -> None:
    connection = ours()
    queues = bound(connection.channel(), "a")
    server.publish(f"/{database}.chat", envelope())
    server.publish(f"/{database}.chat", envelope(body=None))
    server.publish(f"/{database}.chat", envelope(body="é\ud800", properties={"delivery_tag": "1"}))
    assert bodies(connection, queues, 3) == {"a": [b"hi", b"", "é".encode() + b"\xed\xa0\x80"]}


def test_compressed_messages_are_not_inflated_on_arrival(
    ours: Open, server: redis.Redis, database: str
) -> None:
    connection = ours()
    queues = bound(connection.channel(), "a")
    server.publish(f"/{database}.chat", envelope(headers={"compression": "application/x-gzip"}))
    server.publish(f"/{database}.chat", envelope(headers={"compression": "no such thing"}))
    assert bodies(connection, queues, 2) == {"a": [b"hi", b"hi"]}


def test_a_mandatory_message_is_returned_when_nobody_listens(ours: Open) -> None:
    connection = ours()
    channel = connection.channel()
    returned: list[tuple[str, str, str]] = []
    channel.events["basic_return"].add(
        lambda error, exchange, key, message: returned.append(
            (str(error.reply_code), exchange, message["body"])
        )
    )
    with kombu.Producer(channel, ROOM) as producer:
        producer.publish("nobody asked", serializer="raw")
        producer.publish("hello", serializer="raw", mandatory=True)
        bound(ours().channel(), "a")
        producer.publish("heard", serializer="raw", mandatory=True)
    assert [each[:2] for each in returned] == [("312", "chat")]


def test_draining_ends_on_time(ours: Open) -> None:
    connection = ours()
    bound(connection.channel(), "a")[0].consume(no_ack=True)
    for timeout in (0, 0.05, 0.5):
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=timeout)
        assert timeout <= time.monotonic() - started < soon(timeout + 0.2)


def test_one_drain_delivers_one_message(ours: Open) -> None:
    connection = ours()
    got: list[bytes] = []
    (queue,) = bound(connection.channel(), "a")
    queue.consume(callback=lambda message: got.append(message.body), no_ack=True)
    publish(ours(), "1", "2")
    connection.drain_events(timeout=30)
    assert got == [b"1"]


def test_lists_and_fanout_take_turns_on_one_connection(ours: Open) -> None:
    connection, publisher = ours(), ours()
    got: list[str] = []
    (fanout,) = bound(connection.channel(), "a")
    fanout.consume(callback=lambda _: got.append("fanout"), no_ack=True)
    work = kombu.Queue("work", kombu.Exchange("work"), "work")(connection.channel())
    work.declare()
    work.consume(callback=lambda _: got.append("list"), no_ack=True)
    publish(publisher, *"123")
    with publisher.Producer() as producer:
        for body in "123":
            producer.publish(body, exchange="work", routing_key="work", declare=[work])
    while len(got) < 6:
        connection.drain_events(timeout=30)
    assert sorted(got) == ["fanout"] * 3 + ["list"] * 3
    assert got != sorted(got)


def test_a_list_is_kombus_get_ack_reject_requeue_purge_delete(ours: Open, server: redis.Redis) -> None:
    connection = ours()
    with connection.SimpleQueue("work") as queue:
        for number in range(4):
            queue.put({"number": number}, compression="zlib")
        first = queue.get(timeout=30)
        assert first.payload == {"number": 0}
        first.requeue()
        again = [queue.get(timeout=30) for _ in range(4)]
        assert sorted(message.payload["number"] for message in again) == [0, 1, 2, 3]
        again[0].ack()
        for message in again[1:]:
            message.requeue()
        assert queue.qsize() == 3
        assert queue.clear() == 3
        queue.queue.delete()
    connection.close()
    assert server.keys("*") == []


def test_acknowledging_a_fanout_delivery_writes_nothing(ours: Open, server: redis.Redis) -> None:
    connection = ours()
    (queue,) = bound(connection.channel(), "a")
    publish(ours(), "1", "2", "3")
    for settle in ("ack", "reject", "requeue"):
        getattr(queue.get(), settle)()
    assert queue.get() is None
    assert server.keys("*") == []


def test_a_simple_queue_on_a_fanout_exchange_works_like_any(ours: Open) -> None:
    connection = ours()
    with connection.SimpleBuffer(kombu.Queue("a", ROOM, exclusive=True)) as queue:
        publish(ours(), "1", "2")
        assert queue.get(timeout=30).body == b"1"
        assert queue.qsize() == 0  # what has not been read yet is not counted
        assert queue.get(timeout=30).body == b"2"
        with pytest.raises(queue.Empty):
            queue.get(block=False)


def test_a_deleted_queue_unsubscribes_and_its_name_can_be_used_again(
    ours: Open, server: redis.Redis, database: str
) -> None:
    connection = ours()
    channel = connection.channel()
    (queue,) = bound(channel, "a")
    queue.delete()
    wait_until(lambda: server.pubsub_numsub(f"/{database}.chat")[0][1] == 0, what="the subscription to end")
    queues = bound(channel, "a")
    publish(ours(), "1")
    assert bodies(connection, queues, 1) == {"a": [b"1"]}


def test_unbinding_ends_what_comes_and_keeps_what_has_come(ours: Open) -> None:
    connection = ours()
    (queue,) = bound(connection.channel(), "a")
    publish(ours(), "1")
    assert queue.get().body == b"1"
    queue.unbind_from(ROOM)
    publish(ours(), "2")
    assert queue.get() is None
