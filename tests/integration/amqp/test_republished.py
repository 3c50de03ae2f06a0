"""What RabbitMQ publishes again by itself, and what another exchange passes on, is nobody's verified word.

RabbitMQ checks ``user_id`` when a client publishes, and at no other time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pika
import pytest

from kchat import Message, Sender, Settings, Subscriber
from kchat.hosting import inviting
from kchat.transports.amqp.room import RoomPolicy
from tests.brokers.management import ManagementError
from tests.brokers.rabbitmq import Account, RabbitMQ
from tests.brokers.wait import Deadline, soon, wait_until

Channel = Any
Way = Callable[[Channel, str], Callable[[], object]]
"""Prepares a replay of what is said in the room; what it returns lets it happen."""


@pytest.fixture
def settings(amqp_url: str) -> Settings:
    """The host's, in a room that is open."""
    host = Settings.resolve(url=amqp_url)
    inviting.declare_room(host)
    return host


@pytest.fixture
def bob(rabbitmq: RabbitMQ, vhost: str) -> Iterator[Account]:
    """An honest member."""
    with rabbitmq.new_account(vhost, write="^chat$") as account:
        yield account


@pytest.fixture
def mallory(rabbitmq: RabbitMQ, vhost: str) -> Iterator[Channel]:
    """A channel of a member who may use all queues of the room, as a host may allow by hand."""
    queues = r"^kchat\.chat\..*"
    both = rf"^chat$|{queues}"
    with (
        rabbitmq.new_account(vhost, configure=queues, write=both, read=both) as account,
        closing(pika.BlockingConnection(pika.URLParameters(account.url))) as connection,
    ):
        yield connection.channel()


def as_account(account: Account) -> Settings:
    return Settings.resolve(url=account.url)


def next_message(subscriber: Subscriber, seconds: float = 20) -> Message:
    """The next one; an empty list does not end the wait."""
    deadline = Deadline(soon(seconds))
    while not deadline.passed:
        for message in subscriber.receive(timeout=deadline.left, limit=1):
            subscriber.acknowledge()
            return message
    raise TimeoutError("no message came")


# ---- the ways to say again what somebody else has said


def dead_letters(arguments: dict[str, Any], *, reject: bool = False) -> Way:
    """A queue whose dead letters go to the room."""

    def way(channel: Channel, room: str) -> Callable[[], object]:
        queue = "kchat.chat.mallory.replays"
        durable = "x-queue-type" in arguments
        channel.queue_declare(queue, durable=durable, arguments={"x-dead-letter-exchange": room, **arguments})
        channel.queue_bind(queue, room)

        def happen() -> None:
            # The room is not to feed the queue with its own dead letters for ever.
            channel.queue_unbind(queue, room)
            if reject:
                method, _, _ = wait_until(lambda: _got(channel, queue), 10)
                channel.basic_reject(method.delivery_tag, requeue=False)
            else:
                channel.exchange_declare("kchat.chat.mallory.push", "fanout", auto_delete=True)
                channel.queue_bind(queue, "kchat.chat.mallory.push")
                channel.basic_publish("kchat.chat.mallory.push", "", b"pushes the other one out")

        return happen

    return way


def _got(channel: Channel, queue: str) -> Any:
    found = channel.basic_get(queue)
    return found if found[0] is not None else None


def expired(channel: Channel, room: str) -> Callable[[], object]:
    """Expires from a queue, after 300 ms; what makes it happen is time."""
    dead_letters({"x-message-ttl": 300})(channel, room)
    return lambda: channel.queue_unbind("kchat.chat.mallory.replays", room)


