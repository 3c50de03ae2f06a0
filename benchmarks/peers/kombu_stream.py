"""A plain Kombu Producer, each message confirmed, a message a line of standard input. Arguments: URL, room."""

import sys

from kombu import Connection, Exchange

url, room = sys.argv[1:]
with Connection(url, transport_options={"confirm_publish": True}) as connection:
    exchange = Exchange(room, "fanout", durable=False)
    producer = connection.Producer(exchange=exchange)
    exchange(producer.channel).declare()
    for line in sys.stdin:
        producer.publish({"username": "ada", "message": line.rstrip("\n")}, delivery_mode="transient")
