"""Reads lines that end with the time of their writing, and tells how old they were: ``stamp.py <lines> <to leave out>``.

The result is JSON: percentiles in milliseconds, and how many lines came.
"""

import json
import os
import sys
import time

count, skip = int(sys.argv[1]), int(sys.argv[2])
ages: list[int] = []
rest = b""
while len(ages) < count and (data := os.read(0, 1 << 16)):
    now = time.monotonic_ns()
    *lines, rest = (rest + data).split(b"\n")
    ages += [now - int(line.rpartition(b" ")[2]) for line in lines]
kept = sorted(ages[skip:]) or [0]
shares = {"p50 ms": 0.5, "p95 ms": 0.95, "p99 ms": 0.99, "max ms": 1.0}
found = {name: kept[min(len(kept) - 1, int(share * len(kept)))] / 1e6 for name, share in shares.items()}
print(json.dumps({**found, "lines": len(ages)}))
