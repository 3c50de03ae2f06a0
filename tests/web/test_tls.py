"""TLS of the server itself: certificates that cannot be used, what is offered, and renewal."""

from __future__ import annotations

import datetime as dt
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from kchat.errors import SettingsError
from kchat.hosting.certificates import make_server
from kchat.web.certificate import server_context
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands
from tests.brokers.wait import wait_until
from tests.web.serving import ServeProcess, secret_of


def write(folder: Path, name: str, ca: trustme.CA, **given: object) -> tuple[Path, Path]:
    made = ca.issue_cert("localhost", "127.0.0.1", **given)  # type: ignore[arg-type]
    cert, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    cert.write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return cert, key


def certificate_at(port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 20) as plain, context.wrap_socket(plain) as secured:
        return secured.getpeercert(binary_form=True) or b""


def test_certificates_that_cannot_be_used_are_refused_with_the_reason(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    ca = trustme.CA()
    cert, key = write(tmp_path, "good", ca)
    other, other_key = write(tmp_path, "other", ca)
    day = dt.timedelta(days=1)
    now = dt.datetime.now(dt.UTC)
    old, old_key = write(tmp_path, "old", ca, not_after=now - day)
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(
        serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    assert server_context(cert, key).minimum_version == ssl.TLSVersion.TLSv1_2
    for pair, why in (
        ((tmp_path / "none.pem", key), "cannot be read"),
        ((cert, tmp_path), "cannot be read"),
        ((cert, other_key), "not the private key"),
        ((other, key), "not the private key"),
        ((old, old_key), "has expired"),
        ((cert, encrypted), "is encrypted"),
        ((text, key), "not a certificate"),
        ((cert, text), "not a certificate"),
    ):
        with pytest.raises(SettingsError, match=why):
            server_context(*pair)


def test_what_certify_makes_can_be_used(tmp_path: Path) -> None:
    make_server(tmp_path, ["chat.example.org"])
    server_context(tmp_path / "server.pem", tmp_path / "server-key.pem")


@pytest.fixture
def secured(commands: Commands, local_url: str, tmp_path: Path) -> Iterator[tuple[ServeProcess, trustme.CA]]:
    ca = trustme.CA()
    cert, key = write(tmp_path, "server", ca)
    served = ServeProcess(
        *(commands, local_url, "--tls-cert", str(cert), "--tls-key", str(key), "--host", "localhost"),
        port=free_port(),
    )
    served.start()
    try:
        yield served, ca
    finally:
        served.kill()


def test_pages_are_served_by_tls_and_a_renewed_certificate_is_taken_on_sighup(
    secured: tuple[ServeProcess, trustme.CA], tmp_path: Path
) -> None:
    served, ca = secured
    assert served.link.startswith(f"https://localhost:{served.port}/#")
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    with httpx.Client(
        base_url=served.base, verify=trusting, headers={"Origin": served.base}, timeout=60
    ) as client:
        answer = client.post("api/session", json={"secret": secret_of(served.link)})
        assert answer.status_code == 200
        assert "Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"]
    before = certificate_at(served.port)
    write(tmp_path, "server", ca)
    served.process.signal(signal.SIGHUP)
    served.process.wait_for("the certificate was loaded again")
    assert certificate_at(served.port) != before
    now = certificate_at(served.port)
    (tmp_path / "server.pem").write_text("broken")
    served.process.signal(signal.SIGHUP)
    served.process.wait_for("stays in use")
    assert certificate_at(served.port) == now
    assert served.terminate() == 0


def test_older_versions_and_plain_http_get_nothing(secured: tuple[ServeProcess, trustme.CA]) -> None:
    served, _ = secured
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", served.port), 20) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{served.port}/healthz", timeout=60)
    wait_until(lambda: bool(certificate_at(served.port)), 10, "it serves on")
    assert "Traceback" not in served.process.stderr
