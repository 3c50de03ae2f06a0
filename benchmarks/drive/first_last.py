"""The seconds that it takes to open an embedded room and get its last ten messages: ``first_last.py <url> <room>``.

The process is warm: all modules are loaded, and another subscriber has read the room before, so that its file is in the
system's memory. ``kchat subscribe --last 10`` takes longer by the start of a process, which is the same whatever the room
holds; the cases ``help`` and ``send-once`` show what that costs.
"""

import sys
import time

from kchat import Settings, Subscriber

settings = Settings.resolve(url=sys.argv[1], room=sys.argv[2])
with Subscriber(settings, "warm", last=1) as subscriber:
    subscriber.receive(timeout=5)
start = time.perf_counter()
with Subscriber(settings, "ada", last=10) as subscriber:
    messages = subscriber.receive(timeout=5)
    seconds = time.perf_counter() - start
assert len(messages) == 10, messages
print(seconds)
