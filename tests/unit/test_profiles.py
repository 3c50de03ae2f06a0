"""Profiles: the file, who may read it, which one is chosen, and where the password is."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from kchat import profile_changes, profiles
from kchat.errors import NotAuthorised, SettingsError
from kchat.invitation import Invitation
from kchat.settings import Broker, Settings

SECRET = "s3cr3t-of-ada"
URL = "amqp://ada@broker.example:5672/"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the profiles of this test are; there is no file yet, and no keyring."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return tmp_path / "kchat" / "profiles.toml"


def written(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text)


def join(room: str = "chat", url: str = URL, name: str | None = None, **more: Any) -> profiles.Profile:
    invitation = Invitation((Broker.parse(url),), room, SECRET, **more)
    return profile_changes.join(invitation, name)[0]


def resolve(environ: dict[str, str] | None = None, **options: Any) -> Settings:
    return Settings.resolve(environ=environ or {}, **options)


def test_joining_stores_a_profile_that_nobody_else_can_read_and_uses_it(file: Path) -> None:
    profile = join(send_only=True, expires=4_000_000_000)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert SECRET not in repr(profile)
    settings = resolve()
    assert (settings.room, settings.broker.url()) == ("chat", f"amqp://ada:{SECRET}@broker.example:5672/")
    assert settings.username == "ada"
    assert (profile.send_only, profile.expires) == (True, 4_000_000_000)


def test_a_file_that_others_could_read_is_theirs_no_more_after_the_next_change(file: Path) -> None:
    written(file, "")
    file.chmod(0o644)
    join()
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_password_is_where_it_says_it_is(file: Path) -> None:
    _, kept = profile_changes.join(Invitation((Broker.parse(URL),), "chat", SECRET))
    assert kept == f"in {file} (mode 0600)"
    assert SECRET in file.read_text()
    _, kept = profile_changes.join(Invitation((Broker.parse("local:///x.db"),), "chat"))
    assert kept == ""


def test_what_was_written_by_hand_stays(file: Path) -> None:
    written(file, '# mine\n[profile.lab]\nurl = "pubsub://lab" # the lab\nroom = "lunch"\n')
    join()
    text = file.read_text()
    assert "# mine" in text
    assert "# the lab" in text
    profile_changes.use("lab")
    assert str(resolve()) == "lunch at pubsub://lab"


@pytest.mark.parametrize(
    "url",
    [
        "local:///x.db",
        "pubsub://p",
        "redis://h:6379/3",
        "amqps://ada:x@h:5671/v",
        "amqp://ada:x@a:1/;amqp://ada:x@b:2/",
    ],
)
def test_a_profile_can_name_any_transport(file: Path, url: str) -> None:
    written(file, f'use = "x"\n[profile.x]\nurl = "{url}"\n')
    file.chmod(0o600)
    assert resolve().brokers == Settings.resolve(url=url, environ={}).brokers


def test_the_order_in_which_a_broker_is_chosen(file: Path) -> None:
    written(
        file, 'use = "a"\n[profile.a]\nurl = "redis://a"\n[profile.b]\nurl = "redis://b"\nroom = "lunch"\n'
    )
    from_url = {"KCHAT_URL": "redis://env", "KCHAT_PROFILE": "b"}
    assert resolve(from_url, url="redis://option", host="x").broker.host == "option"
    assert resolve(from_url, host="option").broker.host == "option"
    assert resolve(from_url, profile="a").broker.host == "a"
    assert resolve(from_url).broker.host == "env"
    assert resolve({"KCHAT_PROFILE": "b"}).broker.host == "b"
    assert resolve().broker.host == "a"
    profile_changes.use(None)
    assert resolve().transport.name == "local"


def test_a_profile_and_another_broker_contradict_each_other() -> None:
    join()
    with pytest.raises(SettingsError, match="names a broker"):
        resolve(profile="chat", host="elsewhere")


def test_a_room_that_is_named_is_not_the_profiles() -> None:
    join("lunch")
    assert resolve().room == "lunch"
    assert resolve(room="dinner").room == "dinner"


def test_the_account_of_the_environment_stays_out_of_a_profile() -> None:
    join()
    environ = {"RABBITMQ_DEFAULT_USER": "rmq", "RABBITMQ_DEFAULT_PASS": "admin"}
    broker = resolve(environ, username="rmq", password="admin").broker
    assert (broker.username, broker.password) == ("ada", SECRET)


def test_one_name_for_one_room_and_another_for_another() -> None:
    assert join().name == "chat"
    assert join().name == "chat"
    assert join(url="amqp://ada@elsewhere:5672/").name == "chat-2"
    assert join(url="amqp://ada@elsewhere:5672/").name == "chat-2"
    assert join(name="mine").name == "mine"
    assert list(profiles.load().profiles) == ["chat", "chat-2", "mine"]


@pytest.mark.parametrize("room", ["a room/with odd: ñame", 'quo"te.dot', "[x]", "-", "部屋"])
def test_rooms_of_any_name_make_profiles(room: str) -> None:
    join(room)
    assert resolve(profile=room).room == room
    profile_changes.remove(room)
    assert not profiles.load().profiles


def test_what_is_removed_is_gone_its_certificate_too(file: Path) -> None:
    authority = trustme.CA().cert_pem.bytes().decode()
    profile = join(url="amqps://ada@h:5671/", tls_ca=authority)
    assert profile.tls.ca is not None
    kept = Path(profile.tls.ca)
    assert kept.read_text().split() == authority.split()
    assert kept.parent == file.parent
    profile_changes.remove("chat")
    assert not kept.exists()
    assert SECRET not in file.read_text()
    assert resolve().transport.name == "local"


def test_a_pin_comes_along() -> None:
    pin = "sha256:" + "ab" * 32
    join(url="amqps://ada@h:5671/", tls_pin=pin)
    assert resolve().tls.pin == pin


def test_an_account_whose_time_is_over_is_not_tried() -> None:
    join(expires=int(time.time()) - 1)
    with pytest.raises(NotAuthorised, match="ended at"):
        resolve()
    assert resolve(url="local:///x.db").transport.name == "local"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("use = [", "no TOML"),
        ("\xff", "no TOML"),
        ("colour = 1", "colour"),
        ("use = 1", "name"),
        ('[profile.x]\nurl = "local://"\npasword = "s3cr3t-of-ada"', "pasword"),
        ("[profile.x]\nurl = 1", "url"),
        ('[profile.x]\nroom = "y"', "no 'url'"),
        ("profile = 1", "tables"),
        ("[profile]\nx = 1", "no table"),
        ('use = "gone"', "no profile 'gone'"),
    ],
)
def test_a_file_that_makes_no_sense_is_named_with_what_is_wrong(file: Path, text: str, word: str) -> None:
    written(file, "")
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=word) as caught:
        resolve()
    assert str(file) in str(caught.value)
    assert SECRET not in str(caught.value) + caught.value.hint


def test_a_link_to_a_file_kept_elsewhere_stays_one(file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "dotfiles.toml"
    elsewhere.write_text("")
    file.parent.mkdir()
    file.symlink_to(elsewhere)
    join()
    assert file.is_symlink()
    assert SECRET in elsewhere.read_text()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in-the-way").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "in-the-way"))
    with pytest.raises(SettingsError, match="cannot be"):
        join()


def test_without_a_file_nothing_is_read_but_its_absence(file: Path) -> None:
    assert profiles.chosen({}) is None
    assert not file.parent.exists()
    assert os.environ["XDG_CONFIG_HOME"] in str(profiles.path())
