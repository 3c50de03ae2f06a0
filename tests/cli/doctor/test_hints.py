"""What a command that fails says of the doctor."""

from __future__ import annotations

from tests.brokers.ports import free_port
from tests.brokers.processes import Commands
from tests.cli.doctor.asking import PASSWORD


def test_a_failure_ends_with_the_doctor_and_the_same_options(commands: Commands) -> None:
    port = str(free_port())
    result = commands.run_kchat(
        *("send", "--host", "127.0.0.1", "--port", port, "--room", "a room", "--rmq-password", PASSWORD),
        *("--username", "ada", "hi"),
    )
    assert result.code == 1
    assert PASSWORD not in result.stderr
    _, hint = result.stderr.splitlines()
    assert hint.strip().endswith(
        f"kchat doctor --room 'a room' --host 127.0.0.1 --port {port} --ask-password"
    )


def test_a_password_in_a_url_is_not_repeated(commands: Commands) -> None:
    port = free_port()
    url = f"amqp://ada:{PASSWORD}@127.0.0.1:{port}/v%2Fh;amqp://127.0.0.1:{port}/"
    result = commands.run_kchat("subscribe", "--url", url)
    assert PASSWORD not in result.stderr
    assert (
        f"kchat doctor --url 'amqp://ada@127.0.0.1:{port}/v%2Fh;amqp://127.0.0.1:{port}/' --ask-password"
        in result.stderr
    )


def test_wrong_usage_does_not_suggest_the_doctor(commands: Commands) -> None:
    assert "doctor" not in commands.run_kchat("send", "--room", "", "hi").stderr


def test_the_doctor_does_not_send_anybody_to_the_doctor(commands: Commands) -> None:
    result = commands.run_kchat("doctor", "--host", "127.0.0.1", "--port", str(free_port()))
    assert "kchat doctor" not in result.stdout + result.stderr
