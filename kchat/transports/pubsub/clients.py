"""Google's generated clients on one gRPC channel, and how a call is made with a time limit that holds.

The generated clients (``google.pubsub_v1``) are Pub/Sub's public API. The classes that google-cloud-pubsub wraps around
them are not used: with message ordering its publisher retries without end, and its subscriber hands over one message
of an ordering key at a time and acknowledges it by a call of its own before the next (80 messages/s measured on the
emulator, where the generated client gets 1,900).
"""

from __future__ import annotations

import os
import threading
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar

import grpc  # type: ignore[import-untyped]  # it has no types
from amqp.exceptions import InvalidPath, NotFound, PreconditionFailed, RecoverableConnectionError
from google.api_core.gapic_v1.method import wrap_method
from google.api_core.gapic_v1.routing_header import to_grpc_metadata
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherClient, SubscriberClient, types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from . import errors, proxies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .options import Options

Answer = TypeVar("Answer")

FIRST_PAUSE = 0.05
"""Seconds before a call that failed for the moment is tried again; doubled each time."""

LONGEST_PAUSE = 1.0

POLL_SECONDS = 0.05
"""Seconds between two requests of ``basic_get`` and ``queue_purge`` to an empty queue."""


class Clients:
    """A publisher and a subscriber client of one project.

    Arguments:
        project: the project's id. Empty: the one of the environment, or of the credentials.
        options: the transport options.

    Raises:
        kchat.transports.pubsub.errors.NoCredentials: Application Default Credentials are missing.
        amqp.exceptions.RecoverableConnectionError: nothing answers there within the connect timeout.
        amqp.exceptions.InvalidPath: no project is named anywhere.
    """

    def __init__(self, project: str, options: Options) -> None:
        self.options = options
        self.emulator = os.environ.get("PUBSUB_EMULATOR_HOST", "")
        try:
            self.publisher = self._make_publisher()
        except GoogleAuthError as exc:
            raise errors.translate(exc, "connect") from exc
        transport: Any = self.publisher.transport
        self.channel: grpc.Channel = transport.grpc_channel
        self.endpoint: str = self.emulator or self.publisher.api_endpoint
        self.closed = threading.Event()
        self._subscriber: SubscriberClient | None = None
        try:
            self.project = project or self._default_project()
            self._probe(options.connect_timeout)
        except BaseException:
            self.close()
            raise

    def _make_publisher(self) -> PublisherClient:
        if self.emulator:
            # Google's wrapper does this; the generated client knows nothing of the emulator.
            channel = grpc.insecure_channel(
                self.emulator,
                [
                    ("grpc.max_send_message_length", -1),
                    ("grpc.max_receive_message_length", -1),
                    ("grpc.initial_reconnect_backoff_ms", 100),
                    ("grpc.max_reconnect_backoff_ms", 1000),
                    # It is on this machine, or near it; a proxy for the web leads elsewhere.
                    ("grpc.enable_http_proxy", 0),
                ],
            )
            return PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        if self.options.api_endpoint:
            return PublisherClient(client_options={"api_endpoint": self.options.api_endpoint})
        return PublisherClient()

    @property
    def subscriber(self) -> SubscriberClient:
        """The subscriber client, on the same channel. A process that only sends never makes one."""
        if self._subscriber is None:
            self._subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=self.channel))
        return self._subscriber

    def pull(self, subscription: str, at_most: int, doing: str) -> Iterator[Any]:
        """Messages of a subscription, so many in one answer at most, until none came for the option's ``get_timeout``."""
        # A pull that waits, and is cancelled here, may still take messages there: they would be gone for a while.
        request = types.PullRequest(subscription=subscription, max_messages=at_most, return_immediately=True)
        transport: Any = self.subscriber.transport
        # Not by the generated method, which warns about return_immediately: its users should stream.
        pull: Callable[..., types.PullResponse] = wrap_method(transport.pull)  # type: ignore[no-untyped-call]  # no types
        route = to_grpc_metadata((("subscription", subscription),))  # type: ignore[no-untyped-call]  # no types
        deadline = monotonic() + self.options.get_timeout
        while True:
            answer = self.call(
                lambda request, **given: pull(request, metadata=(route,), **given), request, doing
            )
            received = types.PullResponse.pb(answer).received_messages
            if received:
                yield from received
                deadline = monotonic() + self.options.get_timeout
            elif monotonic() >= deadline:
                return
            else:
                sleep(POLL_SECONDS)

    def topic(self, identifier: str) -> str:
        """The full name of a topic."""
        return f"projects/{self.project}/topics/{identifier}"

    def subscription(self, identifier: str) -> str:
        """The full name of a subscription."""
        return f"projects/{self.project}/subscriptions/{identifier}"

    def call(
        self,
        method: Callable[..., Answer],
        request: Any,
        doing: str,
        timeout: float | None = None,
        *,
        give_up: threading.Event | None = None,
    ) -> Answer:
        """Make a call; try again what may succeed a moment later, within one limit for all tries together.

        Arguments:
            method: of one of the two clients.
            request: its request; a dictionary will do.
            doing: what for; appears in errors.
            timeout: seconds, default the connect timeout. A service that cannot be reached is not tried for longer
                than the connect timeout.
            give_up: when set, the call is not tried again.

        Raises:
            amqp.exceptions.AMQPError: see :mod:`kchat.transports.pubsub.errors`.
        """
        limit = self.options.connect_timeout if timeout is None else timeout
        began = monotonic()
        pause = FIRST_PAUSE
        while True:
            try:
                return method(request=request, retry=None, timeout=max(0.001, began + limit - monotonic()))
            except Exception as exc:
                tried_for = monotonic() - began + pause
                unreachable = errors.is_unreachable(exc) and tried_for > self.options.connect_timeout
                hopeless = not errors.is_transient(exc) or tried_for > limit or unreachable
                if hopeless or (give_up or self.closed).wait(pause):
                    raise errors.translate(exc, doing) from exc
            pause = min(2 * pause, LONGEST_PAUSE)

    def get_subscription(self, path: str, doing: str) -> types.Subscription:
        """A subscription by its full name. Raises ``NotFound`` where there is none."""
        return self.call(self.subscriber.get_subscription, {"subscription": path}, doing)

    def delete_subscription(self, path: str, doing: str, timeout: float | None = None) -> bool:
        """Delete a subscription by its full name; returns whether it was there."""
        return self._delete(self.subscriber.delete_subscription, {"subscription": path}, doing, timeout)

    def delete_topic(self, path: str, doing: str, timeout: float | None = None) -> bool:
        """Delete a topic by its full name; returns whether it was there."""
        return self._delete(self.publisher.delete_topic, {"topic": path}, doing, timeout)

    def _delete(self, method: Callable[..., None], request: Any, doing: str, timeout: float | None) -> bool:
        try:
            self.call(method, request, doing, timeout)
        except NotFound:
            return False
        return True

    def create(self, method: Callable[..., object], request: Any, doing: str) -> bool:
        """Make a call that creates something; returns whether it did, or it was there already."""
        try:
            self.call(method, request, doing)
        except PreconditionFailed as exc:
            if errors.is_there_already(exc.__cause__):
                return False
            raise
        return True

    def close(self) -> None:
        """Close the channel; calls that are under way end at once."""
        self.closed.set()
        self.channel.close()

    def _default_project(self) -> str:
        project = os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("PUBSUB_PROJECT_ID")
        if not project and not self.emulator:
            import google.auth

            project = google.auth.default()[1]
        if not project:
            raise InvalidPath(
                "the Google Cloud project is missing: give pubsub://PROJECT, or set GOOGLE_CLOUD_PROJECT"
            )
        return str(project)

    def _probe(self, timeout: float) -> None:
        """Make sure that the service answers, and that the credentials are good for a token.

        A publish of nothing to nowhere needs no right, does nothing, and is answered by a refusal. (gRPC's own watch on the
        channel's state can hang the interpreter's exit: its thread may hold a lock that the exit waits for.)
        """
        proxy = "" if self.emulator else proxies.note(self.endpoint)
        try:
            self.publisher.publish(request=types.PublishRequest(), retry=None, timeout=timeout)
        except Exception as exc:
            if errors.timed_out(exc):
                raise RecoverableConnectionError(
                    f"no answer from {self.endpoint} within {timeout:g} s{proxy}"
                ) from exc
            if not errors.is_answer(exc):
                raise errors.translate(exc, f"connect to {self.endpoint}{proxy}") from exc
