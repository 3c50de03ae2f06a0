"""The brokers that other tests rely on are what they seem: found, usable, breakable, and back again."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import closing

import pika
import pika.exceptions
import pytest

from tests.brokers.ports import listens
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.redis import Redis
from tests.brokers.wait import wait_until


def round_trip(url: str, body: bytes) -> bytes | None:
    """Publishes to a fanout exchange as RabbitMQ's third tutorial does, and gets it from an own queue."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.exchange_declare("chat", "fanout")
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "chat")
        channel.basic_publish("chat", "", body)
        for _, _, got in channel.consume(queue, auto_ack=True, inactivity_timeout=30):
            return bytes(got) if got is not None else None
    return None


def test_a_message_goes_through_rabbitmq(amqp_url: str) -> None:
    body = json.dumps({"username": "ada", "message": "hello"}).encode()
    assert round_trip(amqp_url, body) == body


def test_a_message_from_the_dashboard_reaches_a_queue(rabbitmq: RabbitMQ, vhost: str) -> None:
    rabbitmq.management.add_exchange(vhost, "chat")
    assert not rabbitmq.management.publish(vhost, "chat", "nobody there")
    with closing(pika.BlockingConnection(pika.URLParameters(rabbitmq.url_for(vhost)))) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "chat")
        assert rabbitmq.management.publish(vhost, "chat", "hello")
        assert channel.basic_get(queue, auto_ack=True)[2] == b"hello"
        assert [each["destination"] for each in rabbitmq.management.bindings(vhost, "chat")] == [queue]


def test_an_account_that_may_only_write_is_held_to_it(rabbitmq: RabbitMQ, vhost: str) -> None:
    with (
        rabbitmq.new_account(vhost, write="^chat$") as account,
        closing(pika.BlockingConnection(pika.URLParameters(account.url))) as connection,
    ):
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as refused:
            connection.channel().exchange_declare("chat", "fanout")
        assert refused.value.reply_code == 403


def test_each_test_has_a_vhost_of_its_own(rabbitmq: RabbitMQ, vhost: str) -> None:
    with rabbitmq.new_vhost() as other:
        rabbitmq.management.add_exchange(vhost, "chat")
        assert rabbitmq.management.exchange(vhost, "chat") is not None
        assert rabbitmq.management.exchange(other, "chat") is None


def test_a_killed_rabbitmq_closes_its_port_and_comes_back_on_it(own_rabbitmq: RabbitMQ) -> None:
    own_rabbitmq.kill()
    assert not own_rabbitmq.running
    assert not listens(own_rabbitmq.host, own_rabbitmq.port)
    own_rabbitmq.start()
    assert round_trip(own_rabbitmq.url, b"again") == b"again"


def test_a_rabbitmq_stopped_in_order_comes_back_with_what_is_durable(own_rabbitmq: RabbitMQ) -> None:
    own_rabbitmq.management.add_exchange("/", "kept", durable=True)
    own_rabbitmq.restart(kill=False)
    assert own_rabbitmq.management.exchange("/", "kept") is not None


def test_a_memory_alarm_blocks_a_publisher_and_is_lifted(own_rabbitmq: RabbitMQ) -> None:
    told: list[str] = []
    with closing(pika.BlockingConnection(pika.URLParameters(own_rabbitmq.url))) as connection:
        connection.add_on_connection_blocked_callback(lambda *_: told.append("blocked"))
        connection.add_on_connection_unblocked_callback(lambda *_: told.append("unblocked"))

        def hear(count: int) -> bool:
            connection.process_data_events(0.1)
            return len(told) >= count

        with own_rabbitmq.memory_alarm():
            connection.channel().basic_publish("", "nowhere", b"x")
            wait_until(lambda: hear(1), 10, "connection.blocked")
        wait_until(lambda: hear(2), 10, "connection.unblocked")
    assert told == ["blocked", "unblocked"]


def test_a_cluster_of_two_is_one_broker_and_outlives_a_node(rabbitmq_cluster: list[RabbitMQ]) -> None:
    first, second = rabbitmq_cluster
    assert len(first.management.get("nodes")) == 2
    first.management.add_exchange("/", "shared", durable=True)
    assert second.management.exchange("/", "shared") is not None
    first.kill()
    assert round_trip(second.url, b"still here") == b"still here"


def test_a_redis_command_goes_through_and_databases_are_apart(redis_server: Redis) -> None:
    assert redis_server.new_database() != redis_server.new_database()
    assert redis_server.command("ECHO", "hello") == b"hello"


def test_a_killed_redis_comes_back_on_its_port(own_redis: Redis) -> None:
    own_redis.kill()
    assert not listens(own_redis.host, own_redis.port)
    own_redis.start()
    assert own_redis.command("PING")


# ---- the proxy


@pytest.fixture
def through(proxy_to: Callable[[int], Proxy], redis_server: Redis) -> Proxy:
    return proxy_to(redis_server.port)


def ping(connection: socket.socket) -> bytes:
    connection.sendall(b"PING\r\n")
    return connection.recv(100)


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=30)


def test_a_proxy_forwards_both_ways(through: Proxy) -> None:
    with connect(through) as connection:
        assert ping(connection) == b"+PONG\r\n"
        assert (through.connections, through.accepted) == (1, 1)
        assert through.forwarded("to_server") == 6
    wait_until(lambda: not through.connections, 5, "the proxy to see the end")


def test_a_cut_connection_is_reset_and_the_next_one_works(through: Proxy) -> None:
    with connect(through) as connection:
        ping(connection)
        through.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with connect(through) as connection:
        assert ping(connection) == b"+PONG\r\n"


def test_a_connection_closed_in_order_reads_as_its_end(through: Proxy) -> None:
    with connect(through) as connection:
        ping(connection)
        through.cut("close")
        assert connection.recv(100) == b""


def test_a_black_hole_says_nothing_and_delivers_after_all_when_restored(through: Proxy) -> None:
    with connect(through) as connection:
        ping(connection)
        through.black_hole()
        connection.sendall(b"PING\r\n")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(100)
        through.restore()
        connection.settimeout(60)
        assert connection.recv(100) == b"+PONG\r\n"


def test_a_black_hole_towards_the_client_lets_requests_through(through: Proxy, redis_server: Redis) -> None:
    with connect(through) as connection:
        ping(connection)
        through.black_hole("to_client")
        connection.sendall(b"SET heard yes\r\n")
        wait_until(lambda: redis_server.command("GET", "heard") == b"yes", 5, "the server to hear it")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(100)


def test_a_refusing_proxy_looks_like_no_broker(through: Proxy) -> None:
    with connect(through) as connection:
        ping(connection)
        through.refuse()
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with pytest.raises(ConnectionRefusedError):
        connect(through)
    through.restore()
    with connect(through) as connection:
        assert ping(connection) == b"+PONG\r\n"
