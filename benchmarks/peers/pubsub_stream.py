"""google-cloud-pubsub with nothing around it, a message a line of standard input, each confirmed. Arguments: project, topic.

Ordered by username, as kchat's are. The client batches by itself.
"""

import json
import sys
from collections import deque

from google.cloud import pubsub_v1

WINDOW = 1000

project, topic = sys.argv[1:]
publisher = pubsub_v1.PublisherClient(
    publisher_options=pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
)
path = publisher.topic_path(project, topic)
waiting = deque()
for line in sys.stdin:
    body = json.dumps({"username": "ada", "message": line.rstrip("\n")}).encode()
    waiting.append(publisher.publish(path, body, ordering_key="ada"))
    if len(waiting) >= WINDOW:
        waiting.popleft().result(timeout=30)
for future in waiting:
    future.result(timeout=30)
