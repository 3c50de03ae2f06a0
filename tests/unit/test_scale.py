"""The model of a broker with many subscribers. What is measured comes from `nox -s scale`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scale.model import error, errors, fit, fitted, held_out, least_squares
from benchmarks.scale.points import FAR_MORE, HELD_OUT, RATES, Kind, Measured, Row, read, write

BASE, PER_SUBSCRIBER, PER_MESSAGE, PER_DELIVERY = 0.006, 20e-6, 150e-6, 60e-6
PER_ROOT, PER_SUBSCRIBER_ROOT = 2e-3, 200e-6
RSS, RSS_PER_SUBSCRIBER, RECEIVED = 120.0, 0.25, 330


def row(subscribers: int, rate: int, *, kind: Kind = "queue", held: bool = False, off: float = 1.0) -> Row:
    """A point as a broker would give it that is exactly as the model says, or off by a factor."""
    seconds = 4.0
    each = PER_SUBSCRIBER + PER_DELIVERY * rate + PER_SUBSCRIBER_ROOT * rate**0.5
    cores = (BASE + PER_MESSAGE * rate + PER_ROOT * rate**0.5 + each * subscribers) * off
    sent = int(rate * seconds)
    return Row(
        kind=kind,
        subscribers=subscribers,
        rate=rate,
        held_out=held,
        seconds=seconds,
        sent=sent,
        delivered=sent * subscribers,
        received=sent * subscribers * RECEIVED,
        broker_cpu=cores * seconds,
        client_cpu=0.1,
        sender_cpu=0.1,
        others_cpu=0.0,
        rss_mib=(RSS + RSS_PER_SUBSCRIBER * subscribers) * off,
    )


def measured(*more: Row) -> Measured:
    rows = [row(subscribers, rate) for subscribers, rates in RATES["queue"].items() for rate in rates]
    return Measured({"cores": "2"}, 350.0, 21.0, (*rows, *more))


def test_the_model_finds_what_the_points_were_made_of() -> None:
    model = fit(measured(), "queue")
    assert model.base == pytest.approx(BASE)
    assert model.per_subscriber == pytest.approx(PER_SUBSCRIBER)
    assert model.per_message == pytest.approx(PER_MESSAGE)
    assert model.per_delivery == pytest.approx(PER_DELIVERY)
    assert (model.per_root, model.per_subscriber_root) == pytest.approx((PER_ROOT, PER_SUBSCRIBER_ROOT))
    assert (model.rss_mib, model.rss_per_subscriber) == pytest.approx((RSS, RSS_PER_SUBSCRIBER))
    assert (model.published, model.received) == (350.0, RECEIVED)
    assert errors(model, fitted(measured(), "queue"))[1] < 1e-6
    other = row(77, 33)
    assert model.cores(77, 33) == pytest.approx(other.cores)
    assert model.memory(77) == pytest.approx(other.rss_mib)
    assert model.megabits(77, 33) == pytest.approx(77 * 33 * RECEIVED * 8 / 1e6)
    assert model.subscribers(other.cores, 33) == pytest.approx(77)


def test_points_that_are_held_out_or_not_kept_up_change_nothing() -> None:
    late = replace(row(50, 300, off=0.5), delivered=50 * 300)
    more = row(50, 600, held=True, off=0.1)
    wrong = row(30, 100, held=True, off=3.0)
    assert not late.kept_up
    assert fit(measured(late, more, wrong), "queue") == fit(measured(), "queue")
    assert held_out(measured(late, more, wrong), "queue") == [wrong]
    model = fit(measured(), "queue")
    assert error(model.cores(30, 100), wrong.cores) == pytest.approx(1 / 3 - 1)


def test_other_kinds_of_subscribers_have_models_of_their_own() -> None:
    others = [row(each.subscribers, each.rate, kind="stream", off=2.0) for each in measured().rows]
    assert fit(measured(*others), "stream").per_delivery == pytest.approx(2 * PER_DELIVERY)
    assert fit(measured(*others), "queue") == fit(measured(), "queue")


def test_nothing_costs_less_than_nothing() -> None:
    # The best line through these goes through -1 at 0; the best one that does not goes through 0.
    assert least_squares([(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)], [0.0, 1.0, 2.0], [1.0] * 3) == pytest.approx(
        [0.0, 8 / 14]
    )


def test_what_is_weighted_more_is_met_more_closely() -> None:
    (value,) = least_squares([(1.0,), (1.0,)], [1.0, 3.0], [3.0, 1.0])
    assert value == pytest.approx((9 * 1.0 + 3.0) / 10)


def test_what_was_measured_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "not/yet/there.jsonl"
    write(file, measured(row(30, 100, held=True)))
    assert read(file) == measured(row(30, 100, held=True))
    assert len(file.read_text().splitlines()) == 1 + len(measured().rows) + 1


def test_no_point_is_both_fitted_to_and_checked() -> None:
    for kind, by_subscribers in {**HELD_OUT, **FAR_MORE}.items():
        for subscribers, rates in by_subscribers.items():
            assert not set(rates) & set(RATES[kind].get(subscribers, ()))
    assert [len(HELD_OUT[kind]) for kind in ("queue", "stream")] == [2, 2]
    assert {min(RATES["queue"]), max(RATES["queue"])} == {1, 200}
