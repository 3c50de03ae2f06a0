"""Round trips of a message to yourself: in a room of the doctor's, or, with a test message, in the room itself."""

from __future__ import annotations

import secrets
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import kombu

from kchat import errors
from kchat.client.connection import broker_errors
from kchat.client.sender import Sender
from kchat.client.subscriber import Subscriber
from kchat.transports.checks import Outcome, ok, skipped, wrong

if TYPE_CHECKING:
    from kchat.config.settings import Settings

SECONDS = 10.0
"""How long a message may take."""

_USERNAME = "kchat doctor"
_TEXT = "a test message of kchat doctor; nothing to do"


def in_the_room(settings: Settings) -> Outcome:
    """Send a message that everyone sees, and receive it.

    Raises:
        kchat.errors.KchatError: it does not work.
    """
    with Subscriber(settings, "doctor") as subscriber, Sender(settings, _USERNAME) as sender:
        started = monotonic()
        sent = sender.send(_TEXT).message
        while (left := SECONDS - (monotonic() - started)) > 0:
            for message in subscriber.receive(timeout=left):
                if message.id == sent.id:
                    return ok(f"a test message in the room took {(monotonic() - started) * 1000:.1f} ms")
    return wrong(f"sent and confirmed, but not back within {SECONDS:g} s")


def beside_the_room(settings: Settings, connection: kombu.Connection) -> Outcome:
    """Send a message through an exchange of the doctor's own, and receive it; both are deleted.

    Its name begins like those of a member's queues, so that a member's rights suffice.

    Raises:
        kchat.errors.KchatError: it does not work.
    """
    owner = settings.transport.account(connection)
    name = settings.transport.room(settings.room).queue_name(
        *([owner] if owner else []), f"doctor-{secrets.token_hex(4)}"
    )
    exchange = kombu.Exchange(name, type="fanout", durable=False, auto_delete=True)
    queue = kombu.Queue(name, exchange=exchange, durable=False, exclusive=True, auto_delete=True)
    channel = connection.channel()
    channel.auto_decode = False
    try:
        with broker_errors(settings.broker, "create an exchange"):
            return _there_and_back(connection, channel, exchange, queue)
    except errors.NotAuthorised:
        return skipped(
            "this account may not create a second room to try it in",
            "{send_test} tries it in the room itself",
        )
    finally:
        # Without the consumer first: the broker would cancel it in the middle of the answers to the others.
        for delete in (channel.basic_cancel, channel.queue_delete, channel.exchange_delete):
            # A replica of Redis that has lost its primary refuses that, and took the message there and back.
            with suppress(errors.KchatError), broker_errors(settings.broker, "delete"):
                delete(name)


def _there_and_back(connection: Any, channel: Any, exchange: kombu.Exchange, queue: kombu.Queue) -> Outcome:
    exchange(channel).declare()
    queue = queue(channel)
    queue.queue_declare()
    queue.queue_bind()
    arrived: list[Any] = []
    queue.consume(consumer_tag=queue.name, callback=arrived.append, no_ack=True)
    started = monotonic()
    message = channel.prepare_message(
        b"kchat doctor", content_type="text/plain", properties={"delivery_mode": 1}
    )
    channel.basic_publish(message, exchange=exchange.name, routing_key="", mandatory=True)
    while not arrived and (left := SECONDS - (monotonic() - started)) > 0:
        with suppress(TimeoutError):
            connection.drain_events(timeout=left)
    if not arrived:
        raise errors.NotConfirmed(
            f"a message to yourself did not come back within {SECONDS:g} s",
            hint="does a policy drop messages there?",
        )
    return ok(f"a message to yourself took {(monotonic() - started) * 1000:.1f} ms")
