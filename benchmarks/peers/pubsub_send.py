"""One message by google-cloud-pubsub, confirmed. Arguments: project, topic, text. The emulator by PUBSUB_EMULATOR_HOST."""

import json
import sys

from google.cloud import pubsub_v1

project, topic, text = sys.argv[1:]
publisher = pubsub_v1.PublisherClient(
    publisher_options=pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
)
path = publisher.topic_path(project, topic)
body = json.dumps({"username": "ada", "message": text}).encode()
publisher.publish(path, body, ordering_key="ada").result(timeout=10)
