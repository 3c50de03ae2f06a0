"""The whole corpus through real brokers: a subscriber shows one safe row for each input, and goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import kombu
import pika
import pytest

import kchat.transports
from tests.brokers.processes import Commands, Process
from tests.brokers.redis import Redis
from tests.displays import BUILT_IN, row_of
from tests.hostile.corpus import BODIES, HEADERS, LARGE_BODIES, PROPERTIES, TEXTS
from tests.hostile.safe import why_unsafe

END = json.dumps({"username": "honest", "message": "this is the end"}).encode()
MOST_MEMORY = 150 * 1024
"""In KiB, of the subscriber's process at its peak."""

Publish = Callable[[bytes], None]


def texts_as_bodies() -> Iterator[bytes]:
    """Each text as a name, as a message, and as a body of its own."""
    for text in TEXTS.values():
        yield json.dumps({"username": text, "message": "hello"}).encode()
        yield json.dumps({"username": "mallory", "message": text}).encode()
        yield text.encode("utf-8", "surrogatepass")


SMALL = [*BODIES.values(), *texts_as_bodies()]


def listening(commands: Commands, url: str, mode: str) -> Process:
    process = commands.kchat("subscribe", "--url", url, "--mode", mode)
    process.wait_for("listening")
    return process


def peak(process: Process) -> int:
    """The most memory that a process has taken, in KiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert found is not None
    return int(found[1])


def shown(process: Process) -> list[str]:
    """What a subscriber has written when the end has come, line by line, all of it safe."""
    process.wait_for("this is the end", "stdout", 60)
    lines = process.lines
    for line in lines:
        wrong = why_unsafe(line, tabs=True)  # they go into a pipe
        assert not wrong, f"{wrong}: {line[:200]!a}"
    assert process.running
    assert "Traceback" not in process.stderr
    return lines


def check(process: Process, mode: str, count: int) -> None:
    """A row for each message, and for the one at the end."""
    lines = shown(process)
    rows = [line for line in lines if row_of(mode).match(line)]
    assert len(rows) == count + 1
    if mode == "json":
        assert all(isinstance(json.loads(line), dict) for line in lines)


@pytest.fixture
def to_rabbitmq(amqp_url: str) -> Iterator[tuple[str, Publish]]:
    with closing(pika.BlockingConnection(pika.URLParameters(amqp_url))) as connection:
        channel = connection.channel()
        channel.exchange_declare("chat", "fanout")
        yield amqp_url, lambda body: channel.basic_publish("chat", "", body)


@pytest.fixture
def to_local(local_url: str) -> Iterator[tuple[str, Publish]]:
    kchat.transports.register()
    with kombu.Connection(local_url) as connection, connection.channel() as channel:
        kombu.Exchange("chat", "fanout", durable=False)(channel).declare()
        yield local_url, lambda body: channel.basic_publish(channel.prepare_message(body), "chat", "")


@pytest.fixture
def to_redis(redis_server: Redis, redis_url: str) -> tuple[str, Publish]:
    """As anybody with a Redis client publishes: the bare bytes."""
    import redis

    number = redis_url.rpartition("/")[2]
    client = redis.Redis.from_url(redis_url)

    def publish(body: bytes) -> None:
        assert client.publish(f"/{number}.chat", body) == 1

    return redis_url, publish


@pytest.mark.parametrize("mode", BUILT_IN)
@pytest.mark.parametrize("place", ["to_rabbitmq", "to_local", "to_redis"])
def test_every_hostile_body_and_text_is_one_safe_row(
    request: pytest.FixtureRequest, commands: Commands, place: str, mode: str
) -> None:
    url, publish = request.getfixturevalue(place)
    subscriber = listening(commands, url, mode)
    for body in SMALL:
        publish(body)
    publish(END)
    check(subscriber, mode, len(SMALL))
    assert peak(subscriber) < MOST_MEMORY


@pytest.mark.parametrize("mode", ["plain", "json", "rich"])
def test_bodies_of_megabytes_are_shown_in_part_and_memory_stays_bounded(
    to_rabbitmq: tuple[str, Publish], commands: Commands, mode: str
) -> None:
    url, publish = to_rabbitmq
    subscriber = listening(commands, url, mode)
    for make in LARGE_BODIES.values():
        publish(make())
    publish(END)
    shown(subscriber)
    assert peak(subscriber) < MOST_MEMORY


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_headers_and_properties_do_no_harm(amqp_url: str, commands: Commands, mode: str) -> None:
    subscriber = listening(commands, amqp_url, mode)
    sent = 0
    body = json.dumps({"username": "mallory", "message": "hello"}).encode()
    with closing(pika.BlockingConnection(pika.URLParameters(amqp_url))) as connection:
        channel = connection.channel()
        for properties in [*PROPERTIES.values(), *({"headers": headers} for headers in HEADERS.values())]:
            try:
                channel.basic_publish("chat", "", body, pika.BasicProperties(**properties))  # type: ignore[arg-type]  # hostile
            except (pika.exceptions.UnsupportedAMQPFieldException, UnicodeEncodeError):
                continue  # what a client cannot write
            sent += 1
        channel.basic_publish("chat", "", END)
        assert sent > len(PROPERTIES) + len(HEADERS) // 2
        check(subscriber, mode, sent)
    assert peak(subscriber) < MOST_MEMORY


def test_a_compression_bomb_is_not_inflated(to_rabbitmq: tuple[str, Publish], commands: Commands) -> None:
    import zlib

    url, publish = to_rabbitmq
    bomb = zlib.compress(bytes(300 << 20), 9)
    subscriber = listening(commands, url, "plain")
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        properties = pika.BasicProperties(
            headers={"compression": "application/x-gzip"}, content_type="text/plain"
        )
        connection.channel().basic_publish("chat", "", bomb, properties)
    publish(END)
    shown(subscriber)
    assert peak(subscriber) < MOST_MEMORY
