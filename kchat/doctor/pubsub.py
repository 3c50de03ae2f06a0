"""The walk to a room on Google Cloud Pub/Sub, or on its emulator."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import amqp.exceptions

from kchat.client.connection import broker_errors
from kchat.doctor import Check, Options, Outcome, driver, note, ok, skipped, wrong
from kchat.doctor.connected import ConnectedWalk
from kchat.doctor.round_trip import round_trip

if TYPE_CHECKING:
    from kchat.config.settings import Settings

_SEND = "pubsub.topics.publish"
_LISTEN = "pubsub.topics.attachSubscription"
"""Permissions on the topic; https://cloud.google.com/pubsub/docs/access-control#permissions_and_roles."""


class Walk(ConnectedWalk):
    """A walk to a topic.

    Arguments:
        settings: the room and its broker.
        options: what to look at.
    """

    def __init__(self, settings: Settings, options: Options) -> None:
        super().__init__(settings, options)
        self.topic_exists = False

    @property
    def clients(self) -> Any:
        """The transport's clients, of :mod:`kchat.transports.pubsub.clients`."""
        assert self.connection is not None
        return self.connection.connection.clients


def credentials(walk: Walk) -> Outcome:
    """There are credentials, by Google's own rules (https://cloud.google.com/docs/authentication)."""
    if emulator := os.environ.get("PUBSUB_EMULATOR_HOST"):
        return skipped(f"none needed: the emulator at {emulator} (PUBSUB_EMULATOR_HOST)")
    failure = walk.failure()
    if failure is not None and "credentials" in str(failure):
        raise failure
    return ok("found")


def api(walk: Walk) -> Outcome:
    """The service answers."""
    if failure := walk.failure():
        raise failure
    return ok(f"{walk.clients.endpoint} answers, project {walk.clients.project}")


def topic(walk: Walk) -> Outcome:
    """The project and the topic exist."""
    name = walk.settings.room
    assert walk.connection is not None
    channel = walk.connection.channel()
    with broker_errors(walk.broker, "look at the topic"):
        try:
            walk.settings.transport.room(walk.settings.room).exchange(channel).declare(passive=True)
        except amqp.exceptions.AccessRefused:
            walk.topic_exists = True
            return note(f"whether topic {name!r} exists, this account may not see")
        except amqp.exceptions.NotFound as error:
            text = str(error.reply_text)
            if "project" in text.lower() and "topic" not in text.lower():
                return wrong(
                    f"there is no project {walk.broker.host!r}, or this account may not use it",
                    "gcloud projects list",
                )
            return note(
                f"there is no topic {name!r} yet",
                "the first message or subscriber makes it, if its account may; or: "
                + shlex.join(["gcloud", "pubsub", "topics", "create", _topic_id(name)]),
            )
    walk.topic_exists = True
    return ok(f"topic {name!r} exists")


def permissions(walk: Walk) -> Outcome:
    """The account may do on the topic what it is there for. The service is asked; nothing is tried."""
    if not walk.topic_exists:
        return skipped("no topic to ask about")
    from google.api_core import exceptions as google

    wanted = {"send": _SEND, "subscribe": _LISTEN}
    if walk.options.only is not None:
        wanted = {walk.options.only: wanted[walk.options.only]}
    name = walk.clients.topic(_topic_id(walk.settings.room))
    request = {"resource": name, "permissions": list(wanted.values())}
    try:
        answer = walk.clients.publisher.test_iam_permissions(
            request=request, timeout=walk.settings.connect_timeout
        )
    except (google.MethodNotImplemented, google.NotFound):
        return skipped("the emulator knows no permissions")
    except google.GoogleAPICallError as error:
        return skipped(f"the service does not tell: {error.message}")
    missing = [doing for doing, permission in wanted.items() if permission not in answer.permissions]
    if not missing:
        return ok(f"this account may {' and '.join(wanted)}")
    roles = {"send": "roles/pubsub.publisher", "subscribe": "roles/pubsub.subscriber"}
    return wrong(
        f"this account may not {' nor '.join(missing)}: no {', '.join(wanted[each] for each in missing)}",
        shlex.join(["gcloud", "pubsub", "topics", "add-iam-policy-binding", _topic_id(walk.settings.room)])
        + f" --member=... --role={roles[missing[0]]}",
    )


def _topic_id(room: str) -> str:
    from kchat.transports.pubsub.bindings import to_id

    return to_id(room)


def listening(walk: Walk) -> Outcome:
    """The account may make a subscription of its own."""
    if walk.options.only == "send":
        return skipped("not asked for")
    if not walk.topic_exists:
        return skipped("no topic to subscribe to")
    assert walk.connection is not None
    queue = walk.settings.transport.room(walk.settings.room).subscriber_queue("doctor")
    with broker_errors(walk.broker, "listen"):
        channel = walk.connection.channel()
        bound = queue(channel)
        try:
            bound.queue_declare()
            bound.queue_bind()
        except amqp.exceptions.AccessRefused as error:
            return wrong(
                f"this account may make no subscription: {error.reply_text}",
                "it needs roles/pubsub.editor on the project, or a role with pubsub.subscriptions.create",
            )
        finally:
            with suppress(amqp.exceptions.AMQPError):
                bound.delete()
    return ok("this account may make a subscription of its own")


CHECKS = (
    Check("settings", driver),
    Check("credentials", credentials, needs=("settings",)),
    Check("api", api, needs=("credentials",)),
    Check("topic", topic, needs=("api",)),
    Check("permissions", permissions, needs=("topic",)),
    Check("listen", listening, needs=("topic",)),
    Check("round trip", round_trip, needs=("topic", "listen", "permissions")),
)
