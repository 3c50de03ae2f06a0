"""Where a subscriber begins and ends: what programs may ask for."""

from __future__ import annotations

from math import inf, nan

import pytest

from kchat.client.ending import Ending
from kchat.errors import SettingsError


@pytest.mark.parametrize(
    ("last", "since", "until", "said"),
    [
        (-1, None, None, "-1 is not a number of messages"),
        (None, nan, None, "nan is not a time"),
        (None, None, nan, "nan is not a time"),
        (None, 5.0, 5.0, "ends before it begins"),
        (None, inf, inf, "ends before it begins"),
    ],
)
def test_a_beginning_or_an_end_that_cannot_be_is_refused(
    last: int | None, since: float | None, until: float | None, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        Ending(until).check(last=last, since=since, durable=None)


def test_any_time_and_any_number_of_messages_can_be_asked_for() -> None:
    for since in (-inf, -1e9, 0.0, 1e300, inf):
        assert Ending().check(last=0, since=since, durable=None) == since
