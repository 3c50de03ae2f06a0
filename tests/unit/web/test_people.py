"""Who is here, of two sources."""

from __future__ import annotations

from kchat.events import People, Person
from kchat.web.people import Own, as_object, merge


def test_a_guest_that_the_broker_tells_of_too_is_named_once() -> None:
    heard = People((Person("ada", "ada"), Person("bob", "host"), Person("eve", "eve")), 3)
    people = merge(heard, [Own("ada", "ada"), Own("bob", "host")], verifies=True)
    assert people == People((Person("ada", "ada"), Person("bob", "host"), Person("eve", "eve")), 3)


def test_a_guest_is_here_before_the_broker_tells_and_where_it_tells_nothing() -> None:
    assert merge(None, [Own("ada", "ada")], verifies=True) == People((Person("ada", "ada"),), 1)
    assert merge(People(), [Own("ada", "host")], verifies=False) == People((Person("ada"),), 1)


def test_a_stranger_of_a_guests_name_is_named_beside_the_guest() -> None:
    people = merge(People((Person("ada", "eve"),), 1), [Own("ada", "ada")], verifies=True)
    assert people.here == (Person("ada", "ada"), Person("ada", "eve"))
    told = as_object("chat", people, verifies=True)["people"]
    assert [each["mark"] for each in told] == ["", " (via eve)"]


def test_those_who_are_counted_and_not_named_stay_counted() -> None:
    people = merge(People((Person("eve", "eve"),), 70, more=True), [Own("ada", "ada")], verifies=True)
    assert (people.count, people.more, len(people.here)) == (71, True, 2)


def test_what_is_told_is_safe_to_show_and_bounded() -> None:
    names = [Own(f"a\u202e{number:03}", None) for number in range(150)]
    told = as_object("chat", merge(None, names, verifies=False), verifies=False, named=100)
    assert (told["count"], len(told["people"])) == (150, 100)
    assert "\u202e" not in str(told)
