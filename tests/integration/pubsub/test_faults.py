"""Network and emulator fail: that is noticed in time and said by the right error, and a short failure loses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

import kombu
import pytest
from amqp.exceptions import NotFound, RecoverableConnectionError

from kchat import NotAuthorised, Sender, Settings
from kchat.transports.pubsub.errors import NoCredentials, PublishTimedOut
from tests.brokers.ports import free_port
from tests.brokers.proxy import Proxy
from tests.brokers.pubsub import Emulator
from tests.brokers.wait import soon
from tests.integration.pubsub.driving import (
    Connect,
    bodies,
    drain,
    drain_for,
    fanout,
    lasting_queue,
    listen,
    own_queue,
    send,
    take,
)

Name = Callable[[str], str]


@pytest.fixture
def proxy(
    pubsub_emulator: Emulator, proxy_to: Callable[[int], Proxy], project: str, monkeypatch: pytest.MonkeyPatch
) -> Proxy:
    """A proxy through which this process's connections go from now on."""
    proxy = proxy_to(pubsub_emulator.port)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"{proxy.host}:{proxy.port}")
    return proxy


def test_an_absent_emulator_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    began = time.monotonic()
    with (
        kombu.Connection("pubsub://project") as connection,
        pytest.raises(RecoverableConnectionError, match="Connection refused"),
    ):
        connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
    assert time.monotonic() - began < soon(5)


def test_no_answer_is_said_within_the_connect_timeout(proxy: Proxy) -> None:
    proxy.black_hole()
    began = time.monotonic()
    with (
        kombu.Connection("pubsub://project", connect_timeout=1) as connection,
        pytest.raises(RecoverableConnectionError, match=r"no answer from .* within 1 s"),
    ):
        connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
    assert 1 <= time.monotonic() - began < soon(2.5)


def test_missing_credentials_come_with_the_command_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = str(tmp_path_factory.mktemp("home"))
    for variable, value in {"HOME": home, "CLOUDSDK_CONFIG": home, "NO_GCE_CHECK": "true"}.items():
        monkeypatch.setenv(variable, value)
    for variable in ("PUBSUB_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(variable, raising=False)
    with (
        kombu.Connection("pubsub://project") as connection,
        pytest.raises(NoCredentials, match="run: gcloud auth application-default login"),
    ):
        connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
    with pytest.raises(NotAuthorised) as caught:
        Sender(Settings.resolve(url="pubsub://project"), "ada").send("hello")
    assert caught.value.hint == "run: gcloud auth application-default login"
    assert "run:" not in str(caught.value)


def test_a_cut_connection_is_said_at_once_and_a_new_one_goes_on(
    proxy: Proxy, connect: Connect, name: Name
) -> None:
    # With the service a consumer opens its stream again by itself, see test_refusals. The emulator does not notice that a
    # stream was cut, and delivers to it for ever.
    connection, sender = connect(), connect()
    exchange = fanout(name("room"))
    channel = connection.channel()
    listen(channel, own_queue(channel, exchange, name("queue")))
    drain_for(connection, 0.2)
    proxy.cut()
    began = time.monotonic()
    with pytest.raises(RecoverableConnectionError, match="receive from"):
        drain(connection, lambda: False)
    assert time.monotonic() - began < soon(2)
    connection.collect()
    again = connect()
    channel = again.channel()
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    # The sender's connection mends itself.
    send(sender.channel(), exchange.name, b"after")
    assert take(again, arrived, 1) == [b"after"]


def test_a_stream_that_is_cut_confirms_everything_in_the_end(
    connect: Connect,
    proxy_to: Callable[[int], Proxy],
    pubsub_emulator: Emulator,
    name: Name,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener = connect()
    proxy = proxy_to(pubsub_emulator.port)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"{proxy.host}:{proxy.port}")
    sender = connect()
    channel, publishing = listener.channel(), sender.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, own_queue(channel, exchange, name("queue")), no_ack=True)
    acks: list[int] = []
    publishing.confirm_select()
    publishing.events["basic_ack"].add(lambda tag, _: acks.append(tag))
    sent = [b"%d" % number for number in range(1500)]
    for number, body in enumerate(sent):
        if number in (300, 900):
            proxy.cut()
        send(publishing, exchange.name, body)
    drain(sender, lambda: acks[-1:] == [len(sent)])
    # A batch that was sent as the link was cut may be there twice.
    drain(listener, lambda: set(bodies(arrived)) == set(sent), seconds=30)


