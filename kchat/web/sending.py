"""Sending by the page and by programs: what ``POST /api/rooms/{room}/messages`` promises.

========  ==============================================================================
status    the message
========  ==============================================================================
200       the broker has it
403       was not sent, and will not be: the account may not send here, or is not let in
409       was not sent: its id is another message's
413, 422  was not sent: too long, or not a message
429       was not sent: too many at once
503       was not sent: the broker is away or takes nothing; ``Retry-After`` says when
504       may or may not have been delivered; to send it again under its id is harmless
========  ==============================================================================

A request whose body has arrived is sent, whether its client waits for the answer or not.
"""

from __future__ import annotations

import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from kchat import errors
from kchat.config.masking import mask
from kchat.message import Message, rfc3339
from kchat.message.truncation import utf8_size
from kchat.message.unprintable import escape_unprintable
from kchat.web.lanes import LoginRefused
from kchat.web.outbox import OtherText, Outbox, TooManyWaiting
from kchat.web.rates import Rates

if TYPE_CHECKING:
    from kchat.web.access import Caller
    from kchat.web.hub import Hub

_ID = re.compile(r"[0-9A-Za-z-]{8,64}")

AGAIN = 5
"""Seconds after which to try again, where the broker is away."""


class NotSent(Exception):
    """A message that was not sent, or may not have been.

    Arguments:
        status: of HTTP.
        error: why, in a sentence.
        hint: what to do.
        retry_after: seconds after which to try again; 0 where that does not help.
    """

    def __init__(self, status: int, error: str, hint: str = "", retry_after: int = 0) -> None:
        super().__init__(error)
        self.status, self.error, self.hint, self.retry_after = status, error, hint, retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer."""
        return {"Retry-After": str(self.retry_after)} if self.retry_after else {}


class _Told(NamedTuple):
    status: int
    text: str
    retry_after: int = 0


_TOLD: tuple[tuple[type[Exception], _Told], ...] = (
    (OtherText, _Told(409, "another message of yours has this id")),
    (TooManyWaiting, _Told(429, "too many messages of yours wait for the broker", 1)),
    (errors.TooLarge, _Told(413, "not sent")),
    (LoginRefused, _Told(403, "not sent: the broker does not let you in any more")),
    (errors.NotAuthorised, _Told(403, "not sent: you may not send here")),
    (errors.NotConfirmed, _Told(504, "it may or may not have been delivered", AGAIN)),
    (
        errors.Blocked,
        _Told(504, "the broker takes no messages for now: it may still be delivered", 2 * AGAIN),
    ),
    (errors.KchatError, _Told(503, "not sent", AGAIN)),
)
"""What is told of an error, the most specific first."""


def told(error: Exception) -> NotSent:
    """What is told of an error: in our words, with the broker's only where they are about the message or the way to it.

    Arguments:
        error: of :meth:`kchat.web.outbox.Outbox.send`.
    """
    status, text, retry_after = next(told for kind, told in _TOLD if isinstance(error, kind))
    if status in (413, 503):
        text = f"{text}: {escape_unprintable(mask(str(error)), keep_newlines=False)}"
    hint = "ask the host for another invitation" if isinstance(error, LoginRefused) else ""
    return NotSent(status, text, hint, retry_after)


class Sending:
    """Sends for guests, within their limits. For the thread of the event loop.

    Arguments:
        hub: the rooms and lanes.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._rates = Rates(hub.options.limits.messages_per_second, hub.options.limits.burst)
        self._outbox = Outbox()

    async def send(
        self, caller: Caller, room: str, text: object, message_id: object = None
    ) -> dict[str, Any]:
        """Send a message; returns when the broker has it.

        The messages of one guest go out in the order in which this is called.

        Arguments:
            caller: who says it.
            room: a room that is open to the caller.
            text: of the message.
            message_id: the caller's own. Default: a new one.

        Returns:
            What the endpoint answers: ``id``, ``sent_at``, and whether anybody is listening, where that is known.

        Raises:
            NotSent: see the module's table.
        """
        if not caller.guest.may_send:
            raise NotSent(403, "you may read here, but not send")
        if not isinstance(text, str) or not text.strip():
            raise NotSent(422, "a message needs a text")
        if not (message_id is None or (isinstance(message_id, str) and _ID.fullmatch(message_id))):
            raise NotSent(422, "the id of a message is 8 to 64 letters, digits and dashes")
        limits = self._hub.options.limits
        if utf8_size(text) > limits.message_bytes:
            raise NotSent(413, f"the message is too long: at most {limits.message_bytes:,} bytes")
        if self._hub.closing or self._hub.lanes.ended:
            raise NotSent(503, "not sent: the server is being restarted", retry_after=2)
        known = message_id is not None and self._outbox.knows(caller.key, message_id)
        if not known and (wait := self._rates.wait(caller.key)):
            raise NotSent(429, "too many messages at once", f"wait {math.ceil(wait)} s", math.ceil(wait))
        message = Message.compose(caller.guest.username, text, id=message_id)
        lane = self._hub.lane(caller.guest, room)
        settings = self._hub.settings_of(caller.guest, room)
        unwanted = partial(self._hub.is_ended, caller.guest.id)
        try:
            receipt = await self._outbox.send(
                caller.key, room, message, lambda message: lane.send(settings, message, unwanted)
            )
        except (OtherText, TooManyWaiting, errors.KchatError) as error:
            if isinstance(error, LoginRefused):
                self._hub.end_account(caller)
            raise told(error) from error
        sent = receipt.message
        assert sent.sent_at is not None
        return {"id": sent.id, "sent_at": rfc3339.text(sent.sent_at), "routed": receipt.routed}