DEAD_LETTERS: dict[str, Way] = {
    "expired": expired,
    "rejected": dead_letters({}, reject=True),
    "rejected by a quorum queue": dead_letters({"x-queue-type": "quorum"}, reject=True),
    "rejected by a quorum queue, at least once": dead_letters(
        {
            "x-queue-type": "quorum",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
        reject=True,
    ),
    "pushed out of a full queue": dead_letters({"x-max-length": 1}),
}


@pytest.mark.parametrize("name", DEAD_LETTERS)
def test_messages_from_a_dead_letter_queue_are_not_verified(
    settings: Settings, bob: Account, mallory: Channel, name: str
) -> None:
    with Subscriber(settings, "early") as early, Sender(as_account(bob), bob.username) as sender:
        happen = DEAD_LETTERS[name](mallory, "chat")
        sender.send("I agree")
        assert next_message(early).verified, "as it was said"
        with Subscriber(settings, "late") as late:
            happen()
            replayed = next_message(late)
    assert (replayed.username, replayed.text) == (bob.username, "I agree")
    assert (replayed.account, replayed.verified) == (None, False)


def test_a_full_queue_that_refuses_its_newest_message_does_not_verify_it(
    settings: Settings, bob: Account, mallory: Channel
) -> None:
    arguments = {"x-max-length": 0, "x-overflow": "reject-publish-dlx", "x-dead-letter-exchange": "chat"}
    mallory.queue_declare("kchat.chat.mallory.full", arguments=arguments)
    mallory.exchange_declare("kchat.chat.mallory.in", "fanout")
    mallory.queue_bind("kchat.chat.mallory.full", "kchat.chat.mallory.in")
    with (
        Subscriber(settings, "late") as late,
        closing(pika.BlockingConnection(pika.URLParameters(settings.broker.url()))) as connection,
    ):
        # The host's account may write to it, as a member's may to one of the other's.
        admin = settings.broker.account
        body = f'{{"username":"{admin}","message":"I agree"}}'.encode()
        properties = pika.BasicProperties(user_id=admin)
        connection.channel().basic_publish("kchat.chat.mallory.in", "", body, properties)
        refused = next_message(late)
    assert (refused.username, refused.account) == (admin, None)


def test_a_header_that_is_forged_or_of_another_type_is_no_way_around(
    settings: Settings, bob: Account, mallory: Channel
) -> None:
    forged: list[dict[str, Any]] = [
        {"x-death": "a text"},
        {"x-death": []},
        {"x-death": {"count": 1}},
        {"x-first-death-queue": 5},
        {"a": "b"},
    ]
    with closing(pika.BlockingConnection(pika.URLParameters(bob.url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for headers in forged:
            happen = dead_letters({}, reject=True)(mallory, "chat")
            properties = pika.BasicProperties(user_id=bob.username, headers=headers)
            body = f'{{"username":"{bob.username}","message":"hello"}}'.encode()
            channel.basic_publish("chat", "", body, properties)
            with Subscriber(settings, "late") as late:
                happen()
                assert next_message(late).account is None, headers
            mallory.queue_delete("kchat.chat.mallory.replays")


# ---- other exchanges


def test_only_what_was_published_to_the_room_itself_is_verified(settings: Settings, mallory: Channel) -> None:
    admin = settings.broker.account
    with (
        Subscriber(settings, "host") as subscriber,
        closing(pika.BlockingConnection(pika.URLParameters(settings.broker.url()))) as connection,
    ):
        channel = connection.channel()
        channel.exchange_declare("lunch", "fanout")
        channel.exchange_bind("chat", "lunch")
        arguments = {"alternate-exchange": "chat"}
        channel.exchange_declare("nobody-listens", "direct", arguments=arguments)
        ways = {
            "an exchange that is bound to the room": ("lunch", ""),
            "an exchange whose alternate is the room": ("nobody-listens", "nothing"),
            "the default exchange": ("", subscriber.queue_name),
            "the room": ("chat", ""),
        }
        found = {}
        for way, (exchange, key) in ways.items():
            body = f'{{"username":"{admin}","message":"hello"}}'.encode()
            channel.basic_publish(exchange, key, body, pika.BasicProperties(user_id=admin))
            found[way] = next_message(subscriber).account
    assert found == {**dict.fromkeys(ways), "the room": admin}


def test_late_and_redelivered_messages_of_a_durable_subscriber_are_verified(
    settings: Settings, bob: Account
) -> None:
    with Subscriber(settings, durable="archive"):
        pass
    with Sender(as_account(bob), bob.username) as sender:
        sender.send("kept")
    with Subscriber(settings, durable="archive") as first:
        (message,) = first.receive(timeout=30)
        assert message.verified
    with Subscriber(settings, durable="archive") as second:
        again = next_message(second)
    assert (again.redelivered, again.verified) == (True, True)


# ---- plug-ins


def set_parameter(rabbitmq: RabbitMQ, vhost: str, kind: str, name: str, value: dict[str, Any]) -> None:
    try:
        rabbitmq.management.request("PUT", ("parameters", kind, vhost, name), {"value": value})
    except ManagementError as error:
        if "not found" in str(error).lower() or error.status in (400, 404):
            pytest.skip(f"this RabbitMQ has no plug-in for that: {error}")
        raise


def test_messages_that_a_shovel_marks_as_moved_are_not_verified(
    rabbitmq: RabbitMQ, vhost: str, settings: Settings, bob: Account, mallory: Channel
) -> None:
    mallory.queue_declare("kchat.chat.mallory.moved", durable=True)
    mallory.queue_bind("kchat.chat.mallory.moved", "chat")
    with Subscriber(settings, "early") as early, Sender(as_account(bob), bob.username) as sender:
        sender.send("I agree")
        assert next_message(early).verified
    mallory.queue_unbind("kchat.chat.mallory.moved", "chat")
    shovel = {
        # Without a host: a connection inside of the broker, which is not held to one account's user_id.
        "src-uri": f"amqp:///{vhost}",
        "dest-uri": f"amqp:///{vhost}",
        "src-protocol": "amqp091",
        "dest-protocol": "amqp091",
        "src-queue": "kchat.chat.mallory.moved",
        "dest-exchange": "chat",
        "dest-add-forward-headers": True,
    }
    with Subscriber(settings, "late") as late:
        set_parameter(rabbitmq, vhost, "shovel", "moves", shovel)
        moved = next_message(late)
    assert (moved.username, moved.account) == (bob.username, None)


# A node supervises the links of all vhosts together: what sets one up while another goes away is answered by an error.
@pytest.mark.xdist_group("federation")
@pytest.mark.parametrize("trusts", [False, True])
def test_messages_from_a_federated_room_are_not_verified(
    rabbitmq: RabbitMQ, vhost: str, settings: Settings, bob: Account, trusts: bool
) -> None:
    with rabbitmq.new_vhost() as downstream:
        upstream = {"uri": f"amqp:///{vhost}", "trust-user-id": trusts}
        # An upstream that changes restarts the links of all of its name, in every vhost, and those lose messages.
        set_parameter(rabbitmq, downstream, "federation-upstream", f"from {vhost}", upstream)
        policy = {
            "pattern": "^chat$",
            "apply-to": "exchanges",
            "definition": {"federation-upstream": f"from {vhost}"},
        }
        rabbitmq.management.request("PUT", ("policies", downstream, "federated"), policy)
        here = Settings.resolve(url=rabbitmq.url_for(downstream))
        with Subscriber(settings, "there"), Subscriber(here, "here") as subscriber:
            wait_until(lambda: len(rabbitmq.management.bindings(vhost, "chat")) > 1, 20, "the federation")
            with Sender(as_account(bob), bob.username) as sender:
                sender.send("I agree")
            came = next_message(subscriber)
    assert (came.username, came.account, came.verified) == (bob.username, None, False)


def test_the_queue_of_a_test_is_one_that_an_older_account_may_have() -> None:
    room = Settings.resolve(url="amqp://localhost")
    assert RoomPolicy(room.room).queue_name("mallory", "replays") == "kchat.chat.mallory.replays"
