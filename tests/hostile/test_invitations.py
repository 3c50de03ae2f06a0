"""Invitations that a stranger made: refused in a line or two, shown as they are, and never obeyed unasked."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import trustme

import kchat
from kchat import Sender, Settings
from kchat.cli import main
from kchat.hosting.invitation import LONGEST
from tests.brokers.processes import Commands
from tests.brokers.wait import soon
from tests.hostile.safe import why_unsafe
from tests.unit.display.drawn import WIDTHS, rows_drawn

BROKER, ROOM, PASSWORD, SEND_ONLY, EXPIRES, PIN, CA, USERNAME = range(1, 9)
SECRET = "s3cr3t-of-eve"
HERE = "amqp://eve@127.0.0.1:1/"
"""A broker that nobody is at: an invitation that is not refused ends with code 1."""

Field = tuple[int, "str | bytes"]


def line(*fields: Field) -> str:
    """An invitation of any fields, with a right checksum."""
    row = b""
    for kind, value in fields:
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        row += struct.pack("!BH", kind, len(data)) + data
    whole = row + hashlib.sha256(b"1" + row).digest()[:4]
    return "kchat://1." + base64.urlsafe_b64encode(whole).rstrip(b"=").decode()


def to(url: str, *more: Field) -> str:
    """An invitation to a broker, with a password."""
    return line((BROKER, url), (PASSWORD, SECRET), *more)


def without_account(url: str, *more: Field) -> str:
    """An invitation to a place that has no accounts."""
    return line((BROKER, url), *more)


def hostile(folder: Path) -> dict[str, str]:
    """Invitations that are refused, by what is wrong with them."""
    ca = trustme.CA().cert_pem.bytes().decode()
    der = base64.b64decode("".join(ca.strip().splitlines()[1:-1]))
    text, other, pipe, link = (folder / name for name in ("text", "other.db", "pipe", "link.db"))
    text.write_text("export PATH=/usr/bin\n" * 100)
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")
    os.mkfifo(pipe)
    link.symlink_to(text)
    steal = {
        "no account": line((BROKER, "amqp://127.0.0.1:1/")),
        "no account, but a password": to("amqp://127.0.0.1:1/"),
        "no password": line((BROKER, HERE)),
        "a room with a URL's name": to(HERE, (ROOM, "amqp://rmq:x@localhost:5672/")),
        "an empty password": line((BROKER, HERE), (PASSWORD, "")),
        "an empty account": to("amqp://@127.0.0.1:1/"),
        "the password in the URL": line((BROKER, "amqp://eve:x@127.0.0.1:1/")),
        "Redis without account": without_account("redis://127.0.0.1:1/0"),
        "Redis without password": line((BROKER, "redis://eve@127.0.0.1:1/0")),
        "Redis without a name": to("redis://127.0.0.1:1/0"),
        "a second broker without account": to(HERE, (BROKER, "amqp://127.0.0.1:2/")),
        "a second broker with another account": to(HERE, (BROKER, "amqp://rmq@127.0.0.1:2/")),
        "a second broker without TLS": to("amqps://eve@127.0.0.1:1/", (BROKER, "amqp://eve@127.0.0.1:2/")),
        "brokers of two kinds": to(HERE, (BROKER, "redis://eve@127.0.0.1:1/0")),
        "a hundred brokers": to(HERE, *[(BROKER, HERE)] * 100),
        "two URLs in one": to("amqp://eve@127.0.0.1:1/;amqp://127.0.0.2:1/ "),
        "an account where there are none": to(f"local://{folder}/room.db"),
    }
    options = {
        "history thrown away": without_account("local://?history_max_bytes=0&history_max_age=0"),
        "an option with a path": without_account(f"local://{folder}/room.db?history_max_age=0"),
        "an option without a value": without_account(f"local://{folder}/room.db?history_max_age"),
        "an empty query": to(f"{HERE}?"),
        "no check of certificates": to("rediss://eve@127.0.0.1:1/0?ssl_cert_reqs=none"),
        "no check on AMQP": to("amqps://eve@127.0.0.1:1/?verify=verify_none"),
        "credentials sent elsewhere": without_account("pubsub://p?api_endpoint=evil.example"),
        "an escaped query": without_account("pubsub://p%3Fapi_endpoint=evil.example"),
        "a fragment": to(f"{HERE}#x"),
    }
    files = {
        "the user's own room": without_account("local://"),
        "a shell's profile": without_account("local://~/.bash_login"),
        "keys": without_account("local://~/.ssh/authorized_keys"),
        "a relative path": without_account("local://./room.db"),
        "a parent's path": without_account(f"local://{folder}/../room.db"),
        "an escaped parent's path": without_account(f"local://{folder}/%2e%2e/room.db"),
        "a file that is not there": without_account(f"local://{folder}/new.db"),
        "a text": without_account(f"local://{text}"),
        "a link to a text": without_account(f"local://{link}"),
        "another program's database": without_account(f"local://{other}"),
        "a folder": without_account(f"local://{folder}"),
        "a named pipe": without_account(f"local://{pipe}"),
        "a device": without_account("local:///dev/zero"),
        "a terminal": without_account("local:///dev/tty"),
        "a process's memory": without_account("local:///proc/self/mem"),
        "a NUL in the path": without_account(f"local://{folder}/a%00b"),
        "a newline in the path": without_account(f"local://{folder}/a%0ab"),
        "a path of a megabyte's kind": without_account("local:///" + "a/" * 20_000),
    }
    places = {
        "memory": without_account("memory://"),
        "memory with a room": without_account("memory://x", (ROOM, "y")),
        "another scheme": to("https://eve@127.0.0.1:1/"),
        "a program": to("file:///etc/passwd"),
        "no scheme": to("127.0.0.1"),
        "no host": to("amqp://eve@/"),
        "a host with a space": to("amqp://eve@127.0.0.1 evil.example/"),
        "an escaped host": to("amqp://eve@%65vil.example%0a:1/"),
        "an escape sequence in the host": to("amqp://eve@%1b%5b2Jevil:1/"),
        "a host in another script": to("amqp://eve@\u0435xample.com:1/"),
        "a backslash": to("amqp://eve@good.example\\@evil.example:1/"),
        "an account in the account": to("amqp://eve@good.example@evil.example\u202e:1/"),
        "a zone of IPv6": to("amqp://eve@[fe80::1%25eth0]:1/"),
        "a broken address": to("amqp://eve@[::1:1/"),
        "port 0": to("amqp://eve@127.0.0.1:0/"),
        "port 70000": to("amqp://eve@127.0.0.1:70000/"),
        "an option as a host": to("amqp://eve@-oProxyCommand=x:1/"),
        "a virtual host with a newline": to("amqp://eve@127.0.0.1:1/a%0d%0ab"),
        "a virtual host that is not UTF-8": to("amqp://eve@127.0.0.1:1/%ff%fe"),
        "a database that is not a number": to("redis://eve@127.0.0.1:1/x"),
        "a project that is a path": without_account("pubsub://p/../q"),
        "a project that is a folder": without_account("pubsub://.."),
        "a project with an account": without_account("pubsub://eve@p"),
    }
    names = {
        "an account with a newline": to("amqp://e%0ave@127.0.0.1:1/"),
        "an account that is turned around": to("amqp://e%E2%80%AEve@127.0.0.1:1/"),
        "an account of spaces": to("amqp://%20@127.0.0.1:1/"),
        "a room of the broker's own": to(HERE, (ROOM, "amq.topic")),
        "a room without a name": to(HERE, (ROOM, "")),
        "a room of spaces": to(HERE, (ROOM, "  ")),
        "a room with an escape sequence": to(HERE, (ROOM, "\x1b[2Jchat")),
        "a room with a newline": to(HERE, (ROOM, "chat\nkchat: all is well")),
        "a room turned around": to(HERE, (ROOM, "\u202etahc")),
        "a room with a mark of Arabic": to(HERE, (ROOM, "chat\u061c")),
        "a room with a soft hyphen": to(HERE, (ROOM, "ch\u00adat")),
        "a room with tags": to(HERE, (ROOM, "chat\U000e0041")),
        "a room with a surrogate": to(HERE, (ROOM, "\ud800")),
        "a room of 300 bytes": to(HERE, (ROOM, "x" * 300)),
        "a username with a newline": to(HERE, (USERNAME, "a\nb")),
        "a username of 300 bytes": to(HERE, (USERNAME, "x" * 300)),
        "an empty username": to(HERE, (USERNAME, "")),
        "a password with a NUL": line((BROKER, HERE), (PASSWORD, "a\0rmq")),
    }
    fields = {
        "nothing": line(),
        "no broker": line((ROOM, "chat"), (PASSWORD, SECRET)),
        "a field of another kchat": to(HERE, (99, "x")),
        "a field of kind 0": to(HERE, (0, "")),
        "two rooms": to(HERE, (ROOM, "a"), (ROOM, "b")),
        "two passwords": to(HERE, (PASSWORD, "another")),
        "two pins": to("amqps://eve@127.0.0.1:1/", (PIN, b"a" * 32), (PIN, b"b" * 32)),
        "a short pin": to("amqps://eve@127.0.0.1:1/", (PIN, b"a" * 31)),
        "a pin without TLS": to(HERE, (PIN, b"a" * 32)),
        "a pin for a file": without_account(f"local://{folder}/room.db", (PIN, b"a" * 32)),
        "a CA without TLS": to(HERE, (CA, der)),
        "an invalid CA": to("amqps://eve@127.0.0.1:1/", (CA, b"not a certificate")),
        "a CA and something behind it": to("amqps://eve@127.0.0.1:1/", (CA, der + b"x")),
        "a flag with a value": to(HERE, (SEND_ONLY, "0")),
        "a time of three bytes": to(HERE, (EXPIRES, b"abc")),
        "a time of nine bytes": to(HERE, (EXPIRES, b"\0" * 9)),
        "a time after the year 9999": to(HERE, (EXPIRES, b"\xff" * 8)),
        "no UTF-8": to(HERE, (ROOM, b"\xff\xfe")),
        "a length past the end": "kchat://1." + _summed(b"\x01\xff\xffamqp"),
        "half a head": "kchat://1." + _summed(b"\x01"),
        "too long": to(HERE, *[(ROOM, "x" * 60_000)]),
        "much too long": "kchat://1." + "A" * (3 * LONGEST),
        "another version": "kchat://2.AAAA",
        "a version in other digits": "kchat://\u0661.AAAA",
        "no end of digits": "kchat://" + "1" * 5000 + ".AAAA",
    }
    return steal | options | files | places | names | fields


def _summed(row: bytes) -> str:
    whole = row + hashlib.sha256(b"1" + row).digest()[:4]
    return base64.urlsafe_b64encode(whole).rstrip(b"=").decode()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A guest's home, which this process has too; the administrator's account is in the environment."""
    folder = tmp_path / "guest"
    folder.mkdir()
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("RABBITMQ_DEFAULT_USER", "rmq")
    monkeypatch.setenv("RABBITMQ_DEFAULT_PASS", "of-the-administrator")
    monkeypatch.setenv("KCHAT_RMQ_PASSWORD", "of-the-administrator")
    return folder


