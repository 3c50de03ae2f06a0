"""The walk to a room on an AMQP 0-9-1 broker.

What an account may do is found by trying, with requests that RabbitMQ answers and that change nothing: it looks at the
rights before it looks at the rest (https://www.rabbitmq.com/docs/access-control), so that a request with a fault in it
tells "may not" (403) from "may" (406, the fault).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import amqp.exceptions

from kchat import errors
from kchat.client.connection import broker_errors, close, connect, drop
from kchat.doctor import Check, Options, Outcome, management, network, note, ok, skipped, wrong
from kchat.doctor.round_trip import round_trip
from kchat.hosting.rights import of_queues
from kchat.transports.amqp.room import RoomPolicy

if TYPE_CHECKING:
    from kchat.config.settings import Settings

_NO_EXPIRATION = "none: a test by kchat doctor"
"""RabbitMQ refuses a message whose ``expiration`` is no number, after it has looked at the rights."""

_NO_ACCOUNT = "nobody: a test by kchat doctor"
"""... and one whose ``user_id`` is not the account's. Either of the two keeps the message from the room."""


class Walk(network.NetworkWalk):
    """A walk to an AMQP broker.

    Arguments:
        settings: the room and one broker.
        options: what to look at.
    """

    def __init__(self, settings: Settings, options: Options) -> None:
        super().__init__(settings, options)
        self.room_exists = False
        self.queue = ""
        """The name of the queue that it has made to try; it goes with the connection."""
        self._probed: tuple[int, str, str | None] | None = None

    def failure_at(self, stage: str) -> errors.KchatError | None:
        """What went wrong when connecting, if it was at that stage: ``amqp``, ``login`` or ``vhost``."""
        failure = self.failure()
        return failure if failure is not None and _stage(failure) == stage else None

    @property
    def product(self) -> str:
        """``RabbitMQ 3.13.7``, or whatever the broker calls itself."""
        assert self.connection is not None
        told = self.connection.connection.server_properties
        return f"{told.get('product', 'an AMQP broker')} {told.get('version', '')}".strip()

    @property
    def is_rabbitmq(self) -> bool:
        """Whether what this module knows of RabbitMQ holds."""
        return self.product.startswith("RabbitMQ")

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel of its own: one that the broker closes is of no use to the next step."""
        assert self.connection is not None
        channel = self.connection.channel()
        channel.auto_decode = False
        try:
            yield channel
        finally:
            with suppress(amqp.exceptions.AMQPError, OSError):
                channel.close()

    def probe(self) -> tuple[int, str, str | None]:
        """Publish to the room what RabbitMQ does not take, on a connection of its own.

        Returns:
            The reply's code and text, and the reason why the broker takes no messages for now, ``None`` if it does.
        """
        if self._probed is None:
            with broker_errors(self.broker, "send"):
                self._probed = _probe(self.settings)
        return self._probed


def _stage(error: errors.KchatError) -> str:
    code = getattr(error.__cause__, "code", None)
    if code == 530:
        return "vhost"
    if isinstance(error, errors.NotAuthorised):
        return "login"
    return "amqp"


class _Blocked(Exception):
    """No error: how a callback leaves py-amqp's waiting."""


def _probe(settings: Settings) -> tuple[int, str, str | None]:
    def blocked(reason: str) -> None:
        raise _Blocked(reason)

    connection, _ = connect(settings, purpose="doctor", on_blocked=blocked)
    code, text, reason = 0, "", None
    try:
        channel = connection.channel()
        properties = {"expiration": _NO_EXPIRATION, "user_id": _NO_ACCOUNT}
        channel.basic_publish(channel.prepare_message(b"", properties=properties), exchange=settings.room)
        ends = monotonic() + settings.confirm_timeout
        while (left := ends - monotonic()) > 0:
            connection.drain_events(timeout=left)
    except _Blocked as error:
        # Whoever is blocked is not listened to: no goodbye would be answered.
        reason = str(error)
        drop(connection)
    except amqp.exceptions.ChannelError as error:
        # py-amqp has opened the channel anew by then, and the broker has answered that: so it does not block us.
        code, text = error.code, str(error.reply_text)
        close(connection)
    except BaseException:
        drop(connection)
        raise
    return code, text, reason


