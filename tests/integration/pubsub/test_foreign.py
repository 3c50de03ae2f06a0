"""Messages of and for those who do not use Kombu: google-cloud-pubsub, the gcloud command."""

from __future__ import annotations

from collections.abc import Callable

from tests.brokers.processes import Commands
from tests.brokers.pubsub import Emulator
from tests.brokers.require import require
from tests.integration.pubsub.driving import (
    Connect,
    bodies,
    drain,
    fanout,
    lasting_queue,
    listen,
    own_queue,
    take,
)

Name = Callable[[str], str]

PUBLISH = """
import sys
from google.cloud import pubsub_v1
project, topic = sys.argv[1:]
client = pubsub_v1.PublisherClient()
path = client.topic_path(project, topic)
client.publish(path, b"plain").result()
client.publish(path, b'{"username": "ada", "message": "hi"}', lang="en", timestamp="no number").result()
"""

RECEIVE = """
import sys, threading
from google.cloud import pubsub_v1
project, subscription = sys.argv[1:]
client = pubsub_v1.SubscriberClient()
got = threading.Event()
def show(message):
    print(message.data, sorted(message.attributes.items()), message.ordering_key, flush=True)
    message.ack()
    got.set()
future = client.subscribe(client.subscription_path(project, subscription), show)
assert got.wait(20)
future.cancel()
future.result()
"""


def test_messages_from_a_plain_client_are_received(
    connect: Connect, commands: Commands, project: str, pubsub_emulator: Emulator, name: Name
) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    script = commands.python(PUBLISH, project, exchange.name, env=pubsub_emulator.environment)
    assert script.wait() == 0, script.stderr
    drain(connection, lambda: len(arrived) == 2)
    assert bodies(arrived) == [b"plain", b'{"username": "ada", "message": "hi"}']
    assert arrived[0].properties == {"application_headers": {}}
    # What is called like a property and is none, is a header.
    assert arrived[1].headers == {"lang": "en", "timestamp": "no number"}
    assert arrived[1].delivery_info["publish_time"] > 1_700_000_000


def test_a_plain_client_reads_kchats_messages(
    connect: Connect, commands: Commands, project: str, pubsub_emulator: Emulator, name: Name
) -> None:
    channel = connect().channel()
    exchange, queue = fanout(name("room")), name("queue")
    lasting_queue(channel, exchange, queue)
    message = channel.prepare_message(
        b'{"username": "ada", "message": "hi"}',
        content_type="application/json",
        properties={"app_id": "kchat"},
    )
    channel.basic_publish(message, exchange=exchange.name, routing_key="ada")
    script = commands.python(RECEIVE, project, queue, env=pubsub_emulator.environment)
    assert script.wait(30) == 0, script.stderr
    attributes = [("app_id", "kchat"), ("content_type", "application/json")]
    assert script.lines == [f"{message.body} {attributes} ada"]


def test_messages_from_gcloud_are_received(
    connect: Connect, commands: Commands, project: str, pubsub_emulator: Emulator, name: Name
) -> None:
    require("gcloud", "it publishes a message, as an operator would")
    connection = connect()
    channel = connection.channel()
    exchange = fanout(name("room"))
    arrived = listen(channel, own_queue(channel, exchange, name("queue")))
    gcloud = commands.start(
        [
            "gcloud",
            "--quiet",
            "--project",
            project,
            "pubsub",
            "topics",
            "publish",
            exchange.name,
            "--message",
            "hi",
        ],
        env={
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"http://{pubsub_emulator.address}/",
            # The emulator asks for none, and this machine may have none.
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        },
    )
    assert gcloud.wait(60) == 0, gcloud.stderr
    assert take(connection, arrived, 1) == [b"hi"]
