"""Every link from one page to another, to a heading or to a file leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.docs.examples import ROOT

_LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")
_CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors that GitHub makes of a page's headings."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 1
        while (named := anchor if number == 1 else f"{anchor}-{number - 1}") in found:
            number += 1
        found.add(named)
    return frozenset(found)


def stale(page: Path, text: str) -> Iterator[str]:
    """The links of a text that lead nowhere."""
    for link in _LINK.findall(_CODE.sub("", text)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            yield f"{page.name}: {link}"


def test_every_link_leads_somewhere() -> None:
    assert [link for page in pages() for link in stale(page, page.read_text("utf-8"))] == []


def test_a_stale_link_is_found() -> None:
    readme = ROOT / "README.md"
    for link in ("nosuch.md", "#nosuch", "docs/wire.md#nosuch"):
        assert list(stale(readme, f"[a]({link})")) == [f"README.md: {link}"]
    assert list(stale(readme, "[a](docs/wire.md#the-body) and `[b](nosuch)`")) == []
