"""What is wrong with a plug-in is told, one line for each, and keeps no other from being used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kchat
from tests.brokers.processes import Commands

MODULE = """
from kchat.transports import Transport, memory
from kchat.transports.guests import Guests
from kchat.transports.memory import Memory

def made(name, *schemes):
    return type(name.title(), (Memory,), {"name": name, "schemes": {each: "x:y" for each in schemes}})()

good, twin, other = made("good", "good"), made("twin", "shared"), made("other", "shared")
called_otherwise, ours = made("somebody", "some"), made("ours", "ours", "amqps")
not_an_object = Memory
bare = type("Bare", (Transport,), {"name": "bare"})()

def spoilt(name, **more):
    # Memory in all but what is given, and to be used by several processes.
    own = {"name": name, "schemes": {name: "kombu.transport.memory:Transport"}, "in_one_process": False}
    return type(name.title(), (Memory,), own | more)()

incapable, schemeless = spoilt("incapable", capabilities=None), spoilt("schemeless", schemes={})
raising = spoilt("raising", broker=property(lambda self: 1 / 0))
nowhere_to = spoilt("nowhereto", schemes={"nowhereto": "nowhere.to:Be"})

def no_room(self, name):
    raise RuntimeError("a fault of its own")

roomless, idle = spoilt("roomless", room=no_room), spoilt("idle")

class Accounts(Guests):
    makes_accounts = True

    def management(self, settings, url=None):
        return type("Empty", (), {"url": "http://x", "in_clear": False})()

administered = spoilt("administered", guests=Accounts("administered"))
"""

ENDS = "import sys; sys.exit('this Python is too old')"

LOOK = """
import json
from kchat.errors import SettingsError
from kchat.transports import TRANSPORTS, by_scheme

def tried(find, name):
    try:
        return find(name).name
    except SettingsError as error:
        return f"{error} | {error.hint}"

