"""``python -m benchmarks.scale``: measures, and writes ``docs/scale.md`` anew from what was measured."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measure import Failed
from benchmarks.scale import doc, model
from benchmarks.scale.measure import measure
from benchmarks.scale.points import FAR_MORE, FILE, HELD_OUT, RATES, Kind, write
from tests.brokers.found import NotHere

QUICK: dict[Kind, dict[int, tuple[int, ...]]] = {
    "queue": {1: (0, 20), 5: (0, 20, 50)},
    "stream": {1: (0, 20), 5: (0, 20, 50)},
    "durable": {1: (0, 20), 2: (0, 20, 50)},
    "kchat": {2: (20,)},
}


def main() -> int:
    """Run what the command line asks for. Returns 0, or 1 where it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument(
        "--seconds",
        type=float,
        default=4.0,
        metavar="N",
        help="how long each point is measured; default %(default)s",
    )
    parser.add_argument("--quick", action="store_true", help="a few small points, to see that it works")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help=f"where to write it; default {FILE.name}, with --quick nowhere",
    )
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # brokers and processes are ended in order
        signal.signal(number, signal.default_int_handler)
    path = arguments.json or (None if arguments.quick else FILE)
    try:
        with Bench(quick=arguments.quick) as bench:
            measured = measure(
                bench,
                seconds=min(arguments.seconds, 1.0) if arguments.quick else arguments.seconds,
                rates=QUICK if arguments.quick else RATES,
                held_out={} if arguments.quick else HELD_OUT,
                far_more={} if arguments.quick else FAR_MORE,
                say=lambda text: print(text, flush=True),
            )
    except (Failed, NotHere) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if path is not None:
        write(path, measured)
        model.main(path)
    if path == FILE:
        doc.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
