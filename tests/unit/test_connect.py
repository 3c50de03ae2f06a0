"""What `kchat.connect` makes of its arguments. Nothing here connects."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import kombu
import pytest

import kchat
from kchat.config import profiles
from kchat.transports import Transport

URL = "amqp://rmq:secret@broker.example/"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a profile in use, and an environment that the commands would heed."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("KCHAT_URL", raising=False)
    file = tmp_path / "kchat" / "profiles.toml"
    file.parent.mkdir()
    file.write_text(
        'use = "work"\n[profile.work]\nurl = "amqp://ada@work.example/"\nroom = "lunch"\nusername = "Ada"\n'
        'password = "hers"\n'
    )
    file.chmod(0o600)
    for name, value in {
        "KCHAT_PROFILE": "work",
        "KCHAT_ROOM": "elsewhere",
        "KCHAT_USERNAME": "mallory",
        "KCHAT_HOST": "host.example",
        "RABBITMQ_DEFAULT_USER": "compose",
        "RABBITMQ_DEFAULT_PASS": "composed",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def test_without_a_url_it_is_the_one_of_the_environment_or_else_the_embedded_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(profiles, "load", lambda: pytest.fail("the user's profiles were read"))
    assert kchat.Settings.resolve().transport.name == "local"
    room = kchat.connect()
    assert room.settings.transport.name == "local"
    assert room.name == "chat"
    assert room.username not in ("Ada", "mallory")
    monkeypatch.setenv("KCHAT_URL", URL)
    assert str(kchat.connect(room="tea")) == "tea at amqp://rmq:***@broker.example:5672/"


def test_no_account_of_the_environment_fills_in_for_a_url() -> None:
    broker = kchat.connect("amqp://broker.example/").settings.broker
    assert (broker.account, broker.password) == (None, None)


def test_account_and_username_are_apart() -> None:
    room = kchat.connect("amqp://broker.example/", account="rmq", password="secret", username="ada")
    broker = room.settings.broker
    assert (broker.account, broker.password, room.username) == ("rmq", "secret", "ada")
    assert room.subscriber.username == "ada"
    assert "secret" not in repr(room)


def test_a_profile_is_read_when_it_is_named() -> None:
    room = kchat.connect(profile="work")
    broker = room.settings.broker
    assert (broker.host, broker.account, broker.password) == ("work.example", "ada", "hers")
    assert (room.name, room.username) == ("lunch", "Ada")
    room = kchat.connect(profile="work", room="tea", username="me", password="typed")
    assert (room.name, room.username, room.settings.broker.password) == ("tea", "me", "typed")


def test_arguments_that_would_be_ignored_are_refused() -> None:
    refused: dict[str, Callable[[], object]] = {
        "local, account": lambda: kchat.connect("local://", account="rmq"),
        "local, password": lambda: kchat.connect(password="secret"),
        "pubsub, account": lambda: kchat.connect("pubsub://project", account="rmq"),
        "another account": lambda: kchat.connect(URL, account="guest"),
        "another password": lambda: kchat.connect(URL, password="other"),
        "profile and URL": lambda: kchat.connect(URL, profile="work"),
        "profile and account": lambda: kchat.connect(profile="work", account="rmq"),
        "empty URL": lambda: kchat.connect(""),
        "nothing but separators": lambda: kchat.connect(" ; "),
        "no such profile": lambda: kchat.connect(profile="nosuch"),
        "history in a process": lambda: kchat.connect("memory://", last=1),
        "durable on Redis": lambda: kchat.connect("redis://broker.example/", durable="archive"),
        "a name with control characters": lambda: kchat.connect(URL, username="a\nb"),
        "TLS without TLS": lambda: kchat.connect(URL, tls=kchat.TlsOptions(pin="sha256:" + "0" * 64)),
    }
    for what, call in refused.items():
        try:
            call()
        except kchat.SettingsError as error:
            told = f"{error} {error.hint}"
        else:
            told = "secret"
        assert "secret" not in told, what
    kchat.connect(URL, account="rmq", password="secret")  # said twice, and the same


def test_asyncio_takes_the_same_arguments() -> None:
    ours, theirs = inspect.signature(kchat.connect), inspect.signature(kchat.aio.connect)
    assert ours.parameters == theirs.parameters
    for name in ("__init__", "send", "receive", "acknowledge", "open", "close", "stop"):
        blocking, other = (inspect.signature(getattr(kind, name)) for kind in (kchat.Room, kchat.aio.Room))
        assert blocking.parameters == other.parameters, name


def test_a_room_that_is_not_entered_costs_no_connection_and_no_thread() -> None:
    room = kchat.connect(URL)
    assert not room.closed
    assert "not open yet" in repr(room)
    room.stop()
    room.close()
    room.close()
    assert list(room) == []


def test_dropping_a_connection_that_was_never_made_imports_no_driver() -> None:
    """Interrupted in that import, `kchat send` imported it again to drop the connection, and ended with a NameError."""
    Transport().drop(kombu.Connection(transport="not_installed:Transport"))
