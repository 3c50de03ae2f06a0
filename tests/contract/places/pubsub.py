"""Google Cloud Pub/Sub: its emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar

import grpc  # type: ignore[import-untyped]  # it has no types
import pytest
from google.pubsub_v1 import PublisherClient, PubsubMessage, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from kchat.transports.pubsub.names import to_id
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.pubsub import Emulator
from tests.contract.places import base
from tests.contract.places.base import Link, Way

DAY = 86_400
"""Seconds: the shortest time after which the service lets an unused subscription expire."""


class Place(base.Place):
    """A project of the test's own."""

    name: ClassVar[str] = "pubsub"
    sends: ClassVar[int] = 20  # the emulator takes about 160 a second
    no_history_off: ClassVar[str] = "the emulator cannot clear a topic's message retention"
    # Seen with Google's own client as well: another subscriber gets nothing for a minute and more.
    least_keep: ClassVar[float] = 600.0
    kills_unnoticed: ClassVar[str] = "the emulator sends to the stream of a killed process for minutes"

    def __init__(self, emulator: Emulator, project: str, commands: Commands) -> None:
        super().__init__(Way(emulator.url(project), emulator.environment))
        self._emulator = emulator
        self._project = project
        self._commands = commands

    @classmethod
    @contextmanager
    def shared(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        yield cls._at(request.getfixturevalue("pubsub_emulator"), request)

    @classmethod
    @contextmanager
    def own(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        yield cls._at(request.getfixturevalue("own_pubsub_emulator"), request)

    @classmethod
    def _at(cls, emulator: Emulator, request: pytest.FixtureRequest) -> Place:
        environment = request.getfixturevalue("monkeypatch")
        for name, value in emulator.environment.items():
            environment.setenv(name, value)
        return cls(emulator, emulator.new_project(), request.getfixturevalue("commands"))

    def publish(self, room: str, body: bytes) -> None:
        with grpc.insecure_channel(self._emulator.address) as channel:
            client = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
            topic = client.topic_path(self._project, to_id(room))
            # The service refuses a message with neither data nor attributes.
            message = PubsubMessage(data=body, attributes={"from": "a script"})
            client.publish(topic=topic, messages=[message])

    def leftovers(self, room: str) -> list[str]:
        with grpc.insecure_channel(self._emulator.address) as channel:
            client = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
            found = list(client.list_subscriptions(project=f"projects/{self._project}"))
        # What nobody sweeps goes by itself after a day; what has no such limit would be there for ever.
        assert all(0 < each.expiration_policy.ttl.total_seconds() <= DAY for each in found), found
        if found:
            self._commands.run_kchat(
                *("sweep", "--url", self.way.url, "--room", room, "--yes"), env=self.way.environment
            )
        return [each.name for each in found]

    @contextmanager
    def link(self) -> Iterator[Link | None]:
        with Proxy(self._emulator.port, self._emulator.host) as proxy:
            way = Way(self.way.url, {"PUBSUB_EMULATOR_HOST": f"{proxy.host}:{proxy.port}"})
            yield Link(way, proxy.refuse, proxy.restore)

    def restart(self) -> bool:
        self._emulator.restart()
        return True

    @contextmanager
    def send_only(self, room: str) -> Iterator[Way]:
        # The emulator knows no rights, so a server stands in front of it that passes nothing on but Publish.
        with grpc.insecure_channel(self._emulator.address) as channel:
            server = grpc.server(ThreadPoolExecutor(4), handlers=[_PublishOnly(channel)])
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            try:
                yield Way(self.way.url, {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{port}"})
            finally:
                server.stop(None).wait(5)

    def nowhere(self) -> Way:
        return Way(self.way.url, {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{free_port()}"})


class _PublishOnly(grpc.GenericRpcHandler):
    """What ``roles/pubsub.publisher`` lets through."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def service(self, call: Any) -> Any:
        forward: Callable[[bytes], bytes] = self._channel.unary_unary(call.method)

        def answer(request: bytes, context: Any) -> bytes:
            if call.method != "/google.pubsub.v1.Publisher/Publish":
                context.abort(
                    grpc.StatusCode.PERMISSION_DENIED, f"User not authorized to perform {call.method}."
                )
            try:
                return forward(request)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())
                raise

        return grpc.unary_unary_rpc_method_handler(answer)
