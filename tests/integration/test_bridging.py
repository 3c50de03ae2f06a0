"""Bridges between rooms of several brokers, as threads of the test and as the command."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pika
import pytest

from kchat import Message, Sender, Settings, Subscriber, events
from kchat.client.bridge import Bridge
from kchat.client.carried import Source
from kchat.client.connection import connect
from kchat.message.bridged import HEADER
from tests.brokers.processes import Commands, Process
from tests.brokers.proxy import Proxy
from tests.brokers.pubsub import Emulator
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.redis import Redis
from tests.brokers.wait import Deadline, soon, wait_until
from tests.window import Window

Ends = tuple[Settings, Settings]

COUNT = 300

PAIRS = ["rabbitmq-rabbitmq", "rabbitmq-local", "local-local", "rabbitmq-redis", "rabbitmq-pubsub"]


@pytest.fixture
def make_end(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Settings]]:
    """Makes a room on a broker of some kind, in which nobody is."""
    with ExitStack() as stack:

        def make(kind: str) -> Settings:
            if kind == "rabbitmq":
                rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
                url = rabbitmq.url_for(stack.enter_context(rabbitmq.new_vhost()))
            elif kind == "redis":
                redis: Redis = request.getfixturevalue("redis_server")
                url = redis.new_database()
            elif kind == "pubsub":
                emulator: Emulator = request.getfixturevalue("pubsub_emulator")
                for name, value in emulator.environment.items():
                    monkeypatch.setenv(name, value)
                url = emulator.url(emulator.new_project())
            else:
                url = f"local://{tmp_path_factory.mktemp('room')}/room.db"
            return Settings.resolve(url=url, room="chat")

        yield make


@pytest.fixture
def amqp_ends(make_end: Callable[[str], Settings]) -> Ends:
    """Two rooms on RabbitMQ."""
    return make_end("rabbitmq"), make_end("rabbitmq")


@pytest.fixture
def local_ends(make_end: Callable[[str], Settings]) -> Ends:
    """Two embedded rooms."""
    return make_end("local"), make_end("local")


class Heard:
    """What a subscriber gets, until it has heard what it waits for."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.messages: list[Message] = []

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages]

    def until(self, *texts: str, seconds: float = 20) -> list[str]:
        """Receives until all of these have come; returns all texts so far."""
        deadline = Deadline(soon(seconds))
        while not set(texts) <= set(self.texts):
            assert not deadline.passed, f"not heard {set(texts) - set(self.texts)}: {self.texts[-5:]}"
            self.messages += self.subscriber.receive(timeout=0.2)
            self.subscriber.acknowledge()
        return self.texts


@contextmanager
def hearing(settings: Settings, *, repeats: bool = False) -> Iterator[Heard]:
    """Somebody who listens; with ``repeats``, one to whom a message that comes twice is shown twice."""
    with (Source if repeats else Subscriber)(settings, "bob") as subscriber:
        yield Heard(subscriber)


def send(settings: Settings, texts: list[str], username: str = "ada") -> None:
    with Sender(settings, username) as sender:
        assert all(receipt.confirmed for receipt in sender.send_many(texts))


def wait_until_quiet(bridge: Bridge, *heard: Heard) -> None:
    """After this, all that a bridge ever does with what was sent has come: it has read its own messages on either side."""
    deadline = Deadline(soon(20))
    before = -1
    while (now := sum(way.bridged + way.passed_by for way in bridge.ways)) != before or now == 0:
        assert not deadline.passed
        before = now
        for each in heard:
            each.messages += each.subscriber.receive(timeout=0.3)
            each.subscriber.acknowledge()


@pytest.mark.parametrize("pair", PAIRS)
def test_both_rooms_have_every_message_once_and_in_order(
    make_end: Callable[[str], Settings], pair: str
) -> None:
    one, other = map(make_end, pair.split("-"))
    ours, theirs = ([f"{who} {number}" for number in range(COUNT)] for who in ("ada", "eve"))
    with hearing(one, repeats=True) as here, hearing(other, repeats=True) as there:
        with Bridge(one, other, both=True) as bridge:
            send(one, ours)
            send(other, theirs, "eve")
            for heard in (here, there):
                heard.until(ours[-1], theirs[-1])
            wait_until_quiet(bridge, here, there)
        for heard in (here, there):
            assert [text for text in heard.texts if text.startswith("ada")] == ours
            assert [text for text in heard.texts if text.startswith("eve")] == theirs
        ids = [{message.text: message.id for message in heard.messages} for heard in (here, there)]
        assert ids[0] == ids[1]
        assert [(way.bridged, way.passed_by, way.refused) for way in bridge.ways] == 2 * [(COUNT, COUNT, 0)]


