"""Rooms that are not on RabbitMQ, shared: in a file, on Redis, on Pub/Sub."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from kchat.hosting.invitation import Invitation
from tests.brokers.processes import Commands
from tests.brokers.pubsub import Emulator
from tests.brokers.redis import Redis
from tests.cli.joining import joined, password_of


def test_a_room_in_a_file_is_shared_by_its_path(guests: Commands, tmp_path: Path) -> None:
    result = guests.run_kchat("invite", "ada", "--url", f"local://{tmp_path}/room.db")
    assert result.code == 0
    assert f"{tmp_path}/room.db" in result.stderr
    assert "chmod" in result.stderr
    assert Invitation.decode(result.stdout).brokers[0].path == f"{tmp_path}/room.db"
    joined(guests, result.stdout)
    assert f"{tmp_path}/room.db" in guests.run_kchat("send", "hello").stderr


def test_an_invitation_has_none_of_the_options_of_the_hosts_url(guests: Commands, tmp_path: Path) -> None:
    result = guests.run_kchat("invite", "ada", "--url", f"local://{tmp_path}/room.db?busy_timeout=2")
    assert result.code == 0, result.stderr
    assert Invitation.decode(result.stdout).brokers[0].options == {}
    joined(guests, result.stdout)


def test_joining_makes_no_room_where_there_is_none(
    guests: Commands, pubsub_emulator: Emulator, local_url: str
) -> None:
    env = pubsub_emulator.environment
    project = pubsub_emulator.url(pubsub_emulator.new_project())
    assert guests.run_kchat("send", "--url", local_url, "--room", "another", "first").code == 0
    for url in (project, local_url):
        for _ in range(2):  # as the first attempt made none, the second finds none either
            missing = guests.run_kchat("join", "--yes", url, env=env)
            assert (missing.code, "there is no room 'chat'" in missing.stderr) == (1, True), missing.stderr
        assert guests.run_kchat("send", "--url", url, "first", env=env).code == 0
        found = guests.run_kchat("join", "--yes", url, env=env)
        assert found.code == 0, found.stderr


def test_on_redis_a_guest_has_the_rooms_channel_and_no_other(
    commands: Commands, guests: Commands, redis_server: Redis, redis_url: str
) -> None:
    name = f"ada{secrets.token_hex(3)}"
    shown = commands.run_kchat("invite", name, "--url", redis_url)
    assert (shown.code, "ACL SETUSER" in shown.stderr) == (0, True)
    assert guests.run_kchat("join", "--yes", "-", stdin=shown.stdout).code == 1, "showing the command ran it"
    for more in ([], ["--send-only"]):
        account = name + "-".join(["", *more]).replace("--", "")
        may_only_send_to(commands, guests, redis_url, "chat", [account, *more])
        listening = guests.run_kchat("subscribe", "--idle-timeout", "0.3")
        assert listening.code == (1 if more else 0), listening.stderr
        taken = commands.run_kchat("invite", account, "--apply", "--url", redis_url)
        assert (taken.code, "already" in taken.stderr) == (1, True)
    for command in (["revoke", name], ["invite", "--list"]):
        refused = commands.run_kchat(*command, "--url", redis_url)
        assert (refused.code, "redis-cli ACL DELUSER" in refused.stderr) == (2, True), refused.stderr


@pytest.mark.parametrize("room", ["a*b[c]?", "部屋"])
def test_on_redis_a_room_of_any_name_is_one_channel(
    commands: Commands, guests: Commands, redis_server: Redis, redis_url: str, room: str
) -> None:
    may_only_send_to(commands, guests, redis_url, room, [f"ada{secrets.token_hex(3)}"])


def may_only_send_to(commands: Commands, guests: Commands, url: str, room: str, invited: list[str]) -> None:
    """Invites a guest, who then sends to that room, and is refused by one whose name begins with the same words."""
    made = commands.run_kchat("invite", *invited, "--apply", "--url", url, "--room", room)
    assert made.code == 0, made.stderr
    assert password_of(made.stdout) not in made.stderr
    joined(guests, made.stdout)
    assert guests.run_kchat("send", "hello").code == 0
    elsewhere = guests.run_kchat("send", "--room", room + "2", "hello")
    assert (elsewhere.code, "not authorised" in elsewhere.stderr) == (1, True)


def test_on_redis_no_account_looks_like_another_and_the_default_one_is_nobodys(
    commands: Commands, redis_server: Redis, redis_url: str
) -> None:
    name = f"ada{secrets.token_hex(3)}"
    assert commands.run_kchat("invite", name, "--apply", "--url", redis_url).code == 0
    for twin in (name.upper(), name.replace("a", "\u0251")):
        result = commands.run_kchat("invite", twin, "--apply", "--url", redis_url)
        assert (result.code, "looks like the account" in result.stderr) == (1, True), result.stderr
    for odd in (f"{name} ", f"\u0430{name}", "default"):
        result = commands.run_kchat("invite", odd, "--url", redis_url)
        assert (result.code, "ACL" in result.stderr) == (2, False), result.stderr


def test_on_pubsub_the_role_bindings_are_shown(commands: Commands) -> None:
    pytest.importorskip("google.cloud.pubsub_v1")
    result = commands.run_kchat("invite", "ada@example.com", "--project", "my-project")
    assert result.code == 0, result.stderr
    commands_shown = [line.strip() for line in result.stderr.splitlines() if line.startswith("  ")]
    binding = "--project my-project --member user:ada@example.com --role"
    assert commands_shown[1:] == [
        f"gcloud pubsub topics add-iam-policy-binding chat {binding} roles/pubsub.publisher",
        f"gcloud pubsub subscriptions add-iam-policy-binding kchat-chat-ada {binding} roles/pubsub.subscriber",
    ]
    assert Invitation.decode(result.stdout).brokers[0].host == "my-project"
    sender = commands.run_kchat("invite", "bot@x.iam.gserviceaccount.com", "--send-only", "--project", "p")
    assert "serviceAccount:bot@x.iam.gserviceaccount.com" in sender.stderr
    assert "pubsub.subscriber" not in sender.stderr
    wrong = commands.run_kchat("invite", "ada", "--project", "p")
    assert (wrong.code, "e-mail" in wrong.stderr) == (2, True)
