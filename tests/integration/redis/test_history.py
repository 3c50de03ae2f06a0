"""A room's history on Redis: kept in the channel's order, within its limits; read at first, and after what was missed."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import kombu
import pytest
import redis
from redis.exceptions import NoPermissionError

from kchat import Message, NotAuthorised, Refused, Sender, Settings, SettingsError, Subscriber
from kchat.client.connection import broker_errors, connect
from kchat.events import CaughtUp, Disconnected, Event, Notice, Reconnected
from kchat.transports.history import HistoryStatus
from tests.brokers.daemon import Daemon
from tests.brokers.ports import listens
from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.redis import MachineRedis, Redis
from tests.brokers.wait import wait_until
from tests.integration.redis.conftest import OURS


class Host:
    """Whose room it is."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.policy: Any = settings.transport.history(settings.room)

    @contextmanager
    def connected(self) -> Iterator[Any]:
        connection, broker = connect(self.settings, purpose="host")
        try:
            with broker_errors(broker, "listen"):
                yield connection
        finally:
            self.settings.transport.close(connection)

    def switch_on(self, **limits: Any) -> None:
        with self.connected() as connection:
            self.policy.switch_on(connection.channel(), **limits)

    def switch_off(self) -> None:
        with self.connected() as connection:
            self.policy.switch_off(connection.channel())

    def clear(self) -> None:
        with self.connected() as connection:
            self.policy.clear(connection.channel())

    def status(self) -> HistoryStatus | None:
        with self.connected() as connection:
            status: HistoryStatus | None = self.policy.status(connection)
            return status

    def held(self) -> HistoryStatus:
        status = self.status()
        assert status is not None
        return status


@pytest.fixture
def settings(redis_url: str, room: str) -> Settings:
    return Settings.resolve(url=redis_url, room=room)


@pytest.fixture
def host(settings: Settings) -> Host:
    return Host(settings)


@pytest.fixture
def stream(database: str, room: str) -> str:
    return f"kchat-history/{database}.{room}"


@pytest.fixture
def limits(database: str, room: str) -> str:
    return f"kchat-history-limits/{database}.{room}"


def send(settings: Settings, texts: Sequence[str], **options: Any) -> None:
    with Sender(settings, "ada", **options) as sender:
        for receipt in sender.send_many(texts):
            assert receipt.confirmed


def take(subscriber: Subscriber, count: int, timeout: float = 30) -> list[str]:
    """The texts of that number of messages, or of fewer, if no more come."""
    texts: list[str] = []
    while len(texts) < count and (batch := subscriber.receive(timeout=timeout)):
        texts += [message.text for message in batch]
        subscriber.acknowledge()
    return texts


def held(settings: Settings, **begin: Any) -> list[str]:
    """What a subscriber begins with."""
    with Subscriber(settings, "bob", **begin) as subscriber:
        return take(subscriber, 1_000_000, timeout=0.5)


def padded(first: int, last: int) -> list[str]:
    """As :func:`numbered`, with 2 kB more in each."""
    return [text.ljust(2000, ".") for text in numbered(first, last)]


def wait_until_back(subscriber: Subscriber, told: list[Event]) -> Reconnected:
    """The event that tells that it is back, which comes when all was caught up; nothing more comes until then."""
    wait_until(
        lambda: subscriber.receive(timeout=0.1) == [] and told and isinstance(told[-1], Reconnected),
        30,
        "the subscriber to be back",
    )
    back = told[-1]
    assert isinstance(back, Reconnected)
    return back


def numbered(first: int, last: int) -> list[str]:
    return [f"m{number}" for number in range(first, last + 1)]


# ---- kept and read


