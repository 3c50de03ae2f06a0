"""A program's room when something is wrong: a broker that is away, a loop that is left in the middle, a signal."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import pytest

import kchat
from kchat import TlsOptions, events
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon, wait_until

SECONDS = 60.0


def through(proxy: Proxy, url: str) -> str:
    """The URL with the proxy's address instead of the broker's."""
    parts = urlsplit(url)
    account = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{account}@{proxy.host}:{proxy.port}").geturl()


def in_thread(work: Callable[[], object]) -> list[BaseException | None]:
    """Starts it; what it raises, or None, is there when it has ended."""
    ended: list[BaseException | None] = []

    def noted() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told to the test
            ended.append(error)
        else:
            ended.append(None)

    threading.Thread(target=noted, daemon=True).start()
    return ended


@pytest.fixture
def proxy(amqp_url: str, proxy_to: Callable[[int], Proxy]) -> Proxy:
    """Between the program and RabbitMQ."""
    return proxy_to(urlsplit(amqp_url).port or 5672)


# ---- leaving


def test_leaving_ends_a_send_that_waits_for_a_broker_to_come_back(amqp_url: str, proxy: Proxy) -> None:
    waiting: list[events.Event] = []
    room = kchat.connect(through(proxy, amqp_url), wait=True, on_event=waiting.append)
    room.open()
    proxy.refuse()
    proxy.cut()
    ended = in_thread(lambda: [room.send(str(number)) for number in range(1000)])
    wait_until(lambda: any(isinstance(event, events.Reconnecting) for event in waiting), SECONDS)
    room.close()
    wait_until(lambda: ended, SECONDS)
    assert isinstance(ended[0], kchat.NotConfirmed | kchat.Closed)


def test_leaving_ends_the_wait_for_a_broker_that_is_not_there_yet() -> None:
    waiting: list[events.Event] = []
    room = kchat.connect(f"amqp://localhost:{free_port()}/", wait=True, on_event=waiting.append)
    ended = in_thread(room.open)
    wait_until(lambda: waiting, SECONDS)
    room.close()
    wait_until(lambda: ended, SECONDS)
    assert isinstance(ended[0], kchat.Closed)


def test_a_room_that_cannot_be_joined_says_so_when_it_is_entered() -> None:
    room = kchat.connect(f"amqp://localhost:{free_port()}/")
    with pytest.raises(kchat.Unreachable):
        room.__enter__()
    assert room.closed


def test_closing_a_sender_ends_another_threads_stream_with_what_is_sent_confirmed(
    amqp_url: str, room: str
) -> None:
    receipts: list[kchat.Receipt] = []
    settings = kchat.Settings.resolve(url=amqp_url, room=room)
    with kchat.Sender(settings, "ada") as sender, kchat.Subscriber(settings, "bob") as subscriber:
        endless = iter(lambda: "again", None)
        ended = in_thread(lambda: receipts.extend(sender.send_many(endless)))
        assert subscriber.receive(SECONDS)
        sender.close()
        wait_until(lambda: ended, SECONDS)
        assert isinstance(ended[0], kchat.NotConfirmed)
        assert "closed" in str(ended[0])
        assert not sender._connection.connected


def test_a_send_that_began_before_the_room_was_closed_leaves_no_connection(
    local_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kchat.connect(local_url) as joined:
        send = joined.sender.send

        def late(message: str | kchat.Message) -> kchat.Receipt:
            joined.close()
            return send(message)

        monkeypatch.setattr(joined.sender, "send", late)
        assert joined.send("in the last moment").confirmed
        assert not joined.sender._connection.connected


def test_stop_over_tls_ends_a_quiet_loop(tls_rabbitmq: RabbitMQ, room: str) -> None:
    assert tls_rabbitmq.tls is not None
    ca = TlsOptions(ca=str(tls_rabbitmq.tls / "ca.pem"))
    with kchat.connect(tls_rabbitmq.url_for("/"), room=room, username="ada", tls=ca) as joined:
        joined.send("hello")
        assert joined.receive(SECONDS)
        took = []
        for _ in range(5):
            ended = in_thread(lambda: list(joined))
            began = monotonic()
            wait_until(lambda began=began: monotonic() - began > 0.3)  # type: ignore[misc] # the default binds it
            began = monotonic()
            joined.stop()
            wait_until(lambda ended=ended: ended, pause=0.001)  # type: ignore[misc] # likewise
            took.append(monotonic() - began)
            joined.open()
    assert min(took) < soon(0.05)


def test_a_signal_handler_may_stop_it(commands: Commands, local_url: str) -> None:
    process = commands.python(
        "import signal, kchat\n"
        f"with kchat.connect({local_url!r}) as room:\n"
        "    signal.signal(signal.SIGTERM, lambda *_: room.stop())\n"
        "    print('here', flush=True)\n"
        "    for message in room: pass\n"
        "print('left', flush=True)\n"
    )
    process.wait_for_lines(1)
    process.signal(signal.SIGTERM)
    assert process.wait() == 0, process.stderr
    assert process.stdout.split() == ["here", "left"]


def test_a_room_that_is_never_left_does_not_keep_python_from_ending(
    commands: Commands, amqp_url: str
) -> None:
    process = commands.python(
        "import asyncio, kchat\n"
        "async def main():\n"
        "    global room\n"
        f"    room = kchat.aio.connect({amqp_url!r})\n"
        "    await room.open()\n"
        "    await room.receive(0.01)\n"
        "asyncio.run(main())\n"
    )
    assert process.wait(SECONDS) == 0, process.stderr


# ---- durable queues: what is done with, and what comes again


@pytest.fixture(params=["amqp", "local"])
def durable_url(request: pytest.FixtureRequest) -> str:
    """Of brokers with durable queues."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


