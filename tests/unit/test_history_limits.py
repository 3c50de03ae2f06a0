"""The limits of a history: as people write them, as RabbitMQ writes them, and which of two is lower."""

from __future__ import annotations

from typing import Any

import pytest
from amqp.exceptions import PreconditionFailed

from kchat.cli.param_types import DURATION, SIZE
from kchat.message.amounts import duration, size
from kchat.transports.amqp.history_limits import Limits, arguments, declared, limits_of

MIB = 1 << 20


def test_durations_and_sizes_are_written_as_the_options_take_them() -> None:
    for text in ("7d", "90m", "2h", "45s", "1d"):
        assert duration(DURATION.convert(text, None, None)) == text
    for text in ("64MiB", "1GiB", "1.5MiB", "100B", "512KiB"):
        assert size(SIZE.convert(text, None, None)) == text
    assert (duration(0.2), duration(86_401), size(1023)) == ("0s", "86401s", "1023B")


def test_a_streams_arguments_and_policies_are_read_back() -> None:
    limits = Limits(3600.0, 8 * MIB)
    made = arguments(limits, limited=True)
    assert limits_of(made, "x-") == limits
    assert limits_of(arguments(limits, limited=False), "x-") == Limits()
    assert limits_of({"max-age": "7D", "max-length-bytes": MIB}) == Limits(7 * 86_400.0, MIB)
    assert limits_of({"max-age": "soon", "max-length-bytes": "many"}) == Limits()
    assert [
        arguments(Limits(1, most), limited=True)["x-stream-max-segment-size-bytes"] for most in (1, 8 << 30)
    ] == [
        MIB,
        64 * MIB,
    ]


def test_the_lower_limit_counts_and_none_is_the_highest() -> None:
    assert Limits(10, None).lower(Limits(20, 5)) == Limits(10, 5)
    assert Limits().lower(Limits()) == Limits()
    for mine, theirs, exceeds in (
        (Limits(10, 5), Limits(10, 5), False),
        (Limits(11, 5), Limits(10, 5), True),
        (Limits(10, 5), Limits(10, 6), False),
        (Limits(None, 5), Limits(10, 5), True),
        (Limits(10, 5), Limits(), False),
        (Limits(0.4, 5), Limits(0.2, 5), False),  # RabbitMQ's least is a second
    ):
        assert mine.exceeds(theirs) is exceeds, (mine, theirs)


class Declaring:
    """A channel of a RabbitMQ that names one argument that differs, in the words of one of its versions."""

    def __init__(self, *differences: str) -> None:
        self.differences = list(differences)

    def queue_declare(self, _queue: str, **_options: object) -> None:
        if self.differences:
            raise PreconditionFailed(f"PRECONDITION_FAILED - {self.differences.pop(0)}")


@pytest.mark.parametrize("age", ["86400s", "86400000"])
def test_a_streams_arguments_are_found_by_declaring_it(age: str) -> None:
    text = "inequivalent arg '{}' for queue 'q' in vhost '/': received none but current is the value '{}' of type '{}'"
    channel: Any = Declaring(
        text.format("x-max-length-bytes", MIB, "signedint"), text.format("x-max-age", age, "longstr")
    )
    assert declared(channel, "q") == {
        "x-queue-type": "stream",
        "x-max-length-bytes": MIB,
        "x-max-age": "86400s",
    }
