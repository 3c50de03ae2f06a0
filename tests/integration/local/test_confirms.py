"""Publishing with confirmations that come later (``confirm_select``)."""

from __future__ import annotations

from typing import Any

import pytest
from amqp.exceptions import ContentTooLarge, NotFound, RecoverableConnectionError

from tests.integration.local.conftest import Connect, Work
from tests.integration.local.drive import get_all, listen, own_queue, rest, send


@pytest.fixture
def pipeline(connection: Any) -> Any:
    """A channel with confirmations, and a room; ``told`` has what its callbacks were called with, in order."""
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    channel.confirm_select()
    channel.told = []
    channel.events["basic_ack"].add(lambda *arguments: channel.told.append(arguments))
    channel.events["basic_return"].add(lambda _, __, key, message: channel.told.append((key, message.body)))
    return channel


def test_messages_are_confirmed_by_drain_events_in_order(
    connection: Any, pipeline: Any, connect: Connect
) -> None:
    listener = connect()
    arrived = listen(listener.channel(), own_queue(listener.channel(), "chat"))
    texts = [str(n) for n in range(300)]
    send(pipeline, *texts, exchange="chat")
    assert pipeline.told == []
    connection.drain_events(timeout=0)
    assert pipeline.told[-1] == (300, True)
    assert rest(listener, arrived) == texts
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0)
    send(pipeline, "more", exchange="chat")
    connection.drain_events(timeout=0)
    assert pipeline.told[-1] == (301, True)


def test_a_message_after_a_pause_waits_for_nobody(pipeline: Any, connect: Connect) -> None:
    listener = connect()
    arrived = listen(listener.channel(), own_queue(listener.channel(), "chat"))
    send(pipeline, "alone", exchange="chat")
    assert rest(listener, arrived) == ["alone"]


def test_lasting_queues_get_theirs(connection: Any, pipeline: Any, connect: Connect) -> None:
    pipeline.exchange_declare("d", "direct")
    pipeline.queue_declare("q")
    pipeline.queue_bind("q", "chat")
    pipeline.queue_bind("q", "d", "k")
    for n in range(10):
        send(pipeline, f"chat {n}", exchange="chat")
        send(pipeline, f"d {n}", exchange="d", routing_key="k")
        send(pipeline, "nobody's", exchange="d", routing_key="another")
        send(pipeline, f"q {n}", routing_key="q")
    connection.drain_events(timeout=0)
    assert pipeline.told[-1] == (40, True)
    expected = [f"{exchange} {n}" for n in range(10) for exchange in ("chat", "d", "q")]
    assert get_all(connect().channel(), "q") == expected


def test_a_queue_bound_while_messages_wait_is_not_forgotten(pipeline: Any, connect: Connect) -> None:
    other = connect().channel()
    send(pipeline, "first", exchange="chat")
    send(pipeline, "waits", exchange="chat")
    other.queue_declare("q")
    other.queue_bind("q", "chat")
    send(pipeline, "after", exchange="chat")
    pipeline.confirm()
    assert get_all(other, "q")[-1] == "after"


def test_an_unrouted_message_is_returned_before_it_is_confirmed(connection: Any, pipeline: Any) -> None:
    for n in range(3):
        message = pipeline.prepare_message(str(n))
        pipeline.basic_publish(message, exchange="chat", routing_key="k", mandatory=n != 1)
    connection.drain_events(timeout=0)
    assert pipeline.told == [("k", b"0"), ("k", b"2"), (3, True)]


def test_closing_stores_what_waits(pipeline: Any, connect: Connect) -> None:
    listener = connect()
    arrived = listen(listener.channel(), own_queue(listener.channel(), "chat"))
    send(pipeline, *"abc", exchange="chat")
    pipeline.close()
    assert rest(listener, arrived) == ["a", "b", "c"]


def test_a_message_that_cannot_be_stored_raises_and_is_not_confirmed(pipeline: Any, connect: Connect) -> None:
    connection = connect(busy_timeout=0.1)
    channel = connection.channel()
    channel.confirm_select()
    told: list[Any] = []
    channel.events["basic_ack"] = {lambda *arguments: told.append(arguments)}
    send(channel, "before", exchange="chat")
    connection.drain_events(timeout=0)
    store = pipeline.connection.store
    store.db.execute("BEGIN IMMEDIATE")
    with pytest.raises(RecoverableConnectionError, match="locked"):
        send(channel, *(str(n) for n in range(1000)), exchange="chat")
    store.db.execute("ROLLBACK")
    assert told == [(1, True)]
    assert store.value("SELECT count(*) FROM message") == 1

    channel.confirm_select()
    send(channel, "again", exchange="chat")
    connection.drain_events(timeout=0)
    assert told == [(1, True), (1, True)]


def test_an_invalid_message_raises_at_once(pipeline: Any, connect: Connect) -> None:
    with pytest.raises(NotFound):
        send(pipeline, "x", exchange="nowhere")
    channel = connect(max_message_bytes=10).channel()
    channel.confirm_select()
    with pytest.raises(ContentTooLarge):
        send(channel, "x" * 11, exchange="chat")


def test_confirmed_messages_survive_kill(connect: Connect, work: Work) -> None:
    listener = connect()
    channel = listener.channel()
    channel.exchange_declare("chat", "fanout")
    arrived = listen(channel, own_queue(channel, "chat"))
    for _ in range(3):
        sender = work("stream", "chat")
        sender.wait_for_lines(30)
        sender.kill()
        confirmed = max(int(line) for line in sender.lines[1:])
        texts = rest(listener, arrived)
        assert texts[: confirmed + 1] == [str(n) for n in range(confirmed + 1)]
        assert texts == [str(n) for n in range(len(texts))]
        arrived.clear()
