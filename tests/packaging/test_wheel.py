"""What the wheel holds besides modules of Python's: the page of ``kchat serve``, which needs nothing of another server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "kchat/web/static"
OURS = ("http://www.w3.org/", "https://…")
"""The name of SVG, and what a link of an invitation looks like."""
LEFT_OUT = shutil.ignore_patterns("*.egg-info", "build", "dist", "__pycache__")
BUILD = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy, in which nothing is left of earlier builds."""
    copy = tmp_path_factory.mktemp("wheel") / "copy"
    shutil.copytree(ROOT / "kchat", copy / "kchat", ignore=LEFT_OUT)
    for name in ("pyproject.toml", "setup.cfg", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    environment = {"PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", BUILD], cwd=copy, env=environment, check=True, capture_output=True)
    (built,) = (copy / "dist").glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_has_every_file_of_the_page_as_it_stands_in_the_repository(wheel: zipfile.ZipFile) -> None:
    there = {
        file.relative_to(ROOT).as_posix(): file.read_bytes() for file in STATIC.rglob("*") if file.is_file()
    }
    assert {"kchat/web/static/page.html", "kchat/web/static/page.js"} <= there.keys()
    packed = {name: wheel.read(name) for name in wheel.namelist() if name.startswith("kchat/web/static/")}
    assert packed == there


def test_the_wheel_has_every_module_of_the_repository(wheel: zipfile.ZipFile) -> None:
    modules = {file.relative_to(ROOT).as_posix() for file in (ROOT / "kchat").rglob("*.py")}
    assert modules <= set(wheel.namelist())


def test_the_extra_web_is_in_the_metadata_and_all_brings_it(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    text = wheel.read(metadata).decode()
    wanted = re.findall(r"^Requires-Dist: (\w+).*extra == [\"']web[\"']$", text, re.MULTILINE)
    assert set(wanted) == {"httptools", "starlette", "uvicorn", "uvloop"}
    assert re.search(r"kombu-chat\[[\w,]*\bweb\b[\w,]*\]; extra == [\"']all[\"']", text)


def test_the_page_names_nothing_on_another_server() -> None:
    for file in STATIC.rglob("*"):
        found = re.findall(r"https?://[^\s\"'`)<>]+", file.read_text("utf-8"))
        assert [url for url in found if not url.startswith(OURS)] == [], file.name
