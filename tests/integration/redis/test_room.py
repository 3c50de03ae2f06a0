"""A room on Redis: sent, heard, lost and found again, by accounts that may do no more than they have to."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest
import redis

from kchat import (
    Message,
    NotAuthorised,
    NotConfirmed,
    Refused,
    Returned,
    Sender,
    SendError,
    Settings,
    SettingsError,
    Subscriber,
    TooLarge,
    Unreachable,
)
from kchat.events import Disconnected, Event, Reconnected
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands, Process
from tests.brokers.proxy import Proxy
from tests.brokers.redis import Redis
from tests.brokers.wait import soon, wait_until


def drain(subscriber: Subscriber, count: int) -> list[Message]:
    """Receives until that number of messages is there, or none comes for 5 s."""
    messages: list[Message] = []
    while len(messages) < count and (batch := subscriber.receive(timeout=30)):
        messages += batch
        subscriber.acknowledge()
    return messages


def texts(subscriber: Subscriber, count: int) -> list[str]:
    return [message.text for message in drain(subscriber, count)]


def channels(server: redis.Redis) -> list[bytes | str]:
    """What anybody is subscribed to."""
    return [*server.pubsub_channels(), *["a pattern"] * server.pubsub_numpat()]


@pytest.fixture
def settings(redis_url: str, room: str) -> Settings:
    return Settings.resolve(url=redis_url, room=room)


# ---- sent and heard


def test_the_first_message_after_listening_is_heard(settings: Settings) -> None:
    for turn in range(20):
        with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
            assert sender.send(str(turn)).routed is True
            assert texts(subscriber, 1) == [str(turn)]


def test_a_sender_is_told_when_nobody_listens(settings: Settings) -> None:
    with Sender(settings, "ada") as sender:
        assert sender.send("hello").routed is False
    with Sender(settings, "ada", mandatory=True) as sender, pytest.raises(Returned):
        sender.send("hello")


def test_a_room_is_of_one_database(redis_server: Redis, room: str) -> None:
    here, there = (Settings.resolve(url=redis_server.new_database(), room=room) for _ in range(2))
    with Subscriber(here, "bob"), Sender(there, "ada") as sender:
        assert sender.send("hello").routed is False


def test_a_message_from_redis_cli_has_no_username(
    settings: Settings, server: redis.Redis, database: str
) -> None:
    with Subscriber(settings, "bob") as subscriber:
        server.publish(f"/{database}.{settings.room}", "hi")
        server.publish(f"/{database}.{settings.room}", '{"username":"ada","message":"hello"}')
        plain, ours = drain(subscriber, 2)
    assert (plain.username, plain.text) == (None, "hi")
    assert (ours.username, ours.text) == ("ada", "hello")


def test_a_message_over_the_limit_is_refused_and_one_at_the_limit_arrives(settings: Settings) -> None:
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
        with pytest.raises(TooLarge):
            sender.send("x" * settings.transport.max_body)
        sender.send("x" * (settings.transport.max_body - 1000))
        (message,) = drain(subscriber, 1)
    assert len(message.text) == settings.transport.max_body - 1000


@pytest.mark.parametrize("end", [Process.interrupt, Process.kill])
def test_a_subscriber_leaves_nothing_behind(
    commands: Commands,
    settings: Settings,
    redis_url: str,
    server: redis.Redis,
    end: Callable[[Process], None],
) -> None:
    subscriber = commands.kchat("subscribe", "--url", redis_url, "--room", settings.room)
    subscriber.wait_for("listening")
    assert channels(server) != []
    end(subscriber)
    wait_until(lambda: not channels(server), what="the subscription to end")
    assert server.keys("*") == []


# ---- lost and found


def test_a_subscriber_that_the_server_drops_comes_back_and_says_that_it_was_away(
    settings: Settings, server: redis.Redis
) -> None:
    told: list[Event] = []
    with Subscriber(settings, "bob", on_event=told.append) as subscriber, Sender(settings, "ada") as sender:
        server.client_kill_filter(_type="pubsub")
        sender.send("while away")
        wait_until(
            lambda: subscriber.receive(timeout=0.1) == [] and len(told) > 1, what="the subscriber to be back"
        )
        lost, back = told
        assert isinstance(lost, Disconnected)
        assert isinstance(back, Reconnected)
        assert not back.durable
        sender.send("hello again")
        assert texts(subscriber, 1) == ["hello again"]


def test_a_link_that_is_dead_without_a_word_is_noticed_by_a_subscriber(
    settings: Settings, redis_server: Redis, proxy_to: Callable[[int], Proxy]
) -> None:
    proxy = proxy_to(redis_server.port)
    told: list[Event] = []
    through = replace(
        settings, brokers=(replace(settings.broker, port=proxy.port),), heartbeat=1, connect_timeout=2
    )
    with Subscriber(through, "bob", on_event=told.append) as subscriber:
        assert subscriber.receive(timeout=1) == []  # answered PINGs are not messages
        assert told == []
        proxy.black_hole()
        started = time.monotonic()
        wait_until(lambda: subscriber.receive(timeout=0.05) == [] and told, 5, "the loss to be noticed")
        assert time.monotonic() - started < soon(2)
        proxy.restore()
        wait_until(
            lambda: subscriber.receive(timeout=0.1) == [] and isinstance(told[-1], Reconnected),
            30,
            "the subscriber to be back",
        )
        with Sender(settings, "ada") as sender:
            sender.send("hello again")
        assert texts(subscriber, 1) == ["hello again"]


def test_a_server_that_restarts_finds_its_subscribers_and_senders_again(own_redis: Redis) -> None:
    settings = Settings.resolve(url=own_redis.url)
    told: list[str] = []
    with (
        Subscriber(settings, "bob", on_event=lambda event: told.append(type(event).__name__)) as subscriber,
        Sender(settings, "ada") as sender,
    ):
        sender.send("before")
        assert texts(subscriber, 1) == ["before"]
        own_redis.restart()
        wait_until(
            lambda: subscriber.receive(timeout=0.1) == [] and "Reconnected" in told,
            30,
            "the subscriber to be back",
        )
        assert sender.send("after").routed is True
        assert texts(subscriber, 1) == ["after"]


def test_sending_while_the_server_is_down_fails_in_time(own_redis: Redis) -> None:
    settings = Settings.resolve(url=own_redis.url)
    with Sender(settings, "ada", reconnect_for=0.5) as sender:
        sender.send("before")
        own_redis.kill()
        started = time.monotonic()
        with pytest.raises(NotConfirmed):
            sender.send("hello")
        assert time.monotonic() - started < soon(5)


def test_a_server_that_does_not_answer_confirms_nothing(
    settings: Settings, redis_server: Redis, proxy_to: Callable[[int], Proxy]
) -> None:
    proxy = proxy_to(redis_server.port)
    through = replace(
        settings,
        brokers=(replace(settings.broker, port=proxy.port),),
        confirm_timeout=2,
        connect_timeout=2,
    )
    with Subscriber(settings, "bob") as subscriber, Sender(through, "ada", reconnect_for=0.5) as sender:
        sender.send("before")
        assert texts(subscriber, 1) == ["before"]
        proxy.black_hole("to_client")
        started = time.monotonic()
        with pytest.raises(SendError):
            sender.send("published, and never confirmed")
        assert time.monotonic() - started < soon(5)
        assert texts(subscriber, 1) == ["published, and never confirmed"]


def test_a_confirmation_that_was_lost_makes_no_second_message(
    settings: Settings, redis_server: Redis, proxy_to: Callable[[int], Proxy]
) -> None:
    proxy = proxy_to(redis_server.port)
    through = replace(settings, brokers=(replace(settings.broker, port=proxy.port),), confirm_timeout=2)
    with (
        Subscriber(settings, "bob") as subscriber,
        Sender(
            through,
            "ada",
            on_event=lambda event: proxy.restore() if isinstance(event, Disconnected) else None,
        ) as sender,
    ):
        sender.send("before")
        proxy.black_hole("to_client")
        assert sender.send("twice published").confirmed
        sender.send("after")
        assert texts(subscriber, 3) == ["before", "twice published", "after"]
        assert subscriber.receive(timeout=0.2) == []


def test_a_server_out_of_connections_refuses_clearly(own_redis: Redis) -> None:
    with closing(socket.create_connection((own_redis.host, own_redis.port), 10)) as taken:
        taken.sendall(b"CONFIG SET maxclients 1\r\n")
        assert taken.recv(5) == b"+OK\r\n"
        with pytest.raises(Unreachable, match="max number of clients"):
            Subscriber(Settings.resolve(url=own_redis.url), "bob").open()


# ---- refused


@pytest.fixture
def account(redis_server: Redis, redis_url: str) -> Iterator[Callable[..., str]]:
    """Makes an account with the rules given, and returns the URL of the test's database with it."""
    names: list[str] = []

    def make(*rules: str) -> str:
        name = f"kchat-{secrets.token_hex(4)}"
        names.append(name)
        redis_server.command(
            "ACL", "SETUSER", name, "on", ">secret", "resetchannels", "+select", "+ping", *rules
        )
        return redis_url.replace("redis://", f"redis://{name}:secret@")

    yield make
    redis_server.command("ACL", "DELUSER", *names)


