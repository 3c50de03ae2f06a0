"""Where one left off, from one run to the next."""

from __future__ import annotations

import json
from pathlib import Path

from kchat.tui.read_marks import MOST, ReadMarks
from tests.cases import check_each


def test_marks_are_there_in_the_next_run(tmp_path: Path) -> None:
    file = tmp_path / "state" / "read.json"
    assert ReadMarks(file).load() == {}
    ReadMarks(file).save({"lunch": 5.0})
    assert ReadMarks(file).load() == {"lunch": 5.0}
    assert file.stat().st_mode & 0o777 == 0o600


def test_those_of_other_windows_stay_and_later_ones_win(tmp_path: Path) -> None:
    file = tmp_path / "read.json"
    first, second = ReadMarks(file), ReadMarks(file)
    first.load(), second.load()
    first.save({"lunch": 10.0})
    second.save({"lunch": 5.0, "ops": 7.0})
    assert ReadMarks(file).load() == {"lunch": 10.0, "ops": 7.0}


def test_those_of_the_longest_ago_are_forgotten(tmp_path: Path) -> None:
    marks = ReadMarks(tmp_path / "read.json")
    marks.save({f"room {number}": 1.0 + number for number in range(MOST + 20)})
    kept = marks.load()
    assert len(kept) == MOST
    assert "room 0" not in kept


def test_a_mark_of_a_clock_that_was_ahead_counts_as_made_now(tmp_path: Path) -> None:
    now = [5000.0]
    marks = ReadMarks(tmp_path / "read.json", clock=lambda: now[0])
    marks.save({"lunch": 4000.0})
    now[0] = 1000.0  # it was set right
    assert marks.load() == {"lunch": 1000.0}
    now[0] = 1100.0
    marks.save({"lunch": 1050.0})
    now[0] = 1200.0
    assert ReadMarks(tmp_path / "read.json", clock=lambda: now[0]).load() == {"lunch": 1100.0}


def test_nothing_in_the_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "read.json"

    def check(text: str) -> None:
        file.write_text(text)
        assert ReadMarks(file).load() == {}

    check_each(
        ["", "[]", "null", "{", '{"a": "b"}', '{"a": true, "b": -1, "c": 1e300, "d": NaN}', "[" * 100_000],
        check,
    )
    file.unlink()
    file.mkdir()
    marks = ReadMarks(file)
    assert marks.load() == {}
    marks.save({"lunch": 1.0})


def test_a_file_that_others_can_change_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "read.json"
    file.write_text(json.dumps({"lunch": 5.0}))
    file.chmod(0o666)
    assert ReadMarks(file).load() == {}
