"""The files of the page: small, of our own, with nothing inline and nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files

import pytest

from kchat.web.page import _KINDS

STATIC = {
    each.name: each.read_text("utf-8") for each in (files("kchat.web") / "static").iterdir() if each.is_file()
}
SCRIPTS = sorted(name for name in STATIC if name.endswith(".js"))


def test_all_files_together_are_under_50_kb() -> None:
    assert sum(len(text.encode()) for text in STATIC.values()) < 50 * 1024


def test_every_file_that_is_asked_for_is_served() -> None:
    asked = set(re.findall(r'(?:src|href)="([\w.-]+)"', STATIC["page.html"])) - {"plain"}
    for name in SCRIPTS:
        asked |= set(re.findall(r'from "\./([\w.-]+)"', STATIC[name]))
    assert asked <= set(_KINDS)
    assert set(_KINDS) <= set(STATIC)


def test_nothing_is_inline() -> None:
    for name, text in STATIC.items():
        if name.endswith(".html"):
            assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text, re.IGNORECASE), name
            assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), name


def test_nothing_comes_from_elsewhere() -> None:
    for name, text in STATIC.items():
        found = set(re.findall(r"""["'(](?:https?:)?//[^"')\s]+""", text)) - {'"http://www.w3.org/2000/svg'}
        assert not found, name
        assert "@import" not in text, name


def test_received_text_is_never_read_as_html() -> None:
    for name in SCRIPTS:
        found = re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|Function\(",
            STATIC[name],
        )
        assert not found, name


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_no_syntax_error(name: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; the tests in Chromium load all scripts")
    command = [node, "--check", "--input-type=module", "-"]
    done = subprocess.run(
        command, input=STATIC[name], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
