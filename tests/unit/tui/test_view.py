"""What is seen of a room: rows, lines between them, and moving."""

from __future__ import annotations

from kchat.display.escaping import cautious_cells, width
from kchat.message import Message
from kchat.tui.view import View
from tests.cases import check_each
from tests.hostile.corpus import BODIES, TEXTS
from tests.hostile.safe import why_unsafe
from tests.unit.tui.making import NOON, lines, room, said


def view(*messages: Message, columns: int = 60, height: int = 20) -> View:
    lunch = room()
    lunch.arrive(messages, watched=True)
    seen = View(lunch)
    seen.resize(columns, height)
    return seen


def numbered(number: int, height: int = 10) -> View:
    return view(*(said("bob", f"message {each}") for each in range(number)), height=height)


def test_the_same_senders_messages_share_a_name() -> None:
    shown = lines(view(said("bob", "one"), said("bob", "two"), said("cy", "three"), said("bob", "four")))
    assert [line[8:] for line in shown[1:]] == ["bob  one", "     two", "cy   three", "bob  four"]


def test_a_line_says_where_the_day_changes() -> None:
    shown = lines(view(said("bob", "old", ago=86_400 * 40), said("bob", "new")))
    assert " today " in shown[2]
    assert shown[0].startswith("───")
    assert "today" not in shown[0]
    assert "bob" in shown[3]


def test_a_line_says_what_is_new() -> None:
    seen = view(said("bob", "read"))
    seen.room.look_away()
    seen.room.arrive([said("bob", "unread", ago=-1)], watched=False)
    shown = lines(seen)
    assert " new " in shown[2]
    assert "bob  unread" in shown[3]
    assert lines(view()) == []


def test_long_texts_are_wrapped_in_their_own_column() -> None:
    shown = lines(view(said("bob", "word " * 30 + "\nnext line")))
    column = shown[1].index("word")
    assert all(line[:column].strip() == "" for line in shown[2:])
    assert shown[-1][column:] == "next line"


def test_each_row_fits_whatever_is_in_it() -> None:
    def check(text: str) -> None:
        for columns in (20, 40, 80):
            seen = view(said(text, text, account=text), said("bob", text), columns=columns, height=500)
            seen.room.write(text)
            failed = seen.room.write("x")
            seen.room.outbox.fail(str(failed.id), "because")
            for line in lines(seen):
                assert why_unsafe(line, newlines=False) == ""
                assert width(line, cautious_cells) <= columns

    check_each(TEXTS, check)


def test_each_body_is_shown_safely() -> None:
    def check(body: bytes) -> None:
        seen = view(Message.from_body(body), height=500)
        for line in lines(seen):
            assert why_unsafe(line, newlines=False) == ""

    check_each(BODIES, check)


def test_nothing_in_a_message_looks_like_a_row_of_the_windows_own() -> None:
    """Lines across begin in the first column, notes in that of the names without a time, and messages in neither."""
    imitations = (
        "─" * 28 + " today " + "─" * 28,
        "─" * 60,
        "· bob left",
        "connected · F1 help",
        " 12:00  root  hello",
    )

    def check(text: str) -> None:
        seen = view(said(text, f"{text}\n{text}"), said("bob", text))
        own = [line for line in lines(seen) if line.startswith("─")]
        assert len(own) == 1  # the day's
        for line in lines(seen)[1:]:
            assert line[0] == " "
            assert (line[1:6].strip() == "") == (line[8:11].strip() == "")  # a name stands beside a time

    check_each(imitations, check)


def test_a_very_long_message_is_cut() -> None:
    shown = lines(view(said("bob", "line\n" * 5000), height=1000))
    assert len(shown) < 220
    assert "[cut: " in shown[-1]


def test_it_follows_what_comes() -> None:
    seen = numbered(50)
    assert lines(seen)[-1].endswith("message 49")
    seen.room.arrive([said("bob", "another")], watched=True)
    assert lines(seen)[-1].endswith("another")