def test_an_account_that_may_only_publish_can_send_and_one_that_may_only_subscribe_can_listen(
    room: str, database: str, account: Callable[..., str]
) -> None:
    listener = Settings.resolve(url=account("+subscribe", "+unsubscribe", f"&/{database}.{room}"), room=room)
    talker = Settings.resolve(url=account("+publish", f"&/{database}.{room}"), room=room)
    with Subscriber(listener, "bob") as subscriber, Sender(talker, "ada") as sender:
        assert sender.send("hello").routed is True
        assert texts(subscriber, 1) == ["hello"]
    with pytest.raises(NotAuthorised):
        Sender(listener, "ada").send("hello")
    with pytest.raises(NotAuthorised):
        Subscriber(talker, "bob").open()


def test_an_account_of_another_room_may_neither_send_nor_listen(
    room: str, database: str, account: Callable[..., str]
) -> None:
    settings = Settings.resolve(url=account("+publish", "+subscribe", f"&/{database}.other"), room=room)
    with pytest.raises(NotAuthorised, match="may not send here"):
        Sender(settings, "ada").send("hello")
    with pytest.raises(NotAuthorised, match="may not listen here"):
        Subscriber(settings, "bob").open()


def test_a_wrong_password_is_no_account(redis_server: Redis) -> None:
    url = f"redis://nobody:not-this@{redis_server.host}:{redis_server.port}/0"
    with pytest.raises(NotAuthorised, match="login refused") as told:
        Sender(Settings.resolve(url=url), "ada").send("hello")
    assert "not-this" not in str(told.value)


