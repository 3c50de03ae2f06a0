"""The doctor's checks of a room on an AMQP 0-9-1 broker.

What an account may do is found by trying, with requests that RabbitMQ answers and that change nothing: it looks at the
rights before it looks at the rest (https://www.rabbitmq.com/docs/access-control), so that a request with a fault in it
tells "may not" (403) from "may" (406, the fault).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from amqp.exceptions import AccessRefused, ChannelError, NotFound, PreconditionFailed

from kchat import errors
from kchat.transports import durable
from kchat.transports.checks import (
    NETWORK,
    Check,
    Outcome,
    Walk,
    compare_clocks,
    note,
    ok,
    skipped,
    wrong,
)

from . import history_checks, policies
from .guests import Guests
from .management import clock_ahead_of
from .room import RoomPolicy

_NO_EXPIRATION = "none: a test by kchat doctor"
"""RabbitMQ refuses a message whose ``expiration`` is not a number, after it has looked at the rights."""

_NO_ACCOUNT = "nobody: a test by kchat doctor"
"""... and one whose ``user_id`` is not the account's. Either of the two keeps the message from the room."""


def checks(walk: Walk) -> Sequence[Check]:
    """The checks, in order; arguments as of :meth:`kchat.transports.base.Transport.checks`."""
    amqp = _Amqp(walk)
    return (
        *NETWORK,
        Check("amqp", ("tcp", "tls"), amqp.handshake),
        Check("login", ("amqp",), amqp.login),
        Check("vhost", ("login",), amqp.vhost),
        Check("room", ("vhost",), amqp.room),
        Check("alarms", ("vhost",), amqp.alarms),
        Check("send", ("vhost",), amqp.send, only="send"),
        Check("listen", ("vhost",), amqp.listen, only="subscribe"),
        Check("policy", ("listen",), amqp.policy, only="subscribe"),
        Check("history", ("listen",), amqp.history, only="subscribe"),
        Check("durable", ("listen",), amqp.durable, only="subscribe"),
        Check("clock", ("tcp",), amqp.clock),
        Check("round trip", ("room", "alarms", "send", "listen")),
    )


class _Blocked(Exception):
    """Not an error: how a callback leaves py-amqp's waiting."""


def _raise_blocked(reason: str) -> None:
    raise _Blocked(reason)


