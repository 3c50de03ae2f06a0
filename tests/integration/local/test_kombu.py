"""Driven by Kombu's own classes, and by Celery."""

from __future__ import annotations

import pickle
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import kombu
import pytest
from amqp.exceptions import NotAllowed
from kombu.mixins import ConsumerMixin

from kchat.transports.local import connection as local_connection
from kchat.transports.local import polling, store, watch
from kchat.transports.local.options import default_path
from kchat.transports.local.transport import Transport
from tests.brokers.processes import Commands
from tests.brokers.wait import Deadline, soon
from tests.integration.local.conftest import Connect
from tests.integration.local.drive import drain, listen, own_queue, rest, send


def test_a_simple_queue_is_first_in_first_out(connect: Connect) -> None:
    with connect().SimpleQueue("jobs") as queue:
        for number in range(5):
            queue.put({"number": number})
        assert queue.qsize() == 5
        first = queue.get(timeout=30)
        assert first.payload == {"number": 0}
        first.ack()
        again = queue.get(timeout=30)
        again.requeue()
        for expected in (1, 2, 3, 4):
            message = queue.get(timeout=30)
            assert message.payload == {"number": expected}
            message.ack()
        with pytest.raises(queue.Empty):
            queue.get(timeout=0.01)
        with pytest.raises(queue.Empty):
            queue.get_nowait()


def test_a_simple_buffer_needs_no_acknowledgement(connect: Connect) -> None:
    with connect().SimpleBuffer("buffer") as buffer:
        buffer.put("hello")
        assert buffer.get(timeout=30).payload == "hello"
        assert len(buffer) == 0


def test_a_consumer_and_a_producer(connect: Connect) -> None:
    connection = connect()
    exchange = kombu.Exchange("tasks", type="topic")
    queue = kombu.Queue("lib", exchange, routing_key="lib.#", max_length=10, message_ttl=60)
    arrived: list[Any] = []
    producer = connect().Producer(serializer="json")
    producer.publish(
        {"héllo": [1, 2]}, exchange=exchange, routing_key="lib.x", declare=[queue], compression="zlib"
    )
    with connection.Consumer(queue, callbacks=[lambda body, message: arrived.append((body, message))]):
        connection.drain_events(timeout=30)
    body, message = arrived[0]
    assert body == {"héllo": [1, 2]}
    assert message.properties["delivery_mode"] == 2
    assert message.delivery_info["routing_key"] == "lib.x"
    message.ack()
    assert message.acknowledged
    assert queue(connection).get() is None


def test_no_ack_messages_can_be_acknowledged_as_kombu_does_it(connect: Connect) -> None:
    connection = connect()
    queue = kombu.Queue("q", kombu.Exchange("e"), "q", no_ack=True)
    arrived: list[Any] = []
    with connection.Consumer(queue, no_ack=True, callbacks=[lambda _, message: arrived.append(message)]):
        connection.Producer().publish("x", exchange="e", routing_key="q")
        connection.drain_events(timeout=30)
        arrived[0].ack()


def test_a_producer_is_told_what_nobody_gets(connect: Connect) -> None:
    connection = connect()
    told: list[Any] = []
    producer = connection.Producer(
        connection.channel(), kombu.Exchange("e"), on_return=lambda *arguments: told.append(arguments[1:3])
    )
    producer.publish("x", routing_key="k", mandatory=True)
    assert told == [("e", "k")]


def test_a_consumer_mixin_runs_until_it_should_stop(connect: Connect) -> None:
    connection = connect()
    exchange = kombu.Exchange("e", "direct")
    queue = kombu.Queue("q", exchange, "q")

    class Worker(ConsumerMixin):
        def __init__(self) -> None:
            self.connection = connection
            self.seen: list[Any] = []

        def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:
            return [consumer([queue], callbacks=[self.on_task], prefetch_count=1)]

        def on_task(self, body: Any, message: Any) -> None:
            self.seen.append(body)
            message.ack()
            self.should_stop = len(self.seen) == 3

    producer = connect().Producer()
    for number in range(3):
        producer.publish(number, exchange=exchange, routing_key="q", declare=[queue])
    worker = Worker()
    worker.run(_tokens=1)
    assert worker.seen == [0, 1, 2]


