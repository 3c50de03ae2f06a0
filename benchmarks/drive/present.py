"""Many people who are here: ``present.py <url> <room> <people> <seconds between announcements> [<keepers>]``.

Each has a connection and a queue as kchat's have, announces itself as often, and acknowledges what it hears as rarely. What
is heard is not read, so that one process can be all of them, and the broker has all of its work. With the number of keepers,
that many hear everybody, and announce themselves with lists, as in a crowd (:mod:`kchat.client.crowd`); by default all
hear everybody, and there are no lists. It writes a line when all have joined, and goes on until it is ended.
"""

import select
import struct
import sys
import time
from typing import Any

from kchat import Settings
from kchat.client.connection import connect
from kchat.message.announcement import HERE, MOST_OTHERS, Announcement, Other

url, room, count, pause = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
keepers = int(sys.argv[5]) if len(sys.argv) > 5 else count
settings = Settings.resolve(url=url, room=room, heartbeat=0)
policy = settings.transport.presence(room)
DELIVER = struct.pack(">HH", 60, 60)
"""``basic.deliver``: AMQP 0-9-1 section 1.8.3.9."""

waiting = select.epoll()
TOGETHER = 100
"""Announcements that are acknowledged together, as by :mod:`kchat.client.presence_connection`."""

others = tuple(Other(f"person {number:03}", f"{number:012}", 55.0) for number in range(MOST_OTHERS))
people: list[tuple[Any, Any, bytes, str | None, bool]] = []
heard: dict[int, list[Any]] = {}
for number in range(count):
    connection = connect(settings, purpose="presence")[0]
    channel, account = connection.channel(), settings.transport.account(connection)
    channel.auto_decode = False
    said = Announcement(HERE, f"{number:012}", f"person {number:03}", 55.0)
    keeps = number < keepers
    body = (said._replace(count=count, others=others) if keepers < count and keeps else said).encode()
    queue = policy.join(channel, f"person {number:03}", said.encode(), account=account, hears=keeps)[0]
    channel.basic_qos(0, 250, False)
    queue.consume(queue.name, print, no_ack=False)
    sock = connection.connection.transport.sock
    waiting.register(sock.fileno(), select.EPOLLIN)
    people.append((connection, channel, body, account, keepers < count and keeps))
    heard[sock.fileno()] = [sock, channel, 0, 0]
print("ready", flush=True)
start, announced = time.monotonic(), 0
while True:
    due = start + announced * pause / count
    for descriptor, _event in waiting.poll(max(0.0, due - time.monotonic())):
        sock, channel, tag, acknowledged = heard[descriptor]
        tag += sock.recv(1 << 16).count(DELIVER)
        heard[descriptor][2] = tag
        if tag - acknowledged >= TOGETHER:
            heard[descriptor][3] = tag
            channel.basic_ack(tag, multiple=True)
    if time.monotonic() >= due:
        speaker = people[announced % count]
        policy.announce(speaker[1], speaker[2], account=speaker[3], to_all=speaker[4])
        announced += 1
