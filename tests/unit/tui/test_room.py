"""A room: what is unread, where one left off, who is here, and what the history brings."""

from __future__ import annotations

import pytest

from kchat.client.filters import none_of, sent_by
from kchat.tui.room import Room
from kchat.tui.timeline import MOST, MOST_CHARACTERS, Entry, Kind, Timeline
from tests.unit.tui.making import NOON, people, room, said, settings


def test_what_nobody_looks_at_is_unread() -> None:
    lunch = room()
    lunch.arrive([said("bob", "one")], watched=True)
    assert lunch.unread == 0
    lunch.look_away()
    lunch.arrive([said("bob", "two", ago=-1), said("bob", "hi ada", ago=-1)], watched=False)
    assert (lunch.unread, lunch.mentions) == (2, 1)
    assert lunch.new_from == 1
    lunch.look()
    assert (lunch.unread, lunch.mentions) == (0, 0)
    assert lunch.new_from == 1  # until one looks away, or says something
    lunch.write("hello")
    assert lunch.new_from is None


def test_old_messages_are_neither_unread_nor_news() -> None:
    lunch = room()
    news = lunch.arrive([said("bob", "ada, look", ago=3600)], watched=False)
    assert (lunch.unread, news.mentions) == (0, [])
    assert [entry.text for entry in lunch.arrive([said("bob", "ada!", ago=-1)], watched=True).mentions] == [
        "ada!"
    ]


def test_a_sender_whose_clock_is_late_is_unread_all_the_same() -> None:
    lunch = room()
    lunch.arrive([said("bob", "live", ago=-1)], watched=True)
    lunch.look_away()
    lunch.arrive([said("cy", "from a clock that is late", ago=600)], watched=False)
    assert lunch.unread == 1


def test_the_line_new_is_where_an_earlier_run_left_off() -> None:
    lunch = room(read=NOON - 100)
    lunch.arrive(
        [said("bob", "read", ago=200), said("bob", "new", ago=50), said("bob", "newer", ago=40)], watched=True
    )
    assert lunch.new_from == 1
    assert lunch.read > NOON - 60


def test_what_was_missed_in_a_room_that_nobody_looks_at_is_unread() -> None:
    ops = room(read=NOON - 100)
    ops.arrive([said("bob", "read", ago=200), said("bob", "ada?", ago=50)], watched=False)
    assert (ops.unread, ops.mentions, ops.new_from) == (1, 1, 1)


def test_there_is_no_line_new_where_all_was_read_or_nobody_was_ever_here() -> None:
    assert room().new_from is None
    for lunch in (room(), room(read=NOON - 10)):
        lunch.arrive([said("bob", "read", ago=200)], watched=True)
        assert lunch.new_from is None


def test_the_clock_of_a_sender_makes_no_days_to_come() -> None:
    lunch = room()
    lunch.arrive([said("bob", "from the future", ago=-86_400 * 10)], watched=True)
    assert lunch.timeline[0].seconds < NOON + 1
    assert lunch.read < NOON + 1


