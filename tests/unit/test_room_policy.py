"""A room as an exchange, a subscriber's place in it as a queue: names and flags."""

from __future__ import annotations

import re

import pytest

from kchat.transports import TRANSPORTS
from kchat.transports.amqp.rights import of_queues
from kchat.transports.amqp.room import is_owned
from kchat.transports.room import READER, RoomPolicy


def room(name: str = "chat", transport: str = "amqp") -> RoomPolicy:
    return TRANSPORTS[transport].room(name)


def test_the_exchange_is_what_the_tutorial_clients_declare() -> None:
    exchange = room().exchange
    assert (exchange.name, exchange.type, exchange.durable, exchange.auto_delete) == (
        "chat",
        "fanout",
        False,
        False,
    )


def test_a_subscribers_queue_is_transient_and_exclusive_as_rabbitmq_4_3_demands() -> None:
    queue = room().subscriber_queue("ada")
    assert (queue.durable, queue.exclusive, queue.auto_delete) == (False, True, True)
    assert queue.queue_arguments["x-overflow"] == "drop-head"
    assert queue.queue_arguments["x-max-length"] > 0
    assert queue.queue_arguments["x-max-length-bytes"] > 0


def test_a_lasting_queue_is_a_quorum_queue_of_nobodys() -> None:
    queue = room().durable_queue("archive")
    assert (queue.durable, queue.exclusive, queue.auto_delete) == (True, False, False)
    assert queue.queue_arguments == {
        "x-queue-type": "quorum",
        "x-expires": 30 * 86_400_000,
        "x-max-length-bytes": 1 << 30,
        "x-overflow": "drop-head",
    }
    assert queue.name == "kchat.chat.archive"


def test_two_subscribers_of_one_name_have_two_queues() -> None:
    first, second = (room().subscriber_queue("ada").name for _ in range(2))
    assert first != second
    assert re.fullmatch(r"kchat\.chat\.ada\.[0-9a-f]{8}", first)


def test_an_accounts_queues_bear_its_name_and_those_of_no_other_account_do() -> None:
    own = room().subscriber_queue("ada", account="ada").name
    assert re.fullmatch(r"kchat\.chat\.ada\.[0-9a-f]{8}", own)
    other = room().subscriber_queue("bob", account="ada").name
    assert re.fullmatch(r"kchat\.chat\.ada\.bob\.[0-9a-f]{8}", other)
    assert room().durable_queue("archive", account="ada").name == "kchat.chat.ada.archive"
    accounts = ["ada", "ada.b", "ada%2Eb", "b", "x" * 200, "x" * 201, "\u00e9" * 100, "durable", "a b", "~"]
    accounts.append(room().queue_name("x" * 200).removeprefix("kchat.chat."))  # as the long one's is cut
    for account in accounts:
        name = room("a.room").durable_queue("an.archive", account=account).name
        assert [each for each in accounts if is_owned(name, each)] == [account]
        assert re.match(of_queues("a.room", account), name)
        assert [each for each in accounts if re.match(of_queues("a.room", each), name)] == [account]
    for nobodys in (
        "kchat.chat.ada",
        "kchat.chat.durable",
        "chat",
        "ada",
        "kchat.ada.x",
        "other.chat.ada.x",
        "",
    ):
        assert not is_owned(nobodys, "ada")


@pytest.mark.parametrize(
    "pair", [("chat", "chat.x"), ("a b", "a%20b"), ("x" * 200, "x" * 201), ("é" * 100, "é" * 99)]
)
def test_no_room_has_the_queue_names_of_another(pair: tuple[str, str]) -> None:
    first, second = (room(name).queue_prefix() for name in pair)
    assert not first.startswith(second)
    assert not second.startswith(first)


@pytest.mark.parametrize("name", ["chat", "a/b c", "部屋" * 40, "🚀" * 60, "x" * 255])
@pytest.mark.parametrize("transport", ["amqp", "pubsub"])
def test_the_longest_names_fit_the_broker(name: str, transport: str) -> None:
    queue = room(name, transport).queue_name("ü" * 127, "01234567")
    assert len(queue.encode()) <= 255
    if transport == "pubsub":
        # https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}", queue)


ODD_NAMES = ("archive", "a.b", "a-b", "a b", "50%", "%reader", "reader", "部屋", "~", "x" * 61)


@pytest.mark.parametrize("transport", ["amqp", "local", "pubsub"])
def test_a_durable_queues_name_tells_what_it_was_called_and_whose_it_is(transport: str) -> None:
    policy = room("a.room-b", transport)
    for name in ODD_NAMES:
        for account in (None, "ada.b-c"):
            queue = policy.durable_queue(name, account=account).name
            told, owner = policy.durable_name(queue)
            assert owner == account
            # What was cut is told by the queue's name, which can be removed as well.
            assert told == (name if len(name) <= 60 else queue)


@pytest.mark.parametrize("transport", ["amqp", "local", "pubsub"])
def test_the_queue_that_holds_a_durable_one_has_the_name_of_no_other(transport: str) -> None:
    policy = room("chat", transport)
    names = {
        policy.durable_queue(name, account=account).name
        for name in ODD_NAMES
        for account in (None, *ODD_NAMES)
    }
    assert not names & {name + policy.separator + READER for name in names}
