"""Where messages go: AMQP 0-9-1 section 3.1, driven through plain Kombu channels."""

from __future__ import annotations

from typing import Any

import pytest
from amqp.exceptions import (
    AccessRefused,
    AMQPNotImplementedError,
    ContentTooLarge,
    NotFound,
    PreconditionFailed,
)
from hypothesis import given
from hypothesis import strategies as st

from kchat.transports.local.routing import matches_topic
from tests.integration.local.conftest import Connect, Work
from tests.integration.local.drive import drain, get_all, listen, own_queue, rest, send


def test_everybody_bound_to_a_fanout_exchange_gets_every_message(connect: Connect) -> None:
    here, there, sender = connect(), connect(), connect()
    sender.channel().exchange_declare("chat", "fanout")
    arrived = [listen(c.channel(), own_queue(c.channel(), "chat")) for c in (here,)]
    channel = there.channel()
    arrived.append(listen(channel, own_queue(channel, "chat")))

    send(sender.channel(), "one", "two", exchange="chat", routing_key="ignored")

    assert drain(here, arrived[0], 2) == ["one", "two"]
    assert drain(there, arrived[1], 2) == ["one", "two"]
    assert arrived[0][0].delivery_info["exchange"] == "chat"
    assert arrived[0][0].delivery_info["routing_key"] == "ignored"


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_direct_exchange_compares_the_routing_key(channel: Any, exclusive: bool) -> None:
    channel.exchange_declare("d", "direct")
    for name in ("red", "blue"):
        channel.queue_declare(name, exclusive=exclusive)
        channel.queue_bind(name, "d", name)
    channel.queue_bind("red", "d", "both")
    channel.queue_bind("blue", "d", "both")

    for key in ("red", "blue", "both", "neither"):
        send(channel, key, exchange="d", routing_key=key)

    assert get_all(channel, "red") == ["red", "both"]
    assert get_all(channel, "blue") == ["blue", "both"]


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_topic_exchange_matches_words(channel: Any, exclusive: bool) -> None:
    channel.exchange_declare("t", "topic")
    for pattern in ("*.orange.*", "lazy.#", "#"):
        channel.queue_declare(pattern, exclusive=exclusive)
        channel.queue_bind(pattern, "t", pattern)

    keys = ["quick.orange.rabbit", "lazy.orange.elephant", "lazy", "orange", "lazy.a.b.c"]
    for key in keys:
        send(channel, key, exchange="t", routing_key=key)

    assert get_all(channel, "*.orange.*") == ["quick.orange.rabbit", "lazy.orange.elephant"]
    assert get_all(channel, "lazy.#") == ["lazy.orange.elephant", "lazy", "lazy.a.b.c"]
    assert get_all(channel, "#") == keys


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("#", "", True),
        ("*", "", False),
        ("", "", True),
        ("", "a", False),
        ("a.#.b", "a.b", True),
        ("a.#.b", "a.x.y.b", True),
        ("a.#.b", "a.x.y", False),
        ("#.#", "", True),
        ("#.*", "", False),
        ("#.*.#", "a", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("*.*", "a.b", True),
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a+", "aa", False),
    ],
)
def test_topic_patterns(pattern: str, key: str, expected: bool) -> None:
    assert matches_topic(pattern, key) is expected


@given(
    st.lists(st.sampled_from(["a", "b", "*", "#"]), max_size=6), st.lists(st.sampled_from("ab"), max_size=6)
)
def test_topic_patterns_are_what_the_specification_says(pattern: list[str], words: list[str]) -> None:
    def by_definition(parts: list[str], left: list[str]) -> bool:
        if not parts:
            return not left
        if parts[0] == "#":
            return any(by_definition(parts[1:], left[taken:]) for taken in range(len(left) + 1))
        return bool(left) and parts[0] in ("*", left[0]) and by_definition(parts[1:], left[1:])

    assert matches_topic(".".join(pattern), ".".join(words)) is by_definition(pattern, words)


def test_the_default_exchange_routes_to_the_queue_of_that_name(channel: Any) -> None:
    channel.queue_declare("jobs")
    send(channel, "work", routing_key="jobs")
    send(channel, "lost", routing_key="nobody")
    assert get_all(channel, "jobs") == ["work"]


