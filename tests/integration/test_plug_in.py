"""A distribution of somebody else's, `tests/plugin/`: its transport and its display are as good as kchat's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers.fresh import Fresh
from tests.brokers.processes import Commands

PLUG_IN = Path(__file__).parents[1] / "plugin"

BROKEN = """\
[kchat.transports]
amqp = kchat_broken:AMQP
gone = kchat_broken:TRANSPORT
path = os:path
[kchat.displays]
gone = kchat_broken.display:Display
narrow = kchat_faulty:Narrow
half = kchat_faulty:Half
late = kchat_faulty:Late
number = sys:maxsize
json = kchat_broken.display:Json
"""
"""What another distribution declares: names that are kchat's own, and objects that are not there or are something else."""

FAULTY = """\
class Narrow:
    def __init__(self, stream): ...
class Half:
    def __init__(self, stream, **options): ...
    def show(self, message): ...
class Late(Half):
    def open(self, title): ...
    def flush(self): raise LookupError("no ink")
    def status(self, text): ...
    def close(self): ...
"""
"""Displays that cannot be made, lack methods, or fail when they are used."""

GONE = "the plug-in 'gone' of kchat-broken 1.0 cannot be used: ModuleNotFoundError: No module named 'kchat_broken'"

PATH = (
    "the plug-in 'path' of kchat-broken 1.0 cannot be used: "
    "os:path is not an instance of kchat.transports.Transport"
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """An environment with the plug-in, and with one that is broken."""
    environment = Fresh(tmp_path_factory.mktemp("fresh") / "environment")
    environment.install(PLUG_IN)
    environment.declare("kchat-broken", BROKEN)
    (environment.site_packages / "kchat_faulty.py").write_text(FAULTY)
    return environment


@pytest.fixture
def there(fresh: Fresh, tmp_path: Path) -> Iterator[Commands]:
    """Runs commands in that environment."""
    home = tmp_path / "home"
    home.mkdir()
    started = Commands(home, interpreter=fresh.python)
    try:
        yield started
    finally:
        started.end()


def test_its_transport_is_in_the_list_and_what_is_wrong_with_others_on_standard_error(
    there: Commands,
) -> None:
    table, as_json = there.run_kchat("transports"), there.run_kchat("transports", "--json")
    assert (table.code, as_json.code) == (0, 0)
    assert "box://" in table.stdout
    shown = {line["transport"]: line for line in json.loads(as_json.stdout)}
    assert list(shown) == ["local", "amqp", "pubsub", "redis", "memory", "box"]
    assert shown["box"]["installed"] is True
    assert shown["box"]["capabilities"]["history"] is False
    assert shown["amqp"]["broker"].startswith("RabbitMQ")
    assert table.stderr.splitlines() == [
        "kchat: warning: the plug-in 'amqp' of kchat-broken 1.0 is ignored: kchat itself has that name",
        f"kchat: warning: {GONE}",
        f"kchat: warning: {PATH}",
    ]


def test_the_table_for_the_documentation_has_kchats_own_alone(there: Commands) -> None:
    result = there.run_kchat("transports", "--markdown")
    assert (result.code, result.stderr) == (0, "")
    assert "`memory`" in result.stdout
    assert "box" not in result.stdout


def test_transport_and_display_are_in_the_help_the_errors_and_the_shells_completion(there: Commands) -> None:
    text = "".join(there.run_kchat("subscribe", "--help").stdout.split())  # a line may end within a word
    for told in (
        "memory; box; gone; path.",
        "rich: a live table; log; gone; narrow; half; late; number.",
        "the plug-in 'json' of kchat-broken 1.0 is ignored: kchat itself has that name",
    ):
        assert told.replace(" ", "") in text
    for option, names in {"--transport": ("amqp", "box"), "--mode": ("plain", "log")}.items():
        refused = there.run_kchat("subscribe", option, "carrier-pigeon")
        assert refused.code == 2
        assert all(f"'{name}'" in refused.stderr for name in names)
        words = {"COMP_WORDS": f"kchat subscribe {option} ", "COMP_CWORD": "3"}
        completed = there.run_kchat(env={"_KCHAT_COMPLETE": "bash_complete", **words})
        assert {f"plain,{name}" for name in names} <= set(completed.stdout.split())


def test_a_message_is_shown_by_its_display(there: Commands, tmp_path: Path) -> None:
    url = f"local://{tmp_path}/room.db"
    subscriber = there.kchat("subscribe", "--url", url, "--mode", "log", "--limit", "1")
    subscriber.wait_for(f"listening on chat at {url}")
    result = there.run_kchat("send", "--url", url, "--username", "ada", "hello")
    assert (result.code, subscriber.wait()) == (0, 0)
    when, _, line = subscriber.stdout.partition(" ")
    assert when.endswith("Z")
    assert line == "ada: hello\n"


def test_a_program_joins_a_room_there(there: Commands) -> None:
    program = """
import sys, kchat
with kchat.connect(sys.argv[1], username="ada") as room:
    assert room.send("hello").confirmed
    for message in room:
        print(message.username, message.text)
        room.stop()
"""
    process = there.python(program, "box://")
    assert process.wait() == 0, process.stderr
    assert process.stdout == "ada hello\n"


def test_the_doctor_finds_nothing_wrong_with_its_room(there: Commands) -> None:
    result = there.run_kchat("doctor", "--url", "box://", "--json")
    assert result.code == 0, result.stdout + result.stderr
    findings = json.loads(result.stdout)["findings"]
    assert {each["status"] for each in findings} <= {"ok", "note", "skipped"}
    assert findings[0]["status"] == "ok"


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "--transport", "gone", "hello"),
        ("send", "--url", "gone://somewhere", "hello"),
        ("subscribe", "--mode", "gone"),
    ],
    ids=" ".join,
)
def test_a_plug_in_that_cannot_be_loaded_is_told_in_one_line_where_it_is_asked_for(
    there: Commands, arguments: tuple[str, ...]
) -> None:
    result = there.run_kchat(*arguments)
    assert result.code == 2
    (line,) = result.stderr.splitlines()
    assert "kchat-broken 1.0 cannot be used: ModuleNotFoundError: No module named 'kchat_broken" in line


