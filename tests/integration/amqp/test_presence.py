"""Presence on a real RabbitMQ: whose word is believed, who may take part, and what it does to others: nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

import kchat
from kchat import NotAuthorised, Sender, Settings, SettingsError, Subscriber
from kchat.client.crowd import CROWD
from kchat.client.presence import Presence, who
from kchat.events import Person
from kchat.message.announcement import HERE, LONGEST, MOST_OTHERS, Announcement
from kchat.transports.amqp import rights
from kchat.transports.amqp.accounts import Accounts
from kchat.transports.amqp.leftovers import repair_shared_exchange
from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.integration.amqp.guests import channel_of, got, guest, invite, names, refused

EXCHANGE = "kchat.chat.presence"


@contextmanager
def present(settings: Settings, name: str) -> Iterator[Presence]:
    """Somebody who is here, and knows it."""
    with Presence(settings, name) as presence:
        wait_until(lambda: presence.people() is not None or presence.problem is not None, 20)
        assert presence.problem is None
        yield presence


def sees(presence: Presence, *people: Person) -> None:
    """Waits until somebody takes those to be here, and nobody else."""
    wait_until(
        lambda: (seen := presence.people()) is not None and seen.here == people,
        20,
        lambda: f"{people}, but {presence.people()}",
    )


def as_before(management: Accounts, settings: Settings, name: str) -> Settings:
    """A member whom a kchat without presence has invited."""
    member = invite(management, settings, name)
    own = rights.of_queues("chat", name)
    management.put_permissions(
        settings.broker.vhost,
        name,
        configure=own,
        write=f"^chat$|{own}",
        read=rf"^chat$|^kchat\.chat\.durable$|{own}",
    )
    return member


def test_members_see_each_other_and_the_broker_vouches_for_their_names(
    management: Accounts, settings: Settings, name: str
) -> None:
    ada, bob = (invite(management, settings, f"{name}-{each}") for each in ("ada", "bob"))
    host = Person("host", settings.broker.account)
    own, claimed = Person(f"{name}-ada", f"{name}-ada"), Person(f"{name}-ada", f"{name}-bob")
    with present(ada, f"{name}-ada") as first, present(settings, "host"):
        sees(first, own, host)
        with present(bob, f"{name}-ada"):
            sees(first, own, claimed, host)
        sees(first, own, host)


def test_whoever_comes_first_and_makes_the_exchange_has_one_queue_of_it(
    rabbitmq: RabbitMQ, settings: Settings, name: str
) -> None:
    with present(settings, name):
        queues = [each for each in names(rabbitmq, settings) if name in each]
    assert len(queues) == 1


def test_who_does_not_say_that_nobody_is_here_before_those_who_are_could_answer(
    settings: Settings, name: str, commands: Commands
) -> None:
    ask = ["who", "--timeout", "1", "--url", settings.broker.url()]
    with present(settings, name):
        asked = [commands.run_kchat(*ask) for _ in range(4)]  # at most two answers a minute
    for each in asked:
        assert each.code == 0
        assert "nobody is here" not in each.stderr
    assert "nobody has answered in" in asked[-1].stderr
    assert "not everybody may have answered within 1 s" in asked[-1].stderr
    assert "nobody is here" in commands.run_kchat(*ask).stderr


def test_a_member_can_neither_replace_the_exchange_nor_announce_in_anothers_name(
    management: Accounts, settings: Settings, name: str
) -> None:
    mallory = invite(management, settings, name)
    for do in (
        lambda channel: channel.exchange_delete(EXCHANGE),
        lambda channel: channel.exchange_declare(EXCHANGE, "direct", durable=True),
        lambda channel: channel.queue_declare(EXCHANGE),
    ):
        refused(mallory, do)
    with present(settings, "host") as watcher:
        # What does not bear the account that sent it is nobody's whom the broker knows.
        with channel_of(mallory) as channel:
            channel.basic_publish(EXCHANGE, "", Announcement(HERE, "s1", "host", 50.0).encode())
        sees(watcher, Person("host", None), Person("host", settings.broker.account))


@pytest.mark.parametrize("send_only", [True, False])
def test_an_account_that_may_not_take_part_gets_no_error(
    management: Accounts, settings: Settings, name: str, commands: Commands, send_only: bool
) -> None:
    account = (
        invite(management, settings, name, send_only=True)
        if send_only
        else as_before(management, settings, name)
    )
    url = account.broker.url()
    with pytest.raises(NotAuthorised, match="presence not available"):
        who(account)
    asked = commands.kchat("who", "--url", url)
    assert asked.wait() == 1
    assert asked.stderr.startswith("kchat: presence not available: ")
    with Sender(account, name) as sender, Subscriber(settings) as host:
        assert wait_until(partial(got, host, sender.send("hello").message.id), 10)
    if send_only:
        return
    with kchat.connect(url, username=name, presence=True) as room:
        sent = room.send("hello").message
        message = room.receive(timeout=10)
        assert message is not None
        assert message.id == sent.id
        assert room.people() is None
    listener = commands.kchat("subscribe", "--url", url, "--mode", "json")
    listener.wait_for("listening")
    with Sender(settings, "host") as sender:
        sender.send("hello")
    assert json.loads(listener.wait_for_lines(1)[0])["message"] == "hello"
    listener.interrupt()
    assert listener.wait() == 0
    assert len(listener.stderr.splitlines()) == 1


def test_in_a_room_without_members_nothing_is_left_when_the_last_one_leaves(
    rabbitmq: RabbitMQ, settings: Settings
) -> None:
    with present(settings, "ada"), present(settings, "bob"):
        assert EXCHANGE in names(rabbitmq, settings)
    wait_until(lambda: names(rabbitmq, settings) == set(), 20, lambda: str(names(rabbitmq, settings)))


def test_a_binding_that_a_member_has_made_between_announcements_and_the_room_does_not_outlive_it(
    rabbitmq: RabbitMQ, management: Accounts, settings: Settings, name: str
) -> None:
    mallory = invite(management, settings, name)
    vhost = settings.broker.vhost
    with Subscriber(settings), present(settings, "host") as host:
        with channel_of(mallory) as channel:
            channel.exchange_bind("chat", EXCHANGE)
        management.revoke(name)
        bound = {each["destination"] for each in rabbitmq.management.bindings(vhost, EXCHANGE)}
        assert "chat" not in bound
        repair_shared_exchange(management, vhost, "chat")
        assert host.problem is None


def test_announcements_that_a_flood_pushes_out_end_nothing_and_cost_the_broker_little(
    settings: Settings, management: Accounts, name: str
) -> None:
    mallory = invite(management, settings, name)
    with present(settings, "host") as watcher:
        with channel_of(mallory) as channel:
            for number in range(5_000):
                channel.basic_publish(
                    EXCHANGE, "", Announcement(HERE, f"s{number}", f"fake {number}", 62.0).encode()
                )
            channel.basic_publish(EXCHANGE, "", b"\xff" * 100_000)
        # In a crowd, chance decides who goes on hearing everybody.
        wait_until(lambda: (seen := watcher.people()) is not None and seen.count > CROWD, 30)
        people = watcher.people()
        assert people is not None
        assert len(people.here) <= 1_001
        with present(guest_of(settings), "late"):
            wait_until(lambda: watcher.problem is None, 5)


def bound(rabbitmq: RabbitMQ, settings: Settings, key: str) -> int:
    """The number of queues that get announcements with a key."""
    bindings = rabbitmq.management.bindings(settings.broker.vhost, EXCHANGE)
    return sum(each["routing_key"] == key and each["destination_type"] == "queue" for each in bindings)


def test_in_a_crowd_twenty_or_so_hear_everybody_and_all_know_how_many_are_here(
    rabbitmq: RabbitMQ, settings: Settings
) -> None:
    count = CROWD + 10
    with ExitStack() as stack:
        people = [stack.enter_context(present(settings, f"member {each:02}")) for each in range(count)]

        def counts() -> list[int | None]:
            return [None if (seen := each.people()) is None else seen.count for each in people]

        # Who hears lists alone has heard one, sooner or later.
        wait_until(lambda: 0 < bound(rabbitmq, settings, "") < count, 30)
        wait_until(lambda: counts() == [count] * count, LONGEST, lambda: str(counts()))
        assert bound(rabbitmq, settings, "list") == count
        asked = who(settings)
        assert (asked.count, len(asked.here)) == (count, MOST_OTHERS + 1)


def test_names_that_anybody_can_write_are_refused_or_shown_in_one_short_line(
    settings: Settings, management: Accounts, commands: Commands, name: str
) -> None:
    mallory = invite(management, settings, name)
    kept = ["a" * 255, "\u0430da", "=SUM(A1)", "é" * 127]
    refused_names = [
        "\x1b[2J",
        "ada\u202ebob",
        "ada\u2069 (via ada)",
        "a" * 256,
        "\ud800",
        "",
        " ",
        "ada\nbob",
        "\x9b2J",
    ]
    with present(settings, "host") as watcher:
        with channel_of(mallory) as channel:
            for number, each in enumerate(kept + refused_names):
                body = {"presence": "here", "session": f"s{number}", "username": each, "lasts": 50}
                channel.basic_publish(EXCHANGE, "", json.dumps(body).encode())
        wait_until(lambda: (seen := watcher.people()) is not None and "é" * 127 in seen.names, 20)
        people = watcher.people()
        assert people is not None
        assert not set(people.names) & set(refused_names)
        asked = commands.kchat("who", "--url", settings.broker.url())
        assert asked.wait() == 0
    lines = asked.stdout.splitlines()
    assert len(lines) == len(kept) + 1
    for line in lines:
        assert line.isprintable()
        assert len(line) < 40
        assert line == "host" or line.endswith(" ?")


def guest_of(settings: Settings) -> Settings:
    """The same account once more."""
    return guest(settings, str(settings.broker.account), str(settings.broker.password))


def test_the_name_of_the_exchange_of_announcements_is_not_a_queues(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="presence"):
        Subscriber(settings, durable="presence")


def test_a_refused_login_is_no_matter_of_presence(commands: Commands, settings: Settings) -> None:
    broker = settings.broker
    url = f"amqp://{broker.account}:wrong@{broker.host}:{broker.port}/"
    asked = commands.kchat("who", "--url", url, "--room", settings.room)
    assert asked.wait() == 1
    assert "login refused" in asked.stderr
    assert "presence not available" not in asked.stderr
