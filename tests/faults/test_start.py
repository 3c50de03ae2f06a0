"""No broker at the start: a quick clear end, or with ``--wait`` patience that can be seen and interrupted."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic

import pytest

from tests.brokers.ports import free_port
from tests.brokers.processes import Commands, Process
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon

Measured = Callable[..., None]


@pytest.fixture
def link(proxy_to: Callable[[int], Proxy], rabbitmq: RabbitMQ) -> Proxy:
    return proxy_to(rabbitmq.port)


@pytest.fixture
def url(rabbitmq: RabbitMQ, vhost: str, link: Proxy) -> str:
    return rabbitmq.url_for(vhost, host=link.host, port=link.port)


COMMANDS = [["subscribe"], ["send", "hello"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_closed_port_is_told_at_once(commands: Commands, command: list[str], measured: Measured) -> None:
    began = monotonic()
    result = commands.run_kchat(*command, "--url", f"amqp://127.0.0.1:{free_port()}/")
    took = monotonic() - began
    assert result.code == 1
    assert "connection refused" in result.stderr
    assert len(result.stderr.splitlines()) <= 2  # what failed, and what to do
    assert took < soon(4)
    measured("broker not there (port closed)", who(command), noticed=took, note="exit 1; whole process")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_broker_that_does_not_answer_is_given_up_within_the_connect_timeout(
    commands: Commands, link: Proxy, url: str, command: list[str], measured: Measured
) -> None:
    link.black_hole()
    began = monotonic()
    result = commands.run_kchat(*command, "--url", url, "--connect-timeout", "1.5")
    took = monotonic() - began
    assert result.code == 1
    assert "no answer in time" in result.stderr
    assert took < soon(1.5 + 2)
    measured("broker not there (silent)", who(command), noticed=took, note="exit 1; connect timeout 1.5 s")


@pytest.mark.slow
def test_five_seconds_is_the_patience_unless_told_otherwise(
    commands: Commands, link: Proxy, url: str
) -> None:
    link.black_hole()
    began = monotonic()
    assert commands.run_kchat("send", "--url", url, "hello").code == 1
    assert 5 <= monotonic() - began < soon(6.5)


def test_a_waiting_client_reports_attempts_with_growing_jittered_pauses(
    commands: Commands, link: Proxy, url: str, measured: Measured
) -> None:
    link.refuse()
    subscriber = commands.kchat("subscribe", "--url", url, "--wait", "--mode", "print")
    sender = commands.kchat("send", "--url", url, "--wait", "--mandatory", "hello")
    for process in (subscriber, sender):
        process.wait_for("attempt 4)")
        pauses = [float(each) for each in re.findall(r"trying again in ([\d.]+) s", process.stderr)]
        assert 0 < pauses[0] <= 0.3
        assert pauses[-1] > pauses[0]
    both = [re.findall(r"in ([\d.]+) s", process.stderr) for process in (subscriber, sender)]
    assert both[0] != both[1], "both in step"
    sender.interrupt()
    assert sender.wait(2) == 130
    assert "Traceback" not in sender.stderr
    link.restore()
    restored_at = monotonic()
    subscriber.wait_for("listening", seconds=8)
    back = monotonic() - restored_at
    assert commands.run_kchat("send", "--url", url, "--wait", "--mandatory", "hello").code == 0
    assert "hello" in subscriber.read_line()
    measured("broker not there, --wait", "subscriber", back=back, lost=0)


def test_a_sender_that_waits_sends_when_the_broker_is_there(
    commands: Commands, link: Proxy, url: str, measured: Measured
) -> None:
    subscriber = commands.kchat("subscribe", "--url", url, "--wait")
    subscriber.wait_for("listening")
    link.refuse()
    sender = commands.kchat("send", "--url", url, "--wait", "--mandatory", "hello")
    sender.wait_for("attempt 2)")
    subscriber.wait_for("connection lost")
    link.restore()
    restored_at = monotonic()
    assert sender.wait(15) in (0, 1)  # 1: the subscriber was not back yet, and --mandatory insists on it
    back = monotonic() - restored_at
    subscriber.wait_for("listening again")
    assert commands.run_kchat("send", "--url", url, "--mandatory", "hello").code == 0
    assert "hello" in subscriber.read_line()
    measured("broker not there, --wait", "sender of one message", back=back)


@pytest.mark.parametrize("end", [Process.interrupt, Process.terminate])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_waiting_ends_by_a_signal(
    commands: Commands, link: Proxy, url: str, command: list[str], end: Callable[[Process], None]
) -> None:
    link.refuse()
    process = commands.kchat(*command, "--url", url, "--wait")
    process.wait_for("attempt 4)")
    end(process)
    assert process.wait(2) == (0 if command == ["subscribe"] else 130)
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_waiting_client_gives_up_where_waiting_does_not_help(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, command: list[str]
) -> None:
    wrong = rabbitmq.url_for(vhost, password="wrong")
    result = commands.run_kchat(*command, "--url", wrong, "--wait")
    assert result.code == 1
    assert "login refused" in result.stderr


def who(command: list[str]) -> str:
    """The table's word for a command."""
    return "subscriber" if command == ["subscribe"] else "sender of one message"