# ---- the steps


def handshake(walk: Walk) -> Outcome:
    """What answers speaks AMQP 0-9-1."""
    if failure := walk.failure_at("amqp"):
        raise failure
    return ok(walk.product if walk.connection else "AMQP 0-9-1")


def login(walk: Walk) -> Outcome:
    """The account is known, and its password right."""
    failure = walk.failure_at("login")
    name = walk.broker.username or "guest"
    if failure is None:
        by_certificate = (
            walk.connection is not None and walk.settings.transport.account(walk.connection) is None
        )
        return ok("by the client's certificate" if by_certificate else f"as {name}")
    hint = failure.hint
    if name == "guest" and not walk.loopback:
        hint = "RabbitMQ lets guest in from its own machine only: name an account with --rmq-username"
    return wrong(str(failure).removeprefix(f"{walk.broker}: ") + f" ({name})", hint)


def vhost(walk: Walk) -> Outcome:
    """The virtual host exists, and the account may use it."""
    failure = walk.failure_at("vhost")
    if failure is None:
        return ok(walk.broker.vhost)
    if isinstance(failure, errors.NotFound):
        return wrong(f"there is no virtual host {walk.broker.vhost!r}", failure.hint)
    hint = failure.hint or f"the account needs rights on {walk.broker.vhost!r}"
    return wrong(str(failure).removeprefix(f"{walk.broker}: "), hint)


def room(walk: Walk) -> Outcome:
    """The room exists and is a fanout exchange, or this account may make it."""
    name = walk.settings.room
    exchange = RoomPolicy(walk.settings.room).exchange
    with broker_errors(walk.broker, "look at the room"):
        with walk.channel() as channel:
            try:
                exchange(channel).declare(passive=True)
            except amqp.exceptions.NotFound:
                return _missing_room(walk)
        walk.room_exists = True
        with walk.channel() as channel:
            # It is there, so this makes nothing; where it is not what a room is, the broker says in what it differs.
            try:
                exchange(channel).declare()
            except amqp.exceptions.AccessRefused:
                return ok(f"exchange {name!r} exists; of which type, this account cannot see")
            except amqp.exceptions.PreconditionFailed as error:
                return _another_exchange(name, str(error.reply_text))
    return ok(f"exchange {name!r} exists, a fanout exchange")


def _missing_room(walk: Walk) -> Outcome:
    name = walk.settings.room
    if not walk.is_rabbitmq:
        return note(f"there is no exchange {name!r} yet; the first message or subscriber makes it")
    with walk.channel() as channel:
        try:
            # Not made either way: the argument has to be a string. The rights come first.
            channel.exchange_declare(name, "fanout", auto_delete=False, arguments={"alternate-exchange": 0})
        except amqp.exceptions.AccessRefused:
            return wrong(
                f"there is no exchange {name!r}, and this account may not make it",
                f"create it with an account that may: {shlex.join(['kchat', 'send', f'--room={name}', 'Hello'])}",
            )
        except amqp.exceptions.PreconditionFailed:
            pass
    return ok(
        f"there is no exchange {name!r} yet; the first message or subscriber makes it, and this account may"
    )


def _another_exchange(name: str, text: str) -> Outcome:
    # inequivalent arg 'type' for exchange 'chat' in vhost '/': received 'fanout' but current is 'direct'
    if "'type'" in text:
        found = re.search(r"current is '?(\w+)", text)
        kind = f"a {found[1]} exchange" if found else "another kind of exchange"
        return wrong(
            f"{name!r} is {kind}, and a room is a fanout exchange",
            "choose another room, or have that exchange deleted",
        )
    return ok(f"exchange {name!r} exists, a fanout exchange with flags of its own, which kchat adopts")


def alarms(walk: Walk) -> Outcome:
    """The broker takes messages: no memory or disk alarm."""
    if not walk.is_rabbitmq:
        return skipped("can be tried with RabbitMQ only")
    _, _, reason = walk.probe()
    if reason is None:
        return ok("the broker takes messages")
    return wrong(
        f"the broker takes no messages for now: {reason}",
        "free memory or disk there; until then nobody on that broker can send (rabbitmq-diagnostics alarms)",
    )


