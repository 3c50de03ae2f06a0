"""What people meet in their first minutes: half of an account in the environment, a broker that is still starting."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.brokers.ports import free_port
from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.redis import Redis
from tests.cli.test_errors import check

USER, PASS = "RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"


def test_an_account_of_which_half_is_exported_is_said_to_lack_the_other_half(
    commands: Commands, own_rabbitmq: RabbitMQ
) -> None:
    node = own_rabbitmq  # where there is no account guest, as where a compose file has made another
    there = ["--host", node.host, "--port", str(node.port)]
    user, password = {USER: node.username}, {PASS: node.password}
    cases: list[tuple[list[str], dict[str, str], list[str]]] = [
        ([], password, [f"{PASS} is set, but {USER} is not", "--rmq-username"]),
        ([], {**password, USER: ""}, [f"{PASS} is set, but {USER} is not"]),
        ([], user, [f"{USER} is set, but {PASS} is not", "--ask-password"]),
        ([], {}, ["no account is given, so guest was tried", "--rmq-username"]),
        ([], {"KCHAT_RMQ_PASSWORD": node.password}, ["no account is given", "--rmq-username"]),
        (["--rmq-username", node.username], {}, ["no password is given", "--ask-password"]),
        (["--rmq-username", "nobody"], password, ["check the account and its password"]),
    ]
    for words, env, told in cases:
        for command in (["send", "hi"], ["subscribe"], ["who"]):
            result = commands.run_kchat(*command, *there, *words, env=env)
            check(result, 1, "login refused", *told)
            assert node.password not in result.stderr
        assert told[0] in commands.run_kchat("doctor", *there, *words, env=env).stdout
    both = commands.run_kchat("send", *there, "hi", env={**user, **password})
    assert both.code == 0


def test_a_url_says_itself_whose_it_is_so_that_no_variable_is_missed(
    commands: Commands, own_rabbitmq: RabbitMQ
) -> None:
    url = f"amqp://{own_rabbitmq.host}:{own_rabbitmq.port}/"
    result = commands.run_kchat("send", "--url", url, "hi", env={PASS: "x"})
    check(result, 1, "no account is given, so guest was tried")
    assert PASS not in result.stderr


def test_a_host_without_its_whole_account_cannot_invite_and_is_told_what_is_missing(
    commands: Commands, own_rabbitmq: RabbitMQ
) -> None:
    there = ["--host", own_rabbitmq.host, "--port", str(own_rabbitmq.port)]
    for env, told in (({PASS: "x"}, f"{USER} is not"), ({USER: "x"}, f"{PASS} is not")):
        check(commands.run_kchat("invite", "bob", *there, env=env), 2, told)


@pytest.fixture
def starting(proxy_to: Callable[[int], Proxy]) -> Proxy:
    """The open port of a container in which nothing listens yet: who connects is cut off."""
    return proxy_to(free_port())


@pytest.mark.parametrize("scheme", ["amqp", "amqps", "redis", "rediss"])
def test_a_broker_that_cuts_new_connections_is_said_to_be_starting_before_anything_else(
    commands: Commands, starting: Proxy, scheme: str
) -> None:
    url = f"{scheme}://{starting.host}:{starting.port}"
    for command in (["send", "hi"], ["subscribe"], ["who"]):
        result = commands.run_kchat(*command, "--url", url)
        check(result, 1)
        assert result.stderr.splitlines()[1].startswith("  the broker may still be starting: try again")
    told = commands.run_kchat("doctor", "--url", url)
    assert (told.code, "the broker may still be starting" in told.stdout) == (1, True)


def test_an_emulator_that_is_starting_is_said_to_be_that(commands: Commands, starting: Proxy) -> None:
    pytest.importorskip("google.cloud.pubsub_v1")
    for port in (starting.port, free_port()):  # in a container, and without one
        env = {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{port}"}
        result = commands.run_kchat("send", "--url", "pubsub://p", "hi", env=env, seconds=60)
        check(result, 1, f"127.0.0.1:{port}")
        assert result.stderr.splitlines()[1].startswith("  the broker may still be starting: try again")


def test_a_closed_port_may_be_that_of_a_broker_that_is_starting(commands: Commands) -> None:
    result = commands.run_kchat("send", "--host", "127.0.0.1", "--port", str(free_port()), "hi")
    check(result, 1, "connection refused", "is still starting")


def test_a_sender_that_waits_outlasts_the_start(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, proxy_to: Callable[[int], Proxy]
) -> None:
    link = proxy_to(rabbitmq.port)
    link.refuse()
    sender = commands.kchat(
        "send", "--wait", "--url", rabbitmq.url_for(vhost, host=link.host, port=link.port), "hi"
    )
    sender.wait_for("(attempt 2)")
    link.restore()
    assert sender.wait() == 0


def test_a_redis_without_its_password_is_said_to_want_one(commands: Commands, own_redis: Redis) -> None:
    own_redis.command("CONFIG", "SET", "requirepass", "s3cr3t")
    url = own_redis.url_for(0)
    wanted = ["login refused", "no password is given", "--ask-password"]
    check(commands.run_kchat("send", "--url", url, "hi"), 1, *wanted)
    wrong = url.replace("://", "://:wrong@")
    check(commands.run_kchat("send", "--url", wrong, "hi"), 1, "check the account and its password")
