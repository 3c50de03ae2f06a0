"""Profiles of joined rooms: listed, shown, used, removed; beside options and the environment."""

from __future__ import annotations

import re
from pathlib import Path

from tests.brokers.processes import Commands, Result
from tests.brokers.rabbitmq import RabbitMQ


def joined_by_url(guests: Commands, url: str, *arguments: str) -> Result:
    """Makes the room and joins it."""
    room = ("--room", arguments[1]) if arguments[0] == "--room" else ()
    assert guests.run_kchat("send", "--url", url, *room, "first").code == 0
    return guests.run_kchat("join", "--yes", url, *arguments)


def test_profiles_are_listed_shown_used_and_removed(guests: Commands, tmp_path: Path) -> None:
    for room in ("lunch", "dinner"):
        result = joined_by_url(guests, f"local://{tmp_path}/{room}.db", "--room", room)
        assert result.code == 0, result.stderr
    listed = guests.run_kchat("profile", "list").stdout
    assert re.search(r"^\*\s+dinner", listed, re.MULTILINE)
    assert re.search(r"^\s+lunch", listed, re.MULTILINE)
    assert "lunch at local" in guests.run_kchat("send", "--profile", "lunch", "soup").stderr
    assert "dinner at local" in guests.run_kchat("send", "fish").stderr
    assert "lunch at local" in guests.run_kchat("send", "soup", env={"KCHAT_PROFILE": "lunch"}).stderr
    assert guests.run_kchat("profile", "use", "lunch").code == 0
    assert "lunch at local" in guests.run_kchat("send", "soup").stderr
    assert "lunch (in use)" in guests.run_kchat("profile", "show").stdout
    assert guests.run_kchat("profile", "use", "--none").code == 0
    assert "state/kchat/room.db" in guests.run_kchat("send", "to myself").stderr
    assert guests.run_kchat("profile", "remove", "lunch").code == 0
    gone = guests.run_kchat("send", "--profile", "lunch", "soup")
    assert (gone.code, "no profile 'lunch'" in gone.stderr) == (2, True)
    assert guests.run_kchat("profile", "use").code == 2


def test_what_kchat_says_of_a_connection_without_tls_stands_on_one_line(guests: Commands) -> None:
    shown = guests.run_kchat("join", "--yes", "amqp://ada:s3cret@127.0.0.1:1/").stderr
    assert "  encryption     none: others can read the password and the messages\n" in shown
    assert "··" not in shown


def test_a_profile_on_the_command_line_beats_the_environment_and_no_other_option(
    guests: Commands, tmp_path: Path
) -> None:
    assert joined_by_url(guests, f"local://{tmp_path}/x.db", "--name", "mine").code == 0
    env = {"KCHAT_URL": f"local://{tmp_path}/other.db", "KCHAT_HOST": "nowhere.invalid", "KCHAT_PORT": "1"}
    assert f"{tmp_path}/x.db" in guests.run_kchat("send", "--profile", "mine", "hi", env=env).stderr
    url_only = {"KCHAT_URL": env["KCHAT_URL"]}
    assert f"{tmp_path}/other.db" in guests.run_kchat("send", "hi", env=url_only).stderr
    both = guests.run_kchat("send", "--profile", "mine", "--host", "h", "hi")
    assert (both.code, "names a broker" in both.stderr) == (2, True)


def stored(guests: Commands, lines: str) -> None:
    """A profile x, in use, as somebody may have written it by hand."""
    file = guests.home / "config" / "kchat" / "profiles.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'use = "x"\n[profile.x]\n{lines}\n')
    file.chmod(0o600)


def test_a_profile_gets_nothing_of_the_environments_account(
    guests: Commands, rabbitmq: RabbitMQ, vhost: str
) -> None:
    """The broker would let the administrator in: nothing but kchat's refusal keeps its password at home."""
    env = {
        "RABBITMQ_DEFAULT_USER": rabbitmq.username,
        "RABBITMQ_DEFAULT_PASS": rabbitmq.password,
        "KCHAT_RMQ_USERNAME": rabbitmq.username,
        "KCHAT_RMQ_PASSWORD": rabbitmq.password,
        "KCHAT_TLS_CERT": "/nosuch.pem",
        "KCHAT_TLS_INSECURE": "1",
    }
    place = f"{rabbitmq.host}:{rabbitmq.port}/{vhost}"
    for url, word in (
        (f"amqp://{place}", "no account"),
        (f"amqps://{place}", "no account"),
        (f"amqp://{rabbitmq.username}@{place}", "no password"),
    ):
        stored(guests, f'url = "{url}"')
        for more in ([], ["--profile", "x"]):
            result = guests.run_kchat("send", *more, "hi", env=env)
            assert (result.code, word in result.stderr) == (2, True), result
    stored(guests, f'url = "amqp://{rabbitmq.username}@{place}"\npassword = "{rabbitmq.password}"')
    assert guests.run_kchat("send", "hi", env=env).code == 0


def test_a_profile_whose_server_is_not_checked_shows_that(guests: Commands) -> None:
    stored(guests, 'url = "amqps://ada:x@h/"\ntls_insecure = true\ntls_cert = "/ada.pem"')
    shown = guests.run_kchat("profile", "show").stdout
    assert re.search(r"^certificate check +off$", shown, re.MULTILINE), shown
    assert re.search(r"^client certificate +/ada\.pem$", shown, re.MULTILINE), shown


def test_options_that_contradict_a_profile_are_refused_and_a_typed_password_is_its_own(
    guests: Commands, rabbitmq: RabbitMQ, vhost: str
) -> None:
    place = f"{rabbitmq.host}:{rabbitmq.port}/{vhost}"
    stored(guests, f'url = "amqp://{rabbitmq.username}@{place}"')
    username = guests.run_kchat("send", "--profile", "x", "--rmq-username", "eve", "hi")
    assert (username.code, "names the account" in username.stderr) == (2, True)
    typed = guests.run_kchat("send", "--profile", "x", "--rmq-password", rabbitmq.password, "hi")
    assert typed.code == 0, typed.stderr
    for env in ({"KCHAT_TLS": "1"}, {}):
        wanted = guests.run_kchat("send", *([] if env else ["--tls"]), "hi", env=env)
        assert (wanted.code, "without TLS" in wanted.stderr) == (2, True), wanted.stderr


def test_a_file_of_profiles_that_others_can_change_is_refused_by_every_command(
    guests: Commands, tmp_path: Path
) -> None:
    stored(guests, f'url = "local://{tmp_path}/x.db"')
    file = guests.home / "config" / "kchat" / "profiles.toml"
    file.chmod(0o666)
    for words in (["send", "hi"], ["subscribe"], ["profile", "list"], ["profile", "use", "x"]):
        result = guests.run_kchat(*words)
        assert result.code == 2
        assert f"chmod go-w {file}" in result.stderr
    assert not (tmp_path / "x.db").exists()
    assert guests.run_kchat("send", "--url", f"local://{tmp_path}/y.db", "hi").code == 0
