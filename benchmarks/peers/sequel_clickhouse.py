"""The consumer of the exercise's sequel: acknowledged when delivered, an INSERT for each message.

Arguments: URL, queue, ClickHouse's URL, count. The table is the sequel's; the queue is there already.
"""

import json
import sys
from datetime import datetime

import pika
from clickhouse_driver import Client

url, queue, clickhouse, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
client = Client.from_url(clickhouse)
client.execute(
    "CREATE TABLE IF NOT EXISTS sequel (username String, message String, received_at DateTime)"
    " ENGINE = MergeTree() ORDER BY (username, received_at)"
)
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
seen = 0


def store(ch, _method, _properties, body):
    global seen
    said = json.loads(body)
    client.execute("INSERT INTO sequel VALUES", [(said["username"], said["message"], datetime.now())])  # noqa: DTZ005 - theirs
    seen += 1
    if seen == count:
        ch.stop_consuming()


channel.basic_consume(queue, store, auto_ack=True)
channel.start_consuming()
connection.close()
client.disconnect()