def test_the_account_that_said_it_travels_in_the_body_and_is_not_verified(
    rabbitmq: RabbitMQ, amqp_ends: Ends
) -> None:
    one, other = amqp_ends
    with (
        rabbitmq.new_account(one.broker.vhost, configure=".*", write=".*", read=".*") as account,
        Bridge(one, other),
        hearing(other) as there,
    ):
        mine = Settings.resolve(url=account.url, room="chat")
        send(mine, ["mine"], account.username)
        send(mine, ["a lie"], one.broker.account or "")  # the bridge's own account on the other side
        there.until("mine", "a lie")
    for message in there.messages:
        assert message.extra["bridged"] == {"account": account.username}
        assert message.account is None
        assert not message.verified


def test_what_is_no_kchat_message_crosses_as_it_is(amqp_ends: Ends) -> None:
    one, other = amqp_ends
    bodies = [
        b"from a dashboard",
        b"\xff\x00",
        b"[1]",
        b'{"username": "ada", "message": "no id"}',
        b"hi",
        b"hi",
    ]
    with (
        hearing(one, repeats=True) as here,
        hearing(other, repeats=True) as there,
        Bridge(one, other, both=True) as bridge,
        pika.BlockingConnection(pika.URLParameters(one.broker.url())) as connection,
    ):
        channel = connection.channel()
        for body in bodies:
            channel.basic_publish("chat", "", body)
        there.until("hi")
        wait_until_quiet(bridge, here, there)
        assert [message.body for message in there.messages] == bodies
        assert [message.body for message in here.messages] == bodies


@pytest.mark.parametrize(
    "mark",
    ["x" * 5000, "0123456789ab " * 1000, "\xff\x00", "", "0123456789abc 0123456789a", 7, ["0123456789ab"]],
)
def test_a_mark_that_somebody_made_up_ends_no_bridge(amqp_ends: Ends, mark: object) -> None:
    one, other = amqp_ends
    with (
        hearing(other) as there,
        Bridge(one, other) as bridge,
        pika.BlockingConnection(pika.URLParameters(one.broker.url())) as connection,
    ):
        properties = pika.BasicProperties(headers={HEADER: mark})
        connection.channel().basic_publish("chat", "", b"made up", properties)
        send(one, ["after it"])
        there.until("after it")
        assert [way.failure for way in bridge.ways] == [None]
    assert there.texts in (["made up", "after it"], ["after it"])
    assert ("made up" in there.texts) == (len(str(mark)) < 10_000)


def test_two_bridges_at_once_show_each_message_once(amqp_ends: Ends) -> None:
    one, other = amqp_ends
    ours = [str(number) for number in range(COUNT)]
    with ExitStack() as stack:
        here, there = (stack.enter_context(hearing(end)) for end in amqp_ends)
        raw_here, raw_there = (stack.enter_context(hearing(end, repeats=True)) for end in amqp_ends)
        bridges = [stack.enter_context(Bridge(one, other, both=True, name=name)) for name in ("a", "b")]
        send(one, ours)
        for heard in (here, there, raw_here, raw_there):
            heard.until(ours[-1])
        for bridge in bridges:
            wait_until_quiet(bridge, here, there, raw_here, raw_there)
    assert here.texts == there.texts == ours
    assert raw_here.texts == ours  # none of the two brings back what the other one has brought
    assert Counter(raw_there.texts) == Counter(2 * ours)


def test_a_message_goes_round_a_ring_of_three_once(make_end: Callable[[str], Settings]) -> None:
    ends = [make_end("local") for _ in range(3)]
    with ExitStack() as stack:
        heard = [stack.enter_context(hearing(end, repeats=True)) for end in ends]
        bridges = [
            stack.enter_context(Bridge(one, other))
            for one, other in zip(ends, [*ends[1:], ends[0]], strict=True)
        ]
        send(ends[0], ["round"])
        heard[2].until("round")
        for bridge in bridges:
            wait_until_quiet(bridge, *heard)
    assert [each.texts for each in heard] == 3 * [["round"]]
    assert [bridge.ways[0].passed_by for bridge in bridges] == [0, 0, 1]


