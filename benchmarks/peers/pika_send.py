"""RabbitMQ's tutorial sender in pika: one message. Arguments: URL, room, text.

https://www.rabbitmq.com/tutorials/tutorial-three-python
"""

import json
import sys

import pika

url, room, text = sys.argv[1:]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.exchange_declare(exchange=room, exchange_type="fanout")
body = json.dumps({"username": "ada", "message": text}).encode()
channel.basic_publish(exchange=room, routing_key="", body=body)
connection.close()