def test_a_clock_that_is_set_back_makes_nothing_old_that_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The history is over when nothing of it has come for some seconds, whatever the clock on the wall does meanwhile."""
    now, passed = [NOON], [1000.0]
    monkeypatch.setattr("kchat.tui.room.monotonic", lambda: passed[0])
    lunch = room(clock=lambda: now[0])
    lunch.begin(has_history=True)
    lunch.arrive([said("bob", "ada, old", ago=60)], watched=False)
    now[0] -= 3600
    passed[0] += 60
    news = lunch.arrive([said("bob", "ada, look", ago=3590)], watched=False)
    assert ([each.text for each in news.mentions], lunch.unread) == (["ada, look"], 1)
    assert not lunch.is_kept(lunch.timeline[1])


def test_a_clock_that_is_set_forward_makes_no_news_of_what_was_kept() -> None:
    now = [NOON]
    lunch = room(clock=lambda: now[0])
    lunch.begin(has_history=True)
    now[0] += 3600
    news = lunch.arrive([said("bob", "ada, old", ago=60), said("bob", "ada, older", ago=90)], watched=False)
    assert (news.mentions, lunch.unread) == ([], 0)


def test_what_is_written_here_is_told_from_what_was_said_before_whatever_the_clock_does() -> None:
    now = [NOON]
    lunch = room(clock=lambda: now[0])
    now[0] -= 3600
    here = lunch.write("here")
    lunch.arrive([said("ada", "before", ago=7200), here], watched=True)
    assert [lunch.timeline[place].typed for place in (0, 1)] == [False, True]


def test_one_is_alone_only_where_that_is_known() -> None:
    lunch = room()
    message = lunch.write("hello")
    lunch.confirm(str(message.id), routed=None)
    assert not lunch.outbox[0].entry.alone
    lunch.begin(has_history=True)
    lunch.all_known = False  # others may be here who have said nothing yet
    lunch.see_people(people("ada"))
    message = lunch.write("hello?")
    lunch.confirm(str(message.id), routed=True)
    assert not lunch.outbox[1].entry.alone
    lunch.all_known = True
    message = lunch.write("hello??")
    lunch.confirm(str(message.id), routed=True)
    lunch.tell_alone()
    assert lunch.doubts
    assert not lunch.outbox[2].entry.alone  # somebody may just be coming


def test_one_who_came_just_before_a_message_was_here_to_read_it() -> None:
    lunch = room()
    lunch.begin(has_history=True)
    lunch.see_people(people("ada"))
    lunch.confirm(str(lunch.write("hello").id), routed=True)
    lunch.see_people(people("ada", "bob"))
    lunch.see_people(people("ada"))
    lunch.confirm(str(lunch.write("anybody?").id), routed=True)
    lunch.confirm(str(lunch.write("refused").id), routed=False)
    lunch.tell_alone(0.0)
    assert [written.entry.alone for written in lunch.outbox] == [False, True, True]
    assert not lunch.doubts


def test_a_message_that_was_confirmed_before_it_was_known_who_is_here_says_so_when_it_is() -> None:
    lunch = room()
    lunch.begin(has_history=True)
    lunch.confirm(str(lunch.write("hello").id), routed=True)
    lunch.tell_alone(0.0)
    assert not lunch.outbox[0].entry.alone
    lunch.see_people(people("ada"))
    lunch.tell_alone(0.0)
    assert lunch.outbox[0].entry.alone


def test_one_is_not_alone_before_the_others_had_time_to_answer() -> None:
    lunch = room()
    lunch.begin(has_history=True)
    lunch.all_known = False
    lunch.see_people(people("ada"))
    message = lunch.write("hello?")
    lunch.confirm(str(message.id), routed=True)
    assert (lunch.here, lunch.outbox[0].entry.alone) == (None, False)
    lunch.see_people(people("ada", "bob"))
    assert lunch.here == people("ada", "bob")
    lunch.see_people(people("ada"))
    lunch.all_known = True
    assert lunch.is_alone


def test_older_messages_come_before_those_that_are_known() -> None:
    lunch = room(url="local:///tmp/unused.db")
    lunch.begin(has_history=True)
    known = [said("bob", str(number), ago=100 - number) for number in range(3, 5)]
    older = [said("bob", str(number), ago=100 - number) for number in range(3)]
    lunch.arrive(known, watched=True)
    lunch.begin(has_history=True)
    assert not lunch.complete
    assert lunch.arrive_older([*older, *known]) == 3
    assert [lunch.timeline[place].text for place in range(lunch.timeline.first, lunch.timeline.end)] == list(
        "01234"
    )
    assert lunch.timeline.first == -3
    assert lunch.arrive_older([*older, *known]) == 0
    assert lunch.complete


def test_a_room_without_history_has_nothing_older() -> None:
    assert room().complete


def test_the_oldest_go_when_there_are_too_many() -> None:
    timeline = Timeline()
    for number in range(MOST + 1500):
        timeline.append(Entry(Kind.MESSAGE, "bob", None, 0.0, str(number)))
    assert MOST <= len(timeline) < MOST + 1000
    assert timeline[timeline.first].text == str(timeline.first)
    assert timeline.pruned
    assert timeline.is_full


def test_a_few_long_messages_are_too_many_as_well() -> None:
    timeline = Timeline()
    piece = "x" * (MOST_CHARACTERS // 10)
    for _ in range(15):
        timeline.append(Entry(Kind.MESSAGE, "bob", None, 0.0, piece))
    assert len(timeline) * len(piece) <= MOST_CHARACTERS
    assert timeline.end == 15


def test_a_search_finds_texts_and_names_in_both_directions() -> None:
    lunch = room()
    lunch.arrive([said("bob", "One"), said("one", "x"), said("cy", "two")], watched=True)
    lunch.note("one")
    timeline = lunch.timeline
    assert timeline.search("ONE", timeline.end) == 1
    assert timeline.search("one", 1) == 0
    assert timeline.search("one", 0) is None
    assert timeline.search_after("one", 0) == 1
    assert timeline.search_after("one", 1) is None


def test_names_are_completed_as_they_are_shown() -> None:
    lunch = room()
    lunch.arrive([said("bob", "x"), said("ev\x1b[31mil", "x"), said(None, "x")], watched=True)
    assert lunch.likely_names() == [r"ev\x1b[31mil", "bob"]


def texts(of: Room) -> list[str]:
    return [of.timeline[place].text for place in range(of.timeline.first, of.timeline.end)]


def test_a_filter_hides_others_and_never_what_is_written_here() -> None:
    lunch = Room(settings(), "ada", where=none_of(sent_by("ada", "ci")), clock=lambda: NOON)
    lunch.look_away()
    lunch.write("mine")
    own = next(iter(lunch.outbox)).message
    news = lunch.arrive(
        [
            said("ci", "ada: build 1", ago=-1),
            own,
            said("ada", "from elsewhere", ago=-1),
            said("bob", "hi", ago=-1),
        ],
        watched=False,
    )
    assert (news.messages, lunch.unread, lunch.mentions, lunch.received) == (1, 1, 0, 4)
    assert texts(lunch) == ["mine", "hi"]
    lunch.arrive_older([said("ci", "build 0"), said("bob", "older")])
    assert texts(lunch) == ["older", "mine", "hi"]
    assert (lunch.complete, lunch.received) == (False, 6)