def test_history_is_carried_over_at_the_first_start_and_not_again(local_ends: Ends) -> None:
    one, other = local_ends
    send(one, ["before"])
    since = time.time() - 60
    with hearing(other, repeats=True) as there:
        with Bridge(one, other, since=since):
            there.until("before")
        send(one, ["between"])
        with Bridge(one, other, since=since):
            send(one, ["after"])
            assert there.until("after") == ["before", "between", "after"]


def test_a_bridge_that_waits_for_its_source_carries_the_history_over(
    rabbitmq: RabbitMQ, make_end: Callable[[str], Settings], proxy_to: Callable[[int], Proxy]
) -> None:
    one, other = make_end("rabbitmq"), make_end("local")
    link = proxy_to(rabbitmq.port)
    through = Settings.resolve(
        url=rabbitmq.url_for(one.broker.vhost, host=link.host, port=link.port), room="chat"
    )
    connection, _ = connect(one, purpose="test")
    with hearing(one):  # the room is there
        one.transport.history("chat").switch_on(connection.channel())
    one.transport.close(connection)
    send(one, ["before"])
    link.refuse()

    def tell(_: str, event: events.Event) -> None:
        if isinstance(event, events.Reconnecting):
            link.restore()

    with hearing(other) as there, Bridge(through, other, since=time.time() - 60, wait=True, on_event=tell):
        there.until("before")


def test_the_other_room_need_not_have_a_history(make_end: Callable[[str], Settings]) -> None:
    one, other = make_end("local"), make_end("redis")
    send(one, ["before"])
    with hearing(other) as there, Bridge(one, other, both=True, since=time.time() - 60):
        there.until("before")


def test_what_was_said_while_the_bridge_was_away_waits_for_it(amqp_ends: Ends) -> None:
    one, other = amqp_ends
    with Bridge(one, other):
        pass
    send(one, ["while it was away"])
    with hearing(other) as there, Bridge(one, other):
        there.until("while it was away")


def test_a_room_without_durable_queues_is_said_to_miss_messages(make_end: Callable[[str], Settings]) -> None:
    one, other = make_end("redis"), make_end("local")
    bridge = Bridge(one, other, both=True)
    assert [way.keeps for way in bridge.ways] == [False, True]
    bridge.close()


def test_a_message_that_the_other_side_never_takes_is_told_and_holds_up_nothing(
    make_end: Callable[[str], Settings],
) -> None:
    one, other = make_end("local"), make_end("redis")
    told: list[events.Event] = []
    with hearing(other) as there, Bridge(one, other, on_event=lambda _, event: told.append(event)) as bridge:
        send(one, ["x" * (other.transport.max_body + 1), "small"])
        assert there.until("small") == ["small"]
        wait_until_quiet(bridge)
        assert bridge.ways[0].refused == 1
    (event,) = told
    assert "not bridged: a message of 8," in str(event)


def test_a_message_that_the_other_side_rejects_is_sent_again_until_it_is_taken(amqp_ends: Ends) -> None:
    one, other = amqp_ends
    with hearing(other), pika.BlockingConnection(pika.URLParameters(other.broker.url())) as connection:
        channel = connection.channel()
        limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
        queue = channel.queue_declare("", exclusive=True, arguments=limits).method.queue
        channel.queue_bind(queue, "chat")
        taken = Counter[str]()
        with Bridge(one, other) as bridge:
            texts = [f"text {number}" for number in range(4)]
            send(one, texts)
            deadline = Deadline(soon(30))
            while set(taken) != set(texts):
                assert not deadline.passed, taken
                _, _, body = channel.basic_get(queue, auto_ack=True)
                if body is not None:
                    taken[Message.decode(body).text] += 1
            wait_until(lambda: bridge.ways[0].bridged == len(texts), 30)
            assert bridge.ways[0].refused == 0


# ---- the command


def start(commands: Commands, one: Settings, other: Settings, *options: str) -> Process:
    process = commands.kchat("bridge", "--from", one.broker.url(), "--to", other.broker.url(), *options)
    process.wait_for("bridging")
    return process