def test_drain_events_times_out_on_time(connect: Connect) -> None:
    connection = connect()
    listen(connection.channel(), own_queue(connection.channel()))
    for timeout in (0.3, 0.03, 0.001):
        begin = time.monotonic()
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=timeout)
        assert timeout <= time.monotonic() - begin < soon(timeout + 0.25)
    begin = time.monotonic()
    with pytest.raises(socket.timeout):
        connection.drain_events(timeout=0)
    assert time.monotonic() - begin < soon(0.1)


def test_one_drain_delivers_one_message_unless_asked_for_more(connect: Connect, local_url: str) -> None:
    for connection, portions in ((connect(), [1, 2, 3]), (connect(f"{local_url}?drain_batch=2"), [2, 3])):
        channel = connection.channel()
        channel.exchange_declare("chat", "fanout")
        arrived = listen(channel, own_queue(channel, "chat"))
        send(channel, *"abc", exchange="chat")
        seen = []
        for _ in portions:
            connection.drain_events(timeout=30)
            seen.append(len(arrived))
        assert seen == portions


def test_prefetch_and_cancel_hold_within_a_batch(connect: Connect) -> None:
    connection = connect(drain_batch=100)
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    channel.basic_qos(0, 3, False)
    arrived = listen(channel, own_queue(channel, "chat"))
    cancelled: list[Any] = []
    other = connection.channel()
    queue = other.queue_declare(exclusive=True).queue
    other.queue_bind(queue, "chat")

    def once(delivery: Any) -> None:
        cancelled.append(delivery)
        other.basic_cancel("t")

    other.basic_consume(queue, callback=once, consumer_tag="t")
    send(channel, *"abcdef", exchange="chat")
    assert rest(connection, arrived) == ["a", "b", "c"]
    assert len(cancelled) == 1


