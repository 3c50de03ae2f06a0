"""Profiles: the file, who may read it, which one is chosen, and where the password is."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme

from kchat.config import profiles
from kchat.config.private_files import locked
from kchat.config.settings import Broker, Settings
from kchat.config.tls import TlsOptions
from kchat.errors import NotAuthorised, SettingsError
from kchat.hosting import profile_changes
from kchat.hosting.invitation import Invitation

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


ENVIRONMENT = {"RABBITMQ_DEFAULT_USER": "rmq", "RABBITMQ_DEFAULT_PASS": "admin"}


def in_use(file: Path, lines: str) -> None:
    """A profile x, in use, as an older kchat or somebody by hand may have written it."""
    written(file, f'use = "x"\n[profile.x]\n{lines}\n')
    file.chmod(0o600)


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
            resolve(ENVIRONMENT, username="rmq", password="admin", **named)


def test_a_pipe_is_not_read_as_a_profiles_certificate(file: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "ca.pem"
    os.mkfifo(pipe, 0o600)
    in_use(file, f'url = "amqps://ada:x@h/"\ntls_ca = "{pipe}"')
    with pytest.raises(SettingsError, match="not a file"):
        resolve()


def test_a_redis_profile_without_an_account_takes_none_from_elsewhere(file: Path) -> None:
    in_use(file, 'url = "redis://h:6379/0"')
    broker = resolve(ENVIRONMENT, username="rmq", password="admin").broker
    assert (broker.username, broker.password) == (None, None)


def test_a_password_that_is_typed_goes_to_the_profiles_account(file: Path) -> None:
    in_use(file, 'url = "amqp://ada@h:5672/"')
    broker = resolve(ENVIRONMENT, profile_password=SECRET).broker
    assert (broker.username, broker.password) == ("ada", SECRET)


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


def test_each_ca_has_a_file_of_its_own_whatever_the_profiles_are_called(file: Path) -> None:
    names = ["chat", "CHAT", "Chat", "n" * 200 + "a", "n" * 200 + "b", "é", "E\u0301"]
    made = {
        name: (trustme.CA().cert_pem.bytes().decode(), f"amqps://ada@h{number}:5671/")
        for number, name in enumerate(names)
    }
    profiles_made = {name: join(name, url, tls_ca=ca) for name, (ca, url) in made.items()}
    for name, (ca, _) in made.items():
        kept = profiles_made[name].tls.ca
        assert kept is not None
        assert Path(kept).read_text().split() == ca.split(), name
    # As a file system sees them that ignores case.
    assert len({str(profile.tls.ca).casefold() for profile in profiles_made.values()}) == len(names)


def test_a_ca_that_two_profiles_share_stays_until_the_last_of_them_goes() -> None:
    ca = trustme.CA().cert_pem.bytes().decode()
    first = join("a", "amqps://ada@h:5671/", tls_ca=ca)
    join("b", "amqps://ada@h:5671/", tls_ca=ca)
    profile_changes.remove("a")
    assert Path(str(first.tls.ca)).exists()
    profile_changes.remove("b")
    assert not Path(str(first.tls.ca)).exists()


def test_a_ca_of_the_users_own_is_not_removed_with_its_profile(file: Path) -> None:
    own = file.parent / "own.pem"
    in_use(file, f'url = "amqps://ada@h:5671/"\npassword = "x"\ntls_ca = "{own}"')
    own.write_text("mine")
    profile_changes.remove("x")
    assert own.exists()


def test_threads_that_join_at_once_lose_no_profile() -> None:
    def one(number: int) -> None:
        join(f"room-{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    assert sorted(profiles.load().profiles) == [f"room-{number}" for number in range(8)]


HOLD = """
import sys, time
from pathlib import Path
from kchat.config.private_files import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_let_go_of_by_a_process_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"locked\n"
        with pytest.raises(SettingsError, match="another kchat"), locked(file, seconds=0.1):
            pass
        child.kill()
        child.wait()
    (tmp_path / ".file.4711").write_text("left behind")
    (tmp_path / ".file.2024-backup").write_text("the user's own")
    with locked(file, seconds=5):
        assert not (tmp_path / ".file.4711").exists()
        assert (tmp_path / ".file.2024-backup").exists()


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


def test_what_a_second_invitation_changes_is_told_before_it_is_stored() -> None:
    pin = "sha256:" + "ab" * 32
    join(url="amqps://ada@h:5671/", tls_pin=pin)
    ca = trustme.CA().cert_pem.bytes().decode()
    second = Invitation((Broker.parse("amqps://ada@h:5671/"),), "chat", "another", tls_ca=ca, send_only=True)
    planned = profile_changes.plan(second)
    assert planned.name == "chat"
    assert set(planned.changes) == {"certificate", "CA", "password", "may"}
    assert planned.changes["certificate"][0] == pin
    assert "another" not in str([cell for key, cell in planned.changes.items() if key != "password"])
    same = Invitation((Broker.parse("amqps://ada@h:5671/"),), "chat", SECRET, tls_pin=pin)
    assert profile_changes.plan(same).changes == {}


def test_a_profile_that_changed_after_it_was_shown_is_not_replaced() -> None:
    first = Invitation((Broker.parse(URL),), "chat", "first")
    shown = profile_changes.plan(first)
    join()
    with pytest.raises(SettingsError, match="changed meanwhile"):
        profile_changes.join(first, shown=shown)
    assert resolve().broker.password == SECRET


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