def test_the_default_exchange_reaches_an_exclusive_queue(connect: Connect) -> None:
    me, other = connect(), connect()
    channel = me.channel()
    queue = own_queue(channel)
    arrived = listen(channel, queue)
    send(other.channel(), "reply", routing_key=queue)
    assert drain(me, arrived, 1) == ["reply"]


def test_bindings_of_another_process_count(channel: Any, connection: Any, work: Work) -> None:
    channel.exchange_declare("d", "direct")
    channel.queue_declare("jobs")
    channel.queue_bind("jobs", "d", "job")
    assert work("send", "d", "job", "from afar", 2).wait() == 0
    assert drain(connection, listen(channel, "jobs"), 2) == ["from afar 0", "from afar 1"]


def test_a_binding_made_after_a_publisher_cached_its_route_counts(connect: Connect) -> None:
    sender, binder = connect().channel(), connect().channel()
    sender.exchange_declare("chat", "fanout")
    send(sender, "before", exchange="chat")
    binder.queue_declare("lasting", durable=True)
    binder.queue_bind("lasting", "chat")
    send(sender, "after", exchange="chat")
    binder.queue_unbind("lasting", "chat")
    send(sender, "too late", exchange="chat")
    assert get_all(binder, "lasting") == ["after"]


@pytest.mark.parametrize("kind", ["fanout", "direct", "topic"])
def test_a_new_binding_shows_nothing_from_before(connection: Any, kind: str) -> None:
    channel = connection.channel()
    channel.exchange_declare("e", kind)
    early = own_queue(channel, "e", routing_key="k")
    send(channel, "before", exchange="e", routing_key="k")
    late = own_queue(channel, "e", routing_key="k")
    send(channel, "after", exchange="e", routing_key="k")
    assert drain(connection, listen(channel, early), 2) == ["before", "after"]
    assert rest(connection, listen(channel, late)) == ["after"]


@pytest.mark.parametrize("exclusive", [True, False])
def test_unbinding_keeps_what_came_before(connection: Any, exclusive: bool) -> None:
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    channel.queue_declare("q", exclusive=exclusive)
    channel.queue_bind("q", "chat")
    send(channel, "in time", exchange="chat")
    channel.queue_unbind("q", "chat")
    send(channel, "too late", exchange="chat")
    channel.queue_bind("q", "chat")
    send(channel, "again", exchange="chat")
    assert rest(connection, listen(channel, "q")) == ["in time", "again"]


def test_bound_twice_is_delivered_once(connection: Any) -> None:
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    channel.exchange_declare("t", "topic")
    queue = own_queue(channel, "chat", "chat", "t", routing_key="#")
    channel.queue_bind(queue, "chat", "another key")
    channel.queue_bind(queue, "t", "a.*")
    send(channel, "one", exchange="chat")
    send(channel, "two", exchange="t", routing_key="a.b")
    assert sorted(rest(connection, listen(channel, queue))) == ["one", "two"]


def test_rooms_do_not_leak_into_each_other(connection: Any) -> None:
    channel = connection.channel()
    names = ["chat", "chat2", "chät", "a/b", "a.b", "%", "'; DROP TABLE message; --", "x" * 255]
    arrived = {}
    for name in names:
        channel.exchange_declare(name, "fanout")
        arrived[name] = listen(channel, own_queue(channel, name))
    for name in names:
        send(channel, name, exchange=name)
    for name in names:
        assert rest(connection, arrived[name]) == [name]


def test_publishing_to_no_exchange_is_not_found_and_the_channel_stays_usable(channel: Any) -> None:
    with pytest.raises(NotFound, match="no exchange 'nowhere'") as caught:
        send(channel, "x", exchange="nowhere")
    assert caught.value.code == 404
    channel.exchange_declare("nowhere", "fanout")
    send(channel, "x", exchange="nowhere")


def test_a_deleted_exchange_is_gone_for_those_who_knew_it(connect: Connect) -> None:
    sender, other = connect().channel(), connect().channel()
    sender.exchange_declare("chat", "fanout")
    send(sender, "x", exchange="chat")
    other.exchange_delete("chat")
    with pytest.raises(NotFound):
        send(sender, "y", exchange="chat")


def test_an_exchange_made_anew_has_no_history(connection: Any) -> None:
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    send(channel, "old", exchange="chat")
    channel.exchange_delete("chat")
    channel.exchange_declare("chat", "fanout")
    assert rest(connection, listen(channel, own_queue(channel, "chat", x_history_last=10))) == []
    with pytest.raises(NotFound):
        channel.exchange_delete("another")


