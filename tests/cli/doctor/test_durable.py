"""The doctor names durable subscriptions that nobody reads, wherever it can see them."""

from __future__ import annotations

import pytest

from kchat import Sender, Settings, Subscriber
from kchat.client import durable
from tests.brokers.pubsub import Emulator
from tests.brokers.rabbitmq import RabbitMQ
from tests.cli.doctor.asking import Doctor, by_check


def forget(settings: Settings) -> None:
    """Makes a durable subscription that holds a message and that nobody reads, and one that is empty."""
    with Subscriber(settings, durable="archve"):
        pass
    with Sender(settings, "ada") as sender:
        sender.send("kept for nobody")
    with Subscriber(settings, durable="empty"):
        pass


def test_a_forgotten_subscription_in_an_embedded_room_is_named(doctor: Doctor, local_url: str) -> None:
    settings = Settings.resolve(url=local_url)
    forget(settings)
    told = doctor("--url", local_url)
    found = by_check(told)["durable"]
    assert (told["ok"], found["status"]) == (True, "note")
    assert found["text"].startswith("nobody reads: archve (1 message, ")
    assert "kchat durable remove archve" in found["hint"]
    with Subscriber(settings, durable="archve"):
        assert by_check(doctor("--url", local_url))["durable"]["status"] == "ok"


def test_a_forgotten_subscription_on_rabbitmq_is_named_by_its_management_api(
    doctor: Doctor, rabbitmq: RabbitMQ, vhost: str
) -> None:
    url, management = rabbitmq.url_for(vhost), ("--management-url", rabbitmq.management_url)
    settings = Settings.resolve(url=url)
    forget(settings)
    found = by_check(doctor("--url", url, *management))["durable"]
    assert found["status"] == "note"
    assert found["text"].startswith("nobody reads: archve (1 message, ")
    durable.remove(settings, "archve")
    assert by_check(doctor("--url", url, *management))["durable"]["status"] == "ok"
    unseen = by_check(doctor("--url", url, "--management-url", "http://127.0.0.1:9"))["durable"]
    assert unseen["status"] == "skipped"


def test_a_subscription_on_pubsub_without_a_known_reader_is_named(
    doctor: Doctor, pubsub_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in pubsub_emulator.environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings.resolve(url=pubsub_emulator.url(pubsub_emulator.new_project()))
    with Subscriber(settings, durable="archve"):
        pass
    ask = ("--url", str(settings.broker), "--connect-timeout", "5")
    found = by_check(doctor(*ask, env=pubsub_emulator.environment, seconds=60))["durable"]
    assert found["status"] == "note"
    assert found["text"].startswith("nobody is known to read: archve (expires after 30d)")
    with Subscriber(settings, durable="archve"):
        read = by_check(doctor(*ask, env=pubsub_emulator.environment, seconds=60))["durable"]
    assert read["status"] == "ok", read
