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
    asked = set(re.findall(r'(?:src|href)="([\w.-]+)"', STATIC["page.html"])) - {"plain", "."}
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


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    if len(digits) == 3:
        digits = "".join(each * 2 for each in digits)
    parts = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (
        each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_every_text_has_a_contrast_of_4_5_to_its_ground() -> None:
    """WCAG 2.2, 1.4.3; and 3 for the edges of fields, 1.4.11."""
    style = STATIC["style.css"]
    roots = [
        dict(re.findall(r"--([\w-]+):\s*(#\w+)", root))
        for root in re.findall(r":root\{(.*?)\}", style, re.DOTALL)
    ]
    names = re.findall(r"\.c\d+\{color:(#\w+)\}", style)
    assert len(names) == 24
    texts = {
        "text": ("ground", "panel", "card", "own"),
        "muted": ("ground", "panel", "own"),
        "accent": ("card", "own", "ground"),
        "error": ("failed", "ground"),
        "new": ("ground",),
        "wait-text": ("wait",),
        "good-text": ("good",),
        "mention": ("mention-ground",),
        "on-accent": ("accent",),
    }
    for colours, own_names in ((roots[0], names[:12]), (roots[1], names[12:])):
        for text, grounds in texts.items():
            for ground in grounds:
                assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for name in own_names:
            for ground in ("ground", "panel"):
                assert _contrast(name, colours[ground]) >= 4.5, (name, ground)
        assert _contrast(colours["edge"], colours["panel"]) >= 3
