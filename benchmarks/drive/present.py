"""Many people who are here, each with a connection of its own: ``present.py <url> <room> <people>``.

It writes a line when all have joined, and when its standard input is closed ends, with JSON: how many each knows of.
"""

import json
import sys

from kchat import Settings
from kchat.client.presence import Presence

url, room, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
settings = Settings.resolve(url=url, room=room)
people = [Presence(settings, f"person {number:03}", asks=False) for number in range(count)]
for each in people:
    each.open()
    while each.people() is None and each.problem is None:
        each.wait(0.05)
print("ready", flush=True)
sys.stdin.read()
known = [None if (seen := each.people()) is None else seen.count for each in people]
for each in people:
    each.stop()
print(
    json.dumps({"least": min(0 if each is None else each for each in known), "problems": known.count(None)})
)
