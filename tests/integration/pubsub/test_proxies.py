"""Proxies in the environment: not for the emulator; elsewhere the error names them."""

from __future__ import annotations

import pytest

from kchat.transports.pubsub import proxies
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands
from tests.brokers.pubsub import Emulator

VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def test_a_proxy_does_not_cut_off_the_emulator(
    commands: Commands, pubsub_emulator: Emulator, room: str
) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    url = pubsub_emulator.url(pubsub_emulator.new_project())
    env = pubsub_emulator.environment | dict.fromkeys(VARIABLES, proxy)
    subscriber = commands.kchat("subscribe", "--url", url, "--room", room, "--limit", "1", env=env)
    subscriber.wait_for("listening")
    sent = commands.run_kchat("send", "--url", url, "--room", room, "hello", env=env)
    assert sent.code == 0, sent.stderr
    assert subscriber.wait() == 0


def test_the_error_names_the_proxy_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    service = "pubsub.googleapis.com:443"
    assert proxies.note(service) == ""
    monkeypatch.setenv("https_proxy", "http://ada:s3cret@proxy.example:3128")
    assert proxies.note(service) == " through the proxy in https_proxy, proxy.example:3128"
    monkeypatch.setenv("https_proxy", "http://[proxy:3128")
    assert proxies.note(service) == " through the proxy in https_proxy, not a URL"
    monkeypatch.setenv("no_proxy", "localhost, googleapis.com")
    assert proxies.note(service) == ""