class _Amqp:
    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._name = walk.settings.room
        self._room = RoomPolicy(self._name)
        self._broker = walk.broker
        self._room_exists = False
        self._queue = ""
        self._opened: Any = None
        self._probed: tuple[int, str, str | None] | None = None

    @property
    def _product(self) -> str:
        """``RabbitMQ 3.13.7``, or whatever the broker calls itself."""
        told = self._walk.connection.connection.server_properties
        return f"{told.get('product', 'an AMQP broker')} {told.get('version', '')}".strip()

    @property
    def _is_rabbitmq(self) -> bool:
        """Whether what this module knows of RabbitMQ holds."""
        return self._product.startswith("RabbitMQ")

    @property
    def _channel(self) -> Any:
        """One for all checks: py-amqp opens it anew when the broker closes it."""
        if self._opened is None:
            self._opened = self._walk.connection.channel()
            self._opened.auto_decode = False
        return self._opened

    def _failure_at(self, stage: str) -> errors.KchatError | None:
        """Why connecting failed, if it was at that stage: ``amqp``, ``login`` or ``vhost``."""
        failure = self._walk.failure
        if getattr(getattr(failure, "__cause__", None), "code", None) == 530:
            found = "vhost"
        else:
            found = "login" if isinstance(failure, errors.NotAuthorised) else "amqp"
        return failure if found == stage else None

    def handshake(self) -> Outcome:
        """What answers speaks AMQP 0-9-1."""
        if failure := self._failure_at("amqp"):
            raise failure
        return ok("AMQP 0-9-1" if self._walk.failure else self._product)

    def login(self) -> Outcome:
        """The account exists, and its password is right."""
        failure = self._failure_at("login")
        name = self._broker.account or "guest"
        if failure is None:
            by_certificate = (
                self._walk.failure is None and self._broker.transport.account(self._walk.connection) is None
            )
            return ok("by the client's certificate" if by_certificate else f"as {name}")
        hint = failure.hint
        if name == "guest" and not self._walk.loopback:
            hint = "RabbitMQ lets guest in from its own machine only: name another account with {account}"
        return wrong(f"{failure} ({name})", hint)

    def vhost(self) -> Outcome:
        """The virtual host exists, and the account may use it."""
        failure, name = self._failure_at("vhost"), self._broker.vhost
        if failure is None:
            return ok(name)
        if isinstance(failure, errors.NotFound):
            return wrong(f"there is no virtual host {name!r}", failure.hint)
        return wrong(str(failure), failure.hint or f"the account needs rights on {name!r}")

    def room(self) -> Outcome:
        """The room exists and is a fanout exchange, or this account may create it."""
        name, exchange = self._name, self._room.exchange
        try:
            exchange(self._channel).declare(passive=True)
        except NotFound:
            return self._missing_room()
        self._room_exists = True
        try:
            # It exists, so this changes nothing; where it is not as a room should be, the broker names a difference.
            exchange(self._channel).declare()
        except AccessRefused:
            return ok(f"exchange {name!r} exists; this account cannot see its type")
        except PreconditionFailed as error:
            return _other_exchange(name, str(error.reply_text))
        return ok(f"exchange {name!r} exists, a fanout exchange")

    def _missing_room(self) -> Outcome:
        name = self._name
        text = f"there is no exchange {name!r} yet; the first message or subscriber creates it"
        if not self._is_rabbitmq:
            return note(text)
        try:
            # Not created either way: the argument has to be a string. The rights come first.
            self._channel.exchange_declare(
                name, "fanout", auto_delete=False, arguments={"alternate-exchange": 0}
            )
        except AccessRefused:
            return wrong(
                f"there is no exchange {name!r}, and this account may not create it",
                f"create it with another account: {shlex.join(['kchat', 'send', f'--room={name}', 'Hello'])}",
            )
        except PreconditionFailed:
            pass
        return ok(f"{text}, and this account may")

    def _probe(self) -> tuple[int, str, str | None]:
        """What comes of publishing a message that RabbitMQ refuses: its reply's code and text, and why it blocks us, if so.

        On a connection of its own: the broker reads no more from one that it has blocked.
        """
        if self._probed is not None:
            return self._probed
        walk, code, text, blocked = self._walk, 0, "", None
        try:
            with walk.connect(_raise_blocked) as connection:
                try:
                    channel = connection.channel()
                    properties = {"expiration": _NO_EXPIRATION, "user_id": _NO_ACCOUNT}
                    channel.basic_publish(
                        channel.prepare_message(b"", properties=properties), exchange=self._name
                    )
                    ends = monotonic() + walk.settings.confirm_timeout
                    while (left := ends - monotonic()) > 0:
                        connection.drain_events(timeout=left)
                except ChannelError as error:
                    # py-amqp has opened the channel anew by then, and the broker has answered that: so it does not block us.
                    code, text = error.code, str(error.reply_text)
        except _Blocked as error:
            blocked = str(error)
        self._probed = code, text, blocked
        return self._probed

    def alarms(self) -> Outcome:
        """The broker accepts messages: no memory or disk alarm."""
        if not self._is_rabbitmq:
            return skipped("only possible with RabbitMQ")
        _, _, reason = self._probe()
        if reason is None:
            return ok("the broker accepts messages")
        return wrong(
            f"the broker accepts no messages at the moment: {reason}",
            "free memory or disk there; until then nobody on that broker can send (rabbitmq-diagnostics alarms)",
        )

    def send(self) -> Outcome:
        """The account may write to the room."""
        if not self._is_rabbitmq:
            return skipped("only RabbitMQ can be asked without sending a message", "{send_test} sends one")
        code, text, blocked = self._probe()
        name = self._name
        if blocked is not None:
            return skipped("unknown while the broker accepts no messages")
        if code in (404, 406):
            return ok(f"this account may send to {name!r}")
        if code == 403:
            return wrong(
                f"this account may not send to {name!r}: no write permission",
                f"it needs write '^{_pattern(name)}$'; kchat invite creates accounts with the rights they need",
            )
        return note(f"whether this account may send is unknown: {text or 'no answer'}")

    def listen(self) -> Outcome:
        """The account may declare a queue of its own, bind it to the room and consume from it."""
        walk = self._walk
        owner = self._broker.transport.account(walk.connection) or "doctor"
        queue = self._room.subscriber_queue("doctor", account=owner)
        self._queue, prefix = queue.name, self._room.queue_prefix(owner)
        queues = f"^{_pattern(prefix)}.*"
        missing = f"configure on its own queue ('{queues}')"
        bound = queue(self._channel)
        try:
            bound.queue_declare()
            if self._room_exists:
                missing = (
                    f"write on its own queue ('{queues}') or read on the room ('^{_pattern(self._name)}$')"
                )
                bound.queue_bind()
            missing = f"read on its own queue ('{queues}')"
            # What arrives is a message to the room, for its subscribers.
            bound.consume(consumer_tag=bound.name, callback=lambda _: None, no_ack=True)
            bound.cancel(bound.name)  # the queue is deleted with its last consumer
        except AccessRefused:
            return wrong(
                f"this account may not listen to {self._name!r}: no {missing}",
                "kchat invite creates accounts with the rights they need; {only} leaves this out",
            )
        if self._durable_exchange_differs():
            return note(
                f"this account may listen; {self._room.durable_exchange.name!r} is another exchange than kchat's, "
                "so durable queues miss messages after a restart of the broker",
                "kchat invite --list, with the host's account, repairs it",
            )
        return ok(f"this account may listen, through queues {prefix}...")

    def _durable_exchange_differs(self) -> bool:
        """Whether the exchange that keeps durable queues bound over a restart exists, and is not as kchat declares it."""
        exchange = self._room.durable_exchange(self._channel)
        try:
            exchange.declare(passive=True)
            exchange.declare()  # it exists, so this changes nothing
        except PreconditionFailed:
            return True
        except (NotFound, AccessRefused):
            return False  # nobody needs it; or this account cannot see
        return False

    def policy(self) -> Outcome:
        """No policy takes messages from a subscriber's queue."""
        settings, url = self._walk.settings, self._walk.options.management_url
        if url is None and not self._walk.loopback:
            return skipped(
                "the account's password goes to the management API only if it is named",
                "name it with {management_url}",
            )
        try:
            api = Guests(self._broker.transport.name).management(settings, url)
            return policies.check(api, self._broker.vhost, self._queue)
        except errors.KchatError as error:
            return skipped(f"policies cannot be seen: {error}")

    def history(self) -> Outcome:
        """The room's history, where it has one, takes what is sent, and this account may read it."""
        if not self._is_rabbitmq:
            return skipped("only RabbitMQ has streams")
        settings, url, api = self._walk.settings, self._walk.options.management_url, None
        if self._room_exists and (url is not None or self._walk.loopback):
            with suppress(errors.KchatError):
                api = Guests(self._broker.transport.name).management(settings, url)
        return history_checks.check(self._channel, self._room, api, self._broker.vhost)

    def durable(self) -> Outcome:
        """Somebody reads the room's durable subscriptions."""
        walk, url = self._walk, self._walk.options.management_url
        if url is None and not walk.loopback:
            return skipped(
                "the account's password goes to the management API only if it is named",
                "name it with {management_url}",
            )
        try:
            policy = self._broker.transport.durable(self._name)
            return durable.check(policy.subscriptions(walk.settings, self._broker, walk.connection, url))
        except errors.KchatError as error:
            return skipped(f"durable queues cannot be seen: {error}")

    def clock(self) -> Outcome:
        """The broker's clock, as its management shows it, and this one agree."""
        url = self._walk.options.management_url or self._management_url()
        try:
            return compare_clocks(clock_ahead_of(url, self._walk.settings.tls), "broker")
        except errors.KchatError as error:
            return skipped(str(error))

    def _management_url(self) -> str:
        """Also beside TLS the management is mostly without it, and nothing secret is said."""
        broker = self._broker
        host = broker.host or "localhost"
        port = 15672 if broker.encrypted else min((broker.port or 5672) + 10_000, 65535)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _other_exchange(name: str, text: str) -> Outcome:
    # inequivalent arg 'type' for exchange 'chat' in vhost '/': received 'fanout' but current is 'direct'
    if "'type'" in text:
        found = re.search(r"current is '?(\w+)", text)
        kind = f"a {found[1]} exchange" if found else "another kind of exchange"
        return wrong(
            f"{name!r} is {kind}, and a room is a fanout exchange",
            "choose another room, or have that exchange deleted",
        )
    return ok(f"exchange {name!r} exists, a fanout exchange with other flags than kchat's, which is fine")


def _pattern(name: str) -> str:
    """A name in a permission's pattern."""
    return re.escape(name).replace("\\-", "-").replace("\\ ", " ")
