"""Guests on Pub/Sub: IAM roles, which the host grants with ``gcloud`` or lets kchat grant with it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import amqp.exceptions

from kchat.errors import Refused, SettingsError, Unreachable
from kchat.transports import guests

if TYPE_CHECKING:
    from kchat.transports.protocols import Channel, RoomSettings
    from kchat.transports.room import RoomPolicy
    from kchat.transports.url import Broker

GCLOUD_SECONDS = 120.0
"""How long one ``gcloud`` may take."""

_PROJECT = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]*:)?[A-Za-z0-9][A-Za-z0-9_-]*")
"""With the domain of an organisation in front, as in ``example.com:project``."""
_PRINCIPAL = re.compile(
    r"(?:user|group|serviceAccount|domain):\S+|principal(?:Set)?://\S+|allAuthenticatedUsers"
)
_EMAIL = re.compile(r"[^\s@:/]+@[^\s@:/]+")


_EXPIRES = 365 * 86_400
"""Seconds without a reader after which a guest's subscription ends: a guest cannot make it again."""


class Guests(guests.Guests):
    """See :class:`kchat.transports.guests.Guests`."""

    ending = "gcloud pubsub topics remove-iam-policy-binding takes a guest's role"

    def admit(self, settings: RoomSettings, guest: str, *, send_only: bool) -> guests.Access:
        """Roles on the room's topic, and on a subscription of the guest's own (https://cloud.google.com/pubsub/docs/access-control).

        A guest needs no role on the project: the host makes the subscription, which is the guest's durable queue.
        """
        from kchat.transports.durable import Durable

        from .names import to_id
        from .room import RoomPolicy

        broker, room, member = settings.brokers[0], RoomPolicy(settings.room), principal(guest)
        to_send = ["topics", "add-iam-policy-binding", to_id(room.name)]
        binding = ["--project", broker.host, "--member", member, "--role"]
        place = ["--url", str(broker), "--room", room.name]
        may_send = _gcloud([*to_send, *binding, "roles/pubsub.publisher"])
        if send_only:
            opened = guests.Step(shlex.join(["kchat", "send", *place, "open"]), room.open)
            return guests.Access((opened, may_send), advice=(f"{member} may send to the room",))
        queue = re.sub(r"[^\w.-]", "-", member.partition(":")[2].partition("@")[0].strip("/")) or "guest"
        limits = ["--expires", f"{_EXPIRES // 86_400}d", "--shared"]
        make = ["kchat", "subscribe", *place, "--durable", queue, *limits, "--idle-timeout", "1"]
        to_listen = ["subscriptions", "add-iam-policy-binding", to_id(room.queue_name(queue))]

        def make_queue(channel: Channel) -> None:
            room.take_place(channel, "", durable=Durable(queue, _EXPIRES, shared=True))

        steps = (
            guests.Step(shlex.join(make), make_queue),
            may_send,
            _gcloud([*to_listen, *binding, "roles/pubsub.subscriber"]),
        )
        advice = f"{member} may send to the room, and listen with: kchat subscribe --durable={queue}"
        return guests.Access(steps, advice=(advice,))

    def check(self, broker: Broker) -> None:
        """Its host is a project's id."""
        if not _PROJECT.fullmatch(broker.host):
            raise SettingsError(f"{broker.host!r} is not a valid name of a Google Cloud project")

    def describe(self, broker: Broker) -> list[tuple[str, str]]:
        """The emulator, which the environment names instead of the service."""
        emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
        return [("emulator", f"{emulator}, as PUBSUB_EMULATOR_HOST says")] if emulator else []

    def try_out(self, channel: Channel, room: RoomPolicy, tell: Callable[[str], None]) -> None:
        """Look for the room. An account that may send need not have the right to look; then sending and listening tell."""
        with suppress(amqp.exceptions.AccessRefused):
            super().try_out(channel, room, tell)


def principal(name: str) -> str:
    """An IAM principal: as it is, or an e-mail address with its kind in front.

    Raises:
        kchat.errors.SettingsError: it is neither.
    """
    if _PRINCIPAL.fullmatch(name):
        return name
    if _EMAIL.fullmatch(name):
        return f"{'serviceAccount' if name.endswith('.gserviceaccount.com') else 'user'}:{name}"
    raise SettingsError(
        f"{name!r} is not a valid principal of Google Cloud",
        hint="name an e-mail address, or a principal such as group:team@example.com",
    )


def _gcloud(words: list[str]) -> guests.Step:
    command = ["gcloud", "pubsub", *words]

    def run(_: Channel) -> None:
        if shutil.which("gcloud") is None:
            raise SettingsError("gcloud is not installed", hint="https://cloud.google.com/sdk/docs/install")
        try:
            done = subprocess.run(
                [*command, "--quiet"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=GCLOUD_SECONDS,
                check=False,
                text=True,
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"gcloud did not end within {GCLOUD_SECONDS:g} s") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason"]
            reason = next((line for line in lines if line.startswith("ERROR")), lines[-1])
            raise Refused(
                f"{shlex.join(command[:4])} failed: {reason}", hint="is gcloud logged in? gcloud auth login"
            )

    return guests.Step(shlex.join(command), run)
