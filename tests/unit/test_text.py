r"""Text from strangers, made safe: what stays, what is escaped, and that nothing gets through."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kchat.display.escaping import display_name, indent_block, take_columns, width
from kchat.message.truncation import LONGEST, truncate, truncation_mark
from kchat.message.unprintable import escape_unprintable
from tests.cases import check_each
from tests.hostile.corpus import TEXTS
from tests.hostile.safe import characters, why_unsafe

# Any characters, with those that do harm more often than by chance.
NASTY = st.sampled_from(sorted(set("".join(text[:300] for text in TEXTS.values()))))
ANY = st.text(st.one_of(NASTY, st.characters()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello, world! {[(~)]} C:\\temp\\x1b",
        "two\nlines",
        "Grüße, ¡hola! naïve café\u0301 e\u0301",
        "你好，世界 日本語 한국어",  # noqa: RUF001 - an honest comma
        "नमस्ते दुनिया क्\u200dष",
        "می\u200cخواهم مرحبا שָׁלוֹם",  # noqa: RUF001 - Arabic letters
        "สวัสดีครับ ที่นี่",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f469\U0001f3fd\u200d\U0001f4bb",
        "1\ufe0f\u20e3 \u2764\ufe0f\u200d\U0001f525 \u263a\ufe0e \U0001f1e9\U0001f1ea",
        "葛\U000e0100城",
        "x² ± ½ → ∀ € ™",
        "⠀⠁⠂ ░▒▓ ╔═╗",
    ],
)
def test_honest_text_stays_as_it_is(text: str) -> None:
    assert escape_unprintable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("a\x00b\x07c\x7f", r"a\x00b\x07c\x7f"),
        ("one\r\ntwo\r\n", "one\ntwo\n"),
        ("good\rbad", r"good\rbad"),
        ("a\tb", r"a\tb"),
        ("\b\b", r"\x08\x08"),
        ("fdp\u202eexe", r"fdp\u202eexe"),
        ("a\u2028b\u2029c\x85d", r"a\u2028b\u2029c\x85d"),
        ("ad\u200ba", r"ad\u200ba"),
        ("a\u200db", r"a\u200db"),
        ("\u0645\u200c ", "\u0645\\u200c "),
        ("\U0001f469\u200d", "\U0001f469\\u200d"),
        ("pass\u00adword", r"pass\xadword"),
        ("\ufeffx", r"\ufeffx"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud800", r"\ud800"),
        ("\ue000\uffff\u0378", r"\ue000\uffff\u0378"),
        ("\u3164\u115f", r"\u3164\u115f"),
        ("\u0301a", r"\u0301a"),
        (" \u0301", r" \u0301"),
        ("a\n\u0301", "a\n\\u0301"),
        ("\x1b\u0301", r"\x1b\u0301"),
        ("a" + "\u0301" * 100 + "b", "a" + "\u0301" * 4 + "…b"),
        ("\u263a\ufe0f\ufe0f", "\u263a\ufe0f\\ufe0f"),
        ("a\ufe0f", r"a\ufe0f"),
        ("a\u00a0b\u3000c\u202fd", "a b c d"),
        ("[red]x[/red]", "[red]x[/red]"),
    ],
)
def test_invisible_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert escape_unprintable(text) == shown


def test_without_newlines_they_are_escaped_too() -> None:
    assert escape_unprintable("one\r\ntwo\n", keep_newlines=False) == r"one\ntwo\n"
    assert escape_unprintable("ä\n", keep_newlines=False) == r"ä\n"


@given(ANY)
@example("\u1100" + "\u1161" * 9)
def test_no_unsafe_character_gets_through(text: str) -> None:
    shown = escape_unprintable(text)
    assert not why_unsafe(shown)
    assert not why_unsafe(escape_unprintable(text, keep_newlines=False), newlines=False)
    assert escape_unprintable(shown) == shown
    shown.encode()


def test_no_unsafe_character_of_the_corpus_gets_through() -> None:
    def is_safe(text: str) -> None:
        assert not why_unsafe(escape_unprintable(text))
        assert not why_unsafe(indent_block(text, " | "))
        assert not why_unsafe(display_name(text), newlines=False)

    check_each(TEXTS, is_safe)


def test_every_character_is_safe_by_itself_and_behind_a_letter() -> None:
    for character in characters():  # of the others, hypothesis tries some
        for text in (character, f"\u263a{character}\u263a\n\u0915{character}\u0915\na{character}"):
            assert not why_unsafe(escape_unprintable(text)), hex(ord(character))


# Names.


@pytest.mark.parametrize(
    ("username", "shown"),
    [
        (None, "?"),
        ("ada", "ada"),
        ("Ada Lovelace", "Ada Lovelace"),
        ("service:web", "service:web"),
        ("王小明", "王小明"),
        ("?", r"\x3f"),
        ("", '""'),
        (" \u2003\u2800 ", '""'),
        ("  ada\u00a0\u3000 x ", "ada x"),
        ("root: hello", r"root\x3a hello"),
        ("root:", r"root\x3a"),
        ("root\uff1a hello", r"root\uff1a hello"),
        ("root\u2236\u00a0hello", r"root\u2236 hello"),
        ("a\nb", r"a\nb"),
        ("a\tb", r"a\tb"),
        ("x" * 32, "x" * 32),
        ("x" * 33, "x" * 31 + "…"),
        ("漢" * 17, "漢" * 15 + "…"),
    ],
)
def test_a_name_is_one_short_line(username: str | None, shown: str) -> None:
    assert display_name(username) == shown


@given(ANY, st.integers(4, 40))
@example("a" + "\u0301" * 5_000, 5)
def test_a_name_is_never_more_than_a_name(username: str, columns: int) -> None:
    shown = display_name(username, columns)
    assert shown
    assert not why_unsafe(shown, newlines=False)
    assert width(shown) <= columns
    assert ": " not in shown
    assert not shown.endswith(":")
    assert shown == " ".join(shown.split())
    assert shown != "?"


@pytest.mark.timeout(
    60
)  # it takes a twentieth of a second; one look at all of the name, and it takes minutes
def test_a_long_name_costs_no_more_than_a_short_one() -> None:
    huge = "x" * 50_000_000
    for _ in range(20_000):
        assert display_name(huge) == "x" * 31 + "…"


# Limits.


def test_text_that_is_not_too_long_is_not_cut() -> None:
    assert truncate("x" * LONGEST) == "x" * LONGEST
    assert truncate("ä" * (LONGEST // 2)) == "ä" * (LONGEST // 2)


def test_truncated_text_says_how_long_it_was() -> None:
    cut = truncate("x" * (16 << 20))
    assert len(cut.encode()) == LONGEST
    assert cut.endswith("x… [cut: 16.0 MiB in all]")
    assert truncate("x" * 70_000, total=3 << 30).endswith("… [cut: 3.0 GiB in all]")
    assert truncate("x" * 100, 50).endswith("x… [cut: 100 bytes in all]")
    assert truncation_mark(1024) == "… [cut: 1.0 KiB in all]"


@given(st.text(st.characters(), max_size=200), st.integers(40, 400))
def test_a_cut_keeps_whole_characters_and_the_limit(text: str, most: int) -> None:
    cut = truncate(text, most)
    whole = len(text.encode("utf-8", "surrogatepass"))
    assert len(cut.encode("utf-8", "surrogatepass")) <= most
    assert (cut == text) == (whole <= most)
    if cut != text:
        assert cut.endswith(truncation_mark(whole))
        assert text.startswith(cut.removesuffix(truncation_mark(whole)))


@settings(max_examples=20)
@given(
    st.sampled_from(["\x00", "a\n", "\u202e", "\U0001f600", "\ud800", "a\u0301" * 3]),
    st.integers(20_000, 70_000),
)
def test_a_shown_message_has_at_most_64_kib(unit: str, times: int) -> None:
    assert len(indent_block(unit * times, " " * 11).encode()) <= LONGEST


def test_further_lines_are_indented_and_the_last_newlines_dropped() -> None:
    assert indent_block("one\ntwo\r\n\nthree\n\n", "| ") == "one\n| two\n| \n| three"
    assert indent_block("\n\n") == ""


@given(ANY)
def test_every_further_line_begins_with_the_indent(text: str) -> None:
    shown = indent_block(text, "    | ", total=None)
    assert all(line.startswith("    | ") for line in shown.split("\n")[1:])


# Widths.


def test_width_counts_columns() -> None:
    assert width("hello") == 5
    assert width("漢字") == 4
    assert width("e\u0301") == 1
    assert width("\U0001f600") == 2


@given(ANY.map(escape_unprintable), st.integers(0, 50))
def test_head_is_the_most_that_fits(text: str, columns: int) -> None:
    beginning = take_columns(text, columns)
    assert text.startswith(beginning)
    assert width(beginning) <= columns
    if beginning != text:
        assert width(text[: len(beginning) + 1]) > columns