def test_a_closed_port_is_reported_as_one_on_which_nothing_listens() -> None:
    with pytest.raises(Unreachable, match="connection refused"):
        Sender(Settings.resolve(url=f"redis://127.0.0.1:{free_port()}/0"), "ada").send("hello")


def test_a_database_that_does_not_exist_is_reported(redis_server: Redis) -> None:
    there = f"redis://{redis_server.host}:{redis_server.port}"
    with pytest.raises(Refused, match="out of range"):
        Sender(Settings.resolve(url=f"{there}/99"), "ada").send("hello")
    with pytest.raises(SettingsError, match="not the number"):
        Sender(Settings.resolve(url=f"{there}/chat"), "ada").send("hello")


def test_a_server_of_another_kind_is_told_apart() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unreachable, match="does not speak Redis"):
            Sender(Settings.resolve(url=f"redis://127.0.0.1:{listener.getsockname()[1]}"), "ada").send(
                "hello"
            )
        thread.join(30)


def test_redis_has_no_durable_queues(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="no durable queues"):
        Subscriber(settings, "bob", durable="archive")


def test_an_option_that_means_nothing_is_refused() -> None:
    for url in ("redis://localhost/0?ssl_cert_reqs=none", "rediss://localhost/0?ssl_cert_reqs=maybe"):
        with pytest.raises(SettingsError, match="ssl_cert_reqs"):
            Sender(Settings.resolve(url=url), "ada").send("hello")
