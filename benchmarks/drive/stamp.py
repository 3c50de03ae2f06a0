"""Reads lines that end with the time of their writing, and tells how old they were.

``stamp.py <lines> <to leave out> <seconds>``: it ends when all lines are there, or when none has come for ``seconds`` after
the last: what is missing then is lost. The result is JSON: percentiles in milliseconds, and how many lines came.
Lines are only taken apart at the end, since whoever writes them waits for the same processor.
"""

import json
import os
import select
import sys
import time

count, skip, quiet = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
came: list[tuple[int, bytes]] = []
lines = 0
# The first line may take long: subscribers have to start.
while (
    lines < count and select.select([0], [], [], quiet if came else None)[0] and (data := os.read(0, 1 << 16))
):
    came.append((time.monotonic_ns(), data))
    lines += data.count(b"\n")
ages: list[int] = []
rest = b""
for now, data in came:
    *whole, rest = (rest + data).split(b"\n")
    ages += [now - int(line.rpartition(b" ")[2]) for line in whole]
kept = sorted(ages[skip:]) or [0]
shares = {"p50 ms": 0.5, "p95 ms": 0.95, "p99 ms": 0.99, "max ms": 1.0}
found = {name: kept[min(len(kept) - 1, int(share * len(kept)))] / 1e6 for name, share in shares.items()}
print(json.dumps({**found, "lines": len(ages)}))
