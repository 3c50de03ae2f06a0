"""Which profile is chosen, whose account it logs in with, and what it takes from elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kchat.config.settings import Settings
from kchat.errors import NotAuthorised, SettingsError
from kchat.hosting import profile_changes
from kchat.transports.tls import TlsOptions
from tests.unit.profiles.making import ENVIRONMENT, SECRET, in_use, join, resolve, written


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
    assert resolve().brokers == Settings.resolve(url=url).brokers


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
    broker = resolve(environ, account="rmq", password="admin").broker
    assert (broker.account, broker.password) == ("ada", SECRET)


def test_an_account_whose_time_is_over_is_not_tried() -> None:
    join(expires=int(time.time()) - 1)
    with pytest.raises(NotAuthorised, match="ended at"):
        resolve()
    assert resolve(url="local:///x.db").transport.name == "local"


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ('url = "amqp://evil.example/"', "no account"),
        ('url = "amqps://evil.example/"', "no account"),
        ('url = "amqp://ada@evil.example/"', "no password"),
        ('url = "amqp://ada:x@h/;amqp://evil.example/"', "no account"),
        ('url = "amqp://evil.example/"\npassword = "x"', "no account"),
        ('url = "amqp://:@evil.example/"', "no account"),
        ('url = "amqp://@evil.example/"\npassword = "x"', "no account"),
        ('url = "amqp://ada:@evil.example/"', "no password"),
    ],
)
def test_a_profile_without_an_account_of_its_own_logs_in_with_nobody_elses(
    file: Path, lines: str, word: str
) -> None:
    in_use(file, lines)
    for named in ({}, {"profile": "x"}):
        with pytest.raises(SettingsError, match=word):
            resolve(ENVIRONMENT, account="rmq", password="admin", **named)


def test_a_redis_profile_without_an_account_takes_none_from_elsewhere(file: Path) -> None:
    in_use(file, 'url = "redis://h:6379/0"')
    broker = resolve(ENVIRONMENT, account="rmq", password="admin").broker
    assert (broker.account, broker.password) == (None, None)


def test_a_password_that_is_typed_goes_to_the_profiles_account(file: Path) -> None:
    in_use(file, 'url = "amqp://ada@h:5672/"')
    broker = resolve(ENVIRONMENT, profile_password=SECRET).broker
    assert (broker.account, broker.password) == ("ada", SECRET)


def test_a_profile_takes_no_trust_and_no_certificate_from_the_environment(file: Path) -> None:
    in_use(file, 'url = "amqps://ada@h:5671/"\npassword = "x"')
    assert not resolve(tls=TlsOptions(insecure=True)).tls
    assert not resolve(tls=TlsOptions(ca="/x.pem", cert="/y.pem")).tls
    assert resolve(profile_tls=TlsOptions(ca="/x.pem")).tls.ca == "/x.pem"


def test_options_for_tls_beside_a_profile_that_has_its_own_contradict_it(file: Path) -> None:
    in_use(file, f'url = "amqps://ada@h:5671/"\npassword = "x"\ntls_pin = "sha256:{"ab" * 32}"')
    with pytest.raises(SettingsError, match="has its own certificates"):
        resolve(profile_tls=TlsOptions(insecure=True))


def test_the_wish_for_tls_is_not_dropped_by_a_profile_without_it(file: Path) -> None:
    in_use(file, 'url = "amqp://ada@h:5672/"\npassword = "x"')
    with pytest.raises(SettingsError, match="without TLS"):
        resolve(profile_tls=TlsOptions())
