from __future__ import annotations

from kchat.archive.record import folded, mentions
from tests.cases import check_each


def test_a_mention_is_a_name_after_an_at_sign() -> None:
    check_each(
        {
            "@ada": ("ada",),
            "hello @Ada, how are you?": ("ada",),
            "(@ada) @ADA! @ada...": ("ada",),
            "@b @a": ("b", "a"),
            "@a.b-c. @x_1-": ("a.b-c", "x_1"),
            "mail ada@example.org, or @@ada": (),
            "@ @. @-ada": (),
            "@Straße": ("strasse",),
            "": (),
        }.items(),
        lambda case: _assert_equal(mentions(case[0]), case[1]),
    )


def test_a_vowel_or_an_accent_that_unicode_puts_after_its_letter_is_part_of_the_name() -> None:
    check_each(
        {
            "@अनिता, @தமிழ்!": ("अनिता", "தமிழ்"),
            "@jose\u0301 @josé": ("josé",),
            "अनि@ada": (),  # an address, not a mention
            "@\u0301ada": (),
        }.items(),
        lambda case: _assert_equal(mentions(case[0]), case[1]),
    )


def test_a_name_is_mentioned_whatever_its_case_and_normal_form() -> None:
    assert folded("JOSE\u0301") == folded("josé") == "josé"


def test_of_a_text_full_of_names_some_are_noted() -> None:
    assert len(mentions(" ".join(f"@a{number}" for number in range(1000)))) == 50


def _assert_equal(found: object, wanted: object) -> None:
    assert found == wanted
