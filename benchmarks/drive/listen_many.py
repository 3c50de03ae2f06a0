"""Many subscribers in one process: ``listen_many.py <url> <room> queue|stream|durable <subscribers>``.

Each has a connection, a queue and acknowledgements as ``kchat subscribe`` has them: the first message is acknowledged at
once, those of the next 50 ms together. What comes is counted and not read, so that this process takes little of what the
broker and it share. ``queue``: a queue each, as usual. ``stream``: all read the room's history, one stream. ``durable``: a
durable queue each.

It writes ``ready`` when all are listening. After that, each line on standard input is answered by one of JSON: messages
delivered so far, the bytes that they came in, and how many of the subscribers are still connected. It ends with its input.
"""

import json
import os
import select
import struct
import sys
import time
from typing import Any

from kchat import Settings
from kchat.client.acknowledgements import BATCH, BATCH_SECONDS
from kchat.client.connection import connect
from kchat.client.subscriber import PREFETCH

DELIVER = struct.pack(">HH", 60, 60)
"""``basic.deliver``, AMQP 0-9-1 section 1.8.3.9. It stands in none of the headers and texts that are sent here."""

acknowledgement = struct.Struct(">BHIHHQBB").pack
"""``basic.ack`` in a frame: sections 4.2.3 and 1.8.3.13."""


class Subscriber:
    """One of them; it counts what comes, and knows what it has acknowledged."""

    def __init__(self, settings: Settings, kind: str, number: int) -> None:
        self.connection, _ = connect(settings, purpose="bench")
        channel: Any = self.connection.channel()  # py-amqp's
        policy = settings.transport.room(settings.room)
        if kind == "stream":
            policy.open(channel)
            channel.basic_qos(0, PREFETCH, False)
            history: Any = settings.transport.history(settings.room)
            channel.basic_consume(history.stream, callback=print, arguments={"x-stream-offset": "next"})
        else:
            durable = f"bench-{number}" if kind == "durable" else None
            account = settings.transport.account(self.connection)
            queue = policy.take_place(channel, f"person {number:03}", account=account, durable=durable).queue
            channel.basic_qos(0, PREFETCH, False)
            queue.consume(queue.name, print, no_ack=False)
        self.channel = channel.channel_id
        self.socket = self.connection.connection.transport.sock
        self.tag = self.acknowledged = self.bytes = 0
        self.due = 0.0
        self.tail = b""

    def read(self) -> bool:
        """Count what has arrived. Returns whether it is still connected."""
        data = self.socket.recv(1 << 16)
        self.bytes += len(data)
        seen = self.tail + data
        self.tag += seen.count(DELIVER)
        self.tail = seen[-3:]  # too short to be counted twice
        return bool(data)

    def acknowledge(self, now: float) -> bool:
        """Acknowledge what is due. Returns whether nothing is left to be."""
        pending = self.tag - self.acknowledged
        if not pending or (now < self.due and pending < BATCH // 2):
            return not pending
        self.socket.sendall(acknowledgement(1, self.channel, 13, 60, 80, self.tag, 1, 0xCE))
        self.acknowledged, self.due = self.tag, now + BATCH_SECONDS
        return True


def main(url: str, room: str, kind: str, count: str) -> None:
    """Listen until standard input ends."""
    settings = Settings.resolve(url=url, room=room, heartbeat=0)
    subscribers = {}
    waiting = select.epoll()
    waiting.register(0, select.EPOLLIN)
    for number in range(int(count)):
        each = Subscriber(settings, kind, number)
        subscribers[each.socket.fileno()] = each
        waiting.register(each.socket.fileno(), select.EPOLLIN)
    print("ready", flush=True)
    connected = len(subscribers)
    pending: set[Subscriber] = set()
    while True:
        events = waiting.poll(BATCH_SECONDS / 2 if pending else -1)
        now = time.monotonic()
        for descriptor, _ in events:
            if descriptor:
                each = subscribers[descriptor]
                pending.add(each)
                if not each.read():
                    waiting.unregister(descriptor)
                    connected -= 1
            elif os.read(0, 1024):
                delivered = sum(each.tag for each in subscribers.values())
                size = sum(each.bytes for each in subscribers.values())
                print(json.dumps({"delivered": delivered, "bytes": size, "connected": connected}), flush=True)
            else:
                return
        pending -= {each for each in pending if each.acknowledge(now)}


if __name__ == "__main__":
    main(*sys.argv[1:])
