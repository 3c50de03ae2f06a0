"""What an archive keeps of a message: :class:`Record`."""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, Self
from unicodedata import category

from kchat.message import rfc3339
from kchat.message.lookalikes import normalised

if TYPE_CHECKING:
    from kchat.message import Message

KCHAT, OTHERS = "kchat", "others"
"""The clients that are told apart: a message whose id is a UUIDv7 and that has its time is written as kchat writes it."""

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}").fullmatch
_MENTION = re.compile(r"(?<![\w@.])@(\w(?:[\w.-]*\w)?)").finditer
_MOST_MENTIONS = 50
"""Names that are noted of one message: a text of a megabyte of them is no conversation."""

_DIGEST = 16  # bytes

_OLDEST = 366 * 86_400_000
"""Milliseconds before it was received from which on a message is not believed to have been sent then: a clock was wrong."""


class Record(NamedTuple):
    """One message in an archive.

    Attributes:
        room: the room's name.
        key: what tells it from every other message of its room: ``i:`` and its id, ``p:`` and the broker's position, or,
            where there is neither, ``b:``, a digest of its body, and the place that the archiver gave it.
        at: the message's time for all figures, in milliseconds since 1970: when it was sent, but not after it was received;
            when it was received, if it does not say when it was sent, or says that it was more than a year before.
        username: the name that the sender gave; None if there is none.
        account: the authenticated account, if the broker has checked it, or None.
        verified: whether that account is the username, and no name that people mistake for another:
            :attr:`kchat.message.Message.verified`.
        text: as sent; None where the archive keeps no texts.
        length: of the text, in characters (code points).
        digest: of the text, keyed, as 32 hexadecimal digits, where the archive keeps no texts; else None.
        id: the sender's id of the message; None if there is none.
        sent_at: by the sender's clock, in milliseconds since 1970; None if it does not say.
        received_at: by the archiver's clock, in milliseconds since 1970.
        position: the broker's position of the message; None where it has none.
        extra: the body's other keys, as a JSON object; None if there are none, or where the archive keeps no texts.
        client: :data:`KCHAT` or :data:`OTHERS`.
        mentions: the names after ``@`` in the text, each once, as :func:`folded` has them; empty where the archive keeps no
            texts.
    """

    room: str
    key: str
    at: int
    username: str | None
    account: str | None
    verified: bool
    text: str | None
    length: int
    digest: str | None
    id: str | None
    sent_at: int | None
    received_at: int
    position: str | None
    extra: str | None
    client: str
    mentions: tuple[str, ...]

    @classmethod
    def of(
        cls,
        message: Message,
        room: str,
        received_at: int,
        *,
        position: str | None = None,
        place: str = "0",
        secret: bytes | None = None,
    ) -> Self:
        """What is kept of a message.

        Arguments:
            message: as received.
            room: its room.
            received_at: now, in milliseconds since 1970.
            position: the broker's position of it. Default: it has none.
            place: tells it from others with the same body, where it has neither id nor position.
            secret: of an archive that keeps no texts, at most 64 bytes: the key of the digests (BLAKE2, RFC 7693 section
                2.9), so that nobody finds a short text by trying: of the text, of the body, and of the position, which
                may have a digest of the body in it. Default: texts are kept.
        """
        username, text, id_, sent_at = message.username, message.text, message.id, None
        if position is not None and secret is not None:
            position = _concealed(position, secret)
        if message.sent_at is not None:
            sent_at = rfc3339.milliseconds(message.sent_at)
        if id_ is not None:
            key = f"i:{id_}"
        elif position is not None:
            key = f"p:{position}"
        else:
            key = f"b:{body_digest(message.body, secret)}:{place}"
        kept = secret is None
        return cls(
            room=room,
            key=key,
            at=received_at
            if sent_at is None or sent_at < received_at - _OLDEST
            else min(sent_at, received_at),
            username=username,
            account=message.account,
            verified=message.verified,
            text=text if kept else None,
            length=len(text),
            digest=None if secret is None else _keyed(text, secret),
            id=id_,
            sent_at=sent_at,
            received_at=received_at,
            position=position,
            extra=_extra(message) if kept else None,
            client=KCHAT if id_ is not None and sent_at is not None and _UUID7(id_) else OTHERS,
            mentions=mentions(text) if kept else (),
        )


def folded(name: str) -> str:
    """A name as mentions are compared: casefolded, and in Unicode's normal form C."""
    return normalised(name.casefold())


def mentions(text: str) -> tuple[str, ...]:
    """The names that a text mentions, ``@ada``, as :func:`folded` has them, in their order, each once.

    A name has letters, digits, ``_`` and, within it, ``.`` and ``-``. What Unicode puts after a letter, such as a vowel of
    Hindi or an accent, belongs to it.
    """
    if "@" not in text:
        return ()
    # For Python's \w, such a mark would end the name: letters stand in for them.
    marks = () if text.isascii() else {each for each in set(text) if category(each).startswith("M")}
    lettered = text.translate(dict.fromkeys(map(ord, marks), "m")) if marks else text
    spans = (found.span(1) for found in _MENTION(lettered))
    names = (folded(text[begin:end]) for begin, end in spans if text[begin] not in marks)
    return tuple(dict.fromkeys(names))[:_MOST_MENTIONS]


def body_digest(body: bytes, secret: bytes | None = None) -> str:
    """Of a body as it came: 32 hexadecimal digits; keyed, where the archive keeps no texts."""
    return blake2b(body, digest_size=_DIGEST, key=secret or b"").hexdigest()


def concealed_key(key: str, secret: bytes) -> str:
    """The key of a message without id and position, of an archive with texts, as one without them has it."""
    kind, digest, *place = key.split(":", 2)
    return ":".join((kind, _keyed(digest, secret), *place))


def _concealed(position: str, secret: bytes) -> str:
    return f"{position.partition('-')[0]}-{_keyed(position, secret)[:16]}"


def _keyed(text: str, secret: bytes) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST, key=secret).hexdigest()


def _extra(message: Message) -> str | None:
    if not message.extra:
        return None
    return json.dumps(dict(message.extra), ensure_ascii=False, separators=(",", ":"))
