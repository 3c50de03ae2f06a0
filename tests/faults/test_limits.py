"""Limits of the broker: a former client comes back when there is room again, a new one is told which limit it met."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kchat import NotAuthorised, Sender, Settings, Subscriber, Unavailable, errors, events
from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.faults.parts import Listening, Sending

Limit = Callable[[str, int], None]


@pytest.fixture
def limit(rabbitmq: RabbitMQ, vhost: str) -> Limit:
    """Sets a limit of the test's virtual host; -1 for none."""
    return lambda name, value: rabbitmq.management.request(
        "PUT", ("vhost-limits", vhost, name), {"value": value}
    )


@pytest.fixture
def link(proxy_to: Callable[[int], Proxy], rabbitmq: RabbitMQ) -> Proxy:
    return proxy_to(rabbitmq.port)


@pytest.fixture
def through(rabbitmq: RabbitMQ, vhost: str, link: Proxy, room: str) -> Settings:
    return Settings.resolve(url=rabbitmq.url_for(vhost, host=link.host, port=link.port), room=room)


@pytest.mark.parametrize("durable", [None, "keeper"])
def test_a_subscriber_comes_back_when_a_connection_limit_lets_it(
    link: Proxy, through: Settings, limit: Limit, durable: str | None
) -> None:
    with Listening(through, durable=durable) as listening:
        limit("max-connections", 0)
        link.cut()
        told = listening.wait_for(events.Reconnecting, 10)
        assert isinstance(told.event.error, Unavailable)
        assert "connection limit (0) is reached" in str(told.event)
        limit("max-connections", -1)
        listening.wait_for(events.Reconnected, 15)


def test_a_subscriber_comes_back_when_a_queue_limit_lets_it(
    link: Proxy, through: Settings, limit: Limit
) -> None:
    with Listening(through) as listening:
        limit("max-queues", 0)
        link.cut()
        told = listening.wait_for(events.Reconnecting, 10)
        assert "queue limit in vhost" in str(told.event)
        limit("max-queues", -1)
        listening.wait_for(events.Reconnected, 15)


def test_a_stream_goes_on_when_a_connection_limit_lets_it(
    link: Proxy, through: Settings, limit: Limit
) -> None:
    def messages() -> object:
        yield "one"
        limit("max-connections", 0)
        link.cut()
        for number in range(3):
            yield str(number)

    with Sending(through, messages()) as sending:  # type: ignore[arg-type]  # a generator
        sending.wait_for(events.Reconnecting, 10)
        limit("max-connections", -1)
        sending.join(20)
    assert sending.error is None
    assert [receipt.confirmed for receipt in sending.receipts] == [True] * 4


@pytest.mark.parametrize(
    "command", [["send", "hello"], ["subscribe", "--limit", "1"]], ids=lambda words: words[0]
)
def test_a_first_connection_is_told_the_limit_and_a_waiting_one_gets_in(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, limit: Limit, command: list[str]
) -> None:
    url = rabbitmq.url_for(vhost)
    limit("max-connections", 0)
    refused = commands.run_kchat(*command, "--url", url)
    assert refused.code == 1
    assert "connection limit (0) is reached" in refused.stderr
    assert "raised" in refused.stderr
    assert len(refused.stderr.splitlines()) == 2
    waiting = commands.kchat(*command, "--url", url, "--wait")
    waiting.wait_for("trying again")
    limit("max-connections", -1)
    waiting.wait_for("sent to" if command[0] == "send" else "listening", seconds=15)


def test_the_doctor_names_the_limit(commands: Commands, rabbitmq: RabbitMQ, vhost: str, limit: Limit) -> None:
    limit("max-connections", 0)
    told = commands.run_kchat("doctor", "--url", rabbitmq.url_for(vhost))
    assert told.code == 1
    assert "connection limit (0) is reached" in told.stdout
    assert "needs rights" not in told.stdout


