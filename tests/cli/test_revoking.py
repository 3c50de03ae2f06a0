"""A host's commands about guests on RabbitMQ: what is refused, told and deleted."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator

import pytest

from kchat import Settings, Subscriber
from kchat.transports.amqp.accounts import Accounts
from kchat.transports.amqp.guests import Guests
from tests.brokers.processes import Commands, Result
from tests.brokers.rabbitmq import RabbitMQ
from tests.cli.joining import password_of
from tests.integration.amqp.guests import guest

Host = Callable[..., Result]


@pytest.fixture
def settings(amqp_url: str) -> Settings:
    """The host's."""
    return Settings.resolve(url=amqp_url)


@pytest.fixture
def host(commands: Commands, rabbitmq: RabbitMQ, amqp_url: str) -> Host:
    """Runs a command as the host."""
    env = {"KCHAT_URL": amqp_url, "KCHAT_MANAGEMENT_URL": rabbitmq.management_url}
    return lambda *arguments: commands.run_kchat(*arguments, env=env)


@pytest.fixture
def name(rabbitmq: RabbitMQ) -> Iterator[str]:
    """What the names of a test's accounts begin with; they are deleted."""
    chosen = f"guest{secrets.token_hex(3)}"
    yield chosen
    for user in rabbitmq.management.get("users"):
        if user["name"].startswith(chosen):
            rabbitmq.management.delete_user(user["name"])


def invited(host: Host, settings: Settings, name: str) -> Settings:
    """The settings of a new guest."""
    result = host("invite", name)
    assert result.code == 0, result.stderr
    return guest(settings, name, password_of(result.stdout.strip()))


def test_one_name_that_is_wrong_does_not_keep_the_others_from_being_revoked(
    host: Host, settings: Settings, name: str
) -> None:
    members = [f"{name}.{each}" for each in ("ada", "bob")]
    for member in members:
        with Subscriber(invited(host, settings, member), durable="archive"):
            pass
    result = host("revoke", members[0], f"{name}-nobody", members[1], f"{name}-nor-he")
    assert result.code == 1
    for member in members:
        assert f"revoked {member}: its account is gone, 1 queue deleted" in result.stderr
    for nobody in (f"{name}-nobody", f"{name}-nor-he"):
        assert f"there is no account {nobody}" in result.stderr
    again = host("revoke", members[0])
    assert (again.code, "there is no account" in again.stderr) == (1, True)


def test_an_account_whose_name_can_be_taken_for_another_is_refused_before_anything_is_made(
    host: Host, name: str
) -> None:
    for odd, reason in ((f"{name} ", "space"), (f"{name}\u00a0", "space"), (f"{name}\u0430", "Cyrillic")):
        result = host("invite", odd)
        assert (result.code, result.stdout) == (2, "")
        assert reason in result.stderr
        assert len(result.stderr.splitlines()) <= 2
    assert name not in host("invite", "--list").stdout


def test_a_name_is_written_in_unicodes_normal_form(
    host: Host, management_of: Accounts, settings: Settings, name: str
) -> None:
    result = host("invite", f"{name}e\u0301")
    assert result.code == 0, result.stderr
    assert management_of.user(f"{name}\u00e9") is not None
    assert management_of.user(f"{name}e\u0301") is None
    assert host("revoke", f"{name}e\u0301").code == 0


@pytest.fixture
def management_of(rabbitmq: RabbitMQ, settings: Settings) -> Accounts:
    """An administrator's access."""
    return Guests("amqp").management(settings, rabbitmq.management_url)


def test_the_list_repairs_an_exchange_that_is_in_the_way(
    rabbitmq: RabbitMQ, vhost: str, host: Host, settings: Settings, name: str
) -> None:
    invited(host, settings, name)
    rabbitmq.management.delete_exchange(vhost, "kchat.chat.durable")
    rabbitmq.management.add_exchange(vhost, "kchat.chat.durable", "direct")
    doctor = host("doctor")
    assert (doctor.code, "'kchat.chat.durable' is another exchange" in doctor.stdout) == (0, True), (
        doctor.stdout
    )
    told = host("invite", "--list").stderr
    assert "another exchange" not in host("doctor").stdout
    assert "repaired" in told
    assert "repaired" not in host("invite", "--list").stderr


def test_the_doctor_finds_an_invited_account_in_order(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, host: Host, settings: Settings, name: str
) -> None:
    member = invited(host, settings, name)
    url = member.broker.url()
    result = commands.run_kchat("doctor", "--url", url, "--json")
    assert result.code == 0, result.stdout
    found = {check["check"]: check for check in json.loads(result.stdout)["findings"]}
    assert (found["listen"]["status"], found["round trip"]["status"]) == ("ok", "ok")
    assert f"kchat.chat.{name}." in found["listen"]["text"], found
    rabbitmq.management.permit(vhost, name, write="^chat$")
    result = commands.run_kchat("doctor", "--url", url)
    assert rf"configure on its own queue ('^kchat\.chat\.{name}\..*')" in result.stdout
