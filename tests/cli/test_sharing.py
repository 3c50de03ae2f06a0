"""A host and guests: invited, joined from another home and by another address, held to their rights, revoked."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator

import pytest
import segno

from kchat.transports.amqp.management import Management
from tests.brokers.processes import Commands, Process, Result
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon, wait_until
from tests.cli.joining import joined, password_of

GUESTS_ADDRESS = "127.0.0.2"
LIGHT = {"█": ("upper", "lower"), "▀": ("upper",), "▄": ("lower",), " ": ()}
"""Which halves of a character of a QR code are light."""
KEYRING = '''
import json, os
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

class FileKeyring(KeyringBackend):
    """A keyring that lasts: a file of the test's own."""
    priority = 5
    name = "the test's keyring"
    file = os.environ.get("KEYRING_FILE", "/nonexistent")

    def _all(self):
        try:
            with open(self.file) as stream:
                return json.load(stream)
        except FileNotFoundError:
            return {}

    def _keep(self, secrets):
        with open(self.file, "w") as stream:
            json.dump(secrets, stream)

    def get_password(self, service, username):
        return self._all().get(f"{service} {username}")

    def set_password(self, service, username, password):
        self._keep({**self._all(), f"{service} {username}": password})

    def delete_password(self, service, username):
        secrets = self._all()
        if secrets.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError
        self._keep(secrets)