found, problems = TRANSPORTS.usable()
names = [each.name for each in found if each.name not in ("local", "amqp", "pubsub", "redis", "memory")]
schemes = {name: tried(by_scheme, name) for name in ("good", "shared", "amqps", "nobody")}
print(json.dumps({"names": names, "problems": problems, "schemes": schemes, "listed": list(TRANSPORTS)}))
"""

Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(commands: Commands, tmp_path: Path) -> Look:
    """Puts distributions on the path, with the text of their entry points, and looks at what becomes of them."""

    def look(**distributions: str) -> dict[str, Any]:
        (tmp_path / "plug_in.py").write_text(MODULE)
        (tmp_path / "plug_in_that_ends.py").write_text(ENDS)
        for name, entry_points in distributions.items():
            declare(tmp_path, name, entry_points)
        path = f"{Path(kchat.__file__).parents[1]}:{tmp_path}"
        process = commands.python(LOOK, env={"PYTHONPATH": path})
        assert process.wait() == 0, process.stderr
        told: dict[str, Any] = json.loads(process.stdout)
        return told

    return look


def declare(folder: Path, name: str, entry_points: str, metadata: str | None = None) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    if metadata is None:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    if metadata:
        (info / "METADATA").write_text(metadata)
    (info / "entry_points.txt").write_text(f"[kchat.transports]\n{entry_points}\n")


def test_each_that_is_not_a_transport_is_told_and_the_good_one_is_used(look: Look) -> None:
    told = look(
        first="good = plug_in:good\nends = plug_in_that_ends:x\nnowhere = plug_in:nowhere\nkind = plug_in:not_an_object",
        second="bare = plug_in:bare\nnamed = plug_in:called_otherwise\nours = plug_in:ours",
        third="incapable = plug_in:incapable\nraising = plug_in:raising\nschemeless = plug_in:schemeless",
    )
    assert told["names"] == ["good"]
    assert told["problems"] == [
        f"the plug-in {why}"
        for why in (
            "'ends' of first 1.0 cannot be used: SystemExit: this Python is too old",
            "'nowhere' of first 1.0 cannot be used: AttributeError: module 'plug_in' has no attribute 'nowhere'",
            "'kind' of first 1.0 cannot be used: plug_in:not_an_object is not an instance of kchat.transports.Transport",
            "'bare' of second 1.0 cannot be used: it does not declare broker, url_form, schemes, capabilities, note",
            "'named' of second 1.0 cannot be used: its transport calls itself 'somebody'",
            "'ours' of second 1.0 cannot be used: amqps:// URLs are kchat's own",
            "'incapable' of third 1.0 cannot be used: its capabilities is not a Capabilities",
            "'raising' of third 1.0 cannot be used: ZeroDivisionError: division by zero",
            "'schemeless' of third 1.0 cannot be used: its schemes are not names with the path of a class each",
        )
    ]
    assert told["schemes"]["good"] == "good"
    assert told["schemes"]["amqps"] == "amqp"
    assert all(problem in told["schemes"]["nobody"] for problem in told["problems"])


def test_of_two_plug_ins_with_one_name_the_first_is_used(look: Look) -> None:
    told = look(b="good = plug_in:nowhere", a="good = plug_in:good\namqp = plug_in:good")
    assert told["listed"][5:] == ["good"]
    assert told["names"] == ["good"]
    assert told["problems"] == [
        "the plug-in 'amqp' of a 1.0 is ignored: kchat itself has that name",
        "the plug-in 'good' of b 1.0 is ignored: a 1.0 has that name",
    ]


def test_a_scheme_of_two_plug_ins_is_refused_until_one_is_gone(look: Look) -> None:
    told = look(a="twin = plug_in:twin", b="other = plug_in:other")
    assert told["names"] == ["twin", "other"]
    assert told["schemes"]["shared"] == (
        "shared:// URLs belong to several plug-ins: twin and other | uninstall all but one"
    )


def test_metadata_that_cannot_be_read_is_told_and_the_other_plug_ins_are_used(
    look: Look, tmp_path: Path
) -> None:
    declare(tmp_path, "no_metadata", "lost = plug_in:good", metadata="")
    told = look(a="good = plug_in:good", malformed="this is not an entry point")
    assert told["names"] == ["good"]
    assert len(told["problems"]) == 2
    assert all(
        problem.startswith(f"the metadata of a distribution in {tmp_path} cannot be read: ")
        for problem in told["problems"]
    )


def test_a_plug_in_that_fails_in_use_is_told_in_one_line_by_each_command(
    commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / "plug_in.py").write_text(MODULE)
    names = ("nowhere_to", "roomless", "administered", "idle", "incapable")
    declare(tmp_path, "spoilt", "\n".join(f"{name.replace('_', '')} = plug_in:{name}" for name in names))
    environment = {"PYTHONPATH": f"{Path(kchat.__file__).parents[1]}:{tmp_path}"}
    why = {
        "nowhereto": "its class nowhere.to:Be for nowhereto:// cannot be imported: No module named 'nowhere'",
        "roomless": "a plug-in of spoilt 1.0 has failed: RuntimeError: a fault of its own",
        "administered": "its administration has no require_administrator, create, connections, revoke, ",
    }
    for words, code in (
        (["send", "--url", "nowhereto://", "hello"], 2),
        (["subscribe", "--url", "nowhereto://", "--limit", "1"], 2),
        (["doctor", "--url", "nowhereto://"], 1),
        (["send", "--url", "roomless://", "hello"], 2),
        (["subscribe", "--url", "roomless://", "--limit", "1"], 2),
        (["invite", "ada", "--url", "administered://host"], 2),
        (["invite", "--list", "--url", "administered://host"], 2),
        (["revoke", "ada", "--url", "administered://host"], 2),
    ):
        process = commands.run_kchat(*words, env=environment)
        told = process.stdout + process.stderr
        (name,) = (name for name in why if f"{name}://" in " ".join(words))
        assert process.code == code, told
        assert "Traceback" not in told
        assert told.count(why[name]) == 1, told
    listed = commands.run_kchat("transports", env=environment)
    assert (listed.code, "'incapable' of spoilt 1.0 cannot be used" in listed.stderr) == (0, True)
    measured = commands.run_kchat(
        *("bench", "--url", "idle://", "--messages", "5", "--subscribers", "0"), env=environment
    )
    assert (measured.code, "Traceback" in measured.stderr) == (0, False), measured.stderr


def test_built_in_transports_are_found_without_looking_for_plug_ins(
    commands: Commands, local_url: str
) -> None:
    """Reading the metadata of a hundred distributions takes 10 ms, which one message's `send` need not pay."""
    code = "import sys, kchat.cli, kchat.plugins; kchat.plugins._scan = None; kchat.cli.main(sys.argv[1:])"
    for arguments in (
        ["--help"],
        ["send", "--url", local_url, "hello"],
        ["send", "--transport", "local", "hello"],
        ["subscribe", "--url", local_url, "--mode", "json", "--idle-timeout", "0.1"],
        ["doctor", "--url", local_url],
    ):
        process = commands.python(code, *arguments)
        assert process.wait() == 0, process.stderr
    process = commands.python(code, "transports")
    assert process.wait() == 1
    assert "'NoneType' object is not callable" in process.stderr