def test_a_room_has_no_history_until_its_host_switches_it_on(settings: Settings, host: Host) -> None:
    assert host.status() is None
    send(settings, ["before"])
    with pytest.raises(SettingsError, match="has no history"):
        Subscriber(settings, "bob", last=10).open()
    host.switch_on()
    send(settings, numbered(1, 30))
    assert held(settings, last=10) == numbered(21, 30)
    assert held(settings, last=1000) == held(settings, since=0) == numbered(1, 30)
    status = host.held()
    assert (status.messages, status.keep, status.max_size) == (30, 7 * 86400, 64 << 20)
    host.clear()
    assert host.held().messages == 0
    assert held(settings, last=10) == []
    host.switch_off()
    assert host.status() is None


def test_history_is_followed_by_what_is_sent_then_and_nothing_comes_twice(
    settings: Settings, host: Host
) -> None:
    host.switch_on()
    send(settings, numbered(1, 5))
    over = threading.Event()
    told: list[Event] = []

    def talk() -> None:
        with Sender(settings, "ada") as sender:
            for number in itertools.count(6):
                sender.send(f"m{number}")
                if over.is_set():
                    return

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        with Subscriber(settings, "bob", last=3, on_event=told.append) as subscriber:
            texts = take(subscriber, 2000)
    finally:
        over.set()
        talking.join()
    first = int(texts[0].removeprefix("m"))
    assert texts == numbered(first, first + len(texts) - 1)
    assert told == []


def test_messages_of_the_history_are_as_they_would_have_come(settings: Settings, host: Host) -> None:
    host.switch_on()
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada") as sender:
        for text in ("", "grüße \U0001f600", "x" * 100_000):
            sender.send(text)
        came: list[Message] = []
        while len(came) < 3:
            came += subscriber.receive(timeout=30)
    with Subscriber(settings, "bob", last=3) as late:
        kept: list[Message] = []
        while len(kept) < 3:
            kept += late.receive(timeout=30)
    assert kept == came


def test_since_goes_by_the_servers_clock_and_last_by_no_clock(
    settings: Settings, host: Host, server: redis.Redis
) -> None:
    host.switch_on()
    send(settings, numbered(1, 3))
    seconds, microseconds = server.time()
    wait_until(lambda: server.time() > (seconds, microseconds + 2000), what="the server's clock to go on")
    send(settings, numbered(4, 6))
    assert held(settings, since=seconds + microseconds / 1e6 + 0.001) == numbered(4, 6)
    assert held(settings, since=seconds + 3600) == []
    assert held(settings, since=-1) == held(settings, since=float("-inf")) == numbered(1, 6)


def test_a_sender_that_is_connected_notices_when_history_is_switched_off_and_makes_no_new_one(
    settings: Settings, host: Host, server: redis.Redis
) -> None:
    host.switch_on()
    with Sender(settings, "ada") as sender:
        sender.send("kept")
        host.switch_off()
        sender.send("not kept")
        assert server.keys("*") == []
        host.switch_on()
        sender.send("kept again")
    assert held(settings, last=10) == ["kept again"]


def test_a_room_of_another_database_has_a_history_of_its_own(redis_server: Redis, room: str) -> None:
    here, there = (Settings.resolve(url=redis_server.new_database(), room=room) for _ in range(2))
    Host(here).switch_on()
    Host(there).switch_on()
    send(here, ["here"])
    send(there, ["there"])
    assert held(here, last=5) == ["here"]
    assert held(there, last=5) == ["there"]


def test_what_a_program_publishes_by_kombu_is_kept_and_what_is_published_without_it_is_not(
    settings: Settings, host: Host, server: redis.Redis, ours: Callable[[], kombu.Connection], database: str
) -> None:
    host.switch_on()
    exchange = settings.transport.room(settings.room).exchange
    with ours().channel() as channel:
        message = {"username": "eve", "message": "by Kombu"}
        kombu.Producer(channel).publish(message, exchange=exchange, declare=[exchange])
    server.publish(f"/{database}.{settings.room}", "by redis-cli")
    assert held(settings, last=10) == ["by Kombu"]


