"""The words of texts."""

from __future__ import annotations

import pytest

from kchat.archive.words import FUNCTION_WORDS, LONGEST, Words, most_frequent


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Broker, broker! BROKER", {"broker": 3}),
        ("don\u2019t re-read co-op's", {"re-read": 1, "co-op's": 1}),
        ("see https://example.org/path?query=words and www.example.org/words", {"see": 1}),
        ("@ada @grace.hopper mentions", {"mentions": 1}),
        ("x yz 2026 123abc abc123 _under", {"abc123": 1}),
        ("Stra\u00dfe STRASSE caf\u00e9 cafe\u0301", {"strasse": 2, "caf\u00e9": 2}),
        (
            "\u043f\u0440\u0438\u0432\u0435\u0442 \u041f\u0420\u0418\u0412\u0415\u0422",
            {"\u043f\u0440\u0438\u0432\u0435\u0442": 2},
        ),
        ("\u0928\u092e\u0938\u094d\u0924\u0947", {"\u0928\u092e\u0938\u094d\u0924\u0947": 1}),
        ("the and you're", {}),
        (f"{'a' * LONGEST} {'b' * (LONGEST + 1)}", {"a" * LONGEST: 1}),
        ("\x1b[31mred\x1b[0m", {"31mred": 0, "red": 0}),
        ("", {}),
    ],
)
def test_words_of_a_text(text: str, words: dict[str, int]) -> None:
    found = dict(most_frequent([text], 100))
    assert found == {word: many for word, many in words.items() if many}


def test_the_most_frequent_come_first_and_then_the_alphabet() -> None:
    texts = ["cherry banana", "banana apple", "apple cherry", "date"]
    assert most_frequent(texts, 3) == [("apple", 2), ("banana", 2), ("cherry", 2)]


def test_words_do_not_run_from_one_text_into_the_next() -> None:
    assert most_frequent(["foot", "ball"], 5) == [("ball", 1), ("foot", 1)]


def test_function_words_are_all_long_enough_to_matter() -> None:
    assert all(len(word) >= 3 and word == word.casefold() for word in FUNCTION_WORDS)


def test_frequent_words_are_counted_right_among_more_different_ones_than_are_kept() -> None:
    words = Words(most=1000)
    for number in range(50):
        words.add([f"broker queue broker {' '.join(f'noise{number}x{each}' for each in range(500))}"])
    assert words.most_frequent(2) == [("broker", 100), ("queue", 50)]


def test_no_more_different_words_are_kept_than_that() -> None:
    words = Words(most=1000)
    for number in range(20):
        words.add(f"word{number}x{each}" for each in range(700))
        assert len(words._counts) <= 1000
