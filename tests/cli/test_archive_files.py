"""``kchat archive import`` and ``kchat archive export``, as processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyarrow import parquet

from kchat import Sender, Settings, Subscriber, archive
from tests.brokers.processes import Commands
from tests.cli.terminal import answer

GOOD = '{"at":"2026-05-01T12:04:05.123456Z","room":"chat","username":null,"id":null,"account":null,"body":"%s"}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


def texts(path: Path) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    with archive.open(path) as kept:
        for record in kept.records():
            found.setdefault(record.room, []).append(record.text)
    return found


def test_what_was_recorded_and_shown_is_imported_each_message_once(
    commands: Commands, local_url: str, path: Path, tmp_path: Path
) -> None:
    settings = Settings.resolve(url=local_url, room="lunch")
    with Subscriber(settings), Sender(settings, "ada") as sender:
        sender.send("soup?")
        sender.send("yes, @bob")
    room = ("--url", local_url, "-r", "lunch", "--since", "1h")
    day = str(tmp_path / "day.jsonl.gz")
    recorded = commands.run_kchat("record", *room, "--limit", "2", day)
    assert recorded.code == 0, recorded.stderr
    shown = commands.run_kchat("subscribe", *room, "--mode", "json", "--no-follow")
    assert shown.code == 0, shown.stderr

    first = commands.run_kchat("archive", "import", "--to", str(path), day)
    assert (first.code, first.stdout) == (0, "")
    assert first.stderr == f"{day}: 2 messages imported to {path}\n"
    again = commands.run_kchat(
        "archive", "import", "--archive", str(path), "-r", "lunch", "-", stdin=shown.stdout
    )
    assert again.stderr == f"standard input: 0 messages imported to {path}, 2 were there already\n"
    assert texts(path) == {"lunch": ["soup?", "yes, @bob"]}


def test_damaged_lines_are_told_and_the_code_is_1(commands: Commands, path: Path, tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(GOOD % "a" + "nonsense\n" + GOOD % "b" + "x\n" * 12)
    (tmp_path / "two.jsonl").write_text(GOOD % "c" + GOOD[:30])
    one, two = str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl")
    result = commands.run_kchat("archive", "import", one, two, env={"KCHAT_ARCHIVE": str(path)})
    assert result.code == 1
    lines = result.stderr.splitlines()
    assert lines[:2] == [f"kchat: {one}, line 2: it is not JSON", f"kchat: {one}, line 4: it is not JSON"]
    assert lines[10:] == [
        f"kchat: {one}: 13 damaged lines in all",
        f"{one}: 2 messages imported to {path}",
        f"kchat: {two}, line 2: it is incomplete: the recorder was killed, or is not done",
        f"{two}: 1 message imported to {path}",
    ]
    assert texts(path) == {"chat": ["a", "b", "c"]}
    cut = commands.run_kchat("archive", "import", "-q", "--to", str(path), two)
    assert cut.code == 0
    assert "0 messages" not in cut.stderr


def test_a_message_of_many_files_is_told_by_the_first_that_is_not_there(
    commands: Commands, path: Path
) -> None:
    result = commands.run_kchat("archive", "import", "--to", str(path), "none.jsonl")
    assert result.code == 2
    assert result.stderr == "kchat: none.jsonl cannot be read: No such file or directory\n"
    assert commands.run_kchat("archive", "import").code == 2


@pytest.fixture
def filled(commands: Commands, path: Path) -> Path:
    lines = "".join(GOOD % text for text in ("a", "=1+1", "c")) + (GOOD % "d").replace("chat", "lunch")
    result = commands.run_kchat("archive", "import", "--to", str(path), "-", stdin=lines)
    assert result.code == 0, result.stderr
    return path


def test_it_is_exported_to_a_file_or_a_pipe_by_room_and_time(
    commands: Commands, filled: Path, tmp_path: Path
) -> None:
    source = ("archive", "export", "--from", str(filled))
    piped = commands.run_kchat(*source, "-r", "chat")
    assert {json.loads(line)["text"] for line in piped.stdout.splitlines()} == {"=1+1", "a", "c"}
    assert piped.stderr == f"3 messages exported from {filled} to standard output\n"
    until = commands.run_kchat(*source, "--until", "2026-05-01T12:04:05Z", "-q")
    assert (until.code, until.stdout, until.stderr) == (0, "", "")
    for form in ("csv", "parquet"):
        target = tmp_path / f"all.{form}"
        result = commands.run_kchat(*source, "-o", str(target))
        assert (result.code, result.stdout) == (0, "")
        assert result.stderr == f"4 messages exported from {filled} to {target}\n"
    assert (tmp_path / "all.csv").read_text("utf-8-sig").count("\n") == 5
    assert parquet.read_table(tmp_path / "all.parquet").num_rows == 4
    named = commands.run_kchat(*source, "--format", "csv", "-r", "lunch")
    assert named.stdout.startswith("room,key,at,")


def test_what_was_exported_is_imported_as_it_was(commands: Commands, filled: Path, tmp_path: Path) -> None:
    exported = commands.run_kchat("archive", "export", "--from", str(filled))
    again = tmp_path / "again.db"
    result = commands.run_kchat("archive", "import", "--to", str(again), "-", stdin=exported.stdout)
    assert result.code == 0, result.stderr
    assert commands.run_kchat("archive", "export", "--from", str(again)).stdout == exported.stdout


def test_wrong_usage_is_said_before_anything_is_written(
    commands: Commands, filled: Path, tmp_path: Path
) -> None:
    source = ("archive", "export", "--from", str(filled))
    target = tmp_path / "all.jsonl"
    for words, why in (
        (["-r", "nowhere", "-o", str(target)], f"{filled} has no room 'nowhere'; it has: chat, lunch."),
        (["-o", str(tmp_path / "none" / "all.jsonl")], "cannot be written: No such file or directory"),
        (["--since", "1h", "--until", "2h"], "it ends before it begins\n  --since has to be before --until"),
        (["-o", str(tmp_path / "all.parquet.gz")], "a Parquet file is compressed by itself"),
    ):
        result = commands.run_kchat(*source, *words)
        assert (result.code, why in result.stderr) == (2, True), result.stderr
    missing = commands.run_kchat("archive", "export", "--from", str(tmp_path / "none.db"), "-o", str(target))
    assert missing.code != 0
    assert not target.exists()


def test_an_export_replaces_no_archive_by_itself(commands: Commands, filled: Path, tmp_path: Path) -> None:
    (tmp_path / "link.jsonl").symlink_to(filled)
    for target in (str(filled), str(tmp_path / "link.jsonl")):
        result = commands.run_kchat("archive", "export", "--from", str(filled), "-o", target)
        assert (result.code, f"{target} is an SQLite database" in result.stderr) == (2, True), result.stderr
    assert len(texts(filled)["chat"]) == 3


def test_csv_is_not_for_a_terminal(filled: Path) -> None:
    code, shown = answer(["archive", "export", "--from", str(filled), "--format", "csv"], "", waits=False)
    assert code == 2
    assert "csv is not for a terminal" in shown


def test_a_reader_that_has_enough_ends_it_quietly(commands: Commands, path: Path, tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text("".join(GOOD % f"{number:0200}" for number in range(3000)))
    assert commands.run_kchat("archive", "import", "--to", str(path), str(tmp_path / "many.jsonl")).code == 0
    line = (
        f"{commands.interpreter} -m kchat archive export -q --from {path} | head -1; echo ${{PIPESTATUS[0]}}"
    )
    process = commands.start(["bash", "-c", line])
    assert process.wait() == 0
    assert (process.stdout.splitlines()[1:], process.stderr) == (["0"], "")