def test_what_kombus_own_transport_hears_is_the_same_with_history(
    settings: Settings, host: Host, kombus: Callable[[], kombu.Connection]
) -> None:
    host.switch_on()
    came: list[Any] = []
    with kombus() as connection, connection.channel() as channel:
        queue = kombu.Queue("", settings.transport.room(settings.room).exchange, exclusive=True)
        with kombu.Consumer(
            channel, [queue], on_message=lambda message: came.append(message.payload), no_ack=True
        ):
            connection.drain_events(timeout=10)  # that is when it subscribes
            send(settings, ["hello"])
            while not came:
                connection.drain_events(timeout=10)
    assert came[0]["message"] == "hello"


def test_a_message_that_waits_for_listeners_is_kept_once(settings: Settings, host: Host) -> None:
    host.switch_on()
    message = Message.compose("ada", "hello")
    with Sender(settings, "ada") as sender:
        for _ in range(3):
            assert sender.send(message).routed is False
    assert host.held().messages == 1


def test_a_sender_knows_whether_the_history_has_what_nobody_was_listening_to(
    settings: Settings,
    host: Host,
    account: Callable[..., str],
    database: str,
    server: redis.Redis,
    stream: str,
) -> None:
    with Sender(settings, "ada") as sender:
        assert sender.send("one").routed is False
        assert sender.keeps_unrouted() is False
    host.switch_on()
    with Sender(settings, "ada") as sender:
        for text in ("two", "three"):
            assert sender.send(text).routed is False
            assert sender.keeps_unrouted() is True
        server.delete(stream)
        assert sender.send("four").routed is False
        assert sender.keeps_unrouted() is False
    host.switch_on()
    guest = Settings.resolve(url=account("+publish", f"&/{database}.*"), room=settings.room)
    with Sender(guest, "eve") as sender:
        assert sender.send("five").routed is False
        assert sender.keeps_unrouted() is False


def test_send_says_that_the_history_keeps_what_nobody_was_listening_to(
    settings: Settings, redis_url: str, host: Host, commands: Commands
) -> None:
    words = ("send", "--url", redis_url, "--room", settings.room, "hello")
    assert commands.run_kchat(*words).stderr.endswith("; nobody was listening\n")
    host.switch_on()
    said = commands.run_kchat(*words).stderr
    assert said.endswith("; nobody was listening, it is kept in the room's history\n")


# ---- limits


