"""Profiles of joined rooms: listed, shown, used, removed; beside options and the environment."""

from __future__ import annotations

import re
from pathlib import Path

from tests.brokers.processes import Commands, Result


def joined_by_url(guests: Commands, url: str, *arguments: str) -> Result:
    """Makes the room and joins it."""
    room = ("--room", arguments[1]) if arguments[0] == "--room" else ()
    assert guests.run_kchat("send", "--url", url, *room, "first").code == 0
    return guests.run_kchat("join", "--yes", url, *arguments)


def test_profiles_are_listed_shown_used_and_removed(guests: Commands, tmp_path: Path) -> None:
    for room in ("lunch", "dinner"):
        result = joined_by_url(guests, f"local://{tmp_path}/{room}.db", "--room", room)
        assert result.code == 0, result.stderr
    listed = guests.run_kchat("profile", "list").stdout
    assert re.search(r"^\*\s+dinner", listed, re.MULTILINE)
    assert re.search(r"^\s+lunch", listed, re.MULTILINE)
    assert "lunch at local" in guests.run_kchat("send", "--profile", "lunch", "soup").stderr
    assert "dinner at local" in guests.run_kchat("send", "fish").stderr
    assert "lunch at local" in guests.run_kchat("send", "soup", env={"KCHAT_PROFILE": "lunch"}).stderr
    assert guests.run_kchat("profile", "use", "lunch").code == 0
    assert "lunch at local" in guests.run_kchat("send", "soup").stderr
    assert "lunch (in use)" in guests.run_kchat("profile", "show").stdout
    assert guests.run_kchat("profile", "use", "--none").code == 0
    assert "state/kchat/room.db" in guests.run_kchat("send", "to myself").stderr
    assert guests.run_kchat("profile", "remove", "lunch").code == 0
    gone = guests.run_kchat("send", "--profile", "lunch", "soup")
    assert (gone.code, "no profile 'lunch'" in gone.stderr) == (2, True)
    assert guests.run_kchat("profile", "use").code == 2


def test_a_profile_on_the_command_line_beats_the_environment_and_no_other_option(
    guests: Commands, tmp_path: Path
) -> None:
    assert joined_by_url(guests, f"local://{tmp_path}/x.db", "--name", "mine").code == 0
    env = {"KCHAT_URL": f"local://{tmp_path}/other.db", "KCHAT_HOST": "nowhere.invalid", "KCHAT_PORT": "1"}
    assert f"{tmp_path}/x.db" in guests.run_kchat("send", "--profile", "mine", "hi", env=env).stderr
    url_only = {"KCHAT_URL": env["KCHAT_URL"]}
    assert f"{tmp_path}/other.db" in guests.run_kchat("send", "hi", env=url_only).stderr
    both = guests.run_kchat("send", "--profile", "mine", "--host", "h", "hi")
    assert (both.code, "names a broker" in both.stderr) == (2, True)
