"""docs/course.md can be walked as it stands, and kchat, pika, Kombu and Google's library receive what the others send."""

from __future__ import annotations

from tests.docs.examples import unmarked
from tests.docs.walk import NAME, Walk, parts

PAGE = "docs/course.md"


def test_the_course_can_be_walked_from_its_beginning_to_its_end(walk: Walk) -> None:
    walk.go(PAGE)


def test_no_program_is_left_out() -> None:
    programs = [part.text.splitlines()[0] for part in parts(PAGE) if part.language == "python"]
    assert [name for name in programs if not NAME.match(name + "\n")] == []
    assert len(programs) == len(set(programs)) >= 8
    assert unmarked(PAGE) == []
