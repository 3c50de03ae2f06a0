"""The password of a profile in the system's keyring is read when a connection is made, and not before."""

from __future__ import annotations

import pickle
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kchat import Sender, Settings, SettingsError
from kchat.cli.options import broker_options, to_settings
from kchat.config import keyring
from kchat.doctor import diagnose

from .making import SECRET, in_use, resolve


@pytest.fixture(autouse=True)
def _profile_with_keyring(file: Path) -> None:
    in_use(file, 'url = "amqp://ada@127.0.0.1:1/"\nkeyring = true\n')


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A locked keyring, and the names that were asked for."""
    names: list[str] = []

    def get(name: str) -> str:
        names.append(name)
        raise SettingsError("the keyring is locked")

    monkeypatch.setattr(keyring, "get", get)
    return names


def test_parsing_options_reads_no_keyring(reads: list[str]) -> None:
    found: list[Settings] = []

    @click.command()
    @broker_options
    def command(**options: object) -> None:
        found.append(to_settings(**options))

    CliRunner().invoke(command, [], catch_exceptions=False)
    assert str(found[0]) == "chat at amqp://ada:***@127.0.0.1:1/"
    assert reads == []


def test_making_a_sender_reads_no_keyring_and_connecting_does(reads: list[str]) -> None:
    sender = Sender(resolve(), "ada")
    assert reads == []
    with pytest.raises(SettingsError, match="locked"):
        sender.send("hello")
    assert len(reads) == 1


def test_the_doctor_tells_at_once_that_the_keyring_is_locked(reads: list[str]) -> None:
    with pytest.raises(SettingsError, match="locked"):
        next(diagnose(resolve()))
    assert len(reads) == 1


def test_another_process_reads_the_keyring_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The senders and subscribers of ``kchat bench`` get the settings in a pickle."""
    sent = pickle.dumps(resolve())
    monkeypatch.setattr(keyring, "get", lambda _name: SECRET)
    settings = pickle.loads(sent).unlocked()
    assert (settings.broker.password, SECRET in repr(settings)) == (SECRET, False)
    assert settings.unlocked() is settings


def test_a_typed_password_goes_before_the_one_in_the_keyring(reads: list[str]) -> None:
    assert resolve(profile_password="typed").unlocked().broker.password == "typed"
    assert reads == []