def test_redeclaring_with_other_flags_names_the_difference(channel: Any) -> None:
    channel.exchange_declare("chat", "fanout", durable=False)
    channel.exchange_declare("chat", "fanout", durable=False)
    with pytest.raises(PreconditionFailed, match="'chat' exists with durable") as caught:
        channel.exchange_declare("chat", "fanout", durable=True)
    assert caught.value.code == 406
    with pytest.raises(PreconditionFailed, match="type"):
        channel.exchange_declare("chat", "direct", durable=False)
    with pytest.raises(PreconditionFailed, match="headers"):
        channel.exchange_declare("other", "headers")


def test_passive_declaration_asks_only_whether_it_is_there(channel: Any) -> None:
    with pytest.raises(NotFound):
        channel.exchange_declare("chat", "fanout", passive=True)
    channel.exchange_declare("chat", "fanout")
    channel.exchange_declare("chat", "direct", durable=True, passive=True)


def test_reserved_and_impossible_names_are_refused(channel: Any) -> None:
    with pytest.raises(AccessRefused):
        channel.exchange_declare("amq.mine", "fanout")
    with pytest.raises(AccessRefused):
        channel.exchange_delete("amq.fanout")
    with pytest.raises(AccessRefused):
        channel.queue_bind(own_queue(channel), "", "key")
    with pytest.raises(PreconditionFailed, match="256 bytes"):
        channel.exchange_declare("é" * 128, "fanout")
    with pytest.raises(PreconditionFailed, match="Unicode"):
        channel.exchange_declare("\ud800", "fanout")
    with pytest.raises(AMQPNotImplementedError):
        channel.exchange_bind("a", "b")


def test_the_predeclared_exchanges_are_there(channel: Any) -> None:
    for kind in ("direct", "fanout", "topic"):
        channel.exchange_declare(f"amq.{kind}", kind, durable=True)
    queue = own_queue(channel, "amq.fanout")
    send(channel, "x", exchange="amq.fanout")
    assert channel.basic_get(queue).body == b"x"


def test_an_auto_delete_exchange_goes_with_its_last_binding(channel: Any) -> None:
    channel.exchange_declare("e", "fanout", auto_delete=True)
    queue = own_queue(channel, "e")
    channel.queue_unbind(queue, "e")
    with pytest.raises(NotFound):
        channel.exchange_declare("e", passive=True)


def test_if_unused_protects_an_exchange_in_use(channel: Any) -> None:
    channel.exchange_declare("e", "fanout")
    queue = own_queue(channel, "e")
    with pytest.raises(PreconditionFailed):
        channel.exchange_delete("e", if_unused=True)
    channel.queue_delete(queue)
    channel.exchange_delete("e", if_unused=True)


@pytest.mark.parametrize("exchange", ["chat", "d", ""])
def test_mandatory_tells_when_nobody_is_bound(connect: Connect, exchange: str) -> None:
    sender, other = connect().channel(), connect().channel()
    sender.exchange_declare("chat", "fanout")
    sender.exchange_declare("d", "direct")
    returned: list[Any] = []
    sender.events["basic_return"].add(lambda *arguments: returned.append(arguments))

    def publish() -> None:
        message = sender.prepare_message(b"?", properties={"message_id": "m"})
        sender.basic_publish(message, exchange=exchange, routing_key="q", mandatory=True)

    publish()
    (error, its_exchange, routing_key, message) = returned.pop()
    assert (error.reply_code, its_exchange, routing_key) == (312, exchange, "q")
    assert message.properties["message_id"] == "m"

    other.queue_declare("q", exclusive=True)
    if exchange:
        other.queue_bind("q", exchange, "q")
    publish()
    assert returned == []

    other.connection.close()
    publish()
    assert len(returned) == 1


def test_a_body_over_the_limit_is_refused_before_anything_is_stored(connect: Connect) -> None:
    connection = connect(max_message_bytes=1000)
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    arrived = listen(channel, own_queue(channel, "chat"))
    with pytest.raises(ContentTooLarge) as caught:
        send(channel, "x" * 1001, exchange="chat")
    assert caught.value.code == 311
    send(channel, "y" * 1000, exchange="chat")
    assert rest(connection, arrived) == ["y" * 1000]
