"""`kchat stats`: what it prints, for people and for programs, and which archive, rooms and times it is about."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import pytest

from kchat import archive
from kchat.archive import tidy
from kchat.archive.stats import TOP, Active, Busiest, Day, Mention, Starter
from kchat.cli.stats import command
from tests.archive.filled import TALK, fill, write
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands, Result
from tests.unit.archive.facts_of import said

HOSTILE = "\x1b]0;owned\x07=cmd|' /C calc'!A0\u202e\n[red]"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """An archive of the room chat."""
    return fill(tmp_path / "kept" / "archive.db")


def stats(commands: Commands, path: Path | str, *arguments: str, **more: Any) -> Result:
    return commands.run_kchat("stats", "--archive", str(path), *arguments, **more)


def figures(commands: Commands, path: Path | str, *arguments: str, **more: Any) -> dict[str, Any]:
    result = stats(commands, path, "--json", *arguments, **more)
    assert (result.code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


# ---- the report


def test_elsewhere_than_at_a_terminal_the_report_is_plain_text_of_80_columns(
    commands: Commands, kept: Path
) -> None:
    result = stats(commands, kept)
    assert (result.code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("chat in")
    assert str(kept) in "".join(lines[:3])
    assert "times in UTC" in result.stdout
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in result.stdout
    assert re.search(r"^ada +\u2588+ +3 +42\.9 %$", result.stdout, re.MULTILINE)
    assert "Words" not in result.stdout


def test_color_can_be_had_everywhere(commands: Commands, kept: Path) -> None:
    assert "\x1b[36m" in stats(commands, kept, "--color", "always").stdout
    assert "\x1b[36m" in stats(commands, kept, env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b" not in stats(commands, kept, "--color", "never", env={"FORCE_COLOR": "1"}).stdout


def test_where_the_encoding_has_no_blocks_it_draws_with_ascii(commands: Commands, kept: Path) -> None:
    shown = stats(commands, kept, env={"PYTHONIOENCODING": "ascii"}).stdout
    assert shown.isascii()
    assert re.search(r"^ada +#+ +3 +42\.9 %$", shown, re.MULTILINE)
    assert "\\u" not in shown


def test_words_only_come_when_asked_for(commands: Commands, kept: Path) -> None:
    assert figures(commands, kept)["words"] is None
    words = figures(commands, kept, "--words", "--top", "2")["words"]
    assert words == [{"word": "broker", "count": 3}, {"word": "hello", "count": 1}]
    assert re.search(r"^broker +\u2588+ +3$", stats(commands, kept, "--words").stdout, re.MULTILINE)


def test_an_archive_without_texts_has_no_words(commands: Commands, tmp_path: Path) -> None:
    kept = fill(tmp_path / "dark.db", [each._replace(text=None, mentions=()) for each in TALK], texts=False)
    assert figures(commands, kept, "--words")["words"] == []
    assert "the archive keeps no texts" in stats(commands, kept, "--words").stdout


def test_names_and_texts_of_others_reach_no_terminal_as_control_characters(
    commands: Commands, tmp_path: Path
) -> None:
    records = [said(1000 + number, HOSTILE, f"@ada {HOSTILE}", room="chat") for number in range(3)]
    kept = fill(tmp_path / "a.db", [*records, said(2000, "ada", "x\x1b[2J", room="chat")])
    query = "SELECT username AS '\x1b[2J', message FROM user_messages"
    runs = [(), ("--words",), ("--csv",), ("--json",)]
    runs += [("--query", query), ("--query", query, "--csv"), ("--query", query, "--json")]
    for arguments in runs:
        result = stats(commands, kept, *arguments)
        assert (result.code, result.stderr) == (0, ""), arguments
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", result.stdout), arguments
        for row in csv.reader(io.StringIO(result.stdout)) if "--csv" in arguments else ():
            assert not [cell for cell in row if cell.startswith("=")]


# ---- rooms


def test_it_is_about_your_room_and_says_that_there_are_others(commands: Commands, kept: Path) -> None:
    fill(kept, [said(1, "eve", room="ops"), said(2, "eve", room="lunch")])
    own = stats(commands, kept, "--json")
    assert json.loads(own.stdout)["rooms"] == ["chat"]
    assert own.stderr == "the archive has 3 rooms, this is about chat; --all-rooms counts them all\n"
    assert stats(commands, kept, "--json", "--quiet").stderr == ""
    assert figures(commands, kept, "--all-rooms")["rooms"] == ["chat", "lunch", "ops"]
    both = figures(commands, kept, "--room", "ops", "-r", "lunch")
    assert (both["rooms"], both["messages"]) == (["lunch", "ops"], 2)
    assert figures(commands, kept, env={"KCHAT_ROOM": "ops"})["rooms"] == ["ops"]
    assert "3 rooms: chat, lunch, ops in" in stats(commands, kept, "--all-rooms").stdout


def test_a_profiles_room_is_your_room(commands: Commands, kept: Path) -> None:
    fill(kept, [said(1, "eve", room="ops")])
    folder = commands.home / "config" / "kchat"
    folder.mkdir(parents=True)
    profile = folder / "profiles.toml"
    profile.write_text('use = "work"\n[profile.work]\nurl = "local:///tmp/x.db"\nroom = "ops"\n')
    profile.chmod(0o600)
    assert json.loads(stats(commands, kept, "--json").stdout)["rooms"] == ["ops"]


def test_without_your_room_all_are_counted_and_that_is_said(commands: Commands, tmp_path: Path) -> None:
    kept = fill(tmp_path / "a.db", [said(1, room="ops"), said(1, room="lunch")])
    result = stats(commands, kept, "--json")
    assert json.loads(result.stdout)["rooms"] == ["lunch", "ops"]
    assert result.stderr == "the archive has no messages of the room chat: this is about lunch, ops\n"


def test_a_room_that_the_archive_does_not_have_is_said(commands: Commands, kept: Path) -> None:
    result = stats(commands, kept, "--json", "--room", "caht")
    assert (result.code, json.loads(result.stdout)["messages"]) == (0, 0)
    assert result.stderr == "the archive has no messages of caht; it has the rooms chat\n"


def test_an_empty_archive_says_so_kindly(commands: Commands, tmp_path: Path) -> None:
    kept = fill(tmp_path / "a.db", [])
    result = stats(commands, kept)
    assert result.code == 0
    assert "No messages yet." in result.stdout
    assert figures(commands, kept)["messages"] == 0
    assert "No messages in this time." in stats(commands, fill(kept), "--since", "1h").stdout


# ---- times


def test_since_and_until_take_dates_and_ages(commands: Commands, kept: Path) -> None:
    inside = figures(commands, kept, "--since", "2026-03-02T09:00:10Z", "--until", "2026-03-02T10:29:59Z")
    assert (inside["messages"], inside["conversations"]) == (3, 2)
    assert (inside["since"], inside["until"]) == (
        "2026-03-02T09:00:10.000+00:00",
        "2026-03-02T10:29:59.000+00:00",
    )
    assert figures(commands, kept, "--since", "1h")["messages"] == 0
    assert figures(commands, kept, "--until", "9999-12-31")["messages"] == len(TALK)


def test_the_time_zone_is_the_machines_unless_another_is_named(commands: Commands, kept: Path) -> None:
    assert figures(commands, kept)["zone"] == "UTC"
    there = figures(commands, kept, env={"TZ": "Asia/Kathmandu"})
    assert (there["zone"], there["first"]) == ("Asia/Kathmandu", "2026-03-02T14:45:00.000+05:45")
    named = figures(commands, kept, "--timezone", "Europe/Berlin", env={"TZ": "Asia/Kathmandu"})
    assert (named["zone"], named["per_date"][-1]["date"]) == ("Europe/Berlin", "2026-03-05")
    assert figures(commands, kept, env={"TZ": "XYZ-7"})["zone"] == "UTC"  # a rule has no name
    assert "times in Asia/Kathmandu" in stats(commands, kept, env={"TZ": "Asia/Kathmandu"}).stdout


def test_dates_are_by_the_clocks_of_the_time_zone_that_is_named(commands: Commands, kept: Path) -> None:
    # The message of 23:30 UTC on the 4th is of the 5th in Berlin, wherever this machine is.
    for machine in ("UTC", "America/Los_Angeles"):
        for given, since, messages in (
            ("2026-03-05", "2026-03-05T00:00:00.000+01:00", 2),
            ("2026-03-05T00:31", "2026-03-05T00:31:00.000+01:00", 1),
            ("2026-03-05T00:31:00Z", "2026-03-05T01:31:00.000+01:00", 0),  # it says where itself
        ):
            # Also where it is named behind the time.
            found = figures(
                commands, kept, "--since", given, "--timezone", "Europe/Berlin", env={"TZ": machine}
            )
            assert (found["since"], found["messages"]) == (since, messages), (machine, given)
    # A rule has no name, so it is UTC, whose dates count then.
    rule = figures(commands, kept, "--since", "2026-03-05", env={"TZ": "XYZ-7"})
    assert (rule["zone"], rule["since"]) == ("UTC", "2026-03-05T00:00:00.000+00:00")
    until = figures(commands, kept, "--timezone", "Asia/Kathmandu", "--until", "2026-03-05")
    assert (until["until"], until["messages"]) == ("2026-03-05T00:00:00.000+05:45", 5)


def test_a_time_that_ends_before_it_begins_is_refused(commands: Commands, kept: Path) -> None:
    for until in ("2026-03-02", "2026-03-01"):
        result = stats(commands, kept, "--since", "2026-03-02", "--until", until)
        assert (result.code, result.stdout) == (2, ""), until
        assert result.stderr.splitlines()[-1] == "  --since has to be before --until"


@pytest.mark.parametrize("name", ["Nowhere/Land", "../../etc/passwd", "", "Europe", "\x1b[2J"])
def test_a_time_zone_that_is_not_there_is_refused(commands: Commands, kept: Path, name: str) -> None:
    result = stats(commands, kept, "--timezone", name)
    assert (result.code, result.stdout, len(result.stderr.splitlines())) == (2, "", 2)
    assert "no time zone" in result.stderr
    assert "\x1b" not in result.stderr


# ---- which archive


def test_the_default_archive_is_the_users_and_a_missing_one_says_how_to_make_it(commands: Commands) -> None:
    missing = commands.run_kchat("stats")
    path = commands.home / "data" / "kchat" / "archive.db"
    assert (missing.code, missing.stdout) == (2, "")
    assert str(path) in missing.stderr
    assert missing.stderr.splitlines()[1] == f"  kchat archive --to {path} makes one"
    fill(path)
    assert json.loads(commands.run_kchat("stats", "--json").stdout)["messages"] == len(TALK)


def test_the_archive_can_stand_in_the_environment(commands: Commands, kept: Path) -> None:
    found = commands.run_kchat("stats", "--json", env={"KCHAT_ARCHIVE": str(kept)})
    assert json.loads(found.stdout)["archive"] == str(kept)


def test_what_is_no_archive_is_refused_in_two_lines(commands: Commands, tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("hello " * 1000)
    empty = tmp_path / "empty.db"
    empty.touch()
    for name in (text, empty, tmp_path, "redis://localhost/"):
        result = stats(commands, name)
        assert result.code in (1, 2), name
        assert (result.stdout, len(result.stderr.splitlines()) <= 2) == ("", True), name
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "both",
    [
        ("--json", "--csv"),
        ("--watch", "--json"),
        ("--watch", "--html=x.html"),
        ("--all-rooms", "--room=chat"),
        ("--query=SELECT 1", "--since=7d"),
        ("--query=SELECT 1", "--words"),
        ("--query=SELECT 1", "--timezone=UTC"),
    ],
)
def test_options_without_effect_together_are_refused(
    commands: Commands, kept: Path, both: tuple[str, ...]
) -> None:
    result = stats(commands, kept, *both)
    assert (result.code, result.stdout) == (2, "")
    assert "exclude each other" in result.stderr


@pytest.mark.parametrize("limit", ["--query-rows=5", "--query-timeout=5"])
def test_a_limit_of_a_query_needs_a_query(commands: Commands, kept: Path, limit: str) -> None:
    result = stats(commands, kept, limit)
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == f"kchat: {limit.partition('=')[0]} has no effect without --query\n"


def test_it_changes_nothing(commands: Commands, kept: Path) -> None:
    before = kept.read_bytes()
    figures(commands, kept, "--words")
    assert kept.read_bytes() == before


def test_the_list_has_the_length_that_is_said_in_the_help() -> None:
    option = next(each for each in command.params if isinstance(each, click.Option) and each.name == "top")
    assert option.default == TOP


# ---- for programs


def test_json_csv_and_a_program_have_the_same_figures(commands: Commands, kept: Path) -> None:
    told = figures(commands, kept, "--words")
    with archive.open(kept) as opened:
        typed = opened.stats(rooms=["chat"], words=True)
    assert told == json.loads(json.dumps(typed.to_json()))
    rows = list(csv.DictReader(io.StringIO(stats(commands, kept, "--words", "--csv").stdout)))
    assert tuple(rows[0]) == tidy.Row._fields
    value = {(row["table"], row["item"], row["other"], row["figure"]): row["value"] for row in rows}
    assert len(value) == len(rows)
    for key in ("messages", "people", "first", "last", "per_day", "conversations", "verified", "zone"):
        assert value["totals", "", "", key] == str(told[key])
    assert value["top", "ada", "", "share"] == str(told["top"][0]["share"])
    assert value["heat", "1", "9", "messages"] == str(told["heat"][0][9])
    assert value["per_date", "2026-03-02", "", "new"] == str(told["per_date"][0]["new"])
    assert value["mentions", "ada", "bob", "messages"] == "2"
    assert value["gaps", "", "", "p95"] == str(told["gaps"]["p95"])
    assert value["words", "broker", "", "count"] == "3"
    assert value["clients", "", "", "others"] == "1"
    assert {row["table"] for row in rows} - {"totals"} == {
        key for key, each in told.items() if isinstance(each, list | dict)
    }


def test_figures_become_arrow_tables(kept: Path) -> None:
    pytest.importorskip("pyarrow")
    with archive.open(kept) as opened:
        found = opened.stats()
    table = archive.to_arrow(found.per_date)
    assert table.column_names == ["date", "messages", "people", "new", "returning"]
    assert table.to_pylist()[0]["messages"] == 5


def test_an_arrow_table_has_the_same_columns_whatever_is_in_it(kept: Path) -> None:
    pytest.importorskip("pyarrow")
    with archive.open(kept) as opened:
        found, none = opened.stats(), opened.stats(rooms=["nowhere"])
    for name, kind in {"top": Active, "per_date": Day, "starters": Starter, "mentions": Mention}.items():
        empty = archive.to_arrow(getattr(none, name), kind)
        assert empty.num_rows == 0, name
        assert empty.schema == archive.to_arrow(getattr(found, name)).schema, name
    assert found.busiest is not None
    assert archive.to_arrow([found.busiest], Busiest).to_pylist() == [asdict(found.busiest)]
    nobody = archive.to_arrow([Starter(None, 1)])
    assert nobody.schema == archive.to_arrow(found.starters).schema


# ---- questions of one's own


def test_a_query_is_answered_in_columns_csv_or_json(commands: Commands, kept: Path) -> None:
    query = "SELECT username, count(*) AS n, count(*) AS n FROM user_messages GROUP BY 1 ORDER BY 2 DESC, 1"
    shown = stats(commands, kept, "--query", query)
    assert shown.stdout.splitlines()[:2] == ["username  n  n", "ada       3  3"]
    assert stats(commands, kept, "--query", query, "--csv").stdout.splitlines()[:2] == [
        "username,n,n",
        "ada,3,3",
    ]
    told = json.loads(stats(commands, kept, "--query", query, "--json").stdout)
    assert told["columns"] == ["username", "n", "n_2"]
    assert told["rows"][0] == {"username": "ada", "n": 3, "n_2": 3}
    assert (told["version"], told["more"]) == (1, False)


def test_a_query_gets_no_more_rows_than_it_may(commands: Commands, kept: Path) -> None:
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    result = stats(commands, kept, "--query", query, "--query-rows", "3", "--csv")
    assert (result.code, result.stdout) == (0, "i\n1\n2\n3\n")
    assert result.stderr == "these are the first 3 rows; --query-rows gets more\n"


def test_a_query_that_takes_too_long_is_ended(commands: Commands, kept: Path) -> None:
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    result = stats(commands, kept, "--query", query, "--query-timeout", "0.1")
    assert (result.code, result.stdout) == (1, "")
    assert "takes longer than 0.1 s" in result.stderr


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM message",
        "SELECT 1; DROP TABLE message",
        "VACUUM INTO 'x.db'",
        "nonsense \x1b[2J",
        "",
    ],
)
def test_a_query_can_change_nothing(commands: Commands, kept: Path, query: str) -> None:
    before = kept.read_bytes()
    result = stats(commands, kept, "--query", query)
    assert (result.code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) <= 2
    assert "\x1b" not in result.stderr
    assert kept.read_bytes() == before
    assert not (commands.home / "x.db").exists()


def test_odd_values_have_a_form_in_each_output(commands: Commands, kept: Path) -> None:
    query = "SELECT x'00ff' AS b, 9e999 AS f, NULL AS n, 9223372036854775807 AS i, '' AS t"
    told = json.loads(stats(commands, kept, "--query", query, "--json").stdout)
    assert told["rows"] == [{"b": "00ff", "f": None, "n": None, "i": 9223372036854775807, "t": ""}]
    lines = stats(commands, kept, "--query", query, "--csv").stdout.splitlines()
    assert lines == ["b,f,n,i,t", "00ff,inf,,9223372036854775807,"]


# ---- ClickHouse


def test_an_archive_in_clickhouse_has_the_same_figures_and_answers_questions(
    commands: Commands, kept: Path, clickhouse: str
) -> None:
    write(clickhouse)
    here, there = (
        figures(commands, name, "--words", "--timezone", "Asia/Kathmandu") for name in (kept, clickhouse)
    )
    assert there.pop("archive") != here.pop("archive")
    assert there == here
    query = "SELECT username, count(*) AS n FROM user_messages GROUP BY username ORDER BY n DESC LIMIT 1"
    answer = stats(commands, clickhouse, "--query", query, "--csv")
    assert (answer.code, answer.stdout) == (0, "username,n\nada,3\n")
    few = stats(
        commands, clickhouse, "--query", "SELECT number FROM system.numbers", "--query-rows", "2", "--csv"
    )
    assert (few.code, few.stdout) == (0, "number\n0\n1\n")
    for query in ("DROP TABLE kchat_messages", "SELECT count() FROM system.numbers", "nonsense"):
        refused = stats(commands, clickhouse, "--query", query, "--query-timeout", "0.5")
        assert (refused.code, refused.stdout) == (1, ""), query
        assert len(refused.stderr.splitlines()) <= 2


def test_a_clickhouse_that_is_away_is_said_in_two_lines(commands: Commands) -> None:
    result = stats(commands, f"clickhouse://ada:s3cret@127.0.0.1:{free_port()}/default")
    assert (result.code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) <= 2
    assert "s3cret" not in result.stderr


# ---- where it goes


@pytest.mark.parametrize("arguments", ["", "--csv", "--html -"])
def test_a_reader_that_leaves_is_no_error_and_a_full_disk_is(
    commands: Commands, kept: Path, arguments: str
) -> None:
    kchat = f"{commands.interpreter} -m kchat stats --archive {kept} {arguments}"
    left = commands.start(["bash", "-c", f"{kchat} | exec true; exit ${{PIPESTATUS[0]}}"])
    assert (left.wait(), left.stderr) == (0, "")
    full = commands.start(["bash", "-c", f"{kchat} > /dev/full"])
    assert (full.wait(), full.stderr) == (1, "kchat: cannot write the output: No space left on device\n")
    closed = commands.start(["bash", "-c", f"{kchat} >&-"])
    assert (closed.wait(), closed.stderr.splitlines()[:1]) == (
        2,
        ["kchat: standard output is closed, so there is nowhere to write"],
    )


# ---- what is loaded


@pytest.mark.parametrize("flag", ["--json", "--help", ""])
def test_it_loads_no_more_than_it_needs(commands: Commands, kept: Path, flag: str) -> None:
    process = commands.kchat(
        "stats", "--archive", str(kept), *filter(None, [flag]), env={"PYTHONPROFILEIMPORTTIME": "1"}
    )
    assert process.wait() == 0
    told = [line.split("|") for line in process.stderr.splitlines() if line.startswith("import time:")]
    tops = {columns[2].strip().partition(".")[0] for columns in told}
    assert tops & {"kombu", "amqp", "pyarrow", "matplotlib", "clickhouse_driver", "asyncio", "ssl"} == set()
    assert ("rich" in tops) == (flag == "")
    if flag == "--help":
        assert tops & {"sqlite3", "zoneinfo", "tzlocal"} == set()