def sending(walk: Walk) -> Outcome:
    """The account may write to the room."""
    if walk.options.only == "subscribe":
        return skipped("not asked for")
    if not walk.is_rabbitmq:
        return skipped("can be tried without a message with RabbitMQ only; --send-test sends one")
    code, text, blocked = walk.probe()
    name = walk.settings.room
    if blocked is not None and not code:
        return skipped("cannot be told while the broker takes no messages")
    if code in (404, 406):
        return ok(f"this account may send to {name!r}")
    if code == 403:
        return wrong(
            f"this account may not send to {name!r}: no write permission",
            f"it needs write '^{_pattern(name)}$'; kchat invite makes accounts that have what they need",
        )
    return note(f"whether this account may send cannot be told: {text or 'no answer'}")


def listening(walk: Walk) -> Outcome:
    """The account may make a queue of its own, bind it to the room and consume from it."""
    if walk.options.only == "send":
        return skipped("not asked for")
    assert walk.connection is not None
    owner = walk.settings.transport.account(walk.connection) or "doctor"
    room = RoomPolicy(walk.settings.room)
    queue = room.subscriber_queue("doctor", account=owner)
    queues = of_queues(walk.settings.room, owner)
    missing = f"configure on its own queue ('{queues}')"
    with broker_errors(walk.broker, "listen"):
        # The channel stays open, and the queue with it, for the step that looks at it.
        channel = walk.connection.channel()
        channel.auto_decode = False
        bound = queue(channel)
        try:
            bound.queue_declare()
            if walk.room_exists:
                missing = f"write on its own queue ('{queues}') or read on the room ('^{_pattern(walk.settings.room)}$')"
                bound.queue_bind()
            missing = f"read on its own queue ('{queues}')"
            bound.consume(consumer_tag=bound.name, callback=_ignore, no_ack=True)
        except amqp.exceptions.AccessRefused:
            return wrong(
                f"this account may not listen to {walk.settings.room!r}: no {missing}",
                "kchat invite makes accounts that have what they need; --only send leaves this out",
            )
        walk.queue = bound.name
        if _is_spoilt(walk):
            return note(
                f"this account may listen; {room.durable_exchange.name!r} is another exchange than kchat makes, "
                "so durable queues miss what is sent after a restart of the broker",
                "kchat invite --list, with the host's account, repairs it",
            )
    return ok(f"this account may listen, through queues {room.queue_prefix(owner)}...")


def _is_spoilt(walk: Walk) -> bool:
    """Whether another exchange has the name of the one that durable queues survive a restart by."""
    exchange = RoomPolicy(walk.settings.room).durable_exchange
    try:
        with walk.channel() as channel:
            exchange(channel).declare(passive=True)
        with walk.channel() as channel:
            # It is there, so this makes nothing.
            exchange(channel).declare()
    except amqp.exceptions.PreconditionFailed:
        return True
    except (amqp.exceptions.NotFound, amqp.exceptions.AccessRefused):
        return False  # nobody needs it; or this account cannot see
    return False


def _ignore(_message: Any) -> None:
    """What arrives is somebody's message to the room, and shown by who listens to it."""


def _pattern(name: str) -> str:
    """A name in a permission's pattern."""
    return re.escape(name).replace("\\-", "-").replace("\\ ", " ")


CHECKS = (
    *network.CHECKS,
    Check("amqp", handshake, needs=("tcp", "tls")),
    Check("login", login, needs=("amqp",)),
    Check("vhost", vhost, needs=("login",)),
    Check("room", room, needs=("vhost",)),
    Check("alarms", alarms, needs=("vhost",)),
    Check("send", sending, needs=("vhost",)),
    Check("listen", listening, needs=("vhost",)),
    Check("policy", management.policy, needs=("listen",)),
    Check("clock", management.clock, needs=("tcp",)),
    Check("round trip", round_trip, needs=("room", "alarms", "send", "listen")),
)
