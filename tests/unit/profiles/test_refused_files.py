"""Files that make no sense, or that others can change or read."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from kchat.errors import SettingsError
from tests.unit.profiles.making import SECRET, in_use, join, resolve, written


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("use = [", "not valid TOML"),
        ("\xff", "not valid TOML"),
        ("colour = 1", "colour"),
        ("use = 1", "name"),
        ('[profile.x]\nurl = "local://"\npasword = "s3cr3t-of-ada"', "pasword"),
        ("[profile.x]\nurl = 1", "url"),
        ('[profile.x]\nroom = "y"', "no 'url'"),
        ("profile = 1", "tables"),
        ("[profile]\nx = 1", "not a table"),
        ('use = "gone"', "no profile 'gone'"),
        ("profile = " + "[" * 5000, "nested"),
        ('[profile.x]\nurl = "local:///x.db"\nexpires = 0001-01-01T00:00:00+14:00', "expires"),
        ('[profile.x]\nurl = "local:///x.db"\nexpires = 9999-12-31T23:59:59-14:00', "expires"),
        ('[profile.x]\nurl = "amqps://h/"\ntls_ca = "/a\\u0000b"', "tls_ca"),
    ],
)
def test_a_file_that_makes_no_sense_is_named_with_what_is_wrong(file: Path, text: str, word: str) -> None:
    written(file, "")
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=word) as caught:
        resolve()
    assert str(file) in str(caught.value)
    assert SECRET not in str(caught.value) + caught.value.hint


def test_a_pipe_is_not_read_as_a_profiles_certificate(file: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "ca.pem"
    os.mkfifo(pipe, 0o600)
    in_use(file, f'url = "amqps://ada:x@h/"\ntls_ca = "{pipe}"')
    with pytest.raises(SettingsError, match="not a file"):
        resolve()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o660])
def test_a_file_that_others_can_change_is_not_used(file: Path, mode: int) -> None:
    written(file, '[profile.x]\nurl = "local:///x.db"\n')
    file.chmod(mode)
    with pytest.raises(SettingsError, match="others can change") as caught:
        resolve()
    assert caught.value.hint == f"chmod go-w {file}"


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_file_in_a_folder_that_others_can_change_is_not_used(file: Path, mode: int) -> None:
    written(file, "")
    file.parent.chmod(mode)
    with pytest.raises(SettingsError, match="others can change"):
        resolve()
    file.unlink()
    with pytest.raises(SettingsError, match="others can change"):
        join()


def test_a_link_into_a_folder_that_others_can_change_is_not_followed(file: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (shared / "profiles.toml").write_text("")
    file.parent.mkdir()
    file.symlink_to(shared / "profiles.toml")
    with pytest.raises(SettingsError, match="others can change"):
        resolve()


@pytest.mark.parametrize("lines", ['url = "amqp://ada@h/"\npassword = "x"', 'url = "amqp://ada:x@h/"'])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_with_a_password_that_others_can_read_is_not_used(file: Path, mode: int, lines: str) -> None:
    in_use(file, lines)
    file.chmod(mode)
    with pytest.raises(SettingsError, match="others can read") as caught:
        resolve()
    assert caught.value.hint == f"chmod go-rwx {file}"


def test_a_file_without_a_password_may_be_read_by_others(file: Path) -> None:
    in_use(file, 'url = "local:///x.db"')
    file.chmod(0o644)
    assert resolve().broker.path == "/x.db"


def test_a_file_of_another_account_is_not_used(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_use(file, 'url = "local:///x.db"')
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    if file.stat().st_uid == 0:
        os.chown(file, 4711, -1)
    with pytest.raises(SettingsError, match="another account"):
        resolve()


def test_tls_files_that_a_profiles_url_names_are_looked_at_as_those_beside_it_are(
    file: Path, tmp_path: Path
) -> None:
    pem, other = tmp_path / "x.pem", tmp_path / "y.pem"
    other.write_text("")
    other.chmod(0o600)
    amqp, redis = "amqps://ada:x@h/?", "rediss://ada:x@h/0?"
    urls = {
        f"{amqp}cacertfile={pem}": (0o666, "change"),
        f"{amqp}certfile={pem}": (0o644, "read"),
        f"{amqp}certfile={other}&keyfile={pem}": (0o644, "read"),
        f"{amqp}certfile={other};amqps://ada:x@b/?keyfile={pem}": (0o644, "read"),
        f"{redis}ssl_ca_certs={pem}": (0o666, "change"),
        f"{redis}ssl_certfile={pem}": (0o644, "read"),
        f"{redis}ssl_certfile={other}&ssl_keyfile={pem}": (0o644, "read"),
    }
    pem.write_text("")
    in_use(file, 'url = "local://"')
    for url, (mode, word) in urls.items():
        file.write_text(f'use = "x"\n[profile.x]\nurl = "{url}"\n')
        pem.chmod(mode)
        with pytest.raises(SettingsError, match=f"others can {word} .*{pem}"):
            resolve()
        pem.chmod(0o600)
        assert resolve().broker.encrypted, url
    pem.unlink()
    os.mkfifo(pem, 0o600)
    with pytest.raises(SettingsError, match="not a file"):
        resolve()


@pytest.mark.parametrize(("key", "mode", "word"), [("tls_ca", 0o666, "change"), ("tls_cert", 0o644, "read")])
def test_a_certificate_that_others_can_change_or_a_key_that_they_can_read_is_not_used(
    file: Path, tmp_path: Path, key: str, mode: int, word: str
) -> None:
    pem = tmp_path / "x.pem"
    in_use(file, f'url = "amqps://ada@h:5671/"\npassword = "x"\n{key} = "{pem}"')
    pem.write_text("")
    pem.chmod(mode)
    with pytest.raises(SettingsError, match=f"others can {word}"):
        resolve()
    assert resolve(url="local:///y.db").broker.path == "/y.db"


def test_without_a_home_nothing_in_the_working_directory_is_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = tmp_path / "~" / ".config" / "kchat"
    planted.mkdir(parents=True)
    (planted / "profiles.toml").write_text('use = "x"\n[profile.x]\nurl = "local:///planted.db"\n')
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", raise_key_error)
    for url in (None, "local://", "local://~/room.db"):
        with pytest.raises(SettingsError, match="home folder"):
            resolve(url=url)
    with pytest.raises(SettingsError, match="home folder"):
        resolve({"KCHAT_PROFILE": "x"})
    assert resolve(url="amqp://ada:x@h/").broker.host == "h"
    assert resolve(url="local:///x.db").broker.path == "/x.db"


def raise_key_error(uid: int) -> None:
    raise KeyError(uid)
