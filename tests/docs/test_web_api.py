"""docs/web-api.md can be walked as it stands, and its tables are what the server has."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kchat.web.openapi import document
from kchat.web.options import Limits
from kchat.web.schemas import EVENTS
from tests.brokers.ports import free_port
from tests.docs.examples import ROOT
from tests.docs.walk import Walk, path_with

PAGE = "docs/web-api.md"


@pytest.fixture
def walk_on_a_free_port(tmp_path: Path, tmux: str) -> Iterator[Walk]:
    """A walk in an empty folder, with kchat on the path, whose server and webhook have ports of their own."""
    folder = tmp_path / "walk"
    (folder / "checkout").mkdir(parents=True)
    port, hook = free_port(), free_port()
    scripts = {
        "kchat": f'#!/bin/sh\nexec "{sys.executable}" -P -m kchat "$@"\n',
        "python": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n',
    }
    environment = {
        "PYTHONPATH": str(ROOT),
        "PATH": path_with(folder / "bin", **scripts),
        "KCHAT_SERVE_PORT": str(port),
    }
    instead = {
        "127.0.0.1:8765": f"127.0.0.1:{port}",
        "127.0.0.1:8766": f"127.0.0.1:{hook}",
        '", 8766': f'", {hook}',
    }
    walk = Walk(folder, tmux, environment, instead, lambda _: None)
    try:
        yield walk
    finally:
        walk.close()


def test_the_page_for_programs_can_be_walked_from_its_beginning_to_its_end(walk_on_a_free_port: Walk) -> None:
    walk_on_a_free_port.go(PAGE)
    assert all("needs jq" in each for each in walk_on_a_free_port.left_out)


def rows(text: str) -> dict[str, str]:
    """The rows of the tables in a text, by their first cell."""
    return {match[1]: match[0] for match in re.finditer(r"^\| `?(\w+)`? \|.*$", text, re.MULTILINE)}


def test_the_page_has_every_event() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| event \| says \|\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    assert set(rows(table)) == set(EVENTS)


def test_the_page_has_every_status_and_the_limits() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    table = rows(text.partition("<!-- begin: errors -->")[2].partition("<!-- end -->")[0])
    operations = [
        operation
        for item in document(Limits())["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    statuses = {status for each in operations for status in each["responses"] if status >= "400"}
    assert set(table) - {"status"} == statuses
    limits = Limits()
    assert f"{limits.message_bytes:,} bytes" in table["413"]
    assert f"{limits.messages_per_second:g} messages per second ({limits.burst} at once)" in table["429"]
    assert f"{limits.streams_per_guest} streams" in table["429"]
