"""The registry of display modes."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from kchat.display import MODES, create
from kchat.errors import SettingsError
from kchat.message import Message
from tests.displays import BUILT_IN


def test_plain_is_the_default() -> None:
    assert next(iter(MODES)) == "plain"


def test_simple_is_print() -> None:
    outputs = []
    for mode in ("print", "simple"):
        stream = io.StringIO()
        display = create(mode, stream)
        display.show(Message.from_body(b"hello"))
        display.flush()
        outputs.append(stream.getvalue())
    assert outputs == ["Received hello\n", "Received hello\n"]


def test_an_unknown_mode_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match="no display mode 'html'") as caught:
        create("html")
    for mode in MODES:
        assert mode in caught.value.hint


def test_standard_output_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    display = create("print")
    display.show(Message.from_body(b"hello"))
    display.flush()
    assert capsys.readouterr().out == "Received hello\n"


def test_rich_is_imported_for_the_rich_display_alone() -> None:
    others = [mode for mode in BUILT_IN if mode != "rich"]
    code = (
        "import sys; from kchat.display import create\n"
        f"for mode in {others}: create(mode)\n"
        "sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
