"""A server that stands in for Pub/Sub, for answers that the emulator does not give: no permission, no service, no answer.

It is a real gRPC server on a real socket, so that what is tested is the client as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]  # it has no types
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]  # it has no types
from google.pubsub_v1 import types

Answer = Callable[[Any], Any]
"""Gets a request, returns the response; or raises a status by its name, such as ``LookupError("PERMISSION_DENIED")``."""

_MESSAGES: Mapping[str, tuple[Any, Any]] = {
    "Publish": (types.PublishRequest, types.PublishResponse),
    "CreateTopic": (types.Topic, types.Topic),
    "UpdateTopic": (types.UpdateTopicRequest, types.Topic),
    "GetTopic": (types.GetTopicRequest, types.Topic),
    "CreateSubscription": (types.Subscription, types.Subscription),
    "GetSubscription": (types.GetSubscriptionRequest, types.Subscription),
    "UpdateSubscription": (types.UpdateSubscriptionRequest, types.Subscription),
    "ListSubscriptions": (types.ListSubscriptionsRequest, types.ListSubscriptionsResponse),
    "DeleteSubscription": (types.DeleteSubscriptionRequest, None),
    "Acknowledge": (types.AcknowledgeRequest, None),
    "ModifyAckDeadline": (types.ModifyAckDeadlineRequest, None),
    "Seek": (types.SeekRequest, types.SeekResponse),
    "StreamingPull": (types.StreamingPullRequest, types.StreamingPullResponse),
}


def no(status: str) -> Answer:
    """An answer that refuses with a status of gRPC's, such as ``PERMISSION_DENIED``."""

    def refuse(_: Any) -> Any:
        raise LookupError(status)

    return refuse


class Service:
    """What the server answers, and what it was asked.

    Attributes:
        asked: ``(method, request)`` in the order of arrival, without the greetings.
        answers: by method; all others are refused with ``PERMISSION_DENIED``.
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answers = dict(answers)
        self.came = threading.Condition()

    def wait_for(self, method: str, seconds: float = 10.0) -> Any:
        """Waits for a request of one kind and returns it."""
        with self.came:
            found = self.came.wait_for(
                lambda: [request for name, request in self.asked if name == method], seconds
            )
        assert found, f"nobody asked for {method}: {[name for name, _ in self.asked]}"
        return found[0]

    def methods(self) -> set[str]:
        """What was asked for."""
        return {name for name, _ in self.asked}

    def answer(self, method: str, request: Any, context: Any) -> Any:
        """Answers one request."""
        if not (method == "Publish" and not request.topic):
            with self.came:
                self.asked.append((method, request))
                self.came.notify_all()
        try:
            return self.answers.get(method, no("PERMISSION_DENIED"))(request)
        except LookupError as refusal:
            context.abort(getattr(grpc.StatusCode, str(refusal.args[0])), "the test says so")


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, service: Service) -> None:
        self._service = service

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method.rpartition("/")[2]
        asks, answers = _MESSAGES[method]
        serialize = Empty.SerializeToString if answers is None else answers.serialize
        if method == "StreamingPull":
            return grpc.stream_stream_rpc_method_handler(self._stream, asks.deserialize, serialize)
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._service.answer(method, request, context),
            asks.deserialize,
            serialize,
        )

    def _stream(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        response = self._service.answer("StreamingPull", next(requests), context)
        yield response
        for _ in requests:  # until the client ends it
            pass


@contextmanager
def answering(**answers: Answer) -> Iterator[tuple[str, Service]]:
    """Gives the address of a server with these answers, and the server's notes."""
    service = Service(answers)
    server = grpc.server(ThreadPoolExecutor(8), handlers=[_Handler(service)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", service
    finally:
        server.stop(0).wait(5)
