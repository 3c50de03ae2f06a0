"""Names that people take for another's: told from plain ones, spelled out, compared."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kchat import Message
from kchat.message.lookalikes import is_own_name, is_plain, looks_like, normalised, oddity, spelled

PLAIN = [
    "ada",
    "Ada Lovelace",
    "ada.b",
    "ada@example.com",
    "O'Brien",
    "O\u2019Brien",
    "jean-luc",
    "na\u00efve",
    "\u00e9",
    "\u0430\u0434\u0430",
    "\u0421\u0430\u0440\u0430",
    "\u90e8\u5c4b",
    "\u30ed\u30dc\u30c3\u30c8ada",
    "\u65e5\u672c\u3005\u30fc",
    "\ud55c\uad6d\uc5b4",
    "\u0645\u062d\u0645\u062f",
    "\u0e2a\u0e21",
    "\u0928\u092e",
    "\U0001f916",
    "x_1",
    "\\x20",
    "1 (2)",
    "\u03b1\u03b2",
]
ODD = {
    "a space where nobody sees it": ["ada ", " ada", "ada\u00a0", "\u3000ada", "a  b", "ada\t", "", " "],
    "nobody sees": [
        "ada\u200b",
        "ada\u200d",
        "ada\u202e",
        "\u2066ada",
        "ada\ufeff",
        "ada\u115f",
        "ada\u3164",
        "ada\ufe0f",
        "ada\u2800",
        "ada\ufffc",
        "ada\U00016fe4",
        "ada\U0001d159",
        "ad\u00e1\u0301",
        "a\u00a0b",
        "a\u2003b",
        "\u0301ada",
        "ada\u00ad",
        "a\x00",
        "a\x7f",
        "a\u2028b",
        "ada\U000e0041",
        "ad\u034fa",
        "\ue000",
    ],
    "normal form C": ["e\u0301", "A\u030a", "\u212b"],
    "another form": ["\uff41da", "\U0001d41ada", "\uff71", "ad\u00aa", "\ufb01n", "\u2460"],
    "letters of": [
        "\u0430da",
        "ad\u0430",
        "\u03b1da",
        "ada\u0663",
        "ad\u0501",
        "\u0561da",
        "\u13aada",
        "\u043a\u03b1",
    ],
    "checked": ["ada?", "bob (via ada)", "ada ?"],
}


def test_plain_names_of_all_languages_stay_as_they_are() -> None:
    assert {name: oddity(name) for name in PLAIN} == dict.fromkeys(PLAIN)
    assert [spelled(name) for name in PLAIN] == PLAIN


def test_names_that_can_be_taken_for_another_are_told_with_the_reason() -> None:
    told = {name: (reason, oddity(name)) for reason, names in ODD.items() for name in names}
    assert {name: pair for name, pair in told.items() if pair[0] not in (pair[1] or "")} == {}


def test_a_name_that_is_spelled_out_shows_what_is_odd_in_it() -> None:
    spellings = {
        "ada ": r"ada\x20",
        " ada": r"\x20ada",
        "ada\u00a0": r"ada\xa0",
        "a  b": r"a\x20\x20b",
        "\u0430da": r"\u0430da",
        "e\u0301": r"e\u0301",
        "ada\u202e": r"ada\u202e",
        "  ": r"\x20\x20",
    }
    assert {name: spelled(name) for name in spellings} == spellings


@given(st.text(max_size=30))
def test_no_text_is_too_odd(name: str) -> None:
    shown = spelled(name)
    assert shown.isprintable()
    assert is_plain(name) == (oddity(name) is None)
    assert is_plain(name) or shown.isascii()
    assert not looks_like(name, name)
    if is_plain(name):
        assert unicodedata.normalize("NFC", name) == name


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("\u0430\u0434\u0430", "a\u0434a"),
        ("\u0441\u043e\u0441\u043e", "coco"),
        ("b0b", "bob"),
        ("ada", "Ada"),
        ("Ian", "ian"),
        ("Il", "lI"),
        ("\u0399an", "lan"),
        ("ada ", "ada"),
        ("ada\u200b", "ada"),
        ("\uff41da", "ada"),
        ("e\u0301", "\u00e9"),
        ("jean\u2010luc", "jean-luc"),
        ("O\u2019Brien", "O'Brien"),
        ("modern", "modem"),
        ("\u0251da", "ada"),
        ("\u0131da", "ida"),
        ("\u1d20ic", "vic"),
    ],
)
def test_names_that_look_the_same_are_alike_both_ways(name: str, other: str) -> None:
    assert looks_like(name, other)
    assert looks_like(other, name)


@pytest.mark.parametrize(("name", "other"), [("ada", "ada2"), ("e", "\u00e9"), ("ada", "adam")])
def test_names_that_can_be_told_apart_are_not_alike(name: str, other: str) -> None:
    assert not looks_like(name, other)


def test_a_username_in_another_normal_form_is_still_the_accounts_own() -> None:
    assert normalised("e\u0301") == "\u00e9"
    assert is_own_name("e\u0301", "\u00e9")
    # The account itself is not in form C: there may be another that is.
    assert not is_own_name("\u00e9", "e\u0301")
    assert not is_own_name("ada", "ada ")


def test_a_message_is_verified_only_under_a_plain_name() -> None:
    for name in PLAIN:
        body = Message.compose(name, "hello").body
        assert Message.from_body(body, account=name).verified, name
    for name in (name for names in ODD.values() for name in names):
        body = Message.compose(name, "hello").body
        assert not Message.from_body(body, account=name).verified, name