TEXTS = [str(number) for number in range(10)]


def spoken(url: str, room: str) -> None:
    """Ten messages for a durable queue that nobody reads now."""
    with kchat.connect(url, room=room, durable="archive"):
        pass
    with kchat.Sender(kchat.Settings.resolve(url=url, room=room), "ada") as sender:
        for text in TEXTS:
            sender.send(text)


def rest(url: str, room: str) -> list[str]:
    """What the durable queue still has."""
    with kchat.connect(url, room=room, durable="archive") as joined:
        joined.send("end")
        texts: list[str] = []
        while not texts or texts[-1] != "end":
            message = joined.receive(SECONDS)
            assert message is not None
            texts.append(message.text)
        joined.acknowledge()
        return texts[:-1]


def test_the_message_at_which_a_loop_is_left_comes_again_and_those_before_do_not(
    durable_url: str, room: str
) -> None:
    spoken(durable_url, room)
    with kchat.connect(durable_url, room=room, durable="archive") as joined:
        for message in joined:
            if message.text == "4":
                break
    assert rest(durable_url, room) == TEXTS[4:]


def test_acknowledged_messages_do_not_come_again(durable_url: str, room: str) -> None:
    spoken(durable_url, room)
    with kchat.connect(durable_url, room=room, durable="archive") as joined:
        for text in TEXTS[:5]:
            message = joined.receive(SECONDS)
            assert message is not None
            assert message.text == text
        joined.acknowledge()
    assert rest(durable_url, room) == TEXTS[5:]


def test_asyncio_the_message_at_which_a_loop_is_left_comes_again_and_those_before_do_not(
    durable_url: str, room: str
) -> None:
    spoken(durable_url, room)

    async def main(*, acknowledge: bool) -> str:
        text = ""
        async with kchat.aio.connect(durable_url, room=room, durable="archive") as joined:
            async for message in joined:
                text = message.text
                if text in ("4", "7"):
                    break
            if acknowledge:
                await joined.acknowledge()
        return text

    assert asyncio.run(main(acknowledge=False)) == "4"
    assert asyncio.run(main(acknowledge=True)) == "4"
    assert asyncio.run(main(acknowledge=False)) == "7"
    assert rest(durable_url, room) == TEXTS[7:]


def test_asyncio_asking_for_the_next_message_acknowledges_the_previous_one(
    durable_url: str, room: str
) -> None:
    spoken(durable_url, room)

    async def main() -> None:
        async with kchat.aio.connect(durable_url, room=room, durable="archive") as joined:
            for text in TEXTS:
                message = await joined.receive(SECONDS)
                assert message is not None
                assert message.text == text
            assert await joined.receive(0.2) is None

    asyncio.run(main())
    assert rest(durable_url, room) == []


# ---- asyncio, and a connection that comes and goes


def test_asyncio_tells_what_happens_in_the_loops_thread_and_goes_on_after_a_loss(
    amqp_url: str, proxy: Proxy, room: str
) -> None:
    threads = set()

    async def main() -> None:
        back = asyncio.Event()

        def told(event: events.Event) -> None:
            threads.add(threading.current_thread())
            if isinstance(event, events.Reconnected):
                back.set()

        async with kchat.aio.connect(through(proxy, amqp_url), room=room, on_event=told) as joined:
            receiving = asyncio.create_task(anext(joined))
            await asyncio.sleep(0.05)
            proxy.cut()
            await back.wait()
            await joined.send("hello")
            message = await asyncio.wait_for(receiving, SECONDS)
            assert message.text == "hello"

    asyncio.run(asyncio.wait_for(main(), SECONDS))
    assert threads == {threading.main_thread()}


def test_asyncio_cancelling_whoever_connects_for_ever_leaves_no_thread() -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(
                kchat.aio.connect(f"amqp://localhost:{free_port()}/", wait=True).open(), 0.3
            )

    asyncio.run(main(), debug=True)
    wait_until(lambda: not [each for each in threading.enumerate() if each.name.startswith("kchat")], SECONDS)


