"""Counting what is missing between numbered messages, and the header that bears the number."""

from __future__ import annotations

from amqp import spec

from kchat import events
from kchat.client.drops import REMEMBERED, Drops, Gaps, QueueLength
from kchat.transports.amqp.delivery import Incoming
from kchat.transports.amqp.framing import PropertyWriter, number_table

PROPERTIES = {"content_type": "application/json", "delivery_mode": 1, "message_id": "x", "user_id": "ada"}


def missing(*places: int) -> int:
    """What is missing when these arrive one after the other."""
    gaps = Gaps()
    for place in places:
        gaps.note(("s", place), None)
    return gaps.missing


def test_skipped_numbers_and_no_others_are_missing() -> None:
    assert missing(1, 2, 3) == 0
    assert missing(7, 8) == 0  # it spoke before
    assert missing(1, 5, 6, 10) == 3 + 3
    assert missing(1, 2, 3, 2, 3, 4) == 0  # sent again
    assert missing(1, 10**14) == 0  # made up


def test_senders_and_accounts_are_counted_apart() -> None:
    gaps = Gaps()
    for stream, place, account in (("a", 1, "ada"), ("b", 1, "ada"), ("a", 9, "eve"), ("a", 2, "ada")):
        gaps.note((stream, place), account)
    assert gaps.missing == 0
    assert not gaps.uncounted
    gaps.note(None, "ada")
    assert gaps.uncounted


def test_a_great_many_senders_cost_no_more_memory() -> None:
    gaps = Gaps()
    for number in range(3 * REMEMBERED):
        gaps.note((str(number), 1), None)
    assert len(gaps._recent) + len(gaps._before) <= 2 * REMEMBERED


def test_a_sender_is_remembered_beside_as_many_others_as_are_promised() -> None:
    gaps = Gaps()
    gaps.note(("s", 1), "ada")
    for number in range(REMEMBERED):
        gaps.note((str(number), 1), None)
    gaps.note(("s", 5), "ada")
    assert gaps.missing == 3


def read(table: bytes) -> Incoming:
    """A message that arrives with these headers."""
    message = Incoming(spec.Basic.Deliver, b"")
    message.take(2, bytes(12) + PropertyWriter().write(PROPERTIES, table))
    return message


def test_a_number_is_read_as_it_was_written_by_kchat_and_by_others() -> None:
    for stream in ("0123456789ab", "%d", "x"):
        message = read(number_table(stream) % 17)
        assert message.number == (stream, 17)
        assert message.properties["application_headers"] == {"kchat-number": f"{stream}.{17:012}"}
        assert message.user_id == "ada"
        assert message.properties["message_id"] == "x"
    assert read(b"").number is None
    assert read(b"").user_id == "ada"


def test_a_number_that_is_none_is_no_number() -> None:
    table = number_table("s") % 17
    for odd in (
        table.replace(b"000017", b"00001x"),
        table.replace(b"kchat-number", b"kchat-nomber"),
        table.replace(b"000000000017", "٣".encode() * 6),
        table[:-30],
    ):
        assert read(odd).number is None


def test_one_that_was_dead_lettered_does_not_count() -> None:
    key = b"\x07x-deathS\x00\x00\x00\x01x"
    table = number_table("s") % 17
    size = int.from_bytes(table[:4], "big") + len(key)
    assert read(size.to_bytes(4, "big") + key + table[4:]).number is None


def test_a_full_queue_that_no_new_sender_follows_is_not_told_of() -> None:
    """A sender that was heard before, from its middle on, does not show that the queue has dropped messages since."""
    told: list[events.Dropped] = []
    drops = Drops(10, told.append)
    drops.gaps.note(("heard", 5), None)
    drops.suspect()
    drops.gaps.note(("heard", 6), None)
    drops.tell()
    assert told == []
    drops.suspect()
    drops.gaps.note(("new", 5), None)
    drops.tell()
    assert told == [events.Dropped(None)]


def test_a_queue_is_full_where_the_next_message_would_not_fit_in() -> None:
    for waiting, average, full in (
        (1, 60_000.0, True),
        (1, 40_000.0, False),
        (90, 1_000.0, True),
        (0, 60_000.0, False),
    ):
        assert QueueLength(0, 100_000, waiting=waiting, average=average).began_full == full, (
            waiting,
            average,
        )
    assert not QueueLength(100, waiting=99, average=1_000.0).began_full
    assert not QueueLength(waiting=1, average=1_000.0).began_full


def test_of_a_queue_whose_limits_nobody_knows_the_numbers_tell() -> None:
    assert QueueLength(known=False).can_have_dropped
    assert not QueueLength().can_have_dropped
