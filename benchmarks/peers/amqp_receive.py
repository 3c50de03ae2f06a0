"""py-amqp with nothing around it: a queue of its own, each message acknowledged and shown at once. Arguments: URL, room."""

import json
import sys
from urllib.parse import unquote, urlsplit

import amqp

url, room = urlsplit(sys.argv[1]), sys.argv[2]
connection = amqp.Connection(
    f"{url.hostname}:{url.port}",
    unquote(url.username),
    unquote(url.password),
    virtual_host=unquote(url.path[1:]) or "/",
)
connection.connect()
channel = connection.channel()
channel.exchange_declare(room, "fanout", durable=False, auto_delete=False)
queue = channel.queue_declare(exclusive=True).queue
channel.queue_bind(queue, room)
channel.basic_qos(0, 500, a_global=False)


def show(message):
    said = json.loads(message.body)
    print(f"{said['username']}: {said['message']}", flush=True)
    channel.basic_ack(message.delivery_tag)


channel.basic_consume(queue, callback=show)
print("listening", file=sys.stderr, flush=True)
while True:
    connection.drain_events()
