"""The machine's time zone, by its configuration: a stale one is not printed about."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Another process, as pytest itself takes what is logged. tzlocal reads another folder for its own tests.
LOCAL = """
import os, sys, tzlocal, tzlocal.unix
from kchat.archive.span import local_zone

os.environ.pop("TZ")  # the C library has read it
tzlocal.get_localzone_name = lambda: tzlocal.unix._get_localzone_name(sys.argv[1])
print(local_zone())
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine's files."""
    (tmp_path / "etc").mkdir()
    return tmp_path


def zone(root: Path, rule: str) -> tuple[str, str]:
    """The time zone of a machine with these files and a clock by that rule, and what was printed about it."""
    environment = {**os.environ, "TZ": rule}
    done = subprocess.run(
        [sys.executable, "-c", LOCAL, str(root)], capture_output=True, text=True, env=environment, check=True
    )
    return done.stdout.strip(), done.stderr


def test_a_stale_file_with_the_time_zone_is_not_printed_about(root: Path) -> None:
    (root / "etc" / "timezone").write_text("Europe/Berlin\n")
    tokyo = root / "usr" / "share" / "zoneinfo" / "Asia" / "Tokyo"
    tokyo.parent.mkdir(parents=True)
    tokyo.touch()
    (root / "etc" / "localtime").symlink_to(tokyo)
    assert zone(root, "JST-9") == ("Asia/Tokyo", "")


def test_a_machine_without_a_time_zone_is_in_utc_and_that_is_not_printed_about(root: Path) -> None:
    assert zone(root, "UTC0") == ("UTC", "")
    (root / "etc" / "sysconfig").mkdir()
    (root / "etc" / "sysconfig" / "clock").write_text('ZONE="Europe\n')  # damaged
    assert zone(root, "UTC0") == ("UTC", "")
