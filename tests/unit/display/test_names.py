"""How each mode shows a name that is verified, that is not, and that was not checked."""

from __future__ import annotations

import io
import json
from itertools import product
from typing import Any

import pytest

from kchat import Message
from kchat.display.escaping import width
from kchat.display.names import UNVERIFIED, signature, unverified_suffix
from tests.cases import check_each
from tests.displays import BUILT_IN
from tests.unit.display.times import create


def said(username: str | None, account: str | None) -> Message:
    body = b'{"username":"%s","message":"hello"}' % username.encode() if username is not None else b"hello"
    return Message.from_body(body, account=account)


def line(mode: str, message: Message, **options: Any) -> str:
    stream = io.StringIO()
    display = create(mode, stream, **options)
    display.show(message)
    display.flush()
    return stream.getvalue().rstrip("\n")


@pytest.mark.parametrize(
    ("username", "account", "mark_unverified", "shown"),
    [
        ("ada", "ada", True, "ada"),
        ("ada", "ada", False, "ada"),
        ("ada", "guest", True, "ada (via guest)"),
        ("ada", "guest", False, "ada (via guest)"),
        ("ada", None, True, "ada ?"),
        ("ada", None, False, "ada"),
        (None, None, True, "?"),
        (None, None, False, "?"),
        (None, "guest", True, "? (via guest)"),
        # What only looks like the account's name is not the account's name.
        ("ada\u200b", "ada", True, r"ada\u200b (via ada)"),
        (" ada", "ada", True, "ada (via ada)"),
        ("ada (via ada)", "guest", True, "ada (via ada) (via guest)"),
        ("?", None, True, r"\x3f ?"),
    ],
)
def test_a_name_stands_alone_only_where_the_broker_vouches_for_it(
    username: str | None, account: str | None, mark_unverified: bool, shown: str
) -> None:
    assert "".join(signature(username, account, mark_unverified=mark_unverified)) == shown
    assert line("plain", said(username, account), mark_unverified=mark_unverified)[9:] == f"{shown}: hello"


@pytest.mark.parametrize("account", [None, "guest", "an-account-with-a-long-name"])
def test_however_narrow_the_column_the_doubt_is_never_cut_off(account: str | None) -> None:
    def is_not_cut_off(case: tuple[str, int]) -> None:
        username, columns = case
        shown, behind = signature(username, account, mark_unverified=True, columns=columns)
        assert behind in (UNVERIFIED, unverified_suffix(username, account, mark_unverified=True))
        assert width(shown) + width(behind) <= columns

    check_each(product(["ada", "somebody-with-a-name-as-long-as-a-line"], range(3, 40)), is_not_cut_off)


def test_json_has_the_account_and_whether_the_name_is_its_own() -> None:
    for username, account, verified in (("ada", "ada", True), ("ada", "guest", False), ("ada", None, False)):
        told = json.loads(line("json", said(username, account)))
        assert (told["account"], told["verified"]) == (account, verified)


def test_a_body_cannot_claim_to_be_verified() -> None:
    told = json.loads(line("json", Message.from_body(b'{"username":"ada","message":"x","verified":true}')))
    assert told["verified"] is False
    assert told["extra"] == {"verified": True}


def test_a_body_is_shown_as_it_came_unless_it_came_from_somebody_elses_account() -> None:
    body = '{"username":"ada","message":"hello"}'
    for account, behind in (("rmq", ""), ("ada", ""), (None, ""), ("guest", " (via guest)")):
        shown = line("print", said("ada", account), own="rmq", mark_unverified=True)
        assert shown == f"Received {body}{behind}"


def test_the_live_table_shows_it_too() -> None:
    for account, shown in (("ada", "ada  "), ("guest", "ada (via guest)"), (None, "ada ?")):
        row = line("rich", said("ada", account), mark_unverified=True)
        assert row.startswith(shown)
    assert not line("rich", said("ada", "ada"), mark_unverified=True).startswith("ada ?")


def test_the_doubt_is_dim_where_there_is_colour() -> None:
    assert "\x1b[2m (via guest)\x1b[0m" in line("plain", said("ada", "guest"), color=True)
    assert "\x1b[2m ?\x1b[0m" in line("plain", said("ada", None), color=True, mark_unverified=True)


LINES = [mode for mode in BUILT_IN if mode != "json"]


