"""`kchat stats` at a terminal: its width and its colours, and `--watch` on the whole screen."""

from __future__ import annotations

import re
import shlex
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kchat import archive
from kchat.archive.stats import Stats
from kchat.cli.stats_watch import Reading
from tests.archive.filled import fill
from tests.brokers.processes import Commands
from tests.brokers.wait import wait_until
from tests.unit.archive.facts_of import said
from tests.window import Window

ROOT = Path(__file__).parents[2]
NewWindow = Callable[..., Window]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return fill(tmp_path / "a.db")


def run(screen: Window, *arguments: str, variables: str = "") -> None:
    words = shlex.join([sys.executable, "-m", "kchat", "stats", "--archive", "a.db", *arguments])
    screen.type(f"PYTHONPATH={ROOT} HOME=$PWD TZ=UTC {variables} {words}; echo code $?", "Enter")


def wait_for(screen: Window, *texts: str) -> None:
    wait_until(lambda: all(text in screen.text() for text in texts), 20, screen.text)


def ended(screen: Window) -> None:
    """It has ended well, and the terminal is as it was."""
    wait_for(screen, "code 0")
    wait_until(lambda: screen.modes() == "0 1 1", 20, screen.modes)


def colors(screen: Window) -> set[str]:
    """The parameters of SGR on the screen."""
    return set(";".join(re.findall("\x1b\\[([0-9;]+)m", screen._run("capture-pane", "-p", "-e"))).split(";"))


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_the_report_is_as_wide_as_the_terminal(window: NewWindow, kept: Path, columns: int) -> None:
    screen = window(columns, 200)
    run(screen)
    wait_for(screen, "Who mentions whom", "code 0")
    row = next(row for row in screen.rows() if row.startswith("Most active"))
    assert ("Time between messages" in row) == (columns == 160)
    legend = next(row for row in screen.rows() if "\u2588" in row and "1-" not in row and "ada" in row)
    assert len(legend) <= columns
    assert "36" in colors(screen)


def test_no_color_leaves_bold_and_faint_text(window: NewWindow, kept: Path) -> None:
    screen = window(80, 200)
    run(screen, variables="NO_COLOR=1")
    wait_for(screen, "Who mentions whom", "code 0")
    assert not colors(screen) & {"36", "96"}
    assert {"1", "2"} <= colors(screen)


def test_an_answer_is_a_table_as_wide_as_the_terminal(window: NewWindow, kept: Path) -> None:
    screen = window(60, 40)
    run(screen, "--query", "SELECT username, message FROM user_messages ORDER BY received_at LIMIT 3")
    wait_for(screen, "code 0")
    assert re.search("^username +message *\n\u2500+", screen.text(), re.MULTILINE)
    assert "hello @bob, the broker is up" in screen.text()


def test_an_answer_with_more_columns_than_there_is_room_for_has_a_line_for_each(
    window: NewWindow, kept: Path
) -> None:
    screen = window(80, 60)
    run(screen, "--query", "SELECT * FROM messages ORDER BY at LIMIT 2")
    wait_for(screen, "code 0")
    shown = screen.text()
    assert re.findall("^username +(.*)$", shown, re.MULTILINE) == ["ada", "bob"]
    assert re.search("^text +hello @bob, the broker is up$", shown, re.MULTILINE)
    assert re.search("^mentions .*\n\nroom +chat$", shown, re.MULTILINE)
    assert "\u2500" not in shown


def test_watching_shows_new_messages_and_q_ends_it(window: NewWindow, kept: Path) -> None:
    screen = window(80, 24)
    run(screen, "--watch", "0.2")
    wait_for(screen, "chat in a.db", "more lines below", "q ends")
    assert re.search(r"messages +7 ", screen.text())
    assert screen.modes() == "1 0 0"
    assert re.search(r"^ada .* 42\.9 %$", screen.text(), re.MULTILINE)  # to the last column
    fill(kept, [said("2026-03-05 00:00:01", "dora", "hello \x1b[31m")])
    wait_until(lambda: re.search(r"messages +8 ", screen.text()), 20, screen.text)
    wait_for(screen, "dora")
    screen.type("q")
    ended(screen)


def test_watching_scrolls_and_follows_the_terminals_size(window: NewWindow, kept: Path) -> None:
    screen = window(80, 24)
    run(screen, "--watch", "600")
    wait_for(screen, "chat in a.db", "more lines below")
    screen.type("End")
    wait_for(screen, "Who mentions whom", "the end")
    screen.type("Home")
    wait_for(screen, "chat in a.db")
    screen.type("Down")
    wait_until(lambda: "chat in a.db" not in screen.text(), 20, screen.text)
    screen.type("NPage")
    wait_for(screen, "Weekday and hour")
    screen.type("Home")
    screen.resize(160, 50)
    wait_until(
        lambda: any("Most active" in row and "Time between" in row for row in screen.rows()), 20, screen.text
    )
    assert len(screen.rows()) == 50
    screen.resize(40, 12)
    wait_until(lambda: max(map(len, screen.rows())) <= 40 and "more lines" in screen.text(), 20, screen.text)
    screen.type("C-c")
    ended(screen)


def test_watching_shares_the_terminal_with_the_shell(window: NewWindow, kept: Path) -> None:
    screen = window(80, 24, "bash --norc")
    run(screen, "--watch", "600")
    wait_for(screen, "chat in a.db", "more lines below")
    screen.type("C-z")
    wait_for(screen, "Stopped")
    assert screen.modes() == "0 1 1"
    screen.type("clear; fg; echo code $?", "Enter")
    wait_until(lambda: screen.modes() == "1 0 0" and "more lines below" in screen.text(), 20, screen.text)
    screen.type("q")
    ended(screen)


def test_an_archive_that_is_away_for_a_while_is_said_and_the_figures_stay(
    window: NewWindow, kept: Path
) -> None:
    screen = window(100, 24)
    run(screen, "--watch", "0.2")
    wait_for(screen, "chat in a.db", "more lines below")
    with closing(sqlite3.connect(kept, isolation_level=None)) as db:
        db.execute("ALTER TABLE person_day RENAME TO days_away")
    wait_for(screen, "figures of")
    assert re.search(r"messages +7 ", screen.text())
    with closing(sqlite3.connect(kept, isolation_level=None)) as db:
        db.execute("ALTER TABLE days_away RENAME TO person_day")
    wait_until(lambda: "figures of" not in screen.text(), 20, screen.text)
    screen.type("q")
    ended(screen)


def test_figures_are_only_read_again_when_there_are_other_messages(kept: Path) -> None:
    reads = []
    with archive.open(kept) as opened:

        def read() -> Stats:
            reads.append(1)
            return opened.stats()

        reading = Reading(read, opened.rooms)
        first = reading()
        assert reading() is first
        assert len(reads) == 1
        fill(kept, [said("2026-03-06", "dora")])
        assert reading().messages == first.messages + 1
        fill(kept, [said("2026-03-06", "dora", room="ops")])
        assert reading().rooms == ("chat", "ops")
        assert len(reads) == 3


def test_watching_needs_a_terminal(commands: Commands, kept: Path) -> None:
    result = commands.run_kchat("stats", "--archive", str(kept), "--watch")
    assert (result.code, result.stdout) == (2, "")
    assert "--watch draws on a terminal" in result.stderr