@pytest.mark.parametrize(
    ("mode", "why"),
    {
        "narrow": "TypeError: Narrow.__init__() got an unexpected keyword argument 'color'",
        "half": "its display has no open, flush, status, close",
        "late": "LookupError: no ink",
        "number": "sys:maxsize is not a display's class",
    }.items(),
)
def test_a_display_that_is_faulty_is_told_in_one_line(there: Commands, mode: str, why: str) -> None:
    result = there.run_kchat("subscribe", "--mode", mode, "--idle-timeout", "1", "-q")
    assert (result.code, result.stderr) == (
        2,
        f"kchat: the plug-in '{mode}' of kchat-broken 1.0 cannot be used: {why}\n",
    )


def test_a_url_of_nobody_names_the_schemes_of_plug_ins_and_those_that_cannot_be_used(there: Commands) -> None:
    result = there.run_kchat("send", "--url", "pigeon://loft", "hello")
    assert result.code == 2
    assert "memory, box" in result.stderr
    assert GONE in result.stderr


def test_the_doctor_finds_that_a_plug_in_cannot_be_used(there: Commands) -> None:
    result = there.run_kchat("doctor", "--url", "gone://somewhere")
    assert (result.code, GONE in result.stdout) == (1, True)


def test_a_program_on_kombu_alone_uses_it_by_its_scheme(there: Commands) -> None:
    program = """
import sys, kombu, kchat.transports
kchat.transports.register()
with kombu.Connection(sys.argv[1]) as connection, connection.SimpleQueue("jobs") as jobs:
    jobs.put("hello")
    print(connection.transport.driver_type, jobs.get(timeout=30).payload)
"""
    process = there.python(program, "box://")
    assert process.wait() == 0, process.stderr
    assert process.stdout == "box hello\n"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_its_transport_keeps_the_contract(fresh: Fresh) -> None:
    run = fresh.pytest(
        *("tests/contract", "--place", "box_place:Place", "-n", "2", "-q"), env={"PYTHONPATH": str(PLUG_IN)}
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
    (header,) = (line for line in run.stdout.splitlines() if line.split() == ["box"])
    table = run.stdout[run.stdout.index(header) :]
    assert "FAILED" not in table
    assert "skipped" not in run.stdout


def test_its_display_passes_what_every_display_has_to(fresh: Fresh) -> None:
    run = fresh.pytest(
        *("tests/unit/display/test_every_display.py", "-k", "log and not memory", "-v"),
        env={"PYTHONPATH": ""},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "test_each_hostile_body_is_one_safe_row[log] PASSED" in run.stdout
    assert run.stdout.count("[log] PASSED") == 5
