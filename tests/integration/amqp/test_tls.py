"""TLS: whom a client trusts, and that it says nothing to anybody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from kchat import (
    Closed,
    NotAuthorised,
    NotConfirmed,
    Sender,
    Settings,
    SettingsError,
    Subscriber,
    Unreachable,
    Untrusted,
)
from kchat.hosting.certificates import make_client, make_server
from kchat.transports.tls import TlsOptions
from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.tls_server import Authority, TlsServer
from tests.brokers.wait import soon
from tests.integration.amqp.test_sending import drain

PASSWORD = "s3cr3t-of-ada"
OTHER_PIN = "sha256:" + "ab" * 32


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def folder_of(node: RabbitMQ) -> Path:
    assert node.tls is not None
    return node.tls


def settings(node: RabbitMQ, *, host: str = "127.0.0.1", url: str = "", **tls: Any) -> Settings:
    tls = {"ca": str(folder_of(node) / "ca.pem"), **tls}
    return Settings.resolve(url=url or node.url_for(host=host), tls=TlsOptions(**tls))


def to_server(server: TlsServer, host: str = "localhost", **tls: Any) -> Settings:
    return Settings.resolve(
        url=f"amqps://ada:{PASSWORD}@{host}:{server.port}/",
        tls=TlsOptions(**tls),
        connect_timeout=3,
    )


def hello(settings: Settings) -> None:
    with Sender(settings, "ada") as sender:
        sender.send("hello")


# ---- the right server


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_message_goes_both_ways_over_tls(tls_rabbitmq: RabbitMQ, host: str, room: str) -> None:
    with tls_rabbitmq.new_vhost() as vhost:
        there = settings(tls_rabbitmq, url=tls_rabbitmq.url_for(vhost, host=host))
        with Subscriber(there, "bob") as subscriber, Sender(there, "ada") as sender:
            assert sender.send("hello").routed is True
            assert sender.send("x" * (1 << 20)).routed is True
            messages = drain(subscriber, 2)
    assert [len(message.text) for message in messages] == [5, 1 << 20]
    assert messages[0].account == tls_rabbitmq.username


def test_a_stream_is_confirmed_and_arrives_in_order_over_tls(tls_rabbitmq: RabbitMQ) -> None:
    with tls_rabbitmq.new_vhost() as vhost:
        there = settings(tls_rabbitmq, url=tls_rabbitmq.url_for(vhost))
        with Subscriber(there, "bob") as subscriber, Sender(there, "ada", window=100) as sender:
            receipts = list(sender.send_many(str(number) for number in range(3000)))
            messages = drain(subscriber, 3000)
    assert all(receipt.confirmed for receipt in receipts)
    assert [message.text for message in messages] == [str(number) for number in range(3000)]


def test_waiting_for_a_message_ends_on_time_over_tls(tls_rabbitmq: RabbitMQ) -> None:
    with Subscriber(settings(tls_rabbitmq), "bob") as subscriber:
        assert subscriber.receive(timeout=0) == []
        assert subscriber.receive(timeout=0.2) == []


def test_a_write_that_gets_stuck_is_given_up_over_tls(
    tls_rabbitmq: RabbitMQ, proxy_to: Callable[[int], Proxy]
) -> None:
    proxy = proxy_to(tls_rabbitmq.port)
    url = tls_rabbitmq.url_for(port=proxy.port)
    ca = TlsOptions(ca=str(folder_of(tls_rabbitmq) / "ca.pem"))
    there = Settings.resolve(url=url, tls=ca, confirm_timeout=2, connect_timeout=3)
    with Sender(there, "ada", reconnect_for=1) as sender:
        sender.send("hello")
        proxy.black_hole()
        started = monotonic()
        with pytest.raises((NotConfirmed, Closed)):
            list(sender.send_many("x" * (1 << 20) for _ in range(100)))
    assert monotonic() - started < soon(15)


def test_with_its_pin_a_server_needs_no_trusted_ca(tls_rabbitmq: RabbitMQ) -> None:
    made_pin = pin_of(folder_of(tls_rabbitmq) / "server.pem")
    hello(settings(tls_rabbitmq, ca=None, pin=made_pin))
    # As openssl writes it.
    digits = made_pin.removeprefix("sha256:").upper()
    spelled = "SHA256 Fingerprint=" + ":".join(digits[i : i + 2] for i in range(0, 64, 2))
    hello(settings(tls_rabbitmq, ca=None, pin=spelled))


def pin_of(file: Path) -> str:
    import ssl

    from kchat.transports.tls import fingerprint

    return fingerprint(ssl.PEM_cert_to_DER_cert(file.read_text()))


def test_a_clients_certificate_is_an_account_without_a_password(tls_rabbitmq: RabbitMQ, room: str) -> None:
    folder = folder_of(tls_rabbitmq)
    mine = {"cert": str(folder / "client-ada.pem"), "key": str(folder / "client-ada-key.pem")}
    there = settings(tls_rabbitmq, url=f"amqps://localhost:{tls_rabbitmq.port}", **mine)
    with Subscriber(there, "bob") as subscriber, Sender(there, "ada") as sender:
        sender.send("hello")
        (message,) = drain(subscriber, 1)
        users = {each["user"] for each in tls_rabbitmq.management.get("connections")}
        accounts = tls_rabbitmq.ctl("list_connections", "user", "auth_mechanism")
    assert message.text == "hello"
    assert message.account is None  # only the broker knows it
    assert "EXTERNAL" in accounts
    assert users <= {"ada", tls_rabbitmq.username}


def test_an_account_in_the_url_goes_before_the_clients_certificate(tls_rabbitmq: RabbitMQ) -> None:
    folder = folder_of(tls_rabbitmq)
    mine = {"cert": str(folder / "client-ada.pem"), "key": str(folder / "client-ada-key.pem")}
    with Sender(settings(tls_rabbitmq, **mine), "ada") as sender:
        sender.send("hello")
        assert f"{tls_rabbitmq.username}\tPLAIN" in tls_rabbitmq.ctl(
            "list_connections", "user", "auth_mechanism"
        )


def test_a_certificate_that_the_broker_knows_no_account_for_is_refused(
    tls_rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    folder = folder_of(tls_rabbitmq)
    stranger = make_client(folder, f"stranger-{tmp_path.name[-20:]}", renew=True)
    there = settings(
        tls_rabbitmq,
        url=f"amqps://localhost:{tls_rabbitmq.port}",
        cert=str(stranger.certificate),
        key=str(stranger.key),
    )
    with pytest.raises(NotAuthorised, match="login refused") as caught:
        hello(there)
    assert "certificate" in caught.value.hint


def test_a_certificate_of_another_ca_is_refused(tls_rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    make_server(tmp_path, ())
    other = make_client(tmp_path, "ada")
    there = settings(
        tls_rabbitmq,
        url=f"amqps://localhost:{tls_rabbitmq.port}",
        cert=str(other.certificate),
        key=str(other.key),
    )
    with pytest.raises(NotAuthorised, match="CA of the client's certificate"):
        hello(there)


# ---- the wrong server: each its own line, and nothing said to it


def check_untrusted(server: TlsServer, there: Settings, words: str) -> None:
    with pytest.raises(Untrusted, match=words) as caught:
        hello(there)
    server.wait_until_ended()
    assert server.received == b""
    assert PASSWORD not in f"{caught.value} {caught.value.hint}"


def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    with TlsServer(authority.context("other.example")) as server:
        check_untrusted(server, to_server(server, ca=str(authority.file)), "other names than localhost")


def test_a_certificate_for_a_name_is_not_one_for_its_address(authority: Authority) -> None:
    with TlsServer(authority.context("localhost")) as server:
        there = to_server(server, "127.0.0.1", ca=str(authority.file))
        check_untrusted(server, there, "other names than 127.0.0.1")
        # Kombu takes localhost for the address, and the certificate is for the name all the same.
    with TlsServer(authority.context("localhost"), b"no broker either") as server:
        with pytest.raises(Unreachable, match="does not speak AMQP"):
            hello(to_server(server, ca=str(authority.file)))
        assert server.handshakes == 1


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    with TlsServer(authority.context("localhost", starts=-9, ends=-2)) as server:
        check_untrusted(server, to_server(server, ca=str(authority.file)), "has expired")


def test_a_certificate_of_the_future_is_refused(authority: Authority) -> None:
    with TlsServer(authority.context("localhost", starts=2, ends=9)) as server:
        check_untrusted(server, to_server(server, ca=str(authority.file)), "not valid yet")


def test_a_certificate_of_an_unknown_ca_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    with TlsServer(authority.context("localhost")) as server:
        check_untrusted(server, to_server(server, ca=str(other.file)), "CA that is not trusted")
        # By the system's trust, likewise.
        check_untrusted(server, to_server(server), "CA that is not trusted")


def test_a_man_in_the_middle_with_another_certificate_is_told_nothing(authority: Authority) -> None:
    # The handshake goes through, as a pinned certificate needs no trusted CA.
    with TlsServer(authority.context("localhost")) as server:
        check_untrusted(server, to_server(server, pin=OTHER_PIN), "somebody may be in between")
        assert server.handshakes == 1


def test_a_subscriber_that_comes_back_to_another_server_tells_it_nothing(authority: Authority) -> None:
    with TlsServer(authority.context("localhost")) as server:
        subscriber = Subscriber(to_server(server, pin=OTHER_PIN), "bob")
        with pytest.raises(Untrusted):
            subscriber.open()
        server.wait_until_ended()
        assert server.received == b""


# ---- no TLS where it should be, and the reverse


def test_a_port_without_tls_is_named_as_one(rabbitmq: RabbitMQ) -> None:
    url = rabbitmq.url.replace("amqp://", "amqps://")
    with pytest.raises(Unreachable, match="does not speak TLS"):
        hello(Settings.resolve(url=url))


def test_a_port_with_tls_is_named_as_one(tls_rabbitmq: RabbitMQ) -> None:
    url = tls_rabbitmq.url.replace("amqps://", "amqp://")
    with pytest.raises(Unreachable, match="TLS is on") as caught:
        hello(Settings.resolve(url=url))
    assert "amqps://" in caught.value.hint


def test_options_for_tls_with_a_url_without_it_are_no_connection_without_protection() -> None:
    with pytest.raises(SettingsError, match="without TLS"):
        Settings.resolve(url="amqp://ada@broker.example/", tls=TlsOptions())
    broker = Settings.resolve(host="broker.example", tls=TlsOptions()).broker
    assert (broker.scheme, broker.port) == ("amqps", 5671)
    assert Settings.resolve(url="local://", tls=TlsOptions(pin=OTHER_PIN)).broker.scheme == "local"


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a web server"),
        (b"AMQP\x00\x01\x00\x00", "another AMQP"),
        (b"-ERR unknown command 'AMQP'\r\n", "does not speak AMQP"),
        (b"\x01\x00", "no answer in time"),
    ],
)
def test_another_kind_of_server_is_named(greeting: bytes, words: str) -> None:
    with TlsServer(None, greeting) as server:
        there = Settings.resolve(host="127.0.0.1", port=server.port, connect_timeout=2)
        with pytest.raises((Unreachable, Closed), match=words):
            hello(there)


# ---- files


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ca": "{0}/missing.pem"}, "cannot be read"),
        ({"ca": "{0}"}, "cannot be read"),
        ({"ca": "{0}/ca-key.pem"}, "no certificate of a CA"),
        ({"cert": "{0}/missing.pem"}, "cannot be read"),
        ({"cert": "{0}/client-ada.pem"}, "no certificate and private key"),
        ({"cert": "{0}/client-ada.pem", "key": "{0}/missing.pem"}, "cannot be read"),
        ({"cert": "{0}/client-ada.pem", "key": "{0}/server-key.pem"}, "is not the key"),
        ({"cert": "{0}/client-ada.pem", "key": "{0}/locked.pem"}, "locked with a password"),
    ],
)
def test_a_file_that_will_not_do_is_named(
    tls_rabbitmq: RabbitMQ, options: dict[str, str], words: str
) -> None:
    folder = folder_of(tls_rabbitmq)
    lock(folder / "client-ada-key.pem", folder / "locked.pem")
    given = {name: value.format(folder) for name, value in options.items()}
    with pytest.raises(SettingsError, match=words) as caught:
        hello(settings(tls_rabbitmq, **given))
    assert str(folder) in str(caught.value)


def lock(key: Path, locked: Path) -> None:
    """Writes the key once more, with a password."""
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    loaded = load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    )


# ---- the commands


def test_an_unchecked_certificate_is_warned_about_each_time(
    tls_rabbitmq: RabbitMQ, commands: Commands
) -> None:
    for _ in range(2):
        result = commands.run_kchat("send", "--url", tls_rabbitmq.url, "--tls-insecure", "-q", "hi")
        assert (result.code, "warning" in result.stderr) == (0, True)
        assert tls_rabbitmq.password not in result.stderr


def test_the_options_can_stand_in_the_environment(tls_rabbitmq: RabbitMQ, commands: Commands) -> None:
    environment = {
        "KCHAT_HOST": "localhost",
        "KCHAT_PORT": str(tls_rabbitmq.port),
        "KCHAT_TLS_CA": str(folder_of(tls_rabbitmq) / "ca.pem"),
        "RABBITMQ_DEFAULT_USER": tls_rabbitmq.username,
        "RABBITMQ_DEFAULT_PASS": tls_rabbitmq.password,
    }
    result = commands.run_kchat("send", "hi", env=environment)
    assert result.code == 0, result
    assert "amqps://" in result.stderr


def test_a_wrong_file_is_wrong_usage(commands: Commands) -> None:
    result = commands.run_kchat("send", "--host", "127.0.0.1", "--tls-ca", "missing.pem", "hi")
    assert (result.code, "missing.pem" in result.stderr) == (2, True)
    assert len(result.stderr.splitlines()) == 1
