"""Many people who are here: ``present.py <url> <room> <people> <seconds between announcements>``.

Each has a connection and a queue as kchat's have, announces itself as often, and acknowledges what it hears. What is heard
is not read, so that one process can be all of them, and the broker has all of its work. It writes a line when all have
joined, and goes on until it is ended.
"""

import select
import struct
import sys
import time
from typing import Any

from kchat import Settings
from kchat.client.connection import connect
from kchat.message.announcement import HERE, Announcement

url, room, count, pause = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
settings = Settings.resolve(url=url, room=room, heartbeat=0)
policy = settings.transport.presence(room)
DELIVER = struct.pack(">HH", 60, 60)
"""``basic.deliver``: AMQP 0-9-1 section 1.8.3.9."""

waiting = select.epoll()
people: list[tuple[Any, Any, bytes, str | None]] = []
heard: dict[int, list[Any]] = {}
for number in range(count):
    connection = connect(settings, purpose="presence")[0]
    channel, account = connection.channel(), settings.transport.account(connection)
    channel.auto_decode = False
    said = Announcement(HERE, f"{number:012}", f"person {number:03}", 55.0).encode()
    queue = policy.join(channel, f"person {number:03}", said, account=account)[0]
    channel.basic_qos(0, 250, False)
    queue.consume(queue.name, print, no_ack=False)
    sock = connection.connection.transport.sock
    waiting.register(sock.fileno(), select.EPOLLIN)
    people.append((connection, channel, said, account))
    heard[sock.fileno()] = [sock, channel, 0]
print("ready", flush=True)
start, announced = time.monotonic(), 0
while True:
    due = start + announced * pause / count
    for descriptor, _event in waiting.poll(max(0.0, due - time.monotonic())):
        sock, channel, tag = heard[descriptor]
        came = sock.recv(1 << 16).count(DELIVER)
        if came:
            heard[descriptor][2] = tag + came
            channel.basic_ack(tag + came, multiple=True)
    if time.monotonic() >= due:
        speaker = people[announced % count]
        policy.announce(speaker[1], speaker[2], account=speaker[3])
        announced += 1
