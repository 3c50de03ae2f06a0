"""Letting a guest into a room on the brokers whose accounts are not RabbitMQ's: what it takes, as commands.

They are shown for people to run, and can be run.
"""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kchat import errors

if TYPE_CHECKING:
    from kchat.config.settings import Settings

GCLOUD_SECONDS = 120.0
"""How long one ``gcloud`` may take."""

_PRINCIPAL = re.compile(
    r"(?:user|group|serviceAccount|domain):\S+|principal(?:Set)?://\S+|allAuthenticatedUsers"
)
_EMAIL = re.compile(r"[^\s@:/]+@[^\s@:/]+")


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        text: the command, as a person types it; may hold a password.
        run: does it.
    """

    text: str
    run: Callable[[], None]


@dataclass(frozen=True)
class Grant:
    """What lets a guest in.

    Attributes:
        steps: in their order; none where there is nothing to do.
        account: the guest's account on the broker; None where the broker's own login decides.
        password: its password.
        advice: what host and guest should know, a line each.
    """

    steps: tuple[Step, ...] = ()
    account: str | None = None
    password: str | None = None
    advice: tuple[str, ...] = ()


def grant(settings: Settings, name: str, *, send_only: bool) -> Grant:
    """What it takes to let a guest in.

    Arguments:
        settings: the host's, on any transport but AMQP.
        name: of the guest: an e-mail address or IAM principal on Pub/Sub, an account on Redis.
        send_only: whether the guest is to send and nothing else.

    Raises:
        kchat.errors.SettingsError: the transport has no guests, or the name is not one for it.
    """
    makers = {"pubsub": _pubsub, "redis": _redis, "local": _local}
    maker = makers.get(settings.transport.name)
    if maker is None:
        raise errors.SettingsError(f"nobody can be invited to a room on {settings.transport.name}")
    return maker(settings, name, send_only)


def _pubsub(settings: Settings, name: str, send_only: bool) -> Grant:  # noqa: FBT001 - called by grant() alone
    """Roles on the room's topic, and on a subscription of the guest's own (https://cloud.google.com/pubsub/docs/access-control).

    A guest needs no role on the project: the host makes the subscription, which is the guest's durable queue.
    """
    settings.transport.require()
    from kchat.transports.pubsub.names import to_id

    member = principal(name)
    project, topic = settings.broker.host, to_id(settings.room)
    binding = ["--project", project, "--member", member, "--role"]
    to_send = [
        "gcloud",
        "pubsub",
        "topics",
        "add-iam-policy-binding",
        topic,
        *binding,
        "roles/pubsub.publisher",
    ]
    queue = re.sub(r"[^\w.-]", "-", member.partition(":")[2].partition("@")[0].strip("/")) or "guest"
    make = ["kchat", "subscribe", "--url", str(settings.broker), "--room", settings.room, "--durable", queue]
    make += ["--idle-timeout", "1"]
    if send_only:
        opened = Step(shlex.join(["kchat", "send", *make[2:6], "open"]), lambda: _open(settings, None))
        return Grant((opened, _gcloud(to_send)), advice=(f"{member} may send to the room",))
    subscription = to_id(settings.transport.room(settings.room).queue_name(queue))
    to_listen = ["gcloud", "pubsub", "subscriptions", "add-iam-policy-binding", subscription]
    steps = (
        Step(shlex.join(make), lambda: _open(settings, queue)),
        _gcloud(to_send),
        _gcloud([*to_listen, *binding, "roles/pubsub.subscriber"]),
    )
    return Grant(
        steps, advice=(f"{member} may send to the room, and listen with: kchat subscribe --durable={queue}",)
    )


def principal(name: str) -> str:
    """An IAM principal: as it is, or an e-mail address with its kind in front.

    Raises:
        kchat.errors.SettingsError: it is neither.
    """
    if _PRINCIPAL.fullmatch(name):
        return name
    if _EMAIL.fullmatch(name):
        return f"{'serviceAccount' if name.endswith('.gserviceaccount.com') else 'user'}:{name}"
    raise errors.SettingsError(
        f"{name!r} is not a principal of Google Cloud",
        hint="name an e-mail address, or a principal such as group:team@example.com",
    )


def _open(settings: Settings, durable: str | None) -> None:
    """Make the room, and a durable queue where one is named."""
    from kchat.hosting.inviting import declare_room

    if durable is None:
        declare_room(settings)
        return
    from kchat.client.subscriber import Subscriber

    with Subscriber(settings, durable=durable):
        pass


def _gcloud(command: list[str]) -> Step:
    def run() -> None:
        if shutil.which("gcloud") is None:
            raise errors.SettingsError(
                "gcloud is not installed", hint="https://cloud.google.com/sdk/docs/install"
            )
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
            raise errors.Unreachable(f"gcloud did not end within {GCLOUD_SECONDS:g} s") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            reason = next(
                (line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "no reason"
            )
            raise errors.Refused(
                f"{shlex.join(command[:4])} failed: {reason}", hint="is gcloud logged in? gcloud auth login"
            )

    return Step(shlex.join(command), run)


def _redis(settings: Settings, name: str, send_only: bool) -> Grant:  # noqa: FBT001 - called by grant() alone
    """An account by ``ACL SETUSER`` (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/)."""
    from kchat.hosting.accounts import check_account_name, check_no_twin
    from kchat.message.lookalikes import normalised

    name = normalised(name)
    check_account_name(name)
    if name == "default":
        raise errors.SettingsError(
            "the account 'default' is that of everybody who gives no name on Redis",
            hint="choose another name",
        )
    if re.search(r"\s", name):
        raise errors.SettingsError(f"an account on Redis has no spaces in its name: {name!r}")
    channel = f"/{settings.broker.path or '0'}.{settings.room}"
    if re.search(r"\s", channel):
        raise errors.SettingsError("Redis takes no rights on a channel with spaces in its name")
    # What means something in a pattern stands for itself here.
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", channel)
    password = secrets.token_urlsafe(24)
    commands = ["+publish", "+ping", "+select"]
    if not send_only:
        commands += ["+subscribe", "+unsubscribe"]
    rule = ["ACL", "SETUSER", name, "reset", "on", f">{password}", "resetchannels", f"&{pattern}", *commands]

    def run() -> None:
        from kchat.client.connection import broker_errors, close, connect

        connection, broker = connect(settings, purpose="invite")
        try:
            with broker_errors(broker, "make accounts"):
                channel: Any = connection.channel()
                client = channel.client
                known = client.acl_users()
                if name in known:
                    raise errors.Refused(
                        f"there is an account {name!r} on {broker} already", hint="choose another name"
                    )
                check_no_twin(name, known, broker)
                client.execute_command(*rule)
        finally:
            close(connection)

    advice = (
        "end the account with: redis-cli ACL DELUSER " + shlex.quote(name),
        "what it says is not checked: anybody can claim any name on Redis",
    )
    return Grant((Step("redis-cli " + shlex.join(rule), run),), name, password, advice)


def _local(settings: Settings, _name: str, send_only: bool) -> Grant:  # noqa: FBT001 - called by grant() alone
    """A file to share: anyone who can write it can do everything. SQLite gives its log and index the file's mode."""
    if send_only:
        raise errors.SettingsError(
            "anyone who can write a room's file can do everything, so no guest can be limited to sending",
            hint="a room on a broker has accounts",
        )
    file = shlex.quote(settings.broker.path)
    folder = shlex.quote(str(Path(settings.broker.path).parent))
    advice = (
        f"the room is the file {settings.broker.path}, without accounts: anyone who can write it can do everything",
        f"for a group of this machine: chgrp GROUP {folder} {file}; chmod 2770 {folder}; chmod 660 {file}",
        "in a folder of the group's own, not in your home, and not on a network file system: its locks do not suffice",
    )
    return Grant(advice=advice)