def test_a_service_that_went_away_ends_consumers_and_streams(
    proxy: Proxy, connect: Connect, name: Name
) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    listen(channel, own_queue(channel, exchange, name("queue")))
    proxy.refuse()
    began = time.monotonic()
    with pytest.raises(RecoverableConnectionError, match="receive from"):
        drain(connection, lambda: False)
    assert time.monotonic() - began < soon(2)
    assert not connection.connected
    with pytest.raises(RecoverableConnectionError):
        send(channel, exchange.name, b"x")
    began = time.monotonic()
    connection.release()
    assert time.monotonic() - began < soon(2)


def test_a_black_hole_is_noticed_within_two_heartbeats(proxy: Proxy, connect: Connect, name: Name) -> None:
    connection = connect(heartbeat=1)
    channel = connection.channel()
    listen(channel, own_queue(channel, fanout(name("room")), name("queue")))
    drain_for(connection, 1.5)
    proxy.black_hole()
    began = time.monotonic()
    with pytest.raises(RecoverableConnectionError, match=r"no answer to a heartbeat from .* within 1 s"):
        drain(connection, lambda: False)
    assert time.monotonic() - began < soon(2.5)
    began = time.monotonic()
    connection.release()
    assert time.monotonic() - began < soon(2)


def test_a_quiet_consumer_lives_through_many_heartbeats(connect: Connect, name: Name) -> None:
    connection = connect(heartbeat=0.5)
    channel = connection.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    drain_for(connection, 3)
    send(channel, exchange.name, b"x")
    assert take(connection, arrived, 1) == [b"x"]


def test_a_publish_into_a_black_hole_times_out(proxy: Proxy, connect: Connect, name: Name) -> None:
    connection = connect(confirm_timeout=1)
    channel = connection.channel()
    exchange = fanout(name("room"))
    exchange(channel).declare()
    channel.confirm_select()
    proxy.black_hole()
    began = time.monotonic()
    send(channel, exchange.name, b"x")
    with pytest.raises(PublishTimedOut, match="no answer within 1 s"):
        drain(connection, lambda: False)
    assert time.monotonic() - began < soon(2)


def test_leaving_through_a_black_hole_takes_less_than_two_seconds(
    proxy: Proxy, connect: Connect, name: Name
) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    kept = listen(channel, lasting_queue(channel, exchange, name("queue")))
    send(channel, exchange.name, b"x")
    drain(connection, lambda: len(arrived) == len(kept) == 1)
    proxy.black_hole()
    channel.basic_ack(0, multiple=True)
    began = time.monotonic()
    connection.release()
    assert time.monotonic() - began < soon(2)


def test_after_a_restart_both_sides_are_told_and_go_on(
    own_pubsub_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, name: Name
) -> None:
    # The service does not forget; on it this is an operator who deletes topic and subscription.
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", own_pubsub_emulator.address)
    exchange = fanout(name("room"))
    with (
        kombu.Connection("pubsub://project") as listener,
        kombu.Connection("pubsub://project") as sender,
    ):
        channel, publishing = listener.channel(), sender.channel()
        queue = own_queue(channel, exchange, name("queue"))
        listen(channel, queue)
        send(publishing, exchange.name, b"x")
        own_pubsub_emulator.restart()
        with pytest.raises(RecoverableConnectionError):
            drain(listener, lambda: False)
        with pytest.raises(NotFound):
            send(publishing, exchange.name, b"x")
        listener.collect()
        channel = listener.channel()
        arrived = listen(channel, own_queue(channel, exchange, queue))
        send(publishing, exchange.name, b"x")
        assert take(listener, arrived, 1) == [b"x"]
