"""The options in a connection URL: known ones are honoured, others refused, on every transport."""

from __future__ import annotations

from dataclasses import fields

import pytest

from kchat import Settings, SettingsError
from kchat.transports import TRANSPORTS
from kchat.transports.local.options import Options as LocalOptions
from kchat.transports.pubsub.options import Options as PubSubOptions
from kchat.transports.tls import TlsOptions


def resolve(url: str, **more: object) -> Settings:
    """The settings for a URL, with an environment that says nothing."""
    return Settings.resolve(url=url, **more)  # type: ignore[arg-type]


def test_amqps_options_are_those_of_rabbitmqs_clients() -> None:
    settings = resolve(
        "amqps://h/?heartbeat=7&connection_timeout=2500"
        "&cacertfile=/ca.pem&certfile=/c.pem&keyfile=/k.pem&verify=verify_peer"
    )
    assert settings.heartbeat == 7
    assert settings.connect_timeout == 2.5
    assert settings.tls == TlsOptions(ca="/ca.pem", cert="/c.pem", key="/k.pem")
    assert resolve("amqp://h/").heartbeat == 10
    assert resolve("amqp://h/").connect_timeout == 5


def test_options_beside_the_url_come_first() -> None:
    settings = resolve("amqp://h/?heartbeat=7&connection_timeout=2500", heartbeat=3, connect_timeout=1)
    assert (settings.heartbeat, settings.connect_timeout) == (3, 1)
    with pytest.raises(SettingsError, match="in the URL and beside it"):
        resolve("amqps://h/?cacertfile=/ca.pem", tls=TlsOptions(ca="/other.pem"))


def test_verify_none_checks_nothing_even_where_a_ca_is_named() -> None:
    assert resolve("amqps://h/?verify=verify_none&cacertfile=/ca.pem").tls == TlsOptions(insecure=True)


def test_options_of_several_urls_hold_for_all_and_do_not_contradict_each_other() -> None:
    assert resolve("amqp://a/?heartbeat=7;amqp://b/").heartbeat == 7
    with pytest.raises(SettingsError, match="contradict"):
        resolve("amqp://a/?heartbeat=7;amqp://b/?heartbeat=8")


@pytest.mark.parametrize("transport", TRANSPORTS.built_in)
def test_an_unknown_option_is_refused_and_the_known_ones_are_named(transport: str) -> None:
    info = TRANSPORTS[transport]
    places = {"local": "/room.db", "pubsub": "project", "memory": ""}
    for scheme in info.schemes:
        known = info.url_options.get(scheme, ())
        with pytest.raises(SettingsError, match=f"no option 'x' in {scheme} URLs") as caught:
            resolve(f"{scheme}://{places.get(transport, 'h/')}?x=1")
        assert all(name in caught.value.hint for name in known)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("amqp://h/?heartbeat=ten", "heartbeat .* seconds .* 'ten'"),
        ("amqp://h/?heartbeat=-1", "heartbeat"),
        ("amqp://h/?heartbeat=70000", "heartbeat"),
        ("amqp://h/?heartbeat=1.5", "heartbeat"),
        ("amqp://h/?heartbeat=\u0663", "heartbeat"),
        ("amqp://h/?heartbeat=", "heartbeat .* no value"),
        ("amqp://h/?heartbeat", "heartbeat .* no value"),
        ("amqp://h/?connection_timeout=5", "milliseconds"),
        ("amqp://h/?Heartbeat=5", "no option 'Heartbeat'"),
        ("amqps://h/?verify=yes", "verify_peer or verify_none"),
        ("amqps://h/?keyfile=/k.pem", "certificate"),
        ("amqp://h/?cacertfile=/ca.pem", "without TLS"),
        ("redis://h/?ssl_cert_reqs=none", "no option"),
        ("amqp://h/?heartbeat=10&heartbeat=20", "heartbeat.* twice"),
        ("amqp://h/?heartbeat=10&heartbeat=10", "heartbeat.* twice"),
        ("rediss://h/?ssl_cert_reqs=required&ssl_cert_reqs=none", "ssl_cert_reqs.* twice"),
        ("local:///x.db?busy_timeout=1&busy_timeout=2", "busy_timeout.* twice"),
        ("pubsub://p?max_messages=1&max_messages=2", "max_messages.* twice"),
        ("amqps://h/?cacertfile=%2Fa%00b", "cacertfile.* control characters"),
        ("rediss://h/?ssl_ca_certs=%2Fa%0ab", "ssl_ca_certs.* control characters"),
        ("pubsub://p?ack_deadline=soon", "ack_deadline"),
        ("pubsub://p?ack_deadline=1", "10 to 600"),
        ("pubsub://p?max_messages=-1", "max_messages"),
        ("pubsub://p?close_timeout=nan", "close_timeout"),
        ("pubsub://p?close_timeout=inf", "close_timeout"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        resolve(url)


def test_the_registry_names_options_that_there_are() -> None:
    local = {field.name for field in fields(LocalOptions)}
    assert set(TRANSPORTS["local"].url_options["local"]) <= local
    assert set(TRANSPORTS["pubsub"].url_options["pubsub"]) <= {field.name for field in fields(PubSubOptions)}
