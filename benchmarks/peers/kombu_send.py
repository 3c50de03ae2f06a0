"""One message by a plain Kombu Producer, confirmed. Arguments: URL, room, text."""

import sys

from kombu import Connection, Exchange

url, room, text = sys.argv[1:]
with Connection(url, transport_options={"confirm_publish": True}) as connection:
    exchange = Exchange(room, "fanout", durable=False)
    connection.Producer(exchange=exchange).publish({"username": "ada", "message": text}, declare=[exchange])
