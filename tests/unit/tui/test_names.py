"""How senders are called: nobody can be taken for another."""

from __future__ import annotations

from kchat.display.escaping import cautious_cells, width
from kchat.tui.names import COLORS, Names, Sender
from tests.cases import check_each
from tests.hostile.corpus import TEXTS
from tests.hostile.safe import why_unsafe


def names(*, verifies: bool = False, account: str | None = None) -> Names:
    return Names("ada", account, verifies=verifies)


def test_twelve_names_have_twelve_colours() -> None:
    known = names()
    colors = {known.sender(f"person {number}", None).color for number in range(COLORS)}
    assert colors == set(range(COLORS))


def test_a_name_keeps_its_colour() -> None:
    known = names()
    before = known.sender("bob", None).color
    for number in range(50):
        known.sender(f"person {number}", None)
    assert known.sender("bob", None).color == before


def test_names_with_a_foreign_or_unseen_letter_are_escaped() -> None:
    assert names().sender("\u0430da", None).name == r"\u0430da"
    assert names().sender("ada\u200b", None).name == r"ada\u200b"
    assert names().sender("b\u202eob", None).name == r"b\u202eob"


def test_a_name_that_looks_like_a_known_one_says_so() -> None:
    known = names()
    known.sender("bob", None)
    assert known.sender("B0B", None).mark == " (looks like bob)"
    assert known.sender("Ada", None).mark == " (looks like ada)"
    assert known.sender("bob", None).mark == ""


def test_another_with_ones_own_name_is_marked_where_names_are_checked() -> None:
    known = names(verifies=True, account="ada")
    assert known.sender("ada", None).mark == " ?"
    assert known.sender("ada", "guest").mark == " (via guest)"
    assert known.sender("ada", None, mine=True).mark == ""


def test_ones_own_name_has_no_mark_where_nobody_checks() -> None:
    assert names().sender("ada", None).mark == ""
    assert names().listed("ada") == "ada"
    shared = names(verifies=True, account="rmq")
    assert shared.sender("ada", "rmq").mark == ""  # all share that account
    shared.sender("bob", "bob")
    assert shared.sender("ada", "rmq").mark == " (via rmq)"


def test_names_are_not_marked_one_by_one_where_nobody_checks() -> None:
    assert names().sender("bob", None).mark == ""
    assert names(verifies=True).sender("bob", None).mark == " ?"


def test_an_account_is_shown_where_it_is_not_the_name() -> None:
    known = names(verifies=True, account="rmq")
    assert known.sender("bob", "bob").mark == ""
    assert known.sender("bob", "guest").mark == " (via guest)"
    assert known.sender("bob", "rmq").mark == " (via rmq)"  # or bob would be whoever shares that account


def test_the_account_that_all_share_is_shown_from_the_first_message_of_another_on() -> None:
    known = names(verifies=True, account="rmq")
    found = [("", known.checked)]
    for sender, account in (("bob", "rmq"), ("bob", "bob"), ("bob", "rmq")):
        mark = known.sender(sender, account).mark
        found.append((mark, known.checked))
    assert found == [("", True), ("", False), ("", True), (" (via rmq)", True)]


def test_only_the_broker_vouches_for_oneself() -> None:
    own = Names("ada", "ada", verifies=True)
    assert own.is_me("ada", "ada")
    assert not own.is_me("ada", None)
    assert not own.is_me("ada", "guest")
    assert not own.is_me("bob", "ada")


def test_a_mark_stays_whole_and_the_name_is_cut_before_it() -> None:
    assert Sender("somebody", " (via guest)", 0).fitted(16) == ("som…", " (via guest)")
    assert Sender("somebody", " (via somebody else)", 0).fitted(12) == ("somebody", " ?")
    assert Sender("bob", "", 0).fitted(3) == ("bob", "")


def test_no_hostile_name_reaches_a_terminal_or_leaves_its_columns() -> None:
    known = names(verifies=True)

    def check(text: str) -> None:
        for sender in (known.sender(text, None), known.sender(text, text), known.sender("bob", text)):
            for columns in (6, 12, 20):
                name, mark = sender.fitted(columns)
                assert why_unsafe(name + mark, newlines=False) == ""
                assert width(name + mark, cautious_cells) <= columns
            assert sender.name.strip()

    check_each(TEXTS, check)