def test_the_command_survives_kill_and_loses_nothing(commands: Commands, amqp_ends: Ends) -> None:
    one, other = amqp_ends
    count = 20_000
    with hearing(other) as there:
        process = start(commands, one, other, "--verbose", "--name", "office")
        process.wait_for("queue kchat.chat.office")
        texts = [str(number) for number in range(count)]

        def stream() -> Iterator[str]:
            nonlocal process
            for number, text in enumerate(texts):
                if number % 5000 == 4000:
                    there.until(str(number - 1500))  # in the middle of it
                    process.signal(9)
                    process.wait()
                    process = start(commands, one, other, "--name", "office")
                yield text

        with Sender(one, "ada") as sender:
            assert all(receipt.confirmed for receipt in sender.send_many(stream()))
        there.until(texts[-1], seconds=60)
    assert there.texts == texts
    process.interrupt()
    assert process.wait() == 0
    assert "bridged chat at" in process.stderr
    assert (one.broker.password or "none") not in process.stderr


def test_the_command_says_what_it_did_when_it_is_interrupted(commands: Commands, local_ends: Ends) -> None:
    one, other = local_ends
    process = start(commands, one, other, "--both", "--room-map", "chat=lobby", "--room-map", "ops")
    lobby = Settings.resolve(url=other.broker.url(), room="lobby")
    with hearing(lobby) as there:
        send(one, ["hello"])
        there.until("hello")
    process.interrupt()
    assert process.wait() == 0
    lines = process.stderr.splitlines()
    assert [line for line in lines if line.startswith("bridging")] == [
        f"bridging chat at {one.broker} → lobby at {other.broker}",
        f"bridging lobby at {other.broker} → chat at {one.broker}",
        f"bridging ops at {one.broker} → ops at {other.broker}",
        f"bridging ops at {other.broker} → ops at {one.broker}",
    ]
    assert f"1 bridged chat at {one.broker} → lobby at {other.broker}" in lines


def test_a_line_of_the_terminal_counts_the_messages_of_each_way(
    window: Callable[..., Window], local_ends: Ends
) -> None:
    one, other = local_ends
    terminal = window(200, 20)
    ends = f"--from {one.broker.url()} --to {other.broker.url()}"
    terminal.type(f"{sys.executable} -m kchat bridge {ends} --both", "Enter")
    wait_until(lambda: "bridging" in terminal.text(), 20)
    with hearing(other) as there:
        send(one, ["hello"])
        there.until("hello")
    wait_until(
        lambda: re.search(
            r"^1 bridged, \d+/s chat → chat, \d+/s chat → chat *$", terminal.text(), re.MULTILINE
        ),
        20,
    )
    terminal.type("C-c")
    wait_until(lambda: re.search(r"^1 bridged chat at .*/room.db$", terminal.text(), re.MULTILINE), 20)
    assert "/s" not in terminal.text()


def test_the_command_says_that_a_room_without_durable_queues_is_not_lossless(
    commands: Commands, make_end: Callable[[str], Settings]
) -> None:
    process = start(commands, make_end("redis"), make_end("local"))
    process.wait_for("is missed")
    process.terminate()
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--to", "local:///tmp/same.db"), "the same room"),
        (("--to", "memory://"), "ends with this process"),
        (("--to", "nobody"), "no profile"),
        (("--to", "local:///tmp/b.db", "--room-map", "a=b", "--room-map", "a=c"), "twice"),
        (("--to", "local:///tmp/b.db", "--room-map", "=b"), "not a pair"),
    ],
)
def test_the_command_refuses_what_is_not_a_bridge(
    commands: Commands, options: tuple[str, ...], word: str
) -> None:
    done = commands.run_kchat("bridge", "--from", "local:///tmp/same.db", *options)
    assert done.code == 2
    assert word in done.stderr
    assert " bridged " not in done.stderr


def test_the_header_says_where_a_message_has_been(amqp_ends: Ends) -> None:
    one, other = amqp_ends
    with Bridge(one, other), Source(other, "bob") as subscriber:
        arrived = subscriber._connection.arrived
        send(one, ["hello"])
        heard = Heard(subscriber)
        while not arrived:
            subscriber._connection.drain(1)
        (delivery,) = arrived
        assert len(str(delivery.headers[HEADER]).split()) == 1
        heard.until("hello")