def test_a_signal_handler_runs_while_waiting(connect: Connect) -> None:
    connection = connect()
    listen(connection.channel(), own_queue(connection.channel()))

    class Rang(Exception):
        pass

    def ring(*_: object) -> None:
        raise Rang

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Rang):
            connection.drain_events(timeout=10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kernel_tells", [True, False])
@pytest.mark.parametrize(("interval", "count"), [(0.02, 50), (0.7, 8)])
def test_a_subscriber_is_woken_by_the_kernel_or_looks_often(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, kernel_tells: bool, interval: float, count: int
) -> None:
    pauses: list[float] = []
    wait = polling.PollingInterval.wait

    def waited(self: polling.PollingInterval, now: float, *, told: bool = False) -> float:
        pauses.append(wait(self, now, told=told))
        return pauses[-1]

    if kernel_tells:
        for module in (local_connection, polling):
            monkeypatch.setattr(module, "ASLEEP", 1000)  # no look by itself
    else:  # as on systems without inotify, and where its limits are reached
        monkeypatch.setattr(watch, "_watch", lambda *paths: -1)
        monkeypatch.setattr(polling.PollingInterval, "wait", waited)
    listener, sender = connect(), connect().channel()
    channel = listener.channel()
    sender.exchange_declare("chat", "fanout")
    arrived = listen(channel, own_queue(channel, "chat"), no_ack=True)
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(interval):
            send(sender, "hello", exchange="chat")

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        drain(listener, arrived, count)
    finally:
        stop.set()
        speaker.join()
    # How many milliseconds it takes is for benchmarks/ to say.
    assert kernel_tells or 0 < max(pauses) < 1.1 * polling.LONGEST


def test_a_write_that_has_been_seen_does_not_wake_a_subscriber_later(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, sender = connect(), connect().channel()
    channel = listener.channel()
    sender.exchange_declare("chat", "fanout")
    arrived = listen(channel, own_queue(channel, "chat"), no_ack=True)
    told: list[bool] = []
    wait = watch.Watch.wait

    def waited(self: watch.Watch, *arguments: Any) -> tuple[bool, bool]:
        written, woken = wait(self, *arguments)
        told.append(written)
        return written, woken

    monkeypatch.setattr(watch.Watch, "wait", waited)
    for number in range(1, 4):
        # The second is found by looking, since there has just been the first.
        for count in (2 * number - 1, 2 * number):
            send(sender, "hello", exchange="chat")
            drain(listener, arrived, count)
        told.clear()
        with pytest.raises(TimeoutError):
            listener.drain_events(timeout=0.6)
        assert told, "the kernel was never asked"
        assert not any(told), "the kernel told of what had been seen"


def test_a_subscriber_that_waits_in_short_steps_looks_no_more_often_than_one_that_waits_for_long(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, sender = connect(), connect().channel()
    sender.exchange_declare("chat", "fanout")
    arrived = listen(listener.channel(), own_queue(listener.channel(), "chat"), no_ack=True)
    with pytest.raises(TimeoutError):
        listener.drain_events(timeout=1)  # until the kernel is asked
    looks = []
    changed = store.Store.changed

    def looked(self: store.Store) -> bool:
        looks.append(self)
        return changed(self)

    monkeypatch.setattr(store.Store, "changed", looked)
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(TimeoutError):
            listener.drain_events(timeout=0.01)
    assert len(looks) <= (time.monotonic() - began) / polling.ASLEEP + 1
    # A message is not waited for until the next look.
    monkeypatch.setattr(polling, "ASLEEP", 1000)
    send(sender, "hello", exchange="chat")
    deadline = Deadline(soon(10))
    while not arrived and not deadline.passed:
        with suppress(TimeoutError):
            listener.drain_events(timeout=0.01)
    assert arrived


def test_an_idle_subscriber_is_rarely_woken(commands: Commands, local_url: str) -> None:
    """The kernel counts how often a process was put to sleep. In a process of its own, since it counts all threads."""
    script = (
        "import resource, kombu\n"
        "from kchat import transports\n"
        "transports.register()\n"
        f"connection = kombu.Connection({local_url!r})\n"
        "channel = connection.channel()\n"
        "channel.exchange_declare('chat', 'fanout')\n"
        "queue = channel.queue_declare(exclusive=True, auto_delete=True).queue\n"
        "channel.queue_bind(queue, 'chat', '')\n"
        "channel.basic_consume(queue, callback=print)\n"
        "def idle(seconds):\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw\n"
        "    try: connection.drain_events(timeout=seconds)\n"
        "    except TimeoutError: return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before\n"
        "idle(1)  # until the kernel is asked\n"
        "print(idle(2))\n"
    )
    process = commands.python(script)
    assert process.wait() == 0, process.stderr
    # One look in each pause; twice as many, as the kernel has reasons of its own. Without it there are 140 a second.
    assert int(process.stdout) <= 2 * (2 / polling.ASLEEP + 1)


def test_two_connections_of_one_process_do_not_disturb_each_other(connect: Connect, tmp_path: Path) -> None:
    same, other_room = connect(), connect(f"local://{tmp_path}/other.db")
    here = connect()
    for connection in (here, same, other_room):
        connection.channel().exchange_declare("chat", "fanout")
    arrived = [listen(c.channel(), own_queue(c.channel(), "chat")) for c in (here, same, other_room)]
    send(here.channel(), "x", exchange="chat")
    assert [rest(c, a) for c, a in zip((here, same, other_room), arrived, strict=True)] == [["x"], ["x"], []]
    same.release()
    send(here.channel(), "y", exchange="chat")
    assert rest(here, arrived[0]) == ["x", "y"]


def test_a_connection_may_be_opened_in_one_thread_and_used_in_another(connect: Connect) -> None:
    opened: list[Any] = []
    thread = threading.Thread(target=lambda: opened.append(connect()))
    thread.start()
    thread.join()
    channel = opened[0].channel()
    queue = own_queue(channel)
    send(channel, "x", routing_key=queue)
    assert channel.basic_get(queue).body == b"x"


def test_a_connection_can_be_cloned_pickled_and_pooled(connect: Connect, local_url: str) -> None:
    connection = connect()
    connection.channel().queue_declare("q")
    for copy in (connection.clone(), pickle.loads(pickle.dumps(connection))):
        with copy:
            assert copy.channel().queue_declare("q", passive=True).queue == "q"
    pool = connection.Pool(2)
    with pool.acquire(block=True) as pooled:
        assert pooled.default_channel.queue_declare("q", passive=True).queue == "q"
    pool.force_close_all()


def test_it_says_what_it_is(connect: Connect, path: Path) -> None:
    connection = connect()
    assert connection.as_uri() == f"local://{path}"
    assert connection.transport.driver_name == "sqlite3"
    assert connection.transport.driver_version()
    assert connection.supports_exchange_type("topic")
    assert not connection.supports_exchange_type("headers")
    connection.channel().queue_declare("q")
    connection.channel().queue_bind("q", "amq.topic", "a.#")
    assert connection.get_manager().get_bindings() == [
        {"destination": "q", "source": "amq.topic", "routing_key": "a.#"}
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("local:///a/b/room.db", "/a/b/room.db"),
        ("local:///a%20b/r%C3%BCm%3B%3F.db?busy_timeout=1", "/a b/rüm;?.db"),
        ("local://./room.db", "{cwd}/room.db"),
        ("local://../room.db", "{cwd}/../room.db"),
        ("local://localhost/a/room.db", "/a/room.db"),
        ("local://~/room.db", "{home}/room.db"),
        ("local://", "{default}"),
        ("local:///", "{default}"),
    ],
)
def test_urls_name_files(url: str, expected: str) -> None:
    places = {"cwd": Path.cwd(), "home": Path.home(), "default": default_path()}
    assert Transport(kombu.Connection(url)).options().path == expected.format(**places)


def test_options_come_from_the_url_first() -> None:
    connection = kombu.Connection(
        "local:///r.db?history_max_age=60&drain_batch=5",
        transport_options={"drain_batch": 7, "busy_timeout": 2},
    )
    options = Transport(connection).options()
    assert (options.history_max_age, options.drain_batch, options.busy_timeout) == (60.0, 5, 2.0)


def test_a_path_can_be_given_without_a_url(tmp_path: Path) -> None:
    room = tmp_path / "room.db"
    for connection in (
        kombu.Connection(transport="local", hostname=str(room)),
        kombu.Connection(transport="local", transport_options={"path": str(room)}),
        kombu.Connection("local://", transport_options={"path": str(room)}),
        kombu.Connection(transport="kchat.transports.local.transport:Transport", hostname=f"local://{room}"),
    ):
        assert Transport(connection).options().path == str(room)


def test_a_failover_leads_to_the_next_file(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("this is no database, but text" * 100)
    urls = [f"local://{tmp_path}/{name}.db" for name in ("first", "second")]
    with kombu.Connection(";".join(urls)) as connection:
        connection.connect()
        connection.switch(urls[1])
        connection.connect()
    assert (tmp_path / "second.db").exists()


def test_kombu_goes_on_to_the_next_file_where_the_first_one_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, but text" * 100)
    (tmp_path / "folder.db").mkdir()
    good = tmp_path / "good.db"
    for bad in ("missing/room.db", "text.db/room.db", "text.db", "folder.db"):
        with kombu.Connection(f"local://{tmp_path}/{bad};local://{good}") as connection:
            channel = connection.default_channel
            channel.queue_declare(bad)
            assert channel.connection.options.path == str(good)
    assert not (tmp_path / "missing").exists()


def test_a_file_that_cannot_be_opened_is_a_lost_connection_to_kombu_and_keeps_its_reply_code(
    tmp_path: Path,
) -> None:
    (tmp_path / "text.db").write_text("this is no database, but text" * 100)
    for url in (f"local://{tmp_path}/text.db", "local:///no-such-folder/kchat/room.db"):
        connection = kombu.Connection(url)
        with pytest.raises(NotAllowed) as caught:
            connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        assert isinstance(caught.value, connection.recoverable_connection_errors)
        assert caught.value.code == 530
    assert not Path("/no-such-folder").exists()


@pytest.mark.parametrize(
    "url",
    [
        "local://room.db",
        "local://host/room.db",
        "local:///r.db?colour=red",
        "local:///r.db?drain_batch=0",
        "local:///r.db?busy_timeout=soon",
        "local:///r.db?busy_timeout=nan",
        "local:///r.db?history_max_bytes=-1",
    ],
)
def test_urls_that_make_no_sense_are_refused(url: str) -> None:
    connection = kombu.Connection(url)
    with pytest.raises(NotAllowed) as caught:
        Transport(connection).options()
    assert caught.value.code == 530
    assert url in repr(connection)
