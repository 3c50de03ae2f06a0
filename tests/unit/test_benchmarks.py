"""What the benchmarks make of figures. The figures themselves come from `nox -s bench`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.before import Earlier, NotInstalled, install
from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case, all_cases
from benchmarks.cases.imports import figures_of
from benchmarks.margins import margins
from benchmarks.measure import Failed, Figures, Results, Samples, Side, alternate
from benchmarks.report import Outcome
from benchmarks.run import chosen, run
from tests.brokers.require import missing


def results(**sides: list[float]) -> Results:
    return {side: {"s": Samples(values)} for side, values in sides.items()}


def results_of(figures: Figures) -> Results:
    return {"ours": {name: Samples([value]) for name, value in figures.items()}}


def test_a_ratio_is_taken_round_by_round() -> None:
    bar = Bar("ours", "s", at_most=1.2, against="theirs")
    # The machine is three times as slow in the last round, for both.
    value = bar.value(results(ours=[1.0, 1.1, 3.3], theirs=[1.0, 1.0, 3.0]))
    assert value == pytest.approx(1.1)
    assert bar.holds(value)
    assert not bar.holds(1.21)


def test_a_bar_without_a_peer_is_for_the_figure_itself() -> None:
    bar = Bar("ours", "s", at_least=2)
    assert bar.value(results(ours=[1.0, 2.0, 9.0])) == 2.0
    assert bar.holds(2.0)
    assert not bar.holds(1.99)


def test_sides_take_turns_and_none_always_comes_after_the_same() -> None:
    turns: list[str] = []

    def side(name: str) -> Figures:
        turns.append(name)
        return {"s": float(len(turns))}

    found = alternate({"a": lambda: side("a"), "b": lambda: side("b")}, 3, lambda _: None)
    assert turns == ["a", "b", "b", "a", "a", "b"]
    assert found["a"]["s"].values == [1.0, 4.0, 5.0]
    assert (found["b"]["s"].median, found["b"]["s"].least, found["b"]["s"].most) == (3.0, 2.0, 6.0)


def test_a_missed_bar_and_a_failed_side_are_no_success() -> None:
    bar = Bar("ours", "s", at_most=1)
    case = Case("a", "a case", lambda _: pytest.fail("never run"), (bar,))
    assert Outcome(case, results(ours=[0.5])).good
    assert not Outcome(case, results(ours=[1.5])).good
    assert not Outcome(case, {}, failure="it broke").good


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in all_cases()]
    assert len(names) == len(set(names))


def case_of(name: str, side: Callable[[], Figures], *bars: Bar) -> Case:
    @contextmanager
    def sides(_: Bench) -> Iterator[Mapping[str, Side]]:
        yield {"ours": side}

    return Case(name, f"what {name} is", sides, bars, rounds=1)


def test_an_earlier_kchat_is_measured_in_turn_and_shown_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns: list[str] = []

    @contextmanager
    def sides(bench: Bench) -> Iterator[Mapping[str, Side]]:
        (python,) = bench.python()
        seconds = 2.0 if python == "earlier" else 1.0

        def side(name: str) -> Figures:
            turns.append(f"{name} {python == 'earlier'}")
            return {"s": {"theirs": 4.0}.get(name, seconds), "lost": 0.0}

        yield {name: lambda name=name: side(name) for name in ("ours", "theirs")}  # type: ignore[misc]

    bars = (Bar("ours", "s", at_most=0.4, against="theirs"), Bar("ours", "lost", at_most=0))
    file = tmp_path / "bench.json"
    (outcome,), status = run(
        [Case("two", "two", sides, bars, rounds=2)], file, before=Earlier("v1", "earlier")
    )
    assert status == 0
    assert turns == [
        *("ours False", "ours True", "theirs False"),
        *("theirs False", "ours True", "ours False"),
    ]
    assert outcome.compared(bars[0]) == (0.5, 0.5)  # it would miss the bar, and took twice as long
    said = capsys.readouterr().out
    assert "| what | bar | measured | before | now ÷ before | |" in said
    assert ", before v1\n" in said
    assert "| two: ours: s | ≤ 0.4 × theirs | 0.25 | 0.5 | 0.5 | ok |" in said  # noqa: RUF001 - as told
    assert "| two: ours: lost | ≤ 0 lost | 0 | 0 | | ok |" in said
    (case,) = json.loads(file.read_text())["cases"]
    assert case["before"]["ours"]["s"]["rounds"] == [2.0, 2.0]
    assert "before: ours" not in case["sides"]


def test_a_case_of_kchats_own_sides_is_held_against_itself() -> None:
    bar = Bar("50", "s", at_most=1.5, against="1")
    case = case_of("crowd", broken, bar)
    assert case.ours == {"50"}
    assert case._replace(alone=True).ours == {"50", "1"}


def test_a_commit_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match="no-such-commit"):
        install("no-such-commit", tmp_path)


def test_the_imports_of_a_command_are_counted_without_the_line_of_titles() -> None:
    told = (
        "import time: self [us] | cumulative | imported package\nimport time:       250 |       1250 | zlib\n"
    )
    assert figures_of(told + "something else\nimport time:      1000 |       1000 |   site\n") == {
        "import ms": 1.25,
        "modules": 2,
    }


def broken() -> Figures:
    raise ValueError("nobody thought of this")


def without_a_broker() -> Figures:
    missing("no Pub/Sub emulator: gcloud is not installed")


def interrupted() -> Figures:
    raise KeyboardInterrupt


FINE = case_of("fine", lambda: {"s": 1.0}, Bar("ours", "s", at_most=2))
LAST = case_of("last", lambda: {"s": 1.0})


def kept(file: Path) -> dict[str, str]:
    """The failure of each case in a JSON file, by name."""
    return {case["name"]: case["failure"] for case in json.loads(file.read_text())["cases"]}


def test_a_run_in_which_all_bars_hold_is_a_success(tmp_path: Path) -> None:
    file = tmp_path / "not" / "yet" / "there.json"
    assert run([FINE, LAST], file)[1] == 0
    assert kept(file) == {"fine": "", "last": ""}


def test_a_surprise_fails_its_case_and_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bench.json"
    _, status = run([case_of("odd", broken), FINE], file)
    assert status == 1
    assert kept(file) == {"odd": "failed: ValueError: nobody thought of this", "fine": ""}
    assert "| what odd is | failed: ValueError: nobody thought of this |" in capsys.readouterr().out


def test_a_bar_for_a_figure_that_is_not_there_fails_its_case_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    _, status = run([case_of("odd", lambda: {"s": 1.0}, Bar("ours", "MiB", at_most=2)), FINE], file)
    assert status == 1
    assert kept(file) == {"odd": "failed: KeyError: 'MiB'", "fine": ""}


@pytest.mark.parametrize("ci", ["", "true"])
def test_a_broker_that_is_not_here_is_told_and_fails_the_run_at_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    file = tmp_path / "bench.json"
    _, status = run([case_of("cloud", without_a_broker), FINE], file)
    assert status == 1
    assert kept(file)["cloud"].startswith("not measured: no Pub/Sub emulator: gcloud is not installed")
    assert kept(file)["fine"] == ""
    assert "| what cloud is | not measured: no Pub/Sub emulator" in capsys.readouterr().out


def test_an_interrupted_run_keeps_and_shows_what_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    _, status = run([FINE, case_of("slow", interrupted), LAST], file)
    assert status == 130
    assert kept(file) == {"fine": ""}
    said = capsys.readouterr()
    assert "| what fine is: ours: s |" in said.out
    assert "not measured: slow, last" in said.err


def test_an_interrupted_case_that_cannot_tidy_up_ends_the_run_all_the_same(tmp_path: Path) -> None:
    @contextmanager
    def sides(_: Bench) -> Iterator[Mapping[str, Side]]:
        try:
            yield {"ours": interrupted}
        finally:
            broken()

    outcomes, status = run([Case("slow", "slow", sides), LAST], tmp_path / "bench.json")
    assert (outcomes, status) == ([], 130)


def test_the_table_has_one_line_for_a_failure_that_said_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def loud() -> Figures:
        raise Failed("kchat send: exit 1\na traceback\nthe | reason")

    run([case_of("loud", loud)], tmp_path / "bench.json")
    assert "| what loud is | failed: kchat send: exit 1 the \\| reason |" in capsys.readouterr().out


def test_a_scale_is_a_table_with_a_row_for_each_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def sides(_: Bench) -> Iterator[Mapping[str, Side]]:
        yield {"20": lambda: {"CPU %": 4.1, "MiB": 30.0}, "500": lambda: {"CPU %": 10.0}}

    run([Case("crowd", "a crowd", sides, rounds=1, by="people")], tmp_path / "bench.json")
    assert (
        "| people | CPU % | MiB |\n|---|---|---|\n| 20 | 4.1 | 30 |\n| 500 | 10 | |\n"
        in capsys.readouterr().out
    )


def test_a_word_that_is_in_no_name_is_told_with_the_names() -> None:
    assert chosen([FINE, LAST], []) == [FINE, LAST]
    assert chosen([FINE, LAST], ["as"]) == [LAST]
    with pytest.raises(LookupError, match=r"'fien'.*: fine, last"):
        chosen([FINE, LAST], ["last", "fien"])


@pytest.mark.parametrize(
    ("bar", "value", "times", "told"),
    [
        (Bar("ours", "p99 ms", at_most=50), 100.0, 0.5, "100 ms (bar: ≤ 50)"),
        (Bar("ours", "s", at_most=0.12), 0.03, 4.0, "0.03 s (bar: ≤ 0.12)"),
        (Bar("ours", "messages/s", at_least=20_000), 50_000.0, 2.5, "50,000 messages/s (bar: ≥ 20,000)"),
        (Bar("ours", "CPU s", at_most=1.5, against="1"), 6.0, 0.75, "2 × “1” (bar: ≤ 1.5)"),  # noqa: RUF001 - as told
    ],
)
def test_the_chart_has_every_bar_in_multiples_of_it(bar: Bar, value: float, times: float, told: str) -> None:
    figures = {"ours": {bar.figure: Samples([value])}, "1": {bar.figure: Samples([3.0])}}
    (margin,) = margins(Outcome(case_of("c", broken, bar)._replace(by="subscribers"), figures))
    assert margin.times == pytest.approx(times)
    assert margin.told == told
    assert margin.held == (times >= 1)
    assert margin.name == f"what c is\nours: {bar.figure}"


def test_the_chart_leaves_out_what_has_no_multiples() -> None:
    assert not margins(
        Outcome(case_of("c", broken, Bar("ours", "lost", at_most=0)), results_of({"lost": 0.0}))
    )


def test_a_measurement_says_what_it_was_made_on() -> None:
    where = report.machine(Bench())
    assert where["CPU"]
    assert where["kombu"]
    assert "no-such-thing" not in report._versions("no-such-thing", "kombu")
