"""What is typed at the prompt."""

from __future__ import annotations

import pytest

from kchat.tui.slash import COMMANDS, Do, Mistake, Say, parse
from kchat.tui.typed import Typed, complete


@pytest.mark.parametrize("typed", ["", " ", "\n", " \n\t "])
def test_nothing_is_neither_sent_nor_a_mistake(typed: str) -> None:
    assert parse(typed) is None


def test_text_is_sent_as_it_was_typed() -> None:
    assert parse("hello") == Say("hello")
    assert parse(" indented\n  code\n") == Say(" indented\n  code\n")


def test_two_slashes_begin_a_text_with_one() -> None:
    assert parse("//etc/hosts") == Say("/etc/hosts")
    assert parse("///") == Say("//")


def test_each_command_is_known_in_any_case() -> None:
    for name, command in COMMANDS.items():
        after = command.takes and "7"
        meant = parse(f"/{name.upper()} {after}".rstrip())
        assert meant == (Say(after, action=True) if name == "me" else Do(name, after)), name


def test_an_unknown_command_is_not_sent() -> None:
    meant = parse("/flip the table")
    assert isinstance(meant, Mistake)
    assert "/flip" in meant.text


def test_what_to_do_about_an_unknown_command_fits_80_columns_with_the_help_key() -> None:
    for typed in ("/etc/hosts is a file", f"/{'x' * 500}", f"/{'x' * 500}\nand more"):
        meant = parse(typed)
        assert isinstance(meant, Mistake)
        assert "// sends it as text" in meant.text
        assert len(meant.text) + len("  F1 help  ") <= 80, meant.text


def test_a_command_without_what_it_needs_is_explained() -> None:
    assert parse("/join") == Mistake("usage: /join ROOM")
    assert parse("/me ") == Mistake("usage: /me TEXT")
    assert isinstance(parse("/quit now"), Mistake)
    for number in ("0", "-1", "many", "²", "1000001", "9" * 5000):
        assert parse(f"/last {number}") == Mistake("usage: /last N, a number of messages"), number
    assert parse("/last 1000000") == Do("last", "1000000")


def test_a_pasted_path_is_not_taken_for_a_command() -> None:
    assert isinstance(parse("/usr\nand more"), Mistake)


def test_a_slash_alone_searches() -> None:
    assert parse("/") == Do("search", "")
    assert parse("/search two words") == Do("search", "two words")
    assert parse("/ two words") == Do("search", "two words")


def test_up_and_down_bring_back_what_was_sent_and_last_the_draft() -> None:
    typed = Typed()
    assert typed.older("draft") is None
    for text in ("one", "two", "two"):
        typed.add(text)
    assert typed.older("draft") == "two"
    assert typed.older("two") == "one"
    assert typed.older("one") is None
    assert [typed.newer(), typed.newer(), typed.newer()] == ["two", "draft", None]


def test_names_and_commands_are_completed() -> None:
    names = ["bob", "Barbara", "cy"]
    found = complete("b", names)
    assert found is not None
    assert found == (0, ("bob: ", "Barbara: "))
    assert complete("hello c", names) == (6, ("cy ",))
    assert complete("@BAR", names) == (0, ("@Barbara ",))
    assert complete("/jo", names) == (0, ("/join ",))
    assert complete("/join bo", names) == (6, ("bob ",))
    assert complete("", names) is None
    assert complete("hello ", names) is None
    assert complete("xyz", names) is None
