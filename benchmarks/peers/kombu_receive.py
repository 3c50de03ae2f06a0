"""A plain Kombu Consumer, acknowledging each message. Arguments: URL, queue, count."""

import sys

from kombu import Connection, Queue

url, queue, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
seen = 0


def show(body, message):
    global seen
    print(f"{body['username']}: {body['message']}")
    message.ack()
    seen += 1


with Connection(url) as connection:
    consumer = connection.Consumer(
        [Queue(queue, no_declare=True)], callbacks=[show], prefetch_count=500, accept=["json"]
    )
    with consumer:
        while seen < count:
            connection.drain_events()