def test_too_many_channels_of_an_account_pass(rabbitmq: RabbitMQ, vhost: str, room: str) -> None:
    manage, name = rabbitmq.management, f"few-channels-{vhost}"
    manage.add_user(name, "secret")
    try:
        manage.permit(vhost, name, ".*", ".*", ".*")
        manage.request("PUT", ("user-limits", name, "max-channels"), {"value": 0})
        settings = Settings.resolve(url=rabbitmq.url_for(vhost, username=name, password="secret"), room=room)
        for who in (Sender(settings, "ada"), Subscriber(settings, "ada")):
            with pytest.raises(Unavailable, match="number of channels opened"):
                who.open()
    finally:
        manage.delete_user(name)


# ---- replies that take more than this test's broker to come by

STATES = [
    (530, "NOT_ALLOWED - access to vhost '/' refused for user 'a': connection limit (1) is reached"),
    (530, "NOT_ALLOWED - connection refused for user 'a': user connection limit (1) is reached"),
    (530, "NOT_ALLOWED - connection refused: node connection limit (1) is reached"),
    (
        530,
        "NOT_ALLOWED - number of channels opened on node 'r@h' has reached the maximum allowed limit of (1)",
    ),
    (530, "NOT_ALLOWED - reached maximum (1) of consumers per channel"),
    (406, "PRECONDITION_FAILED - cannot declare queue 'q': queue limit in cluster (1) is reached"),
    (406, "PRECONDITION_FAILED - cannot declare exchange 'e' in vhost '/': exchange limit of 1 is reached"),
    (403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"),
    (405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'"),
    (404, "NOT_FOUND - home node 'r@h' of durable queue 'q' in vhost '/' is down or inaccessible"),
    (404, "NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor"),
    (506, "RESOURCE_ERROR - out of file handles"),
    (541, "INTERNAL_ERROR - access to vhost '/' refused for user 'a': vhost '/' is down"),
    (541, "INTERNAL_ERROR - failed to perform operation on queue 'q' in vhost '/' due to timeout"),
]
RIGHTS = [
    (403, "ACCESS_REFUSED - access to exchange 'chat' in vhost '/' refused for user 'a'", NotAuthorised),
    (404, "NOT_FOUND - no exchange 'chat' in vhost '/'", errors.NotFound),
    (406, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'chat'", errors.Refused),
    (530, "NOT_ALLOWED - vhost no-such not found", errors.NotFound),
    (530, "NOT_ALLOWED - access to vhost '/' refused for user 'a'", NotAuthorised),
]
REDIS_STATES = [
    "ERR max number of clients reached",
    "ERR max number of clients + cluster connections reached",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "READONLY You can't write against a read only replica.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "CLUSTERDOWN The cluster is down",
    "NOREPLICAS Not enough good replicas to write.",
    "BUSY Redis is busy running a script.",
    "TRYAGAIN Multiple keys request during rehashing of slot",
]


@pytest.mark.parametrize("doing", ["connect", "listen", "send"])
def test_replies_that_tell_of_a_state_are_told_from_those_about_rights(doing: str) -> None:
    from amqp.exceptions import ChannelError, error_for_code

    broker = Settings.resolve(url="amqp://a@localhost/").broker
    for code, text in STATES:
        mapped = broker.transport.explain(error_for_code(code, text, (0, 0), ChannelError), broker, doing)
        assert isinstance(mapped, Unavailable), text
        assert mapped.hint
    for code, text, kind in RIGHTS:
        mapped = broker.transport.explain(error_for_code(code, text, (0, 0), ChannelError), broker, doing)
        assert type(mapped) is kind, text


@pytest.mark.parametrize("doing", ["connect", "listen", "send"])
def test_redis_errors_that_tell_of_a_state_are_passing(doing: str) -> None:
    from redis._parsers.base import BaseParser

    parse: Callable[[str], Exception] = BaseParser.parse_error

    broker = Settings.resolve(url="redis://localhost/").broker
    for text in REDIS_STATES:
        mapped = broker.transport.explain(parse(text), broker, doing)
        assert isinstance(mapped, Unavailable), text
        assert text.partition(" ")[2] in str(mapped)
        assert mapped.hint
    for text in ("NOPERM this user has no permissions to run the 'publish' command", "WRONGPASS invalid"):
        assert isinstance(broker.transport.explain(parse(text), broker, doing), NotAuthorised)