'''


class Host:
    """Somebody with the administrator's account, who shares one room.

    Arguments:
        commands: starts commands in the host's home.
        broker: the shared RabbitMQ.
        vhost: of the test's own.
        address: where guests reach the broker.
    """

    def __init__(self, commands: Commands, broker: RabbitMQ, vhost: str, address: str) -> None:
        self.commands = commands
        self.broker = broker
        self.url = broker.url_for(vhost)
        self.password = broker.password
        self.env = {
            "KCHAT_URL": self.url,
            "KCHAT_MANAGEMENT_URL": broker.management_url,
            "KCHAT_ADDRESS": address,
        }

    @property
    def management(self) -> Management:
        """The administrator's access."""
        return Management(self.broker.management_url, self.broker.username, self.password)

    def run(self, *arguments: str) -> Result:
        """Runs a command as the host."""
        return self.commands.run_kchat(*arguments, env=self.env)

    def invite(self, *arguments: str) -> str:
        """Invites somebody, and returns the line to hand over: all that is on standard output."""
        result = self.run("invite", *arguments)
        assert result.code == 0, result.stderr
        assert self.password not in result.stdout + result.stderr
        (line,) = result.stdout.splitlines()
        return line

    def subscribe(self, *arguments: str) -> Process:
        """Starts to listen, and returns when it does."""
        process = self.commands.kchat("subscribe", *arguments, env=self.env)
        process.wait_for("listening")
        return process


@pytest.fixture
def name(rabbitmq: RabbitMQ) -> Iterator[str]:
    """A guest's account that no other test uses; deleted with those that begin with it."""
    chosen = f"ada{secrets.token_hex(3)}"
    yield chosen
    for user in rabbitmq.management.get("users"):
        if user["name"].startswith(chosen):
            rabbitmq.management.delete_user(user["name"])


@pytest.fixture
def host(commands: Commands, rabbitmq: RabbitMQ, vhost: str) -> Iterator[Host]:
    """The host; guests reach the broker by another address than the host does."""
    if sys.platform != "linux":
        pytest.skip("only Linux has all of 127/8 for itself")
    with Proxy(rabbitmq.port, rabbitmq.host, listen=GUESTS_ADDRESS) as proxy:
        yield Host(commands, rabbitmq, vhost, f"{GUESTS_ADDRESS}:{proxy.port}")


def test_a_guest_joins_with_one_command_and_then_sends_and_listens_with_no_options(
    host: Host, guests: Commands, name: str
) -> None:
    line = host.invite(name)
    result = joined(guests, line)
    for word in ("joining chat at", GUESTS_ADDRESS, name, "it works", "mode 0600"):
        assert word in result.stderr
    assert password_of(line) not in result.stderr + result.stdout
    file = guests.home / "config" / "kchat" / "profiles.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    at_host = host.subscribe()
    at_guest = guests.kchat("subscribe", "--mode", "json")
    assert f"{name}:***@{GUESTS_ADDRESS}" in at_guest.wait_for("listening")
    assert guests.run_kchat("send", "hello from the guest").code == 0
    assert re.fullmatch(rf"\d\d:\d\d:\d\d {name}: hello from the guest", at_host.read_line())
    told = json.loads(at_guest.read_line())
    assert (told["username"], told["account"], told["verified"]) == (name, name, True)
    assert host.run("send", "--username", "host", "hello from the host").code == 0
    assert json.loads(at_guest.read_line())["message"] == "hello from the host"


def test_a_guest_that_may_only_send_is_refused_everything_else(
    host: Host, guests: Commands, name: str
) -> None:
    result = joined(guests, host.invite(name, "--send-only", "--expires", "24h"))
    assert "to send only" in result.stderr
    assert "the account ends at" in result.stderr
    at_host = host.subscribe()
    assert guests.run_kchat("send", "hello").code == 0
    assert at_host.read_line().endswith(f"{name}: hello")
    for refused in (
        ["subscribe"],
        ["send", "--room", "another", "hello"],
        ["subscribe", "--durable", "mine"],
    ):
        result = guests.run_kchat(*refused)
        assert result.code == 1
        assert "not authorised" in result.stderr


def test_a_revoked_guest_is_cut_off_within_seconds_and_not_let_in_again(
    host: Host, guests: Commands, name: str
) -> None:
    joined(guests, host.invite(name))
    listening = guests.kchat("subscribe")
    listening.wait_for("listening")
    started = time.monotonic()
    result = host.run("revoke", name)
    assert (result.code, f"revoked {name}" in result.stderr) == (0, True)
    assert listening.wait(10) == 1
    assert time.monotonic() - started < soon(5)
    assert "not authorised" in listening.stderr
    assert "Traceback" not in listening.stderr
    for command in (["send", "hello?"], ["subscribe"]):
        again = guests.run_kchat(*command)
        assert (again.code, "not authorised" in again.stderr) == (1, True)


@pytest.mark.parametrize("mode", ["plain", "print", "simple", "json", "rich"])
def test_a_guest_that_poses_as_another_is_shown_as_itself(
    host: Host, guests: Commands, name: str, mode: str
) -> None:
    joined(guests, host.invite(name))
    at_host = host.subscribe("--mode", mode)
    assert guests.run_kchat("send", "--username", "bob", "I am bob").code == 0
    at_host.wait_for("I am bob", "stdout")
    wait_until(lambda: name in at_host.stdout, what=lambda: at_host.stdout)
    if mode == "json":
        told = json.loads(at_host.stdout)
        assert (told["username"], told["account"], told["verified"]) == ("bob", name, False)
    else:
        assert f"(via {name})" in at_host.stdout


EXPIRED = ("kchat", "kchat-expires=2020-01-01T00:00:00Z")


def test_an_expired_guest_is_removed_by_the_list_and_by_no_command_that_is_not_about_guests(
    host: Host, guests: Commands, name: str
) -> None:
    line = host.invite(name)
    joined(guests, line)
    listening = guests.kchat("subscribe")
    listening.wait_for("listening")
    host.management.put_user(name, password_of(line), EXPIRED)
    for command in (
        ["send", "--username", "host", "hello"],
        ["doctor"],
        ["subscribe", "--idle-timeout", "0.1"],
    ):
        assert "removed" not in host.run(*command).stderr
    # Other tests are hosts of the broker too, and may have been faster.
    host.run("invite", "--list")
    assert host.broker.management.find("users", name) is None
    assert listening.wait(10) == 1
    assert "not authorised" in listening.stderr


def test_a_revocation_removes_the_guests_that_have_expired_too(host: Host, name: str) -> None:
    line = host.invite(f"{name}-expired")
    host.invite(f"{name}-other")
    host.management.put_user(f"{name}-expired", password_of(line), EXPIRED)
    host.run("revoke", f"{name}-other")
    assert host.broker.management.find("users", f"{name}-expired") is None


def test_the_list_has_who_may_do_what_where_and_until_when(host: Host, name: str) -> None:
    host.invite(f"{name}-one")
    host.invite(f"{name}-two", "--send-only", "--room", "a room/ñ", "--expires", "2d")
    result = host.run("invite", "--list")
    assert result.code == 0
    rows = {row.split()[0]: row for row in result.stdout.splitlines()[1:]}
    assert "send and listen" in rows[f"{name}-one"]
    assert "send only" in rows[f"{name}-two"]
    assert "a room/ñ" in rows[f"{name}-two"]
    assert "UTC" in rows[f"{name}-two"]
    assert "UTC" not in rows[f"{name}-one"]


def test_the_invitation_can_be_shown_as_a_qr_code(host: Host, name: str) -> None:
    result = host.run("invite", name, "--qr")
    assert result.code == 0
    assert result.stdout.startswith("kchat://1.")
    assert len(result.stdout.splitlines()) == 1
    rows = [line for line in result.stderr.splitlines() if set(line) <= set(LIGHT)]
    # Two rows of modules in a line: the upper and the lower half of each character.
    halves = [[half in LIGHT[character] for character in row] for row in rows for half in ("upper", "lower")]
    code = segno.make_qr(result.stdout.strip(), error="l")
    wanted = [[not module for module in row] for row in code.matrix_iter(border=2)]
    assert halves[: len(wanted)] == wanted
    assert len(rows) <= 24, "it fits an ordinary terminal"


def test_the_password_can_be_in_the_systems_keyring(host: Host, guests: Commands, name: str) -> None:
    folder = guests.home / "modules"
    folder.mkdir()
    (folder / "test_keyring.py").write_text(KEYRING)
    env = {
        "PYTHON_KEYRING_BACKEND": "test_keyring.FileKeyring",
        "KEYRING_FILE": str(guests.home / "secrets"),
        "PYTHONPATH": f"{folder}{os.pathsep}{guests.environment['PYTHONPATH']}",
    }
    line = host.invite(name)
    result = guests.run_kchat("join", "--yes", "-", stdin=line, env=env)
    assert result.code == 0, result.stderr
    assert "in the system's keyring (the test's keyring)" in result.stderr
    file = guests.home / "config" / "kchat" / "profiles.toml"
    assert password_of(line) not in file.read_text()
    assert password_of(line) in (guests.home / "secrets").read_text()
    assert guests.run_kchat("send", "hello", env=env).code == 0
    without = guests.run_kchat("send", "hello")
    assert (without.code, "keyring" in without.stderr) == (2, True)
    assert guests.run_kchat("profile", "remove", "chat", env=env).code == 0
    assert password_of(line) not in (guests.home / "secrets").read_text()


def test_an_invitation_that_cannot_be_joined_is_not_stored(host: Host, guests: Commands, name: str) -> None:
    line = host.invite(name)
    assert host.run("revoke", name).code == 0
    middle = len(line) // 2
    changed = line[:middle] + ("A" if line[middle] != "A" else "B") + line[middle + 1 :]
    for text, code, word in (
        (line, 1, "not authorised"),
        (line[:-5], 2, "damaged"),
        (changed, 2, "damaged"),
        ("hello", 2, "not an invitation"),
        ("", 2, "not an invitation"),
    ):
        result = guests.run_kchat("join", "--yes", "-", stdin=text)
        assert (result.code, word in result.stderr) == (code, True), result.stderr
        assert "Traceback" not in result.stderr
        assert password_of(line) not in result.stderr
    assert not (guests.home / "config" / "kchat").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["invite"], "--list"),
        (["invite", "ada", "--list"], "--list"),
        (["invite", "ada", "--expires", "tomorrow"], "24h"),
        (["invite", "ada", "--expires", "0s"], "24h"),
        (["invite", "ada", "--send-only"], "limited to sending"),
        (["invite", "ada", "--url", "memory://"], "nobody can be invited"),
        (["invite", "ada", "--url", "amqp://x:y@h/", "--management-url", "h:1"], "management URL"),
        (["invite", "ada", "--host", "h"], "administrator"),
        (["invite", "a:b", "--url", "amqp://x:y@127.0.0.1:1/", "--address", "amqp://z:w@h"], "account"),
        (["revoke"], "NAME"),
        (["revoke", "ada"], "no accounts on local"),
        (["join"], "INVITATION"),
        (["join", "kchat://1.AAAA", "--room", "x"], "--room"),
    ],
)
def test_wrong_usage_is_said_in_a_line_or_two(guests: Commands, arguments: list[str], word: str) -> None:
    result = guests.run_kchat(*arguments)
    assert result.code in (1, 2), result
    assert 1 <= len(result.stderr.splitlines()) <= 2, result.stderr
    assert word in result.stderr
    assert "Traceback" not in result.stderr


def test_an_account_that_is_no_administrator_cannot_invite(
    host: Host, guests: Commands, rabbitmq: RabbitMQ, vhost: str
) -> None:
    with rabbitmq.new_account(vhost, configure=".*", write=".*", read=".*") as account:
        env = {"KCHAT_MANAGEMENT_URL": rabbitmq.management_url}
        for command in (["invite", "eve"], ["invite", "--list"], ["revoke", "eve"]):
            result = guests.run_kchat(*command, "--url", account.url, env=env)
            assert (result.code, "not an administrator" in result.stderr) == (1, True), result.stderr
            assert account.password not in result.stderr
