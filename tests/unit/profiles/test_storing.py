"""Joining, changing and removing: the file, its certificates, and what others do at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from kchat.config import profiles
from kchat.config.private_files import locked
from kchat.config.settings import Broker
from kchat.errors import SettingsError
from kchat.hosting import profile_changes
from kchat.hosting.invitation import Invitation
from tests.unit.profiles.making import SECRET, URL, in_use, join, resolve, written


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


def test_lines_written_by_hand_stay(file: Path) -> None:
    written(file, '# mine\n[profile.lab]\nurl = "pubsub://lab" # the lab\nroom = "lunch"\n')
    join()
    text = file.read_text()
    assert "# mine" in text
    assert "# the lab" in text
    profile_changes.use("lab")
    assert str(resolve()) == "lunch at pubsub://lab"


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


def test_a_removed_profile_is_gone_with_its_certificate(file: Path) -> None:
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


def test_the_changes_by_a_second_invitation_are_told_before_it_is_stored() -> None:
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
