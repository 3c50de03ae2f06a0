"""`kchat stats --html` and `--png`: files that are there whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kchat.cli.stats_files import write_whole
from tests.archive.filled import fill
from tests.brokers.processes import Commands

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return fill(tmp_path / "a.db")


def test_the_report_is_written_instead_of_being_shown(commands: Commands, kept: Path) -> None:
    pytest.importorskip("matplotlib")
    result = commands.run_kchat(
        "stats", "--archive", str(kept), "--html", "report.html", "--png", "report.png", seconds=60
    )
    assert (result.code, result.stdout) == (0, "")
    assert result.stderr.splitlines()[-2:] == ["report.html written", "report.png written"]
    page = (commands.home / "report.html").read_text("utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert (commands.home / "report.png").read_bytes().startswith(PNG)
    assert sorted(each.name for each in commands.home.iterdir() if "report" in each.name) == [
        "report.html",
        "report.png",
    ]


def test_a_page_can_go_to_standard_output_and_figures_come_beside_a_file(
    commands: Commands, kept: Path
) -> None:
    page = commands.run_kchat("stats", "--archive", str(kept), "--html", "-")
    assert (page.code, page.stderr) == (0, "")
    assert page.stdout.rstrip().endswith("</html>")
    both = commands.run_kchat("stats", "--archive", str(kept), "--json", "--html", "r.html", "-q")
    assert both.stdout.startswith('{"version"')
    assert (commands.home / "r.html").read_text("utf-8") == page.stdout


def test_two_files_cannot_both_go_to_standard_output(commands: Commands, kept: Path) -> None:
    result = commands.run_kchat("stats", "--archive", str(kept), "--html", "-", "--png", "-")
    assert (result.code, result.stdout) == (2, "")
    assert "standard output" in result.stderr
    result = commands.run_kchat("stats", "--archive", str(kept), "--html", "-", "--json")
    assert (result.code, result.stdout) == (2, "")


def test_a_file_that_cannot_be_written_is_said_in_one_line(commands: Commands, kept: Path) -> None:
    for flag, name in (("--html", "nowhere/report.html"), ("--png", "nowhere/report.png")):
        result = commands.run_kchat("stats", "--archive", str(kept), flag, name)
        assert (result.code, result.stdout) == (2, ""), flag
        assert result.stderr.splitlines() == [f"kchat: {name} cannot be written: No such file or directory"]


def test_a_failed_report_leaves_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("before")

    def fails(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(str(target), fails, ".html")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("report.html", "before")]


def test_a_file_keeps_its_mode_and_a_link_leads_where_it_led(tmp_path: Path) -> None:
    target, link = tmp_path / "report.html", tmp_path / "link.html"
    target.write_text("before")
    target.chmod(0o640)
    link.symlink_to(target)
    write_whole(str(link), lambda path: path.write_text("after"), ".html")
    assert link.is_symlink()
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("after", 0o640)


def test_what_is_no_regular_file_is_written_to_and_not_replaced() -> None:
    write_whole("/dev/null", lambda path: path.write_text("x"), ".html")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_picture_can_go_to_standard_output(commands: Commands, kept: Path) -> None:
    pytest.importorskip("matplotlib")
    process = commands.kchat("stats", "--archive", str(kept), "--png", "-")
    assert process.wait(60) == 0
    assert process.raw().startswith(PNG)
