"""A stranger's package is called `kchat` on the package index: ours is `kombu-chat`, or `.` in a checkout."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

_INSTALLS = re.compile(r"""pip install\s+(?:-\S+\s+|--\S+\s+)*["']?([\w.\[\],/*{}-]+)""")
_OURS = re.compile(r"kchat(\[|$)")


def texts() -> list[Path]:
    """All that a user reads, or that a program prints."""
    pages = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs").glob("*.py"),
        ROOT / "constraints.txt",
    ]
    return [*pages, *(ROOT / "kchat").rglob("*.py"), *(ROOT / "compose").glob("*.yml")]


def test_no_command_installs_the_strangers_package() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}: {found[0]}"
        for file in texts()
        for found in _INSTALLS.finditer(file.read_text(encoding="utf-8"))
        if _OURS.match(found[1])
    ]
    assert wrong == []


def test_the_hunt_finds_what_it_looks_for() -> None:
    for command in ("pip install kchat", 'pip install "kchat[redis]"', "pip install --upgrade kchat"):
        found = _INSTALLS.search(command)
        assert found is not None
        assert _OURS.match(found[1])
    for command in ("pip install kombu-chat", "pip install .", 'pip install "kombu-chat[tls]"'):
        found = _INSTALLS.search(command)
        assert found is not None
        assert not _OURS.match(found[1])
