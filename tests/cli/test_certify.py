"""``kchat certify``: a CA, a server's certificate and clients', in a folder."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.brokers.processes import Commands


def pin_of(file: Path) -> str:
    import ssl

    from kchat.transports.tls import fingerprint

    return fingerprint(ssl.PEM_cert_to_DER_cert(file.read_text()))


def test_certify_makes_what_the_broker_needs_and_keeps_the_keys_private(
    commands: Commands, tmp_path: Path
) -> None:
    folder = tmp_path / "tls"
    result = commands.run_kchat("certify", str(folder), "--host", "broker.example", "--client", "ada")
    assert result.code == 0, result
    assert pin_of(folder / "server.pem") in result.stdout
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    keys = {"ca-key.pem", "server-key.pem", "client-ada-key.pem"}
    assert modes.keys() == keys | {"ca.pem", "server.pem", "client-ada.pem"}
    assert {modes[name] for name in keys} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_certify_replaces_nothing_unless_told_to(commands: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    assert commands.run_kchat("certify", str(folder)).code == 0
    pin, ca = pin_of(folder / "server.pem"), (folder / "ca.pem").read_text()
    refused = commands.run_kchat("certify", str(folder), "--host", "broker.example")
    assert (refused.code, "--renew" in refused.stderr) == (2, True)
    assert pin_of(folder / "server.pem") == pin
    assert commands.run_kchat("certify", str(folder), "--client", "bob").code == 0
    assert pin_of(folder / "server.pem") == pin
    assert commands.run_kchat("certify", str(folder), "--renew").code == 0
    assert pin_of(folder / "server.pem") != pin
    assert (folder / "ca.pem").read_text() == ca


@pytest.mark.parametrize("host", ["a b", "-a", "a/b", "http://a", ""])
def test_certify_takes_host_names_and_addresses_only(commands: Commands, tmp_path: Path, host: str) -> None:
    result = commands.run_kchat("certify", str(tmp_path / "tls"), "--host", host)
    assert (result.code, "host name" in result.stderr) == (2, True)
