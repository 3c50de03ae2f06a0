"""Writes lines that hold the time at which they are written: ``pace.py <lines a second> <lines>``."""

import sys
import time

rate, count = float(sys.argv[1]), int(sys.argv[2])
write, flush = sys.stdout.write, sys.stdout.flush
start = time.monotonic()
for number in range(count):
    pause = start + number / rate - time.monotonic()
    if pause > 0:
        time.sleep(pause)
    write(f"{time.monotonic_ns()}\n")
    flush()