@pytest.mark.parametrize(("size", "count"), [(10, 3000), (1_000_000, 12)])
def test_a_history_stays_within_its_bytes_whatever_the_size_of_messages(
    settings: Settings, host: Host, size: int, count: int
) -> None:
    most = 1 << 20 if size == 10 else 4 << 20
    host.switch_on(max_size=most)
    with Sender(settings, "ada") as first, Sender(settings, "bob") as second:
        for sender, _ in zip(itertools.cycle((first, second)), range(count), strict=False):
            sender.send("x" * size)
            status = host.held() if _ % (count // 12) == 0 else None
            assert status is None or (status.size or 0) <= most
    status = host.held()
    assert status.size is not None
    assert most / 2 < status.size <= most
    assert status.messages is not None
    assert 0 < status.messages < count


def test_small_messages_after_large_ones_are_kept_as_far_as_the_bytes_go(
    settings: Settings, host: Host
) -> None:
    host.switch_on(max_size=4 << 20)
    send(settings, ["x" * 1_000_000] * 5)
    send(settings, numbered(1, 500))
    assert held(settings, last=500) == numbered(1, 500)
    assert (host.held().messages or 0) > 500  # of the large ones, too


def test_a_message_larger_than_the_limit_is_kept_until_the_next(settings: Settings, host: Host) -> None:
    host.switch_on(max_size=1 << 20)
    send(settings, ["small", "x" * 3_000_000])
    assert [len(text) for text in held(settings, last=5)] == [3_000_000]
    send(settings, ["next"])
    assert held(settings, last=5)[-1] == "next"


def test_what_is_too_old_is_taken_away_when_somebody_sends_and_is_not_shown_before(
    settings: Settings, host: Host, server: redis.Redis, stream: str
) -> None:
    host.switch_on(keep=3600)
    send(settings, ["now"])
    entries: Any = server.xrange(stream)
    ((now, fields),) = entries
    server.xtrim(stream, maxlen=0)
    server.delete(stream)
    old = int(now.split(b"-")[0]) - 2 * 3600 * 1000
    for number in range(500):
        server.xadd(stream, fields, id=f"{old}-{number + 1}")
    assert held(settings, last=10) == held(settings, since=0) == []
    send(settings, ["later"])
    assert held(settings, last=10) == ["later"]
    assert server.xlen(stream) < 110  # less than a node of the stream is left


# ---- missed and caught up


def test_what_was_sent_while_the_connection_was_lost_is_caught_up(
    settings: Settings, host: Host, server: redis.Redis
) -> None:
    host.switch_on()
    told: list[Event] = []
    with Subscriber(settings, "bob", on_event=told.append) as subscriber, Sender(settings, "ada") as sender:
        for number in numbered(1, 100):
            sender.send(number)
        assert take(subscriber, 100) == numbered(1, 100)
        server.client_kill_filter(_type="pubsub")
        for number in numbered(101, 137):
            sender.send(number)
        assert take(subscriber, 37) == numbered(101, 137)
        back = wait_until_back(subscriber, told)
        sender.send("m138")
        assert take(subscriber, 1) == ["m138"]
    assert [type(event) for event in told] == [Disconnected, Reconnected]
    assert (back.caught_up, back.missing) == (37, 0)
    assert "37 messages caught up" in str(back)


def test_a_subscriber_that_is_cut_off_fifty_times_shows_each_message_once_and_in_order(
    settings: Settings, host: Host, server: redis.Redis
) -> None:
    host.switch_on()
    count = 5000
    talking = threading.Thread(target=send, args=(settings, numbered(1, count)))
    texts: list[str] = []
    cut = 0
    with Subscriber(settings, "bob") as subscriber:
        talking.start()
        while len(texts) < count and (batch := subscriber.receive(timeout=30, limit=20)):
            texts += [message.text for message in batch]
            subscriber.acknowledge()
            if cut < 50 and len(texts) > cut * count // 60:
                cut += 1
                server.client_kill_filter(_type="pubsub")
    talking.join()
    assert cut == 50
    assert texts == numbered(1, count)


def test_what_the_history_did_not_keep_is_told_with_its_number(
    settings: Settings, host: Host, server: redis.Redis
) -> None:
    host.switch_on(max_size=1 << 20)
    told: list[Event] = []
    with Subscriber(settings, "bob", on_event=told.append) as subscriber:
        send(settings, padded(1, 100))
        assert take(subscriber, 100) == padded(1, 100)
        server.client_kill_filter(_type="pubsub")
        send(settings, padded(101, 1000))
        texts = take(subscriber, 1_000_000, timeout=2)
    assert texts == padded(1001 - len(texts), 1000)
    back = told[-1]
    assert isinstance(back, Reconnected)
    assert (back.caught_up, back.missing) == (len(texts), 900 - len(texts))
    assert 0 < len(texts) < 900


def test_what_was_missed_and_is_too_old_by_now_is_told_with_its_number_and_not_shown(
    settings: Settings, host: Host
) -> None:
    host.switch_on(keep=3600)
    told: list[Event] = []
    with Proxy(settings.broker.port or 0) as proxy:
        through = Settings.resolve(
            url=replace(settings.broker, host=proxy.host, port=proxy.port).url(), room=settings.room
        )
        with Subscriber(through, "bob", on_event=told.append) as subscriber:
            send(settings, numbered(1, 3))
            assert take(subscriber, 3) == numbered(1, 3)
            proxy.refuse()
            proxy.cut()
            send(settings, numbered(4, 7))
            host.switch_on(keep=1)
            wait_until(lambda: host.held().messages == 0, 30)
            assert held(settings, last=9) == []
            proxy.restore()
            back = wait_until_back(subscriber, told)
            assert (back.caught_up, back.missing) == (0, 4)
            host.switch_on(keep=3600)
            assert host.held().messages == 7, "nothing was deleted yet"
            send(settings, ["next"])
            assert take(subscriber, 1) == ["next"]


def test_the_status_of_a_history_counts_what_is_not_too_old(
    settings: Settings, host: Host, server: redis.Redis, stream: str
) -> None:
    host.switch_on(keep=3600)
    send(settings, ["now"])
    entries: Any = server.xrange(stream)
    ((now, fields),) = entries
    server.delete(stream)
    ms = int(now.split(b"-")[0])
    for number in range(300):
        server.xadd(stream, fields, id=f"{ms - 2 * 3_600_000}-{number + 1}")
    for number in range(5):
        server.xadd(stream, fields, id=f"{ms}-{number + 1}")
    found = host.held()
    assert (found.messages, found.since) == (5, ms / 1000)


def test_what_the_limits_took_away_and_was_shown_before_does_not_count_as_missed(
    settings: Settings, host: Host, server: redis.Redis
) -> None:
    host.switch_on(max_size=1 << 20)
    told: list[Event] = []
    with Subscriber(settings, "bob", on_event=told.append) as subscriber:
        send(settings, padded(1, 900))
        assert take(subscriber, 900) == padded(1, 900)
        server.client_kill_filter(_type="pubsub")
        send(settings, ["next"])
        assert take(subscriber, 1) == ["next"]
        back = wait_until_back(subscriber, told)
    assert (back.caught_up, back.missing) == (1, 0)


def test_a_slow_reader_that_redis_drops_misses_nothing(own_redis: Redis) -> None:
    own_redis.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")
    settings = Settings.resolve(url=own_redis.url)
    Host(settings).switch_on(max_size=256 << 20)
    count = 10_000
    told: list[Event] = []
    with Subscriber(settings, "bob", on_event=told.append) as subscriber:
        publish_fast(settings, padded(1, count), own_redis)
        assert own_redis.command("PUBSUB", "NUMSUB", "/0.chat") == [b"/0.chat", 0], "it was not dropped"
        texts = take(subscriber, count)
        send(settings, ["after"])
        assert take(subscriber, 1) == ["after"]
    assert texts == padded(1, count)
    assert any(isinstance(event, Disconnected) for event in told)
    assert all(event.missing == 0 for event in told if isinstance(event, Reconnected | CaughtUp))


def test_a_reader_that_is_far_behind_and_then_cut_off_shows_nothing_twice(own_redis: Redis) -> None:
    own_redis.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0")
    settings = Settings.resolve(url=own_redis.url)
    Host(settings).switch_on(max_size=256 << 20)
    count = 60_000  # more than a subscriber remembers
    texts: list[str] = []
    with Subscriber(settings, "bob") as subscriber:
        publish_fast(settings, numbered(1, count), own_redis)
        cuts = 0
        while len(texts) < count and (batch := subscriber.receive(timeout=30)):
            texts += [message.text for message in batch]
            subscriber.acknowledge()
            if not cuts and len(texts) > 50_000:
                cuts += 1
                own_redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        assert subscriber.receive(timeout=0.5) == []
    assert cuts == 1
    assert texts == numbered(1, count)


def publish_fast(settings: Settings, texts: Sequence[str], server: Redis) -> None:
    """Messages as kchat sends them, many in one go."""
    kept: list[Any] = []
    with (
        kombu.Connection(settings.broker.url(), transport=OURS) as connection,
        connection.channel() as channel,
        redis.Redis.from_url(server.url) as client,
    ):
        for first in range(0, len(texts), 1000):
            pipeline = client.pipeline(transaction=False)
            for text in texts[first : first + 1000]:
                message = Message.compose("ada", text)
                prepared = channel.prepare_message(message.body, properties={"message_id": message.id})
                channel._inplace_augment_message(prepared, "chat", "")
                data = kombu.utils.json.dumps(prepared)
                pipeline.execute_command("MULTI")
                pipeline.xadd("kchat-history/0.chat", {"message": data})
                pipeline.publish("/0.chat", data)
                pipeline.execute_command("EXEC")
            kept += pipeline.execute()
    assert len(kept) == 4 * len(texts)


# ---- restarts


class KeptRedis(MachineRedis):
    """A Redis that begins again with what it has on disk."""

    def __init__(self, folder: Path, *settings: str) -> None:
        super().__init__(folder)
        command = [
            self.origin,
            "--bind",
            self.host,
            "--port",
            str(self.port),
            "--dir",
            str(folder),
            *settings,
        ]
        self._server = Daemon(command, folder / "redis.log")


@contextmanager
def kept_redis(folder: Path, *settings: str) -> Iterator[Redis]:
    server = KeptRedis(folder, *settings)
    server.start()
    try:
        yield server
    finally:
        if listens(server.host, server.port):
            server.kill()


def test_a_server_that_is_killed_loses_nothing_where_it_appends_to_a_file(tmp_path: Path) -> None:
    with kept_redis(tmp_path, "--appendonly", "yes", "--save", "") as server:
        settings = Settings.resolve(url=server.url)
        Host(settings).switch_on()
        count, texts, told = 3000, [], []  # type: ignore[var-annotated]
        talking = threading.Thread(
            target=send, args=(settings, numbered(1, count)), kwargs={"reconnect_for": 60}
        )
        kills = 0
        with Subscriber(settings, "bob", on_event=told.append) as subscriber:
            talking.start()
            while len(texts) < count and (batch := subscriber.receive(timeout=30)):
                texts += [message.text for message in batch]
                subscriber.acknowledge()
                if kills < 3 and len(texts) > (kills + 1) * 700:
                    kills += 1
                    server.restart()
        talking.join()
        assert kills == 3
        assert texts == numbered(1, count)
        assert held(settings, last=count)[-1] == f"m{count}"
        assert any(isinstance(event, Reconnected) and event.caught_up is not None for event in told)


def test_a_server_that_keeps_nothing_on_disk_forgets_the_history_and_the_loss_is_said(
    own_redis: Redis,
) -> None:
    settings = Settings.resolve(url=own_redis.url)
    Host(settings).switch_on()
    told: list[Event] = []
    with Subscriber(settings, "bob", on_event=told.append) as subscriber:
        send(settings, ["before"])
        assert take(subscriber, 1) == ["before"]
        own_redis.restart()
        assert "may have been missed" in str(wait_until_back(subscriber, told))
        send(settings, ["after"])
        assert take(subscriber, 1) == ["after"]


def test_a_server_that_begins_with_an_older_state_is_noticed(tmp_path: Path) -> None:
    with kept_redis(tmp_path, "--appendonly", "no", "--save", "") as server:
        settings = Settings.resolve(url=server.url)
        Host(settings).switch_on()
        told: list[Event] = []
        with Subscriber(settings, "bob", on_event=told.append) as subscriber:
            send(settings, numbered(1, 3))
            server.command("SAVE")
            send(settings, numbered(4, 5))
            assert take(subscriber, 5) == numbered(1, 5)
            server.command("CLIENT", "KILL", "TYPE", "pubsub")
            wait_until_back(subscriber, told)  # its place is behind the fifth
            server.restart()
            send(settings, ["later"])
            assert take(subscriber, 1) == ["later"]
            back = wait_until_back(subscriber, told)
        assert back.missing == -1
        assert "may be lost" in str(back)


# ---- rights


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


@pytest.mark.parametrize(
    "rules",
    [
        ("+hmget", "%R~kchat-history-limits*"),
        ("+hmget", "+multi", "+exec", "%R~kchat-history-limits*"),
        ("+hmget", "+multi", "+exec", "+xadd", "%R~kchat-history-limits*", "~kchat-history/*"),
        ("+hmget", "+multi", "+xadd", "+zincrby", "~kchat-history*"),
    ],
)
def test_an_account_that_may_not_write_the_history_sends_and_says_once_that_it_is_not_kept(
    settings: Settings, host: Host, account: Callable[..., str], database: str, rules: tuple[str, ...]
) -> None:
    host.switch_on()
    told: list[Event] = []
    guest = Settings.resolve(url=account("+publish", f"&/{database}.*", *rules), room=settings.room)
    with Subscriber(settings, "bob") as subscriber, Sender(guest, "eve", on_event=told.append) as sender:
        for text in numbered(1, 3):
            assert sender.send(text).routed is True
        assert take(subscriber, 3) == numbered(1, 3)
        assert subscriber.receive(timeout=0.2) == []
    assert [str(event) for event in told] == [
        "what is sent here is not kept in the room's history: this account may not write it"
    ]
    assert isinstance(told[0], Notice)
    assert host.held().messages == 0


def test_an_account_that_may_know_nothing_of_a_history_sends_and_listens_as_ever(
    settings: Settings, host: Host, account: Callable[..., str], database: str
) -> None:
    host.switch_on()
    guest = Settings.resolve(url=account("+publish", "+subscribe", f"&/{database}.*"), room=settings.room)
    with Subscriber(guest, "eve") as subscriber, Sender(guest, "eve") as sender:
        assert sender.send("hello").routed is True
        assert take(subscriber, 1) == ["hello"]
    with pytest.raises(Refused):
        Subscriber(guest, "eve", last=10).open()


@pytest.fixture
def invited(settings: Settings, redis_server: Redis) -> Iterator[Callable[..., Settings]]:
    """Admits guests as ``kchat invite`` does."""
    names: list[str] = []

    def invite(*, send_only: bool) -> Settings:
        name = f"guest-{secrets.token_hex(4)}"
        access = settings.transport.guests.admit(settings, name, send_only=send_only)
        with Host(settings).connected() as connection:
            for step in access.steps:
                step.run(connection.channel())
        names.append(name)
        broker = replace(settings.broker, account=name, password=access.password)
        return replace(settings, brokers=(broker,))

    yield invite
    redis_server.command("ACL", "DELUSER", *names)


@pytest.mark.parametrize("room", ["chat", "a*b[c]?"])
def test_a_guest_reads_the_history_and_what_it_sends_is_kept(
    settings: Settings, host: Host, invited: Callable[..., Settings]
) -> None:
    host.switch_on(max_size=1 << 20)
    guest = invited(send_only=False)
    told: list[Event] = []
    send(guest, padded(1, 600), on_event=told.append)
    assert held(guest, last=20) == padded(581, 600)
    assert told == []
    assert (Host(guest).held().size or 0) < 1 << 20


def test_a_guest_that_may_only_send_has_it_kept_and_reads_nothing(
    settings: Settings, host: Host, invited: Callable[..., Settings]
) -> None:
    host.switch_on(max_size=1 << 20)
    guest = invited(send_only=True)
    told: list[Event] = []
    send(guest, padded(1, 600), on_event=told.append)
    assert told == []
    assert held(settings, last=20) == padded(581, 600)
    with Host(guest).connected() as connection:
        ask = connection.channel().ask
        keys = host.policy._keys(connection.channel())
        for command in (
            ("XRANGE", keys.stream, "-", "+"),
            ("XREVRANGE", keys.stream, "+", "-"),
            ("XREAD", "STREAMS", keys.stream, "0"),
            ("XINFO", "STREAM", keys.stream),
            ("DUMP", keys.stream),
        ):
            (answer,) = ask(command)
            assert isinstance(answer, NoPermissionError), command


def test_a_guest_can_neither_switch_a_history_nor_end_it_nor_reach_that_of_another_room(
    settings: Settings, host: Host, invited: Callable[..., Settings], redis_server: Redis
) -> None:
    host.switch_on()
    send(settings, ["kept"])
    guest = invited(send_only=False)
    for doing in (Host(guest).switch_on, Host(guest).switch_off, Host(guest).clear):
        with pytest.raises(NotAuthorised):
            doing()
    elsewhere = replace(guest, brokers=(replace(guest.broker, path=redis_server.new_database()[-1]),))
    for other in (replace(guest, room="other"), elsewhere):
        with pytest.raises(NotAuthorised):
            Host(other).status()
    assert held(settings, last=5) == ["kept"]


# ---- what others write there


def test_entries_of_others_are_passed_over(
    settings: Settings, host: Host, server: redis.Redis, stream: str
) -> None:
    host.switch_on()
    send(settings, ["one"])
    server.xadd(stream, {"other": "x"})
    server.xadd(stream, {"message": "x", "more": "y"})
    server.xadd(stream, {f"f{number}": "v" * 10 for number in range(30_000)})
    server.xadd(stream, {"message": b"\xff\xfe raw"})
    deleted = server.xadd(stream, {"message": "deleted"})
    server.xdel(stream, deleted)
    send(settings, ["two"])
    for begin in ({"last": 10}, {"last": 3}, {"since": 0}):
        texts = held(settings, **begin)
        assert (texts[0], texts[-1], len(texts)) == ("one", "two", 3)
    assert held(settings, last=1) == ["two"]


def test_a_history_of_large_messages_is_read_in_bounded_pieces(
    settings: Settings, host: Host, server: redis.Redis, stream: str
) -> None:
    host.switch_on(max_size=1 << 30)
    send(settings, numbered(1, 300))
    for number in range(16):
        server.xadd(stream, {"message": bytes([65 + number]) * 7_000_000})
    send(settings, ["last"])
    with Subscriber(settings, "bob", since=0) as subscriber:
        texts = take(subscriber, 317)
    assert texts[:300] == numbered(1, 300)
    assert [(text[0], len(text)) for text in texts[300:316]] == [
        (chr(65 + number), len(texts[300])) for number in range(16)
    ]
    assert texts[316:] == ["last"]


def test_a_key_that_holds_something_else_stops_nobody_and_is_told_to_the_host(
    settings: Settings, host: Host, server: redis.Redis, stream: str, limits: str
) -> None:
    host.switch_on()
    server.delete(stream)
    server.set(stream, "something else")
    told: list[Event] = []
    with Subscriber(settings, "bob") as subscriber, Sender(settings, "ada", on_event=told.append) as sender:
        sender.send("hello")
        sender.send("again")
        assert take(subscriber, 2) == ["hello", "again"]
    (notice,) = told
    assert "is not kept in the room's history" in str(notice)
    with pytest.raises(Refused, match="holds something else"):
        host.switch_on()
    server.delete(stream, limits)
    server.lpush(limits, "not a hash")
    send(settings, ["hello"])
    assert held(settings) == []


@pytest.mark.parametrize(
    "nonsense",
    [
        {"keep": "for ever", "max_size": "all"},
        {"keep": "-1", "max_size": "0"},
        {"keep": "nan", "max_size": "inf"},
        {"keep": "9" * 100_000, "max_size": b"\xff"},
        {"keep": "", "max_size": "1e400"},
    ],
)
def test_nonsense_in_the_limits_counts_as_the_defaults(
    settings: Settings, host: Host, server: redis.Redis, limits: str, nonsense: dict[str, Any]
) -> None:
    host.switch_on()
    for field, value in nonsense.items():
        server.hset(limits, field, value)
    send(settings, numbered(1, 3))
    status = host.held()
    assert (status.messages, status.keep, status.max_size) == (3, 7 * 86400, 64 << 20)
    assert held(settings, last=2) == numbered(2, 3)


@pytest.mark.parametrize("member", ["written", "garbage", "1-2"])
@pytest.mark.parametrize("score", ["inf", "-inf", "-5", "1e300"])
def test_nonsense_in_the_count_of_bytes_neither_stops_a_sender_nor_the_trimming(
    settings: Settings, host: Host, server: redis.Redis, database: str, member: str, score: str
) -> None:
    host.switch_on(max_size=1 << 20)
    server.zadd(f"kchat-history-sizes/{database}.{settings.room}", {member: score})
    send(settings, padded(1, 1200))
    assert (host.held().size or 0) <= 2 << 20
    assert held(settings, last=2) == padded(1199, 1200)