def lines(mode: str, *messages: Message, **options: Any) -> tuple[list[str], list[str]]:
    """What a display shows of messages, without its header, and what it tells."""
    told: list[str] = []
    stream = io.StringIO()
    display = create(mode, stream, tell=told.append, mark_unverified=True, **options)
    for message in messages:
        display.show(message)
        display.flush()
    return stream.getvalue().splitlines(), told


@pytest.mark.parametrize("mode", LINES)
def test_an_account_that_all_share_is_told_once_and_marks_no_line(mode: str) -> None:
    shown, told = lines(mode, said("ada", "rmq"), said("bob", "rmq"), said("ada", "rmq"), own="rmq")
    assert not [row for row in shown if "via" in row or "?" in row]
    assert told == ["all share the account rmq: names are not checked"]


@pytest.mark.parametrize("mode", LINES)
def test_whoever_shares_ones_account_cannot_pass_for_somebody_with_an_account(mode: str) -> None:
    messages = [said("ada", "rmq"), said("ada", "ada"), said("ada", "rmq"), said("bob", "rmq")]
    shown, told = lines(mode, *messages, own="rmq")
    marked = ["via rmq" in row for row in shown]
    assert marked == [False, False, True, True]
    assert told == [
        "all share the account rmq: names are not checked",
        "not all share the account rmq: from here on, names have marks",
    ]


@pytest.mark.parametrize("mode", LINES)
def test_a_mark_that_was_shown_once_is_never_left_out_later(mode: str) -> None:
    messages = [said("ada", "ada"), *[said(f"user{number}", "rmq") for number in range(50)]]
    shown, told = lines(mode, *messages, own="rmq")
    assert all("(via rmq)" in row for row in shown[1:])
    assert told == []


@pytest.mark.parametrize("mode", LINES)
def test_an_account_of_somebody_else_is_shown_on_each_line_however_many_names_it_uses(mode: str) -> None:
    messages = [said(f"user{number}", "guest") for number in range(20)]
    shown, told = lines(mode, *messages, own="rmq")
    assert all("(via guest)" in row for row in shown)
    assert told == []


def test_a_message_without_an_account_keeps_its_mark_where_all_share_one() -> None:
    shown, _ = lines("plain", said("ada", "rmq"), said("ada", None), own="rmq")
    assert [row[9:] for row in shown] == ["ada: hello", "ada ?: hello"]


@pytest.mark.parametrize("mode", LINES)
def test_where_nobody_is_checked_no_name_has_a_mark(mode: str) -> None:
    shown = line(mode, said("ada", None), mark_unverified=False)
    assert "?" not in shown


def test_a_verified_viewer_is_not_told_that_names_are_not_checked() -> None:
    assert lines("plain", said("ada", "ada"), own="ada")[1] == []


def test_an_account_in_what_is_told_is_safe() -> None:
    told = lines("plain", said("bob", "rmq\x1b[31m"), own="rmq\x1b[31m")[1]
    assert told == [r"all share the account rmq\x1b[31m: names are not checked"]


@pytest.mark.parametrize("mode", BUILT_IN)
def test_an_account_whose_name_looks_like_anothers_is_spelled_out(mode: str) -> None:
    alike = {
        "ada ": r"ada\x20",
        " ada": r"\x20ada",
        "ada\u00a0": r"ada\xa0",
        "ada\u200b": r"ada\u200b",
        "\u0430da": r"\u0430da",
        "ade\u0301": r"ade\u0301",
        "\uff41da": r"\uff41da",
    }
    for account, spelling in alike.items():
        for username in (account, "ada"):
            shown = line(mode, said(username, account), mark_unverified=True, own="rmq")
            if mode == "json":
                told = json.loads(shown)
                assert (told["account"], told["verified"]) == (account, False)
            else:
                assert f"(via {spelling})" in shown, shown
    assert "via" not in line(mode, said("ada", "ada"), mark_unverified=True, own="rmq")


def test_a_spelled_out_account_fits_its_column_or_leaves_the_doubt() -> None:
    def fits(columns: int) -> None:
        shown, behind = signature("\u0430da", "\u0430da", mark_unverified=True, columns=columns)
        assert behind in (UNVERIFIED, r" (via \u0430da)", "")
        assert behind or columns < 3
        assert width(shown) + width(behind) <= max(columns, 1)

    check_each(range(1, 30), fits)
