"""The milliseconds until the last messages of a room's history are there: ``history_last.py <url> <room> <number>``.

From the beginning of the attempt to connect. The process is warm: all modules are loaded, and another subscriber has read
before.
"""

import sys
import time

from kchat import Settings, Subscriber

settings = Settings.resolve(url=sys.argv[1], room=sys.argv[2])
number = int(sys.argv[3])


def seconds() -> float:
    start = time.perf_counter()
    with Subscriber(settings, "ada", last=number) as subscriber:
        found = 0
        while found < number:
            found += len(subscriber.receive(timeout=5))
        return time.perf_counter() - start


seconds()
print(seconds() * 1000)
