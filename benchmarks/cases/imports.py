"""What commands import, by ``python -X importtime``, beside the imports that they cannot do without.

The number of modules is that of kchat as it is installed by its wheel; an editable installation loads some more.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.cases.start import RUNS
from benchmarks.measure import Failed, Figures, Side

PACKAGE, HELP, SEND, SUBSCRIBE = "import kchat", "kchat --help", "kchat send", "kchat subscribe"
TYPING, CLICK, KOMBU = "import typing", "import click", "import click, kombu with py-amqp"


def imports(bench: Bench, command: Sequence[str]) -> Side:
    """A side that runs a command several times, and has the fastest run's time for imports and its number of modules."""

    def side() -> Figures:
        runs = [_imports(bench, command) for _ in range(max(3, bench.count(RUNS)))]
        return min(runs, key=lambda figures: figures["import ms"])

    return side


def _imports(bench: Bench, command: Sequence[str]) -> Figures:
    run = subprocess.run(
        command,
        env={**bench.environment, "PYTHONPROFILEIMPORTTIME": "1"},
        cwd=bench.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if run.returncode:
        raise Failed(f"{command[:3]} ...: exit {run.returncode}\n{run.stderr[-1000:]}")
    return figures_of(run.stderr)


def figures_of(told: str) -> Figures:
    """What ``-X importtime`` has told: ``import time: self [us] | cumulative | module``, after a line of titles."""
    rows = [
        line.removeprefix("import time:").split("|") for line in told.splitlines() if "import time:" in line
    ]
    own = [int(row[0]) for row in rows if row[0].strip().isdecimal()]
    return {"import ms": sum(own) / 1000, "modules": len(own)}


@contextmanager
def starting(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """Commands on AMQP, and the imports of other programs."""
    where = ("--quiet", "--url", bench.amqp, "--room", bench.new_room())
    yield {
        PACKAGE: imports(bench, bench.python("-c", PACKAGE)),
        TYPING: imports(bench, bench.python("-c", TYPING)),
        HELP: imports(bench, bench.kchat("--help")),
        CLICK: imports(bench, bench.python("-c", CLICK)),
        SEND: imports(bench, bench.kchat("send", *where, "hello")),
        KOMBU: imports(bench, bench.python("-c", "import click, kombu, kombu.transport.pyamqp")),
        SUBSCRIBE: imports(bench, bench.kchat("subscribe", *where, "--idle-timeout", "0.1")),
    }


CASES = [
    Case(
        "imports",
        "imports of a command on AMQP (-X importtime)",
        starting,
        (
            *(
                Bar(side, "modules", at_most=most)
                for side, most in ((PACKAGE, 32), (HELP, 115), (SEND, 310), (SUBSCRIBE, 325))
            ),
            *(
                Bar(side, "import ms", at_most=most, against=peer)
                for side, most, peer in (
                    (PACKAGE, 1.5, TYPING),
                    (HELP, 1.5, CLICK),
                    (SEND, 1.4, KOMBU),
                    (SUBSCRIBE, 1.5, KOMBU),
                )
            ),
        ),
    )
]
