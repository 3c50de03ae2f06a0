"""The transport options, read once, when a connection is opened."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Options:
    """What ``transport_options`` may say. Times are in seconds.

    Attributes:
        connect_timeout: for the first contact, and for how long an unreachable service is tried again. Kombu's own
            ``connect_timeout`` comes before it.
        confirm_timeout: for the answer to a publish, all tries together. Google's client tries for 600 s.
        close_timeout: for everything that is said to the service at the end, together.
        heartbeat: silence after which a consumer sends the service a request to see whether it is alive; 0 for never.
            Kombu's own ``heartbeat`` comes before it.
        ack_deadline: how long a delivered message is ours before the service delivers it to another client; it is
            extended while we hold it. After a cut connection it is what the rest of an ordering key may have to wait
            for. 10 to 600 (https://cloud.google.com/pubsub/docs/lease-management).
        get_timeout: how long ``basic_get`` waits for a message before it returns ``None``.
        max_messages: messages that a consumer without a prefetch limit holds before the application has them.
        max_bytes: bytes of the same.
        topic_retention: how long topics that this connection creates keep their messages, 0 or 600 to 2,678,400;
            Google charges for it (https://cloud.google.com/pubsub/docs/topic-properties#message_retention).
        api_endpoint: a regional endpoint such as ``europe-west1-pubsub.googleapis.com:443``. Default: the global one.
    """

    connect_timeout: float = 5.0
    confirm_timeout: float = 10.0
    close_timeout: float = 1.5
    heartbeat: float = 10.0
    ack_deadline: int = 10
    get_timeout: float = 1.0
    max_messages: int = 1000
    max_bytes: int = 16 * 1024 * 1024
    topic_retention: int = 0
    api_endpoint: str = ""

    @classmethod
    def read(cls, given: Mapping[str, Any], **preferred: float | None) -> Options:
        """Take the options of this transport out of Kombu's ``transport_options``, and ignore the others.

        Arguments:
            given: the options; text, as in a URL's query, is converted.
            preferred: values that come before those; ``None`` and 0 mean none.

        Raises:
            ValueError: a value is not a number, or out of its range.
        """
        values: dict[str, Any] = {}
        for field in fields(cls):
            value = preferred.get(field.name) or given.get(field.name)
            if value is None:
                continue
            kind = type(field.default)
            try:
                values[field.name] = kind(value)  # type: ignore[misc]  # all have defaults
            except (TypeError, ValueError) as exc:
                raise ValueError(
                    f"transport option {field.name}: {value!r} is not a valid {kind.__name__}"
                ) from exc
            if kind is not str and not 0 <= values[field.name] < float("inf"):
                raise ValueError(f"transport option {field.name}: {value!r} is negative, or not a number")
        if not 10 <= values.get("ack_deadline", cls.ack_deadline) <= 600:
            raise ValueError("transport option ack_deadline: 10 to 600 seconds")
        return cls(**values)