def test_links_that_are_cut_again_and_again_lose_nothing(
    rabbitmq: RabbitMQ, amqp_ends: Ends, proxy_to: Callable[[int], Proxy]
) -> None:
    links = [proxy_to(rabbitmq.port) for _ in amqp_ends]
    through = [
        Settings.resolve(
            url=rabbitmq.url_for(end.broker.vhost, host=link.host, port=link.port), room="chat", heartbeat=1
        )
        for end, link in zip(amqp_ends, links, strict=True)
    ]
    texts = [str(number) for number in range(6_000)]
    told: list[events.Event] = []
    with (
        hearing(amqp_ends[1]) as there,
        Bridge(*through, on_event=lambda _, event: told.append(event)) as bridge,
    ):

        def stream() -> Iterator[str]:
            for number, text in enumerate(texts):
                if number % 500 == 400:
                    there.until(str(number - 300))
                    links[number // 500 % 2].cut("reset")
                yield text

        with Sender(amqp_ends[0], "ada") as sender:
            assert all(receipt.confirmed for receipt in sender.send_many(stream()))
        there.until(texts[-1], seconds=60)
        assert bridge.ways[0].failure is None
    assert there.texts == texts
    assert sum(isinstance(event, events.Reconnected) for event in told) >= 10


def test_a_bridge_leaves_the_queue_while_its_target_is_away(
    rabbitmq: RabbitMQ,
    make_end: Callable[[str], Settings],
    proxy_to: Callable[[int], Proxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kchat.client.way._LEAVE_AFTER", 0.3)
    one, other = make_end("rabbitmq"), make_end("rabbitmq")
    link = proxy_to(rabbitmq.port)
    through = Settings.resolve(
        url=rabbitmq.url_for(other.broker.vhost, host=link.host, port=link.port), room="chat"
    )
    texts = [str(number) for number in range(4_000)]
    told: list[str] = []
    with hearing(other) as there:
        with Bridge(one, through, on_event=lambda _, event: told.append(str(event))) as bridge:
            send(one, texts[:1_000])
            there.until(texts[999])
            link.refuse()
            link.cut()
            send(one, texts[1_000:])
            wait_until(lambda: any(line.startswith("left chat at") for line in told), 30)
            queue = f"kchat.chat.{bridge.ways[0].durable}"

            def waiting() -> bool:
                found = rabbitmq.management.queue(one.broker.vhost, queue) or {}
                # All but those that were acknowledged before; none is held by a reader.
                return bool(found.get("messages_ready", 0) >= 3_000 and not found["messages_unacknowledged"])

            wait_until(waiting, 30)
            link.restore()
            there.until(texts[-1], seconds=60)
            assert there.texts == texts
            wait_until_quiet(bridge, there)
        assert any(line.startswith("reading chat at") for line in told)
    # All of it was acknowledged: nothing comes again.
    with Bridge(one, other) as again:
        send(one, ["last"])
        with hearing(other) as there:
            send(one, ["very last"])
            there.until("very last")
        assert again.ways[0].bridged == 2


def test_a_second_bridge_of_the_same_name_is_refused_or_waits_and_takes_over(
    commands: Commands, amqp_ends: Ends
) -> None:
    one, other = amqp_ends
    texts = [str(number) for number in range(2_000)]
    with hearing(other, repeats=True) as there:
        first = start(commands, one, other, "--both", "--name", "office")
        ends = [
            "bridge",
            "--from",
            one.broker.url(),
            "--to",
            other.broker.url(),
            "--both",
            "--name",
            "office",
        ]
        refused = commands.run_kchat(*ends)
        assert refused.code == 1
        assert "somebody else is reading the durable queue 'office'" in refused.stderr
        assert "stop the other bridge, give this one another name" in refused.stderr
        assert "--shared" not in refused.stderr
        second = commands.kchat(*ends, "--wait")
        second.wait_for("somebody else is reading")
        send(one, texts[:1000])
        there.until(texts[999])
        first.interrupt()
        assert first.wait() == 0
        send(one, texts[1000:])
        there.until(texts[-1], seconds=30)
        second.interrupt()
        assert second.wait() == 0
    assert there.texts == texts
