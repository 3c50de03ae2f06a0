"""Links, mentions and safe text."""

from __future__ import annotations

from kchat.tui.words import Highlights, links, safe
from tests.cases import check_each
from tests.hostile.corpus import TEXTS
from tests.hostile.safe import why_unsafe


def found(text: str) -> list[str]:
    return [part.link for part in links(text)]


def test_links_are_found_without_what_ends_the_sentence() -> None:
    assert found("see https://example.org/a?b=c&d=e#f, or http://example.org.") == [
        "https://example.org/a?b=c&d=e#f",
        "http://example.org",
    ]
    assert found("(https://example.org/x)") == ["https://example.org/x"]
    assert found('"https://example.org/x"') == ["https://example.org/x"]
    assert found("https://[::1]:8080/x") == ["https://[::1]:8080/x"]


def test_what_could_lead_elsewhere_is_no_link() -> None:
    for text in (
        "https://ex\u0430mple.org/",
        "https://",
        "javascript://alert(1)",
        "file:///etc/passwd",
        "https://" + "a" * 5000,
        "xhttps://example.org",
    ):
        assert all("\u0430" not in link for link in found(text)), text
        if not text.startswith("https://ex"):
            assert found(text) == [], text


def test_a_link_is_exactly_what_is_shown() -> None:
    for text in TEXTS.values():
        shown = safe(text + " https://example.org/" + text)
        for part in links(shown):
            assert shown[part.start : part.end] == part.link
            assert part.link.isascii()
            assert part.link.isprintable()
            assert " " not in part.link


def test_names_and_words_stand_out_as_words() -> None:
    highlights = Highlights("ada", ["deploy", "C++", "", " "])
    for text in ("ada", "hi ADA!", "@ada: look", "please deploy", "(C++)"):
        assert highlights.found_in(text), text
    for text in ("adamant", "canada", "deployment", "", "@adam"):
        assert not highlights.found_in(text), text


def test_a_name_in_a_link_is_not_marked_twice() -> None:
    parts = Highlights("ada").parts("see https://example.org/ada and ada")
    assert [(part.start, part.link) for part in parts] == [(4, "https://example.org/ada"), (32, "")]


def test_no_hostile_text_reaches_a_terminal() -> None:
    def check(text: str) -> None:
        assert why_unsafe(safe(text)) == ""

    check_each(TEXTS, check)


def test_tabs_are_spaces_and_newlines_at_the_end_are_left_out() -> None:
    assert safe("a\tb\n\n") == "a    b"
