"""Looking back in the live table: what keys show, that the place is held, and what the last line says meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from kchat.display.backlog import KEPT, KEPT_TEXT, Backlog
from kchat.display.looking_back import Position
from kchat.display.rich import Rich
from kchat.message import Message
from tests.unit.display.terminal import Terminal

NOON = datetime(2026, 5, 1, 12, 4, 5, tzinfo=UTC)
NewTerminal = Callable[[int, int], Terminal]


def say(text: str) -> Message:
    return Message.compose("ada", text, sent_at=NOON)


class Table:
    """A table with 100 messages in a terminal."""

    def __init__(self, tty: Terminal, messages: int = 100) -> None:
        self.tty = tty
        self.display = Rich(tty.stream)
        self.display.keys_hint = self.display.hint = "PgUp looks back · q ends"
        self.display.open("chat")
        self.count = 0
        for some in (messages - 1, 1):
            self.come(min(some, messages))

    def come(self, messages: int) -> None:
        for _ in range(messages):
            self.count += 1
            self.display.show(say(f"number {self.count}"))
        self.draw()

    def draw(self) -> None:
        self.display._drawn_at -= 60
        self.display.flush()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.display.press(key)
        self.display.flush()

    @property
    def shown(self) -> list[int]:
        """The numbers of the messages on the screen."""
        found = [int(each[1]) for row in self.tty.rows() if (each := re.search(r"number (\d+)", row))]
        assert found == list(range(found[0], found[0] + len(found)))
        return found

    @property
    def last_line(self) -> str:
        return self.tty.rows()[-1]


@pytest.fixture
def table(terminal: NewTerminal) -> Iterator[Table]:
    made = Table(terminal(80, 24))
    yield made
    made.display.close()


def test_a_page_back_leaves_one_row_of_the_last_page(table: Table) -> None:
    assert table.shown == list(range(81, 101))
    table.press("pageup")
    assert table.shown == list(range(62, 82))
    table.press("pageup")
    assert table.shown == list(range(43, 63))
    table.press("pagedown")
    assert table.shown == list(range(62, 82))
    table.press("pagedown")
    assert table.shown == list(range(81, 101))
    assert "looking back" not in table.last_line


def test_arrows_move_by_a_row_and_home_and_end_to_the_ends(table: Table) -> None:
    table.press("up", "up", "up")
    assert table.shown == list(range(78, 98))
    table.press("down")
    assert table.shown == list(range(79, 99))
    table.press("home")
    assert table.shown == list(range(1, 21))
    table.press("up", "pageup", "home")
    assert table.shown == list(range(1, 21))
    table.press("end")
    assert table.shown == list(range(81, 101))
    assert table.last_line.startswith("100 messages")


def test_the_place_is_held_while_messages_come_and_the_new_ones_are_counted(table: Table) -> None:
    table.press("pageup")
    assert table.last_line.startswith("looking back · End returns · 62 to 81 of 100")
    table.come(5)
    assert table.shown == list(range(62, 82))
    assert table.last_line.startswith("looking back, 5 new below · End returns · 62 to 81 of 105")
    assert table.last_line.endswith("q ends")
    table.press("pagedown")  # the older ones below are not new, and two of the new ones are on the screen now
    assert table.shown == list(range(81, 101))
    assert "5 new below" in table.last_line
    table.press("down", "down")
    assert "3 new below" in table.last_line
    table.press("end")
    assert table.shown == list(range(86, 106))
    table.come(1)
    assert table.shown == list(range(87, 107))


def test_in_40_columns_the_last_line_says_how_many_are_new_and_the_way_out(terminal: NewTerminal) -> None:
    table = Table(terminal(40, 12))
    table.press("pageup")
    table.come(1234)
    assert table.last_line == "1,234 new below · End returns     q ends"
    table.display.close()


def test_a_page_that_is_not_full_has_nothing_to_look_back_at(terminal: NewTerminal) -> None:
    table = Table(terminal(80, 24), messages=5)
    assert "PgUp" not in table.last_line
    for key in ("pageup", "up", "home", "pagedown", "down", "end", "q", "other"):
        table.press(key)
        assert table.shown == list(range(1, 6))
        assert "looking back" not in table.last_line
    table.come(30)
    assert table.last_line.endswith("PgUp looks back · q ends")
    table.display.close()


def test_keys_in_an_empty_table_and_in_one_without_room_do_nothing(terminal: NewTerminal) -> None:
    for size in ((80, 24), (40, 12), (9, 3), (2, 2), (1, 1)):
        for messages in (0, 100):
            table = Table(terminal(*size), messages)
            for key in ("pageup", "up", "home", "pagedown", "down", "end"):
                table.press(key)
                table.come(1)
            table.display.close()


def test_a_row_taller_than_the_page_is_passed(terminal: NewTerminal) -> None:
    table = Table(terminal(40, 12), messages=0)
    for number in range(6):
        table.display.show(say(f"number {number} " + "word " * 2000))
    table.draw()
    seen: set[str] = set()
    for _ in range(20):
        table.press("pageup")
        seen.update(row.split("number ")[1][0] for row in table.tty.rows() if "number " in row)
    assert seen >= set("01234")
    table.display.close()


def test_the_place_survives_a_resize_and_small_screens(table: Table) -> None:
    table.press("pageup")
    for columns, lines in ((200, 50), (40, 12), (20, 2), (80, 24)):
        table.tty.resize(columns, lines)
        table.draw()
        if lines > 2:
            assert table.shown[-1] == 81
    assert table.shown == list(range(62, 82))


def test_rows_that_are_no_longer_kept_give_way_to_the_oldest_that_are(table: Table) -> None:
    table.press("home")
    table.come(KEPT)
    assert table.shown == list(range(101, 121))
    assert f"{KEPT - 20:,} new below" in table.last_line


def test_what_was_below_when_it_ends_is_left_on_the_normal_screen(table: Table) -> None:
    table.press("pageup")
    table.come(50)
    table.display.close()
    left = table.tty.raw().decode().rpartition("\x1b[?1049l")[2]
    assert [int(each) for each in re.findall(r"number (\d+)", left)] == list(range(101, 151))


def test_after_a_burst_that_nobody_waited_for_the_last_screenful_is_left(table: Table) -> None:
    table.come(500)
    table.come(1)
    table.display.close()
    left = table.tty.raw().decode().rpartition("\x1b[?1049l")[2]
    assert [int(each) for each in re.findall(r"number (\d+)", left)] == list(range(582, 602))


def test_what_is_left_of_a_long_burst_is_bounded_and_says_so(terminal: NewTerminal) -> None:
    table = Table(terminal(80, 24), messages=0)
    table.come(3000)
    table.display.close()
    left = table.tty.raw().decode().rpartition("\x1b[?1049l")[2]
    assert "… 2,500 more were too fast to be drawn\r\n" in left
    assert [int(each) for each in re.findall(r"number (\d+)", left)] == list(range(2501, 3001))


def test_what_is_kept_is_bounded_by_characters_too() -> None:
    backlog = Backlog()
    for _ in range(2000):
        backlog.add(say("x" * 8000))
    kept = backlog.end - backlog.first
    assert kept == KEPT_TEXT // (8000 + len("ada"))
    assert backlog[backlog.first].number == 2000 - kept + 1


def test_every_message_is_on_some_page_whatever_their_heights() -> None:
    backlog = Backlog()
    for number in range(200):
        backlog.add(say(str(number)))
    heights = [1 + (number * 7919) % 5 for number in range(200)]
    for room in (5, 6, 11, 20):
        position = Position(backlog)
        for keys in (("home", "pagedown"), ("end", "pageup")):
            position.move(keys[0], room, heights.__getitem__)
            seen: set[int] = set()
            for _ in range(200):
                page = position.page(room, heights.__getitem__)
                seen.update(range(page.top + (page.hidden > 0), page.end))
                assert sum(heights[page.top : page.end]) - page.hidden <= room
                position.move(keys[1], room, heights.__getitem__)
            assert seen == set(range(200))
