"""The bars: what does not fit goes, the least important first."""

from __future__ import annotations

from kchat.display.escaping import width
from kchat.tui.bars import Piece, header, prompt, room_row, room_rows
from kchat.tui.status import fitted
from tests.cases import check_each
from tests.hostile.corpus import TEXTS
from tests.hostile.safe import why_unsafe
from tests.unit.tui.making import people, room


def text(pieces: list[Piece]) -> str:
    return "".join(piece for piece, _ in pieces)


def test_the_header_fits_every_width() -> None:
    lunch = room()
    lunch.begin(has_history=True)
    lunch.see_people(people("ada", "bob", "cy"))
    for columns in range(1, 120):
        assert width(text(header(lunch, "localhost", columns))) <= max(columns, 6), columns
    assert text(header(lunch, "localhost", 80)).endswith("ada · bob · cy   3 here")
    assert len(text(header(lunch, "localhost", 80))) == 79
    assert text(header(lunch, "localhost", 60)).split() == [
        *("lunch", "·", "localhost", "·", "names", "not", "checked"),
        *("ada", "…", "3", "here"),
    ]
    # Whose names one reads is said before where one is.
    assert text(header(lunch, "localhost", 40)).split() == [
        "lunch",
        "·",
        "names",
        "not",
        "checked",
        "3",
        "here",
    ]
    assert text(header(lunch, "localhost", 30)).split() == ["lunch", "·", "localhost", "3", "here"]


def test_a_crowd_is_a_number() -> None:
    lunch = room()
    lunch.begin(has_history=True)
    lunch.see_people(people(*(f"person {number}" for number in range(20)), count=500))
    assert text(header(lunch, "localhost", 120)).split("checked")[1].split() == ["500", "here"]
    assert text(header(lunch, "localhost", 30)).endswith("500 here")


def test_hostile_names_stay_in_the_header() -> None:
    def check(name: str) -> None:
        lunch = room()
        lunch.begin(has_history=True)
        lunch.see_people(people("ada", name))
        shown = text(header(lunch, "localhost", 60))
        assert why_unsafe(shown, newlines=False) == ""
        assert width(shown) <= 60

    check_each(TEXTS, check)


def test_the_status_keeps_its_first_words() -> None:
    left: list[Piece] = [("2 not sent yet · ", "x"), ("no connection, trying again in 4 s (attempt 5)", "x")]
    for columns in (20, 40, 80):
        shown = text(fitted(left, [("F1 help", "x")], columns))
        assert shown.startswith(" 2 not sent yet")
        assert len(shown) == columns
    assert text(fitted(left, [("F1 help", "x")], 80)).endswith("F1 help ")
    for columns in range(12, 40):
        shown = text(fitted([("connected", "x")], [("F1 help", "x")], columns))
        assert shown.split() in (["connected"], ["connected", "F1", "help"]), columns


def test_the_current_room_is_always_on_the_row() -> None:
    rooms = [room() for _ in range(12)]
    for current in rooms:
        pieces = room_row(rooms, current, 40)
        here = [number for number, (_, style) in enumerate(pieces) if style == "bar-here"]
        assert len(here) == 1
        assert len(text(pieces[: here[0] + 1])) <= 40


def test_the_list_counts_what_is_unread() -> None:
    rooms = [room() for _ in range(3)]
    rooms[1].unread, rooms[2].unread, rooms[2].mentions = 3, 1500, 2
    rows = [text(row) for row in room_rows(rooms, rooms[0], 20, 24)]
    assert rows[1:] == [" 1 lunch            ", " 2 lunch          3 ", " 3 lunch      @999+ "]


def test_of_more_rooms_than_fit_the_current_one_is_on_the_list_and_the_others_are_counted() -> None:
    rooms = [room() for _ in range(30)]
    rooms[0].unread, rooms[29].unread, rooms[29].mentions = 4, 2, 1
    for current in range(30):
        for lines in range(1, 40):
            rows = room_rows(rooms, rooms[current], 20, lines)
            assert len(rows) <= max(lines, 3), (current, lines)
            assert sum(style == "bar-here" for row in rows for _, style in row) == 1, (current, lines)
    assert text(room_rows(rooms, rooms[0], 20, 24)[-1]).split() == ["↓", "8", "more", "@2"]
    rows = room_rows(rooms, rooms[29], 20, 24)
    assert text(rows[0]).split() == ["rooms", "↑", "8", "more", "4"]
    assert "lunch" in text(rows[-1])


def test_a_row_of_rooms_says_what_is_unread_in_those_that_are_not_on_it() -> None:
    rooms = [room() for _ in range(30)]
    rooms[29].unread, rooms[29].mentions = 2, 1
    for current in range(30):
        row = text(room_row(rooms, rooms[current], 40))
        assert width(row) <= 40
        assert row.endswith("@2") or current > 25, current
    assert text(room_row(rooms[:2], rooms[0], 40)) == " 1 lunch  2 lunch "


def test_a_long_name_leaves_room_to_write() -> None:
    for columns in (12, 40, 80):
        assert len(prompt("a very long name indeed", columns, searches=False)) <= columns // 3 + 4
