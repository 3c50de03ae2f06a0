"""Accounts without a home folder, as containers and supervisors start programs."""

from __future__ import annotations

from pathlib import Path

from tests.brokers.processes import Commands, Result

WITHOUT_HOME = """
import os, pwd, sys

def unknown(uid):
    raise KeyError(uid)

pwd.getpwuid = unknown
for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
    del os.environ[name]
from kchat.cli import main
main(sys.argv[1:])
"""


def run(commands: Commands, *arguments: str) -> Result:
    process = commands.python(WITHOUT_HOME, *arguments)
    return Result(process.wait(), process.stdout, process.stderr)


def test_commands_that_need_no_home_work_without_one(
    commands: Commands, amqp_url: str, local_url: str
) -> None:
    for url in (amqp_url, local_url):
        result = run(commands, "send", "--url", url, "hello")
        assert (result.code, result.stdout) == (0, ""), result.stderr
    assert run(commands, "doctor", "--url", amqp_url).code == 0
    assert not list(commands.home.iterdir())


def test_commands_that_need_a_home_say_so_in_one_line_and_use_no_other_folder(
    commands: Commands, tmp_path: Path
) -> None:
    planted = commands.home / "~" / ".config" / "kchat"
    planted.mkdir(parents=True)
    text = f'use = "x"\n[profile.x]\nurl = "local://{tmp_path}/planted.db"\n'
    (planted / "profiles.toml").write_text(text)
    for arguments in (
        ["send", "hello"],
        ["send", "--profile", "x", "hello"],
        ["send", "--url", "local://", "hello"],
        ["send", "--url", "local://~/room.db", "hello"],
        ["subscribe"],
        ["profile", "list"],
        ["profile", "use", "x"],
        ["join", "--yes", f"local://{tmp_path}/room.db"],
    ):
        result = run(commands, *arguments)
        assert (result.code, result.stdout) == (2, ""), arguments
        lines = [line for line in result.stderr.splitlines() if line.startswith("kchat:")]
        assert len(lines) == 1, result.stderr
        assert "Traceback" not in result.stderr
        if arguments[0] != "join":
            assert "home folder" in lines[0], result.stderr
    assert not (tmp_path / "planted.db").exists()
    assert [path.name for path in commands.home.iterdir()] == ["~"]