def test_asyncio_leaving_ends_sends_that_wait_for_a_broker_to_come_back(amqp_url: str, proxy: Proxy) -> None:
    async def main() -> list[object]:
        waiting = asyncio.Event()

        def told(event: events.Event) -> None:
            if isinstance(event, events.Reconnecting):
                waiting.set()

        async with kchat.aio.connect(through(proxy, amqp_url), wait=True, on_event=told) as joined:
            proxy.refuse()
            proxy.cut()
            sends = [asyncio.create_task(joined.send(str(number))) for number in range(20)]
            await waiting.wait()
        return await asyncio.gather(*sends, return_exceptions=True)

    results = asyncio.run(asyncio.wait_for(main(), SECONDS))
    assert all(isinstance(each, kchat.NotConfirmed | kchat.Closed) for each in results), results


def test_asyncio_one_message_that_is_refused_is_nobody_elses_affair(amqp_url: str, room: str) -> None:
    async def main() -> list[object]:
        async with kchat.aio.connect(amqp_url, room=room, username="ada") as joined:
            texts = ["before", "x" * (17 << 20), "after"]
            with pytest.raises(TypeError):
                await joined.send(1)  # type: ignore[arg-type] # that is the point
            return await asyncio.gather(*map(joined.send, texts), return_exceptions=True)

    before, large, after = asyncio.run(main())
    assert isinstance(before, kchat.Receipt)
    assert isinstance(large, kchat.TooLarge)
    assert isinstance(after, kchat.Receipt)


def test_a_loop_that_is_not_left_leaves_no_file_open(local_url: str) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("only Linux tells which files are open")
    before = len(list(descriptors.iterdir()))
    for _ in range(5):
        with kchat.connect(local_url) as joined:
            joined.send("hello")
            assert joined.receive(SECONDS)
    assert len(list(descriptors.iterdir())) <= before + 2


# ---- the end of a connection


@pytest.mark.parametrize("how", ["close", "drop"])
def test_how_a_connection_ends_is_the_transports_affair(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    settings = kchat.Settings.resolve(
        url="memory://" if how == "close" else f"amqp://localhost:{free_port()}/"
    )
    monkeypatch.setattr(type(settings.transport), how, lambda *_: ended.append(how))
    if how == "close":
        with kchat.Sender(settings):
            pass
    else:
        with pytest.raises(kchat.BrokerError):
            kchat.Sender(settings).open()
    assert ended


# ---- stopping before it is joined


@pytest.mark.parametrize("half", ["room", "subscriber", "asyncio"])
def test_stop_ends_the_wait_for_a_broker_that_is_not_there_yet(half: str) -> None:
    waiting: list[events.Event] = []
    url = f"amqp://localhost:{free_port()}/"
    if half == "asyncio":
        other = kchat.aio.connect(url, wait=True, on_event=waiting.append)
        stop, ended = other.stop, in_thread(lambda: asyncio.run(other.__aenter__()))
    elif half == "room":
        room = kchat.connect(url, wait=True, on_event=waiting.append)
        stop, ended = room.stop, in_thread(room.open)
    else:
        subscriber = kchat.Subscriber(kchat.Settings.resolve(url=url), wait=True, on_event=waiting.append)
        stop, ended = subscriber.stop, in_thread(subscriber.open)
    wait_until(lambda: waiting, SECONDS)
    stop()
    wait_until(lambda: ended, SECONDS)
    assert isinstance(ended[0], kchat.Closed)


def test_stop_ends_the_wait_of_the_half_that_sends(local_url: str) -> None:
    room = kchat.connect(local_url, wait=True)
    waiting: list[events.Event] = []
    away = kchat.Settings.resolve(url=f"amqp://localhost:{free_port()}/")
    room.sender = kchat.Sender(away, wait=True, on_event=waiting.append)
    ended = in_thread(room.open)
    wait_until(lambda: waiting, SECONDS)
    room.stop()
    wait_until(lambda: ended, SECONDS)
    assert isinstance(ended[0], kchat.Closed)


def test_a_stop_before_the_first_use_is_not_forgotten(local_url: str) -> None:
    room = kchat.connect(local_url)
    room.stop()
    assert list(room) == []
    with pytest.raises(kchat.Closed), room:
        raise AssertionError("entered")
    with room:  # the stop was for the visit that it has prevented
        room.send("hello")
        room.stop()
        assert room.receive() is None
        room.open()
        message = room.receive(SECONDS)
        assert message is not None
        assert message.text == "hello"


def test_a_stop_after_a_visit_does_not_prevent_the_next(local_url: str) -> None:
    room = kchat.connect(local_url)
    with room:
        pass
    room.stop()
    with room:
        assert not room.stopped
