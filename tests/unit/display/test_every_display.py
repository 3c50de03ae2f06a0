"""What every display has to do; each test runs on every mode of the registry, plug-ins' included.

For a new mode, `pytest tests/unit/display/test_every_display.py -k MODE` tells what is missing.
"""

from __future__ import annotations

import io
import re

import pytest

from kchat.display import MODES, create
from kchat.display.escaping import display_name, indent_block
from kchat.display.lines import INDENT, Lines
from kchat.message import Message
from kchat.plugins import Entry
from tests.displays import EVERY, longest_of, row_of
from tests.hostile.corpus import BODIES, TEXTS
from tests.hostile.safe import why_unsafe

every_display = pytest.mark.parametrize("mode", EVERY)


def show(mode: str, *messages: Message) -> str:
    stream = io.StringIO()
    display = create(mode, stream)
    for message in messages:
        display.show(message)
    display.flush()
    return stream.getvalue()


def what_is_wrong(mode: str, message: Message, most_lines: int | None = None) -> str:
    """Why what is shown of a message is not one safe row; empty where it is."""
    output = show(mode, message)
    if unsafe := why_unsafe(output, tabs=True):
        return unsafe
    if not output.endswith("\n"):
        return "the row does not end with a newline"
    first, *further = output.split("\n")[:-1]
    day = getattr(MODES[mode], "DAY", None)
    if day is not None and further and re.fullmatch(day, first):
        first, *further = further
    row = row_of(mode)
    if not row.match(first):
        return f"the row begins with {first[:40]!a}"
    if odd := [line for line in further if not line.startswith("  ") or row.match(line)]:
        return f"a further line begins with {odd[0][:40]!a}"
    if most_lines is not None and len(further) >= most_lines:
        return f"it has {1 + len(further)} lines"
    size = len(output.encode())
    return f"it is {size} bytes long" if size > longest_of(mode) else ""


def refuse(wrong: dict[str, str]) -> None:
    """Fails with the names of the inputs of which something is wrong, and what."""
    if told := [f"{name}: {why}" for name, why in wrong.items() if why]:
        pytest.fail("\n".join(told), pytrace=False)


@every_display
def test_every_mode_has_one_line_of_help(mode: str) -> None:
    assert MODES.entry(mode).name == mode
    assert MODES.entry(mode).help
    assert "\n" not in MODES.entry(mode).help


@every_display
def test_every_mode_can_be_made_used_and_closed_twice(mode: str) -> None:
    stream = io.StringIO()
    display = create(mode, stream, color=None, mark_unverified=True, own="guest")
    display.open("chat on local://")
    display.status("connection lost")
    display.flush()
    before = stream.getvalue()
    display.show(Message.compose("ada", "hello"))
    display.flush()
    assert "hello" in stream.getvalue()[len(before) :]
    assert "connection lost" not in stream.getvalue()
    display.close()
    display.close()


@every_display
def test_a_display_that_was_never_opened_can_be_closed(mode: str) -> None:
    stream = io.StringIO()
    create(mode, stream).close()
    assert stream.getvalue() == ""


@every_display
def test_each_hostile_body_is_one_safe_row(mode: str) -> None:
    wrong = {name: what_is_wrong(mode, Message.from_body(body)) for name, body in BODIES.items()}
    refuse(wrong)


@every_display
def test_no_hostile_account_or_problem_does_harm(mode: str) -> None:
    wrong = {
        name: what_is_wrong(mode, Message(None, "hello", body=b"hello", account=text, problem=text), 1)
        for name, text in TEXTS.items()
    }
    refuse(wrong)


# ---- a mode is one class and one line in the registry; where it lacks something, these tests say what


class Short(Lines):
    """The whole of a new display."""

    ROW = "> "

    def show(self, message: Message) -> None:
        text = indent_block(message.text, INDENT, total=len(message.body) if message.problem else None)
        self._write("> ", 2, f"{display_name(message.username)}: {text}")


class WithoutRow(Short):
    ROW = None  # type: ignore[assignment]  # as if it had none


class Unsafe(Short):
    """Writes what came as it came."""

    def show(self, message: Message) -> None:
        self._output.write(f"> {message.text}\n")


def add(patch: pytest.MonkeyPatch, made: type[Short]) -> str:
    """Adds a class to the registry, and returns the name of the mode."""
    entry = Entry("short", f"{__name__}:{made.__name__}", "a new display")
    patch.setitem(MODES.built_in, entry.name, entry)
    return entry.name


def test_a_new_display_is_one_class_and_one_line_in_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    mode = add(monkeypatch, Short)
    test_every_mode_has_one_line_of_help(mode)
    test_every_mode_can_be_made_used_and_closed_twice(mode)
    test_a_display_that_was_never_opened_can_be_closed(mode)
    test_each_hostile_body_is_one_safe_row(mode)
    test_no_hostile_account_or_problem_does_harm(mode)


def test_a_new_display_without_a_pattern_of_its_rows_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="WithoutRow of the mode short has no ROW, a regular expression"):
        test_each_hostile_body_is_one_safe_row(add(monkeypatch, WithoutRow))


def test_a_new_display_that_shows_what_came_as_it_came_is_told_where(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pytest.fail.Exception, match="gzip bomb: nobody can see Cc") as told:
        test_each_hostile_body_is_one_safe_row(add(monkeypatch, Unsafe))
    assert "a further line begins with" in str(told.value)
