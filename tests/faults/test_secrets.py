"""No password anywhere: not in errors, logs, tracebacks, events, process titles, or the broker's dashboard."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from kchat import Sender, Settings, Subscriber
from tests.brokers.processes import Commands, Process
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.redis import Redis
from tests.brokers.wait import wait_until

PASSWORD = "pa/ss:w@rd #1?&%"
FORMS = [
    PASSWORD,
    quote(PASSWORD, safe=""),
    quote(PASSWORD),
    repr(PASSWORD)[1:-1],
    json.dumps(PASSWORD)[1:-1],
]


def clean(text: str) -> bool:
    """Whether the password is in it in no form."""
    return not any(form in text for form in FORMS)


def title(process: Process) -> str:
    """The words that ``ps`` shows."""
    return Path(f"/proc/{process.pid}/cmdline").read_text()


@pytest.fixture
def account_url(rabbitmq: RabbitMQ, vhost: str) -> Iterator[Callable[[int], str]]:
    """Makes the URL of an account with an awkward password, by way of a port."""
    name = f"{vhost}-user"
    rabbitmq.management.add_user(name, PASSWORD)
    rabbitmq.management.permit(vhost, name, ".*", ".*", ".*")
    yield lambda port: rabbitmq.url_for(vhost, name, PASSWORD, port=port)
    rabbitmq.management.delete_user(name)


@pytest.mark.skipif(sys.platform != "linux", reason="process titles can be written over on Linux only")
@pytest.mark.parametrize("form", ["url", "option", "option="])
def test_a_password_on_the_command_line_is_not_in_the_process_title(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, account_url: Callable[[int], str], form: str
) -> None:
    url = account_url(rabbitmq.port)
    if form == "url":
        words = ["--url", url]
    else:
        there = ["--host", rabbitmq.host, "--port", str(rabbitmq.port), "--vhost", vhost]
        account = ["--rmq-username", f"{vhost}-user"]
        password = ["--rmq-password", PASSWORD] if form == "option" else [f"--rmq-password={PASSWORD}"]
        words = [*there, *account, *password]
    process = commands.kchat("subscribe", *words)
    process.wait_for("listening")
    assert "subscribe" in title(process)
    assert "***" in title(process)
    assert clean(title(process))


def test_no_event_of_a_flapping_link_shows_the_password(
    commands: Commands,
    rabbitmq: RabbitMQ,
    account_url: Callable[[int], str],
    proxy_to: Callable[[int], Proxy],
) -> None:
    link = proxy_to(rabbitmq.port)
    process = commands.start(
        [sys.executable, "-m", "kchat", "--debug", "subscribe", "--url", account_url(link.port)]
    )
    process.wait_for("listening")
    link.refuse()
    process.wait_for("attempt 2)")
    link.restore()
    process.wait_for("listening again")
    rabbitmq.management.add_user(Settings.resolve(url=account_url(1)).broker.account or "", "another")
    link.cut()
    assert process.wait() == 1
    assert "Traceback" in process.stderr  # --debug
    assert "login refused" in process.stderr
    assert clean(process.stderr)
    assert clean(process.stdout)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://ada:{}@127.0.0.1:1/",
        "amqps://ada:{}@127.0.0.1:1/",
        "amqp://ada:{}@no-such-host.invalid/",
        "redis://:{}@127.0.0.1:1/0",
        "redis://:{}@127.0.0.1:1/none",
        "amqp://ada:{}@127.0.0.1:1/;amqp://ada:{}@127.0.0.1:2/",
        "amqp://ada:{}@[::1/",
        "nosuch://ada:{}@127.0.0.1/",
    ],
)
@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_no_error_shows_the_password(commands: Commands, url: str, debug: list[str]) -> None:
    given = url.format(quote(PASSWORD, safe=""), quote(PASSWORD, safe=""))
    for command in (["send", "hello"], ["subscribe"]):
        result = commands.run_kchat(*debug, *command, "--url", given)
        assert result.code in (1, 2)
        assert ("Traceback" in result.stderr) == bool(debug)
        assert clean(result.stderr), result.stderr


def test_a_refused_login_on_redis_does_not_show_the_password(commands: Commands, own_redis: Redis) -> None:
    own_redis.command("CONFIG", "SET", "requirepass", "another")
    url = f"redis://:{quote(PASSWORD, safe='')}@{own_redis.host}:{own_redis.port}/0"
    for debug in ([], ["--debug"]):
        result = commands.run_kchat(*debug, "send", "--url", url, "hello")
        assert result.code == 1
        assert "login refused" in result.stderr
        assert clean(result.stderr)


def test_no_public_object_shows_the_password_in_its_repr(
    rabbitmq: RabbitMQ, account_url: Callable[[int], str]
) -> None:
    settings = Settings.resolve(url=account_url(rabbitmq.port))
    with Sender(settings, "ada") as sender, Subscriber(settings, "bob") as subscriber:
        receipt = sender.send("hello")
        shown = [settings, settings.broker, sender, subscriber, subscriber.where, receipt]
        assert all(clean(repr(each)) and clean(str(each)) for each in shown)


def test_the_dashboard_does_not_show_the_password(
    rabbitmq: RabbitMQ, vhost: str, account_url: Callable[[int], str]
) -> None:
    settings = Settings.resolve(url=account_url(rabbitmq.port))
    with Sender(settings, "ada") as sender, Subscriber(settings, "bob"):
        sender.send("hello")
        wait_until(lambda: len(rabbitmq.management.connections(vhost)) == 2, 15, "both in the dashboard")
        seen = rabbitmq.management.connections(vhost)
        assert {"kchat send chat", "kchat subscribe chat"} == {
            each["client_properties"]["connection_name"] for each in seen
        }
        assert clean(json.dumps(seen))
