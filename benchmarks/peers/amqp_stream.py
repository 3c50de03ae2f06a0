"""py-amqp with nothing around it, a message a line of standard input. Arguments: URL, room, ``confirmed`` or not.

Confirmed means pipelined: up to 1,000 messages are on their way while the broker confirms.
"""

import json
import sys
from urllib.parse import unquote, urlsplit

import amqp

WINDOW = 1000

url, room, how = urlsplit(sys.argv[1]), sys.argv[2], sys.argv[3]
connection = amqp.Connection(
    f"{url.hostname}:{url.port}",
    unquote(url.username),
    unquote(url.password),
    virtual_host=unquote(url.path[1:]) or "/",
)
connection.connect()
channel = connection.channel()
channel.exchange_declare(room, "fanout", durable=False, auto_delete=False)
sent = confirmed = 0


def on_ack(tag, multiple):
    global confirmed
    confirmed = tag if multiple else confirmed + 1


if how == "confirmed":
    channel.confirm_select()
    channel.events["basic_ack"].add(on_ack)
for line in sys.stdin:
    body = json.dumps({"username": "ada", "message": line.rstrip("\n")})
    channel.basic_publish(amqp.Message(body), exchange=room)
    sent += 1
    while how == "confirmed" and sent - confirmed >= WINDOW:
        connection.drain_events()
while how == "confirmed" and confirmed < sent:
    connection.drain_events()
connection.close()