def test_scrolling_holds_the_place_and_counts_what_is_new() -> None:
    seen = numbered(50)
    seen.page(-1)
    held = lines(seen)
    assert held[-1].endswith("message 41")
    seen.room.arrive([said("bob", "another")] * 3, watched=True)
    seen.room.note("not a message")
    assert lines(seen) == held
    assert seen.new_below == 3
    seen.to_end()
    assert seen.new_below == 0
    assert "not a message" in lines(seen)[-1]


def test_pages_up_and_down_come_back_to_the_end() -> None:
    seen = numbered(50)
    for _ in range(20):
        seen.page(-1)
    assert "today" in lines(seen)[0]
    assert seen.is_at_start
    for _ in range(20):
        seen.page(1)
    assert seen.follows
    assert lines(seen)[-1].endswith("message 49")


def test_home_and_end() -> None:
    seen = numbered(50)
    seen.to_start()
    assert lines(seen)[1].endswith("message 0")
    assert not seen.follows
    seen.to_end()
    assert seen.follows


def test_a_short_room_does_not_scroll() -> None:
    seen = numbered(3)
    for move in (seen.page, seen.scroll):
        move(-1)
        assert seen.follows
    seen.to_start()
    assert seen.follows


def test_the_row_on_top_says_who() -> None:
    seen = numbered(50)
    seen.page(-1)
    assert "bob" in lines(seen)[0]
    assert "bob" not in lines(seen)[1]


def test_the_place_is_held_when_older_messages_come() -> None:
    seen = numbered(30)
    seen.to_start()
    seen.scroll(5)
    held = lines(seen)[1:]
    seen.room.arrive_older([said("bob", "older", ago=60)] * 10)
    assert lines(seen)[1:] == held


def test_a_narrow_window_cuts_names_and_keeps_the_text() -> None:
    shown = lines(view(said("a very long name indeed", "hello"), columns=40))
    assert shown[1].endswith("hello")
    assert "…" in shown[1]


def test_what_is_written_stands_below_and_is_told_apart() -> None:
    seen = view(said("bob", "hi"))
    sending = seen.room.write("one")
    failed = seen.room.write("two")
    seen.room.outbox.fail(str(failed.id), "the broker refused")
    assert "not sent: the broker refused" in " ".join(lines(seen)[-2:])
    styles = [seen_row.row[-1].style for seen_row in seen.seen()]
    assert styles[2:] == ["sending", "failed", "reason", "reason"]
    seen.room.confirm(str(sending.id), routed=True)
    assert seen.seen()[2].row[-1].style == "own"


def test_searching_goes_from_one_message_to_the_next() -> None:
    seen = numbered(200)
    assert seen.look_for("message 5")
    assert any(line.endswith("message 59") for line in lines(seen))
    assert [span.text for each in seen.seen() for span in each.row if span.style == "found"].count(
        "message 5"
    ) >= 1
    assert seen.find(older=True)
    assert any(line.endswith("message 58") for line in lines(seen))
    assert seen.find(older=False)
    assert not seen.look_for("nothing like it")
    seen.look_for("")
    assert not [span for each in seen.seen() for span in each.row if span.style == "found"]


def test_only_what_is_seen_is_laid_out() -> None:
    seen = numbered(20_000)
    seen.seen()
    assert len(seen._cache) < 50


def test_dates_are_named() -> None:
    for ago, expected in (
        (0, "today"),
        (86_400, "yesterday"),
        (86_400 * 7, "Fri 24 Apr"),
        (86_400 * 800, "2024"),
    ):
        assert expected in lines(view(said("bob", "x", ago=ago)))[0]


def test_what_is_of_today_is_of_yesterday_when_the_next_day_has_begun() -> None:
    now = [NOON]
    seen = View(room(clock=lambda: now[0]))
    seen.resize(60, 20)
    seen.room.arrive([said("bob", "x"), said("bob", "y", ago=-60)], watched=True)
    assert " today " in lines(seen)[0]
    now[0] += 86_400
    assert " yesterday " in lines(seen)[0]
    seen.room.note("the connection is back")
    assert [" today " in line for line in lines(seen)] == [False, False, False, True, False]
