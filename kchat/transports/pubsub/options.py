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
        heartbeat: a consumer asks the service for a sign of life when it has heard nothing for so long; 0 for never.
            Kombu's own ``heartbeat`` comes before it.
        ack_deadline: for so long a delivered message is ours before the service gives it to somebody else; it is
            extended while we hold it. After a cut connection it is what the rest of an ordering key may have to wait
            for. 10 to 600 (https://cloud.google.com/pubsub/docs/lease-management).
        get_timeout: ``basic_get`` waits so long for a message before it says that there is none.
        max_messages: messages that a consumer without a prefetch limit holds before the application has them.
        max_bytes: bytes of the same.
        topic_retention: topics that this connection creates keep their messages for so long, 0 or 600 to 2,678,400;
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
        """Take what is known out of Kombu's ``transport_options``; what is not known belongs to somebody else.

        Arguments:
            given: the options; text, as in a URL's query, is converted.
            preferred: values that come before those; ``None`` and 0 mean none.

        Raises:
            ValueError: a value is no number, or out of its range.
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
                raise ValueError(f"transport option {field.name}: {value!r} is no {kind.__name__}") from exc
            if kind is not str and not 0 <= values[field.name] < float("inf"):
                raise ValueError(f"transport option {field.name}: {value!r} is negative, or no number")
        if not 10 <= values.get("ack_deadline", cls.ack_deadline) <= 600:
            raise ValueError("transport option ack_deadline: 10 to 600 seconds")
        return cls(**values)
