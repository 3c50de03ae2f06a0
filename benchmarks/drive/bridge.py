"""Carry messages from one room to another by a bridge until so many are confirmed there.

Usage: bridge.py URL ROOM OTHER_ROOM NAME COUNT
"""

from __future__ import annotations

import sys

from kchat import Settings
from kchat.client.bridge import Bridge

url, room, other_room, name, count = sys.argv[1:]
rooms = (Settings.resolve(url=url, room=each) for each in (room, other_room))
with Bridge(*rooms, name=name) as bridge:
    (way,) = bridge.ways
    while way.bridged < int(count):
        bridge.wait(0.01)
