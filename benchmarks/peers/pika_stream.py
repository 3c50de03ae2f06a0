"""The tutorial's sender in a loop, a message a line of standard input. Arguments: URL, room, ``confirmed`` or not."""

import json
import sys

import pika

url, room, how = sys.argv[1:]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.exchange_declare(exchange=room, exchange_type="fanout")
if how == "confirmed":
    channel.confirm_delivery()
for line in sys.stdin:
    body = json.dumps({"username": "ada", "message": line.rstrip("\n")}).encode()
    channel.basic_publish(exchange=room, routing_key="", body=body)
connection.close()
