"""The milliseconds until the last messages of a room's history are there: ``history_last.py <url> <room> <number>``.

From the beginning of the attempt to connect. The process is warm: all modules are loaded, and another subscriber has read
before.
"""

import sys
import time

from kchat import Settings, Subscriber

settings = Settings.resolve(url=sys.argv[1], room=sys.argv[2])
number = int(sys.argv[3])
for _ in range(2):
    start = time.perf_counter()
    with Subscriber(settings, "ada", last=number) as subscriber:
        messages = []
        while len(messages) < number:
            messages += subscriber.receive(timeout=5)
        seconds = time.perf_counter() - start
    assert len(messages) == number, len(messages)
print(seconds * 1000)
