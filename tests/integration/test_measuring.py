"""What the benchmarks measure of real processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks import measure
from benchmarks.bench import Bench
from benchmarks.cases import Bar
from benchmarks.cases.amqp_latency import one_way
from benchmarks.measure import Failed, Samples, whole


def test_a_whole_process_is_measured_without_the_one_that_measures(tmp_path: Path) -> None:
    ballast = bytearray(os.urandom(1) * (200 << 20))
    run = whole([sys.executable, "-I", "-S", "-c", "print('x' * 100_000)"], {}, tmp_path)
    assert len(ballast) >> 20 > run.mib > 1
    assert run.cpu > 0
    assert measure.SECONDS > run.seconds > 0


def test_a_process_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="exit 3"):
        whole([sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"], {}, tmp_path)


def test_a_process_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="exit None"):
        whole(["tail", "-f", os.devnull], dict(os.environ), tmp_path, seconds=0.3)


def through_a_pipe(tmp_path: Path, show: str) -> tuple[list[str], list[str]]:
    """A sender that writes into a pipe, and a subscriber that reads it by a shell command, and goes on when it is empty."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    return ["sh", "-c", f"exec cat > {pipe}"], ["sh", "-c", f"echo listening >&2; exec {show} <> {pipe}"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and sed -u is GNU's")
def test_a_line_that_is_left_out_is_lost_and_its_bar_is_missed(tmp_path: Path) -> None:
    sender, subscriber = through_a_pipe(tmp_path, "sed -u 3d")
    bar = Bar("ours", "lost", at_most=0)
    with Bench() as bench:
        figures = one_way(bench, sender, [subscriber], rate=200, count=10, quiet=2)
    assert figures["lost"] == 1
    assert 0 < figures["p50 ms"] < 30_000  # milliseconds, and of a busy machine
    assert not bar.holds(bar.value({"ours": {name: Samples([value]) for name, value in figures.items()}}))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_subscriber_that_shows_nothing_is_no_measurement(tmp_path: Path) -> None:
    sender, subscriber = through_a_pipe(tmp_path, "sleep 60")
    with Bench() as bench, pytest.raises(Failed, match="nothing came"):
        one_way(bench, sender, [subscriber], rate=200, count=10, patience=0.5)
