"""RabbitMQ's tutorial receiver in pika, acknowledging each message. Arguments: URL, queue, count."""

import json
import sys

import pika

url, queue, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.basic_qos(prefetch_count=500)
seen = 0


def show(ch, method, _properties, body):
    global seen
    said = json.loads(body)
    print(f"{said['username']}: {said['message']}")
    ch.basic_ack(method.delivery_tag)
    seen += 1
    if seen == count:
        ch.stop_consuming()


channel.basic_consume(queue, show)
channel.start_consuming()
connection.close()