def test_a_harmful_invitation_is_refused_in_two_lines_and_leaves_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    corpus = hostile(folder)
    assert len(corpus) > 100
    before = {path: path.lstat().st_mtime_ns for path in folder.iterdir()}
    failed = {}
    for name, text in corpus.items():
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        with pytest.raises(SystemExit) as ended:
            main(["join", "--yes", "-"])
        out, err = capfd.readouterr()
        ok = (
            ended.value.code == 2
            and out == ""
            and err.startswith("kchat: ")
            and 1 <= len(err.splitlines()) <= 2
            and len(err) < 2000
            and not why_unsafe(err)
            and SECRET not in err
            and text not in err
        )
        if not ok:
            failed[name] = (ended.value.code, err)
    assert failed == {}
    assert {path: path.lstat().st_mtime_ns for path in folder.iterdir()} == before
    assert list(home.rglob("*")) == []


def test_a_harmless_invitation_by_the_same_means_is_tried(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(to(HERE)))
    with pytest.raises(SystemExit) as ended:
        main(["join", "--yes", "-"])
    assert ended.value.code == 1
    assert "connection refused" in capfd.readouterr().err


def test_urls_that_could_harm_are_refused_as_well(
    home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    failed = {}
    for url in (
        "amqp://127.0.0.1:1/",
        "amqp://eve@127.0.0.1:1/",
        "amqps://eve:x@127.0.0.1:1/;amqp://eve:x@127.0.0.1:1/",
        "amqp://eve:x@127.0.0.1:1/;amqp://eve:y@127.0.0.1:2/",
        "local://",
        "local://~/.bash_login",
        f"local://{tmp_path}/new.db",
        "local://?history_max_bytes=0",
        "rediss://eve:x@127.0.0.1:1/0?ssl_cert_reqs=none",
        "pubsub://p?api_endpoint=evil.example",
        "memory://",
        "amqp://eve:x@127.0.0.1:1/#x",
    ):
        with pytest.raises(SystemExit) as ended:
            main(["join", "--yes", url])
        if ended.value.code != 2:
            failed[url] = (ended.value.code, capfd.readouterr())
    assert failed == {}
    assert list(home.rglob("*")) == []


def test_no_part_of_a_rooms_name_looks_like_a_separate_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    forged = "  account        bob, with its password"
    blank = forged.replace("  ", " \u2800")  # a Braille cell without dots
    for room in (f"{'x' * 60} {forged}{' ' * 20}y", f"{'☀' * 31}x{blank}", f"{'x' * 23}{blank}"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(to(HERE, (ROOM, room))))
        with pytest.raises(SystemExit):
            main(["join", "--yes", "-"])
        shown = capfd.readouterr().err
        for columns in (40, 80, 500):
            for width in WIDTHS.values():
                rows = [row.replace("\u2800", " ") for row in rows_drawn(shown, columns, width)]
                told = [row[2:].split()[1] for row in rows if row.startswith("  account")]
                assert told == ["eve,"], (room, columns)


def joins(
    home: Path, text: str, answer: bytes | None, *arguments: str, at_once: bytes = b""
) -> tuple[int, str]:
    """Join at a terminal: paste the invitation, wait for the question, answer. Returns the code and the screen."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PYTHONPATH"] = str(Path(kchat.__file__).parents[1])
        os.chdir(home)
        os.execv(sys.executable, [sys.executable, "-m", "kchat", "join", *arguments, "-"])
    screen = b""
    deadline = time.monotonic() + soon(20)
    pasted = answered = False
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            screen += data
            if not pasted and b"Invitation" in screen:
                os.write(terminal, text.encode() + b"\n" + at_once)
                pasted = True
            if not answered and answer is not None and b"[y/N]" in screen:
                os.write(terminal, answer)
                answered = True
    finally:
        os.close(terminal)
        if time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), screen.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="a new terminal")
def test_joining_asks_at_the_terminal_and_only_yes_is_yes(home: Path, commands: Commands) -> None:
    file = home / "room.db"
    assert commands.run_kchat("send", "--url", f"local://{file}", "first").code == 0
    text = without_account(f"local://{file}")
    profiles = home / "kchat" / "profiles.toml"
    for answer in (b"n\n", b"\n", b"\x04", b"yess\n"):
        code, screen = joins(home, text, answer)
        assert (code, profiles.exists()) == (1, False), (answer, screen)
    assert joins(home, text, b"\x03")[0] == 130
    # What was pasted along with the invitation answers nothing.
    code, screen = joins(home, text, b"n\n", at_once=b"y\ny\n")
    assert (code, profiles.exists()) == (1, False), screen
    code, screen = joins(home, text, b"y\n")
    assert code == 0, screen
    assert str(file) in re.sub(r"\r\n +·+ ", "", screen)
    assert profiles.exists()


def test_without_a_terminal_and_without_yes_joining_is_refused(
    home: Path, commands: Commands, local_url: str
) -> None:
    assert commands.run_kchat("send", "--url", local_url, "first").code == 0
    joining = commands.start(["setsid", sys.executable, "-m", "kchat", "join", "-"], stdin=True)
    joining.write(without_account(local_url) + "\ny\n")
    joining.close_stdin()
    assert joining.wait() == 2
    assert "--yes" in joining.stderr
    assert local_url in joining.stderr
    assert not (commands.home / "config").exists()


def test_eight_that_join_at_once_keep_eight_profiles(commands: Commands, tmp_path: Path) -> None:
    urls = [f"local://{tmp_path}/{number}.db" for number in range(8)]
    for url in urls:
        with Sender(Settings.resolve(url=url), "ada") as sender:
            sender.send("first")
    started = [commands.kchat("join", "--yes", url) for url in urls]
    assert [each.wait(60) for each in started] == [0] * 8
    listed = commands.run_kchat("profile", "list").stdout
    assert [url for url in urls if url not in listed] == []


def test_the_administrators_account_is_not_tried_where_a_stranger_invited_to(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As somebody may store such an invitation by hand."""
    folder = home / "kchat"
    folder.mkdir()
    folder.joinpath("profiles.toml").write_text('use = "x"\n[profile.x]\nurl = "amqp://127.0.0.1:1/"\n')
    for arguments in (["send", "hi"], ["send", "--profile", "x", "hi"], ["subscribe"], ["bench"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "no account" in capfd.readouterr().err
