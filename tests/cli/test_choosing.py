"""`kchat subscribe` for scripts: which messages, up to when, and in which form."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kchat import Message, Sender, Settings
from kchat.client.connection import connect
from tests.brokers.processes import Commands, Result
from tests.brokers.wait import wait_until

ALL = ["--last", "99", "--no-follow"]
SAID = [("ada", "deploy one"), ("bob", "Deploy two"), ("ci", "build 3"), ("ada", "lunch")]


class Room:
    """A room with a history, and the commands that are used in it."""

    def __init__(self, url: str, commands: Commands) -> None:
        self.url = url
        self._commands = commands
        self.settings = Settings.resolve(url=url)

    def send(self, *messages: tuple[str, str] | Message) -> None:
        """Sends messages, each under a name or as it is."""
        with Sender(self.settings, "ada") as sender:
            for each in messages:
                sender.send(each if isinstance(each, Message) else Message.compose(*each))

    def subscribe(self, *words: str, env: dict[str, str] | None = None) -> Result:
        """Runs `kchat subscribe` to its end."""
        return self._commands.run_kchat("subscribe", "-q", "--url", self.url, *words, env=env)

    def texts(self, *words: str) -> list[str]:
        """The texts that it shows."""
        done = self.subscribe(*words, "--format", "{text}")
        assert (done.code, done.stderr) == (0, "")
        return done.stdout.splitlines()


@pytest.fixture(params=["local", "amqp"])
def room(request: pytest.FixtureRequest, commands: Commands) -> Room:
    url = request.getfixturevalue(f"{request.param}_url")
    made = Room(url, commands)
    if request.param == "amqp":
        connection, _ = connect(made.settings, purpose="test")
        made.settings.transport.history(made.settings.room).switch_on(connection.channel())
        connection.release()
    return made


def test_filters_choose_the_messages(room: Room) -> None:
    room.send(*SAID)
    one, two, three, lunch = (text for _, text in SAID)
    expected = {
        (): [one, two, three, lunch],
        ("--from", "ada"): [one, lunch],
        ("--from", "ada", "--from", "ci"): [one, three, lunch],
        ("--from", "ad"): [],
        ("--grep", "deploy"): [one],
        ("--grep", "(?i)deploy"): [one, two],
        ("--grep", "^build [0-9]$", "--grep", "lunch"): [three, lunch],
        ("--from", "ada", "--grep", "deploy"): [one],
        ("--not", "--from", "ada", "--grep", "deploy"): [two, three, lunch],
        ("--from", "ci", "--not"): [one, two, lunch],
        ("--ignore-me", "-u", "ada"): [two, three],
        ("--ignore-me", "-u", "ada", "--not", "--from", "ci"): [two],
        ("--grep", "(e+)+$"): [one],
    }
    wrong = {
        words: shown for words, texts in expected.items() if (shown := room.texts(*ALL, *words)) != texts
    }
    assert wrong == {}


def test_what_is_filtered_away_counts_neither_for_the_limit_nor_as_activity(room: Room) -> None:
    room.send(*SAID)
    assert room.texts("--last", "99", "--limit", "2", "--from", "ada") == ["deploy one", "lunch"]
    ended = threading.Event()

    def chatter() -> None:
        with Sender(room.settings, "noise") as sender:
            while not ended.wait(0.02):
                sender.send("noise")

    speaking = threading.Thread(target=chatter)
    speaking.start()
    try:
        assert room.subscribe("--grep", "done", "--limit", "1", "--idle-timeout", "0.5").code == 3
    finally:
        ended.set()
        speaking.join()


def test_what_is_filtered_away_is_acknowledged(room: Room) -> None:
    durable = ["--durable", "work", "--no-follow"]
    assert room.texts(*durable) == []
    room.send(*SAID)
    assert room.texts(*durable, "--from", "bob") == ["Deploy two"]
    assert room.texts(*durable) == []


def test_a_durable_queue_is_shown_to_its_end_and_no_further(room: Room) -> None:
    assert room.texts("--durable", "work", "--no-follow") == []
    room.send(*[("ada", str(number)) for number in range(1000)])
    assert room.texts("--durable", "work", "--no-follow", "--limit", "300") == list(map(str, range(300)))
    assert room.texts("--durable", "work", "--no-follow") == list(map(str, range(300, 1000)))


def test_without_following_it_ends_with_the_history(room: Room) -> None:
    room.send(*[("ada", str(number)) for number in range(50)])
    assert room.texts("--last", "20", "--no-follow") == list(map(str, range(30, 50)))
    assert room.texts("--since", "1h", "--no-follow") == list(map(str, range(50)))
    too_few = room.subscribe("--last", "20", "--no-follow", "--limit", "21")
    assert (too_few.code, too_few.stdout.count("\n")) == (3, 20)


def test_until_a_moment_that_has_passed(room: Room) -> None:
    room.send(("ada", "first"), ("ada", "second"))
    moment = float(int(time.time()) + 1)
    wait_until(lambda: time.time() >= moment)
    room.send(("ada", "late"))
    until = datetime.fromtimestamp(moment, UTC).isoformat()
    assert room.texts("--until", until) == ["first", "second"]
    assert room.texts("--until", until, "--since", "1h", "--not", "--grep", "first") == ["second"]


def test_until_a_moment_to_come(room: Room) -> None:
    room.send(("ada", "before"))
    until = datetime.fromtimestamp(time.time() + 2, UTC).isoformat()
    assert room.texts("--last", "5", "--until", until) == ["before"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grep", "a(?=b)"], "the pattern 'a(?=b)' is not valid: invalid perl operator: (?="),
        (["--grep", "("], "the pattern '(' is not valid: missing ): ("),
        (["--not"], "--not goes with --from or --grep."),
        (["--only-verified"], "the local transport checks no names"),
        (["--no-follow"], "there is nothing to show"),
        (["--since", "1h", "--until", "2h"], "it ends before it begins\n  --since has to be before --until"),
        (["--until", "1h", "--durable", "work"], "cannot end in the past"),
        (["--since", "\u0663h"], "nor a date such as"),
        (["--since", "25:00"], "nor a time of today such as 9:00"),
        (["--since", "2999-01-01"], "'2999-01-01' is still to come\n"),
        (["--mode", "json", "--format", "{text}"], "Give either --mode or --format."),
        (["--format", "{text.__class__}"], "{text.__class__} is not a field\n  its fields are: account, id"),
        (["--format", "{text[0]}"], "{text[0]} is not a field"),
        (["--format", "{}"], "{} is not a field"),
        (["--format", "{text!r}"], "{text!r} has a conversion"),
        (["--format", "{text:{id}}"], "'{id}' is not a width"),
        (["--format", "{text:>1e9}"], "'>1e9' is not a width"),
        (["--format", "{time:%n}"], "%n is not a part of a time"),
        (["--format", "{text"], "expected '}' before end of string"),
        (["--format", r"{text}\x1b"], r"\x is not one of \n, \t and \\"),
        (["--format", "{text}\x1b[2J"], "there are control characters"),
        (["--format", "{text:\x1b>10}"], r"'\x1b' cannot fill a width: that takes a character of one column"),
        (["--format", "{text:\udcff>10}"], r"'\udcff' cannot fill a width"),
        (["--format", "{text:\u0301>10}"], r"'\u0301' cannot fill a width"),
        (["--format", "{text:\u202e>10}"], r"'\u202e' cannot fill a width"),
        (["--format", "{text:語>10}"], r"'\u8a9e' cannot fill a width"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_contacted(
    commands: Commands, local_url: str, words: list[str], said: str
) -> None:
    done = commands.run_kchat("subscribe", "--url", local_url, *words)
    assert (done.code, done.stdout) == (2, "")
    assert said in done.stderr
    assert not Path(local_url.removeprefix("local://")).exists()


def test_a_pattern_that_would_take_years_elsewhere_takes_none(room: Room) -> None:
    room.send(("eve", "a" * 50_000 + "!"))
    assert room.texts(*ALL, "--grep", "(a|a|aa)+$") == []


def test_a_text_is_looked_for_without_re2_and_a_pattern_says_what_is_missing(
    commands: Commands, local_url: str, tmp_path: Path
) -> None:
    (tmp_path / "re2.py").write_text("raise ImportError\n")
    without = {"PYTHONPATH": f"{tmp_path}:{commands.environment['PYTHONPATH']}"}
    room = Room(local_url, commands)
    room.send(*SAID)
    assert room.subscribe(*ALL, "--grep", "eploy", env=without).stdout.count("\n") == 2
    missing = room.subscribe(*ALL, "--grep", ".", env=without)
    assert missing.code == 2
    assert 'pip install "kombu-chat[filter]"' in missing.stderr


def test_only_verified_names_are_shown_where_they_are_checked(commands: Commands, amqp_url: str) -> None:
    account = Settings.resolve(url=amqp_url).broker.account
    assert account is not None
    reader = commands.kchat(
        "subscribe", "--url", amqp_url, "--only-verified", "--format", "{username}: {text}"
    )
    reader.wait_for("listening")
    Room(amqp_url, commands).send(("ada", "not checked"), (account, "checked"))
    assert reader.read_line() == f"{account}: checked"
    reader.interrupt()
    assert reader.wait() == 0
    assert len(reader.lines) == 1


def test_a_format_has_its_fields_its_escapes_and_its_widths(commands: Commands, local_url: str) -> None:
    room = Room(local_url, commands)
    sent = datetime(2026, 5, 1, 12, 4, 5, tzinfo=UTC)
    hostile = "one\ntwo\tthree\x1b[2J\u202e"
    room.send(Message.compose("ada: b", hostile, id="x\ny", sent_at=sent))
    shown = {
        "{time:%H:%M} {username}: {text}": r"12:04 ada\x3a b: one\ntwo\tthree\x1b[2J\u202e",
        "{time}": "12:04:05",
        r"{room}\t{{{id}}}\\": "chat\t{x\\ny}\\",
        r"a\nb": "a\nb",
        "{account}|{verified}|{name}": r"|false|ada\x3a b",
        "{room:>6}|{room:*^8}|{room:.2}|{room:<6}|{room:·>5}": "  chat|**chat**|ch|chat  |·chat",
        "{time:%Y-%m-%dT%T%z %%}": "2026-05-01T12:04:05+0000 %",
    }
    wrong = {
        template: done
        for template, line in shown.items()
        if (done := room.subscribe(*ALL, "--format", template)).stdout != line + "\n"
    }
    assert wrong == {}
    assert room.subscribe(*ALL, "--format", "{time}", "--utc", "--date").stdout == "2026-05-01 12:04:05Z\n"
