"""Which room on which broker: precedence, URLs, masking."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from kchat import Sender, Subscriber
from kchat.config.settings import Broker, Settings
from kchat.config.validation import check_room
from kchat.errors import SettingsError


def resolve(environ: dict[str, str] | None = None, **options: Any) -> Settings:
    variables = dict.fromkeys(("KCHAT_URL", "KCHAT_PROFILE"), "") | (environ or {})
    with mock.patch.dict(os.environ, variables):
        return Settings.resolve(**options)


def test_with_nothing_named_the_room_is_the_embedded_one() -> None:
    assert resolve().transport.name == "local"


def test_the_url_option_wins_over_everything() -> None:
    settings = resolve({"KCHAT_URL": "redis://c"}, url="amqp://a/", host="b", transport="redis")
    assert (settings.transport.name, settings.broker.host) == ("amqp", "a")


def test_host_wins_over_the_url_of_the_environment() -> None:
    settings = resolve({"KCHAT_URL": "redis://c"}, host="b")
    assert (settings.transport.name, settings.broker.host, settings.broker.port) == ("amqp", "b", 5672)


def test_the_url_of_the_environment_wins_over_the_embedded_room() -> None:
    assert resolve({"KCHAT_URL": "redis://c"}).transport.name == "redis"


def test_the_password_of_one_account_is_not_given_to_another() -> None:
    broker = resolve(url="amqp://ada@h/", account="grace", password="hers").broker
    assert (broker.account, broker.password) == ("ada", None)


def test_a_local_url_may_have_four_slashes_as_others_write_them() -> None:
    from kchat.transports.local.options import read_options

    assert read_options("local:////tmp/room.db", None, {}).path == "/tmp/room.db"


def test_a_project_alone_means_pubsub() -> None:
    assert str(resolve(project="my-project").broker) == "pubsub://my-project"


def test_a_project_left_in_the_environment_does_not_stand_in_a_hosts_way() -> None:
    assert resolve(project="my-project", host="b").transport.name == "amqp"


def test_a_project_of_a_domain_keeps_its_colon() -> None:
    assert resolve(url="pubsub://example.com:my-project").broker.host == "example.com:my-project"


def test_the_account_of_the_compose_file_fills_in_when_a_host_is_given() -> None:
    environ = {"RABBITMQ_DEFAULT_USER": "rmq", "RABBITMQ_DEFAULT_PASS": "secret"}
    broker = resolve(environ, host="b").broker
    assert (broker.account, broker.password) == ("rmq", "secret")


def test_the_account_of_the_compose_file_is_not_given_to_a_url() -> None:
    environ = {"RABBITMQ_DEFAULT_USER": "rmq", "RABBITMQ_DEFAULT_PASS": "secret"}
    for broker in (
        resolve(environ, url="amqp://b/").broker,
        resolve(environ | {"KCHAT_URL": "amqp://b/"}).broker,
    ):
        assert (broker.account, broker.password) == (None, None)


def test_an_account_that_is_named_is_not_mixed_with_the_one_of_the_environment() -> None:
    environ = {"RABBITMQ_DEFAULT_USER": "rmq", "RABBITMQ_DEFAULT_PASS": "secret"}
    broker = resolve(environ, url="amqp://ada:hers@b/").broker
    assert (broker.account, broker.password) == ("ada", "hers")


def test_account_and_username_are_apart() -> None:
    settings = resolve(url="amqp://localhost/", account="rmq", username="ada")
    assert (settings.broker.account, settings.username) == ("rmq", "ada")
    assert Sender(settings).username == "ada"


@pytest.mark.parametrize("place", [{"url": "redis://h"}, {"transport": "redis", "host": "h"}])
def test_an_account_beside_a_redis_url_keeps_its_password(place: dict[str, Any]) -> None:
    broker = resolve(account="ada", password="hers", **place).broker
    assert (broker.account, broker.password) == ("ada", "hers")


def test_a_password_beside_the_url_of_another_account_is_not_that_accounts() -> None:
    broker = resolve(url="redis://ada@h", account="bob", password="his").broker
    assert (broker.account, broker.password) == ("ada", None)


@pytest.mark.parametrize(
    ("url", "vhost"),
    [
        ("amqp://h", "/"),
        ("amqp://h/", "/"),
        ("amqp://h//", "/"),
        ("amqp://h/%2F", "/"),
        ("amqp://h/a%20b", "a b"),
    ],
)
def test_the_virtual_host_is_read_as_kombu_and_the_amqp_uri_write_it(url: str, vhost: str) -> None:
    assert resolve(url=url).broker.vhost == vhost


def test_a_password_is_shown_nowhere() -> None:
    settings = resolve(url="amqp://ada:s3cr%2Ft@h/v")
    assert settings.broker.password == "s3cr/t"
    for text in (repr(settings), str(settings), str(settings.broker), f"{settings.broker!r}"):
        assert "s3cr" not in text
    assert str(settings) == "chat at amqp://ada:***@h:5672/v"


def test_an_error_names_what_is_wrong() -> None:
    port = "99999 is not a valid TCP port"
    wrong: dict[Callable[[], object], str] = {
        lambda: resolve(url="amqp://h:99999/"): port,
        lambda: resolve(url="amqp://ada:pass@h:99999"): port,
        lambda: resolve(host="h", port=99999): port,
        lambda: Subscriber(resolve(url="amqp://h/"), durable="a" * 256): "the durable name is too long",
        lambda: Subscriber(resolve(url="amqp://h/"), durable=" "): "the durable name is empty",
        lambda: Subscriber(resolve(url="amqp://h/"), "a" * 256): "the username is too long",
    }
    for call, text in wrong.items():
        with pytest.raises(SettingsError, match=text):
            call()


@pytest.mark.parametrize(
    "url",
    [
        "amqp://ada:s3cr#t@h/",
        "amqp://ada:s3cr/t@h:5672/",
        "ada:s3crt@h",
        "amq://ada:s3crt@h",
        "amqp://ada:s3crt@h:port/",
        "amqp://ada:773322/s3crt@h:5672/",
    ],
)
def test_a_mistyped_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(url=url)
    text = f"{caught.value} {caught.value.hint}"
    assert "s3cr" not in text
    assert "7733" not in text


def test_the_url_for_the_driver_reads_back_as_the_same_broker() -> None:
    broker = Broker.parse("amqp://a%40b:p%2Fw%3A@[::1]:5673/v%2Fh")
    assert (broker.account, broker.password, broker.host, broker.port, broker.vhost) == (
        "a@b",
        "p/w:",
        "::1",
        5673,
        "v/h",
    )
    assert Broker.parse(broker.url()) == broker


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a", [("a", 5672)]),
        ("a,b:5673", [("a", 5672), ("b", 5673)]),
        ("::1", [("::1", 5672)]),
        ("[::1]:5673", [("::1", 5673)]),
    ],
)
def test_hosts_may_be_several_each_with_its_port(host: str, expected: list[tuple[str, int]]) -> None:
    assert [(broker.host, broker.port) for broker in resolve(host=host).brokers] == expected


def test_a_url_may_name_several_nodes() -> None:
    assert [broker.host for broker in resolve(url="amqp://a;amqp://b").brokers] == ["a", "b"]


@pytest.mark.parametrize(
    "options",
    [
        {"url": "amqp://a;redis://b"},
        {"url": "ftp://a"},
        {"url": ""},
        {"url": "amqp://a:99999/"},
        {"host": "a b"},
        {"host": "amqp://a"},
        {"host": "a", "port": 70000},
        {"transport": "pubsub"},
        {"transport": "nosuch"},
        {"transport": "local", "host": "a"},
        {"transport": "redis", "vhost": "v"},
        {"host": "a", "room": ""},
        {"host": "a", "connect_timeout": 0},
    ],
)
def test_invalid_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        resolve(**options)


@pytest.mark.parametrize(
    "room", ["chat", "a room", "a/b", "Zimmer äöü", "部屋", "🚀", "x" * 255, "a#b?c%20*"]
)
def test_a_room_may_have_an_odd_name(room: str) -> None:
    check_room(room)


@pytest.mark.parametrize(
    "room", ["", "  ", "a\nb", "a\x1b[31mb", "x" * 256, "é" * 128, "amq.fanout", "a\u202eb", "\ud800"]
)
def test_a_room_may_not_have_a_name_that_cannot_be_shown_or_sent(room: str) -> None:
    with pytest.raises(SettingsError):
        check_room(room)


def test_the_brokers_own_fanout_exchange_is_a_room_on_amqp_and_no_other_of_its_own() -> None:
    assert resolve(url="amqp://localhost/", room="amq.fanout").room == "amq.fanout"
    for name in (
        "amq.direct",
        "amq.topic",
        "amq.headers",
        "amq.match",
        "amq.",
        "amq.fanout2",
        "amq.rabbitmq.trace",
    ):
        with pytest.raises(SettingsError, match="broker's own"):
            resolve(url="amqp://localhost/", room=name)
    for url in ("redis://localhost/", "local:///tmp/room.db", "pubsub://project", "memory://"):
        with pytest.raises(SettingsError, match="broker's own"):
            resolve(url=url, room="amq.fanout")
