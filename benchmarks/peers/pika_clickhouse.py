"""A careful consumer of one's own: pika, and clickhouse-driver with 10,000 rows at a time, acknowledged after the INSERT.

Arguments: URL, queue, ClickHouse's URL, count. What comes twice is there twice, and nothing is added up.
"""

import json
import sys
import time
from datetime import datetime

import pika
from clickhouse_driver import Client

TOGETHER = 10_000
url, queue, clickhouse, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
client = Client.from_url(clickhouse)
client.execute(
    "CREATE TABLE IF NOT EXISTS careful (id String, username String, message String, sent_at Int64, received_at Int64)"
    " ENGINE = MergeTree() ORDER BY sent_at"
)
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.basic_qos(prefetch_count=2 * TOGETHER)
rows = []
seen = 0


def store(ch, method, _properties, body):
    global seen
    said = json.loads(body)
    sent = datetime.fromisoformat(said["sent_at"])
    rows.append(
        (said["id"], said["username"], said["message"], int(sent.timestamp() * 1000), int(time.time() * 1000))
    )
    seen += 1
    if len(rows) == TOGETHER or seen == count:
        client.execute("INSERT INTO careful VALUES", rows)
        ch.basic_ack(method.delivery_tag, multiple=True)
        rows.clear()
    if seen == count:
        ch.stop_consuming()


channel.basic_consume(queue, store)
channel.start_consuming()
connection.close()
client.disconnect()
