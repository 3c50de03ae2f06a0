"""The doctor's checks of a room on Google Cloud Pub/Sub, or on its emulator."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from amqp.exceptions import AccessRefused, AMQPError, NotFound

from kchat.transports import durable
from kchat.transports.checks import Check, Outcome, Walk, note, ok, skipped, wrong

from .names import to_id
from .room import RoomPolicy

_RIGHTS = {
    "send": ("pubsub.topics.publish", "roles/pubsub.publisher"),
    "subscribe": ("pubsub.topics.attachSubscription", "roles/pubsub.subscriber"),
}
"""Permissions on the topic, and the roles that have them;
https://cloud.google.com/pubsub/docs/access-control#permissions_and_roles."""


def checks(walk: Walk) -> Sequence[Check]:
    """The checks, in order; arguments as of :meth:`kchat.transports.base.Transport.checks`."""
    pubsub = _PubSub(walk)
    return (
        Check("settings"),
        Check("credentials", ("settings",), pubsub.credentials),
        Check("api", ("credentials",), pubsub.api),
        Check("topic", ("api",), pubsub.topic),
        Check("permissions", ("topic",), pubsub.permissions),
        Check("listen", ("topic",), pubsub.listen, only="subscribe"),
        Check("durable", ("topic",), pubsub.durable, only="subscribe"),
        Check("round trip", ("topic", "listen", "permissions")),
    )


class _PubSub:
    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._room = RoomPolicy(walk.settings.room)
        self._topic_exists = False

    @property
    def _clients(self) -> Any:
        """The transport's :class:`~kchat.transports.pubsub.clients.Clients`."""
        return self._walk.connection.connection.clients

    def credentials(self) -> Outcome:
        """There are credentials, by Google's own rules (https://cloud.google.com/docs/authentication)."""
        if emulator := os.environ.get("PUBSUB_EMULATOR_HOST"):
            return skipped(f"not needed: the emulator at {emulator} (PUBSUB_EMULATOR_HOST)")
        failure = self._walk.failure
        if failure is not None and "credentials" in str(failure):
            raise failure
        return ok("found")

    def api(self) -> Outcome:
        """The service answers."""
        return ok(f"{self._clients.endpoint} answers, project {self._clients.project}")

    def topic(self) -> Outcome:
        """The project and the topic exist."""
        name = self._room.name
        try:
            self._room.exchange(self._walk.connection.channel()).declare(passive=True)
        except AccessRefused:
            self._topic_exists = True
            return note(f"this account may not see whether topic {name!r} exists")
        except NotFound as error:
            text = str(error.reply_text)
            if "project" in text.lower() and "topic" not in text.lower():
                return wrong(
                    f"project {self._walk.broker.host!r} does not exist, or this account may not use it",
                    "gcloud projects list",
                )
            create = shlex.join(["gcloud", "pubsub", "topics", "create", to_id(name)])
            return note(
                f"there is no topic {name!r} yet",
                f"the first message or subscriber creates it, if its account may; or: {create}",
            )
        self._topic_exists = True
        return ok(f"topic {name!r} exists")

    def permissions(self) -> Outcome:
        """The account has the rights that it needs on the topic. The service is asked; nothing is tried."""
        if not self._topic_exists:
            return skipped("no topic to ask about")
        from google.api_core import exceptions as google

        only = self._walk.options.only
        wanted = _RIGHTS if only is None else {only: _RIGHTS[only]}
        topic = to_id(self._room.name)
        request = {
            "resource": self._clients.topic(topic),
            "permissions": [permission for permission, _ in wanted.values()],
        }
        try:
            answer = self._clients.publisher.test_iam_permissions(
                request=request, timeout=self._walk.settings.connect_timeout
            )
        except (google.MethodNotImplemented, google.NotFound):
            return skipped("the emulator has no permissions")
        except google.GoogleAPICallError as error:
            return skipped(f"the service does not tell: {error.message}")
        missing = {doing: needed for doing, needed in wanted.items() if needed[0] not in answer.permissions}
        if not missing:
            return ok(f"this account may {' and '.join(wanted)}")
        permissions, roles = zip(*missing.values(), strict=True)
        return wrong(
            f"this account may not {' nor '.join(missing)}: no {', '.join(permissions)}",
            " ".join(
                [
                    f"gcloud pubsub topics add-iam-policy-binding {shlex.quote(topic)}",
                    "--member=...",
                    f"--role={roles[0]}",
                ]
            ),
        )

    def listen(self) -> Outcome:
        """The account may create a subscription of its own."""
        if not self._topic_exists:
            return skipped("no topic to subscribe to")
        queue = self._room.subscriber_queue("doctor")(self._walk.connection.channel())
        try:
            queue.queue_declare()
            queue.queue_bind()
        except AccessRefused as error:
            return wrong(
                f"this account may not create subscriptions: {error.reply_text}",
                "it needs roles/pubsub.editor on the project, or a role with pubsub.subscriptions.create",
            )
        finally:
            with suppress(AMQPError):
                queue.delete()
        return ok("this account may create a subscription of its own")

    def durable(self) -> Outcome:
        """Somebody reads the room's durable subscriptions; of those that are shared it is not known."""
        walk = self._walk
        if not self._topic_exists:
            return skipped("no topic yet")
        policy = walk.broker.transport.durable(self._room.name)
        try:
            found = policy.subscriptions(walk.settings, walk.broker, walk.connection)
        except AccessRefused as error:
            return skipped(f"this account may not list subscriptions: {error.reply_text}")
        return durable.check(found, "nobody is known to read")
