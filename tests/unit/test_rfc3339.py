"""Times on the wire, as others write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kchat.message import rfc3339


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-01T12:04:05.123Z", "2026-05-01T12:04:05.123000+00:00"),
        ("2026-05-01T12:04:05Z", "2026-05-01T12:04:05+00:00"),
        ("2026-05-01t12:04:05z", "2026-05-01T12:04:05+00:00"),
        ("2026-05-01 12:04:05.1Z", "2026-05-01T12:04:05.100000+00:00"),
        ("2026-05-01T12:04:05.123456789Z", "2026-05-01T12:04:05.123456+00:00"),
        ("2026-05-01T12:04:05.123456+00:00", "2026-05-01T12:04:05.123456+00:00"),
        ("2026-05-01T12:04:05+05:30", "2026-05-01T06:34:05+00:00"),
        ("2026-05-01T22:04:05-08:00", "2026-05-02T06:04:05+00:00"),
        ("2026-05-01T12:04:05-00:00", "2026-05-01T12:04:05+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
        ("2999-12-31T23:59:59.999Z", "2999-12-31T23:59:59.999000+00:00"),
    ],
)
def test_a_time_is_read_whoever_wrote_it(text: str, expected: str) -> None:
    moment = rfc3339.parse(text)
    assert moment is not None
    assert moment.isoformat() == expected
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-05-01",
        "2026-05-01T12:04:05",  # no offset: nobody knows when that was
        "2026-05-01T12:04Z",
        "2026-13-01T12:04:05Z",
        "2026-02-30T12:04:05.000Z",
        "2026-05-01T25:04:05Z",
        "2026-05-01T12:61:05Z",
        "2026-05-01T12:04:61Z",
        "2026-05-01T12:04:05+99:99",
        "2026-05-01T12:04:05+24:00",
        "2026-05-01T12:04:05,123Z",
        "2026-05-01T12:04:05.Z",
        " 2026-05-01T12:04:05Z",
        "2026-05-01T12:04:05Z\n",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "1969-12-31T23:59:59.999Z",
        "3000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-12:00",
        "99999-01-01T00:00:00Z",
        "2026-W01-1T12:04:05.123Z",  # a week is ISO 8601, and not RFC 3339
        "-2026-05-01T12:04:05Z",
        "\u0662\u0660\u0662\u0666-05-01T12:04:05.123Z",
        "2026-05-01T12:04:05." + "1" * 100_000,
    ],
)
def test_an_invalid_time_is_none(text: str) -> None:
    assert rfc3339.parse(text) is None


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,12}[Z+-][0-9:]{0,5}"))
def test_no_text_makes_the_parser_raise(text: str) -> None:
    moment = rfc3339.parse(text)
    assert moment is None or rfc3339.FIRST_YEAR <= moment.year <= rfc3339.LAST_YEAR


@given(st.datetimes(datetime(1970, 1, 1), datetime(2999, 12, 31), timezones=st.timezones()))  # noqa: DTZ001
def test_a_time_survives_the_wire_to_the_millisecond(moment: datetime) -> None:
    try:
        ms = rfc3339.milliseconds(moment)
    except ValueError:
        assert not 1970 <= moment.astimezone(UTC).year <= 2999
        return
    exact, text = rfc3339.moment(ms)
    assert rfc3339.parse(text) == exact
    assert timedelta(0) <= moment - exact < timedelta(milliseconds=1)
    assert rfc3339.text(exact) == text


def test_a_time_that_no_reader_would_take_is_refused() -> None:
    with pytest.raises(TypeError, match="datetime"):
        rfc3339.milliseconds("2026-05-01T12:04:05Z")
    with pytest.raises(ValueError, match="timezone"):
        rfc3339.milliseconds(datetime(2026, 5, 1))  # noqa: DTZ001
    for year in (1969, 3000):
        with pytest.raises(ValueError, match="1970 to 2999"):
            rfc3339.milliseconds(datetime(year, 6, 1, tzinfo=UTC))
