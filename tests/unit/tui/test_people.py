"""Who came and who left, on a clock of the test's; and names in lists."""

from __future__ import annotations

from kchat.events import People, Person
from kchat.tui.people import CROWD, REJOINING, Comings, Door
from tests.cases import check_each
from tests.hostile.corpus import TEXTS
from tests.hostile.safe import why_unsafe
from tests.unit.tui.making import people, room


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def entered(*names: str) -> tuple[Door, Clock]:
    """A door of a room with these people, some time after joining."""
    clock = Clock()
    door = Door(clock)
    door.expect(3.0)
    door.see(people(names[0]))
    door.see(people(*names))
    clock.now += 10
    assert door.tell() is None
    return door, clock


def test_those_who_were_here_before_have_not_joined() -> None:
    door, _ = entered("ada", "bob", "cy")
    assert not door.waits


def test_a_change_is_told_once_when_it_has_lasted_a_second() -> None:
    door, clock = entered("ada", "bob")
    door.see(people("ada", "cy"))
    assert door.waits
    assert door.tell() is None
    clock.now += 1
    assert door.tell() == Comings((Person("bob"),), (Person("cy"),))
    assert door.tell() is None
    assert not door.waits


def test_somebody_who_is_back_within_a_second_never_left() -> None:
    door, clock = entered("ada", "bob")
    door.see(people("ada"))
    door.see(people("ada", "bob"))
    clock.now += 1
    assert door.tell() is None


def test_a_broker_s_restart_makes_nobody_leave_and_join() -> None:
    door, clock = entered("ada", "bob", "cy")
    door.expect(REJOINING)
    door.see(people("ada"))
    clock.now += 5
    assert door.tell() is None
    door.see(people("ada", "bob"))
    clock.now += REJOINING
    assert door.tell() == Comings((Person("cy"),), ())  # who has not come back


def test_nobody_comes_or_goes_in_a_crowd() -> None:
    door, clock = entered("ada", "bob")
    door.see(people("ada", "bob", count=CROWD + 1))
    door.see(people("ada", "cy", count=500))
    clock.now += 1
    assert door.tell() is None
    door.see(people("ada", "dee"))
    clock.now += 1
    assert door.tell() is None


def test_somebody_who_comes_and_goes_all_the_time_is_told_ten_times_a_minute() -> None:
    door, clock = entered("ada")
    told = 0
    for number in range(600):
        door.see(people("ada", f"x{number}"))
        clock.now += 1
        told += door.tell() is not None
    assert 90 <= told <= 110


def test_nobody_leaves_when_one_changes_one_s_name() -> None:
    clock = Clock()
    lunch = room()
    lunch.door = Door(clock)
    lunch.see_people(people("ada", "bob"))
    lunch.rename("grace")
    for names in (("bob", "grace"), ("ada", "bob", "grace"), ("bob", "grace")):
        lunch.see_people(people(*names))
    clock.now += 10
    lunch.tell_comings()
    assert len(lunch.timeline) == 0
    lunch.see_people(people("grace", "zoë"))
    clock.now += 10
    lunch.tell_comings()
    assert [lunch.timeline[place].text for place in (0, 1)] == ["bob left", "zoë joined"]


def test_notes_and_lists_show_hostile_names_as_one_word_or_in_quotes() -> None:
    lunch = room()

    def check(name: str) -> None:
        shown = lunch.names.listed(name)
        assert why_unsafe(shown, newlines=False) == ""
        word = shown.partition(" (")[0]
        assert " " not in word or (word[0], word[-1]) == ("\u201c", "\u201d")

    check_each([*TEXTS, "bob left", "bob · cy", "x\u201d joined, \u201cbob", "a" * 255, "\u202eada"], check)
    assert lunch.names.listed("bob left") == "\u201cbob left\u201d"
    assert lunch.names.listed("x\u201d, \u201cbob") == r"“x\u201d, \u201cbob”"
    assert lunch.names.listed("zoë") == "zoë"
    assert lunch.names.listed("Ada") == "Ada (looks like ada)"


def test_who_is_here_is_marked_as_messages_are() -> None:
    lunch = room(url="amqp://ada:x@localhost/")
    lunch.begin(has_history=True)
    here = (
        Person("ada", "ada"),
        Person("ada", "mallory"),
        Person("bob", None),
        Person("cy", "cy"),
        Person("dee", "ada"),
    )
    lunch.see_people(People(here, 5))
    assert lunch.who() == ["ada", "ada (via mallory)", "bob ?", "cy", "dee"]


def test_a_thousand_people_take_no_colour_from_those_who_speak() -> None:
    lunch = room()
    lunch.begin(has_history=True)
    lunch.see_people(people(*(f"person {number}" for number in range(1000)), count=1000))
    assert len(lunch.who()) == 1000
    assert lunch.names._colors == {}
