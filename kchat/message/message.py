r"""A message of a room: :class:`Message`, with the only encoder and the only decoder.

The body on the wire is a JSON object in UTF-8 (RFC 8259)::

    {"username":"ada","message":"Hello","id":"0196...","sent_at":"2026-05-01T12:04:05.123Z"}

``username`` and ``message`` are strings and required; ``id`` and ``sent_at`` are always written and never
required. Any other key is kept in :attr:`Message.extra`.

A body that is not such an object is *refused*: :meth:`Message.decode` raises. For :meth:`Message.from_body` it is
still a message: its text is in :attr:`Message.text`, ``username`` is None, and ``problem`` says what is wrong.

=================================================  =========================================================
body                                               result
=================================================  =========================================================
not JSON, or not an object                         refused
``username`` or ``message`` missing or not string  refused
``NaN``, ``Infinity``, a number beyond a double,   refused: JSON has no NaN, and numbers that other readers
such as one of 5,000 digits                        cannot hold (RFC 8259 section 6) are slow to convert
nested deeper than 100 levels                      refused: not every Python could write it again
more than 20 MiB as Python text                    refused, and its text cut: see :data:`LARGEST`
over 1 MiB with more than 100,000 values           refused, and its text cut: ``[]`` takes 25 times its size
not UTF-8                                          refused; in its text, bytes that are not UTF-8 are ``\xff``
a byte order mark at the beginning                 read without it (Windows editors write one)
a key twice                                        the last one is used, as by most readers of JSON
a lone surrogate, ``\ud800``                       becomes U+FFFD, so that every text can be written as UTF-8
``id`` not a string of 1 to 255 bytes of UTF-8     treated as missing, but kept in ``extra``
``sent_at`` not an RFC 3339 time, 1970 to 2999     treated as missing, but kept in ``extra``
=================================================  =========================================================
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn, Self

from kchat.errors import DecodeError, TooLarge
from kchat.message import rfc3339
from kchat.message.lookalikes import is_own_name
from kchat.message.uuid7 import uuid7

LARGEST = 20 << 20
"""The most memory, in bytes, that a body may take as Python text (1, 2 or 4 bytes a character) to be read.

Above the largest message that RabbitMQ takes by default (16 MiB), and small enough for a subscriber to stay
under 150 MB: the body, its text and the text of its ``message`` are in memory together."""

_LARGE = 1 << 20
"""Bodies over this many bytes are looked at before they are parsed, and cut here if they are not parsed."""

_MOST_VALUES = 100_000
_DEEPEST = 100
_LONGEST_ID = 255  # what AMQP's message_id holds (0-9-1, section 4.2.5.3)
_LONGEST_NUMBER = 310  # the largest double has 309 digits, and a sign
_KEYS = ("username", "message", "id", "sent_at")
_BOM = "\ufeff"
_NOTHING: Mapping[str, object] = MappingProxyType({})


class Message(NamedTuple):
    """One message, as sent or as received. Made by :meth:`compose`, :meth:`decode` and :meth:`from_body`.

    A named tuple, since one is made for each message: a frozen dataclass of as many fields takes four times as long.

    Attributes:
        username: the name that the sender gave; None if the body has none.
        text: the body's ``message``, as sent, so not safe for a terminal: see :mod:`kchat.display.escaping`.
        id: the sender's id of the message, from kchat a UUIDv7; None if there is none.
        sent_at: when the message was sent, in UTC, by the sender's clock; None if there is no time.
        extra: the body's other keys with their JSON values; read only.
        body: the bytes on the wire.
        account: the authenticated account, if the broker has checked it (AMQP ``user_id``), or None.
        redelivered: whether the broker has delivered it before, without an acknowledgement.
        problem: why the body is not a kchat message; None if it is one.
        content_type: the broker's property of that name, where the subscriber was told to look at it
            (:class:`kchat.client.subscriber.Subscriber`), or None. A sender sends it, in place of JSON's.
        room: the room that it came from, where several are listened to by one connection; else None.
        position: its place at the broker, the same each time it is delivered, and no other message's in that room; where the
            subscriber was told to look at it, and the broker has one (``kchat transports``), else None.
    """

    username: str | None
    text: str
    id: str | None = None
    sent_at: datetime | None = None
    extra: Mapping[str, object] = _NOTHING
    body: bytes = b""
    account: str | None = None
    redelivered: bool = False
    problem: str | None = None
    content_type: str | None = None
    room: str | None = None
    position: str | None = None

    @classmethod
    def compose(
        cls,
        username: str,
        text: str,
        *,
        id: str | None = None,  # noqa: A002 - the key's name on the wire
        sent_at: datetime | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> Message:
        """Make a message to send.

        Lone surrogates, such as Python makes of undecodable bytes on a command line, become U+FFFD.

        Arguments:
            username: the sender's name.
            text: the text.
            id: 1 to 255 bytes of UTF-8. Default a new UUIDv7.
            sent_at: an aware time from 1970 to 2999, kept to the millisecond. Default now.
            extra: more keys for the body, with values that JSON has. Default none.

        Raises:
            TypeError: an argument of another type, or an extra value of a type that JSON does not have.
            ValueError: a naive time or one out of range, an empty or overlong id, an extra key named like one
                of ours, or extra values that no reader would take: NaN, or nested deeper than 100 levels.
            TooLarge: more than a reader takes: :data:`LARGEST`.
        """
        if type(username) is not str or type(text) is not str:
            _check_strings(username, text)
        ms = time.time_ns() // 1_000_000 if sent_at is None else rfc3339.milliseconds(sent_at)
        # Of a message that says another time: when it was made. A year 2999 would move all later ids of this process there.
        new_id = uuid7(ms if sent_at is None else None) if id is None else _checked_id(id)
        moment, stamp = rfc3339.moment(ms)
        json_text = (
            f'{{"username":{_dumps(username)},"message":{_dumps(text)},"id":{_dumps(new_id)},'
            f'"sent_at":"{stamp}"{_more(extra) if extra else ""}}}'
        )
        try:
            body = json_text.encode()
        except UnicodeEncodeError:
            body = _without_surrogates(json_text).encode()
            username, text, new_id = map(_without_surrogates, (username, text, new_id))
        if len(body) > LARGEST // 4 and _text_size(body) > LARGEST:
            raise TooLarge(f"a message of {len(body):,} bytes is more than a subscriber reads")
        # Extra values as a reader will see them: copies, with lists for tuples.
        kept = _parse(body)[4] if extra else _NOTHING
        return cls(username, text, new_id, moment, kept, body)

    @classmethod
    def decode(cls, body: bytes) -> Message:
        """Read a body that has to be a kchat message.

        Raises:
            DecodeError: it is not; the error carries the body, and says what is wrong with it.
        """
        return cls(*_parse(body), body)

    @classmethod
    def from_body(
        cls,
        body: bytes | bytearray | memoryview | str,
        *,
        account: str | None = None,
        redelivered: bool = False,
        sent_at: datetime | None = None,
        content_type: str | None = None,
    ) -> Self:
        """Make a message of any body. Nothing in a body makes this raise.

        Arguments:
            body: the bytes as the broker delivered them, or the text that a transport made of them.
            account: the authenticated account, if the broker has checked one. Default None.
            redelivered: the broker's flag of that name. Default False.
            sent_at: an aware time from the broker (AMQP ``timestamp``), for a body without one. Default None.
            content_type: the broker's property of that name. Default None.
        """
        if not isinstance(body, bytes):  # some transports hand over a memoryview, or text
            body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
        try:
            username, text, id, stated, extra = _parse(body)  # noqa: A001 - as the field
        except DecodeError as error:
            return cls(
                None,
                _text(body),
                None,
                sent_at,
                _NOTHING,
                body,
                account,
                redelivered,
                str(error),
                content_type,
            )
        return cls(
            username, text, id, stated or sent_at, extra, body, account, redelivered, None, content_type
        )

    @property
    def verified(self) -> bool:
        """Whether the username is the name of the account that the broker verified, so that nobody else can claim it.

        Not so for a name that people mistake for another one: :func:`kchat.message.lookalikes.is_own_name`.
        """
        return (
            self.account is not None
            and self.username is not None
            and is_own_name(self.username, self.account)
        )

    def encode(self) -> bytes:
        """The body, as it goes over the wire: compact JSON in UTF-8."""
        return self.body

    def __hash__(self) -> int:
        return hash(self[:4] + self[5:])  # all but the extra values, of which some have none

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self._asdict().items() if name != "body")
        return f"Message({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle and copy cannot take a read-only view of a mapping.
        return _restore, tuple(self._replace(extra=dict(self.extra)))


def _restore(*values: Any) -> Message:
    message = Message(*values)
    return message._replace(extra=MappingProxyType(message.extra))


# Reading.

_Fields = tuple["str", "str", "str | None", "datetime | None", "Mapping[str, object]"]


def _parse(body: bytes) -> _Fields:
    """Take the fields out of a body, or raise :class:`DecodeError`."""
    try:
        value = _load(body) if len(body) <= _LARGE else _load_large(body)
    except UnicodeDecodeError as error:
        raise DecodeError(f"not UTF-8: byte {error.start:,}", body) from None
    except (ValueError, RecursionError) as error:
        text = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DecodeError(text, body) from None
    if type(value) is not dict:
        raise DecodeError(f"{_kind(value)}, not an object", body)
    username = value.get("username")
    message = value.get("message")
    if type(username) is not str or type(message) is not str:
        _refuse(value, body)
    id = value.get("id")  # noqa: A001 - the key
    sent_at = value.get("sent_at")
    others = len(value) - 2
    if type(id) is str and 0 < len(id) <= _LONGEST_ID and (id.isascii() or _is_id(id)):
        others -= 1
    else:
        id = None  # noqa: A001
    if type(sent_at) is str and (moment := rfc3339.parse(sent_at)):
        others -= 1
    else:
        moment = None
    return username, message, id, moment, _extra(value, (id, moment), body) if others else _NOTHING


def _load(body: bytes) -> Any:
    text = body.decode()
    if text[:1] != "{":
        text = text.removeprefix(_BOM).lstrip(" \t\r\n")
    try:
        value, end = _decoder.raw_decode(text)
    except json.JSONDecodeError:
        raise ValueError("not JSON") from None
    if end != len(text) and text[end:].strip(" \t\r\n"):
        raise ValueError("JSON with something behind it")
    # Only an escape makes a surrogate: UTF-8 has none. (A pair of them is one character, and stays it.)
    if "\\" in text and ("\\ud" in text or "\\uD" in text):
        again = _dumps(value)
        whole = _without_surrogates(again)
        if whole != again:
            value = _decoder.decode(whole)
    return value


def _load_large(body: bytes) -> Any:
    """Load a body of over 1 MiB, unless it would take many times its size in memory."""
    if _text_size(body) > LARGEST:
        raise ValueError(f"too large to be read: {len(body):,} bytes")
    bare = _without_strings(body)
    if bare is None or sum(map(bare.count, (b'"', b",", b"[", b"{"))) > _MOST_VALUES:
        raise ValueError(f"too large to be read: {len(body):,} bytes, with over {_MOST_VALUES:,} values")
    return _load(body)


def _text_size(body: bytes) -> int:
    """The bytes that UTF-8 takes as Python text, where its widest character decides for all (PEP 393)."""
    if body.isascii():
        return len(body)
    characters = len(body.translate(None, delete=bytes(range(0x80, 0xC0))))  # all but continuation bytes
    if re.search(rb"[\xf0-\xff]", body):
        return 4 * characters
    return 2 * characters if re.search(rb"[\xc4-\xff]", body) else characters


def _without_strings(body: bytes) -> bytes | None:
    """JSON with each string replaced by ``"``; None when there are too many to bother."""
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"")
    return b'"'.join(bare.split(b'"')[::2]) if bare.count(b'"') <= 2 * _MOST_VALUES else None


def _refuse(value: dict[str, object], body: bytes) -> NoReturn:
    """Say which of the two keys that have to be there is not, or is something else."""
    for key in ("username", "message"):
        if key not in value:
            raise DecodeError(f"no {key}", body)
        if type(value[key]) is not str:
            break
    raise DecodeError(f"{key} is {_kind(value[key])}, not a string", body)


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _extra(value: dict[str, Any], used: tuple[object, object], body: bytes) -> Mapping[str, object]:
    """What is left of an object without our keys; an ``id`` or ``sent_at`` that was of no use is left too."""
    del value["username"], value["message"]
    for key, use in zip(("id", "sent_at"), used, strict=True):
        if use is not None or value.get(key) is None:
            value.pop(key, None)
    if body.count(b"[") + body.count(b"{") > _DEEPEST and _depth(body) > _DEEPEST:
        raise DecodeError(f"nested deeper than {_DEEPEST} levels", body)
    return MappingProxyType(value)


def _depth(body: bytes) -> int:
    """How deep the brackets in well-formed JSON are nested; one more than allowed stands for any more."""
    bare = _without_strings(body) or b""
    brackets = bare.translate(bytes.maketrans(b"{}", b"[]"), delete=bytes(set(range(256)) - set(b"[]{}")))
    for depth in range(_DEEPEST + 1):
        if not brackets:
            return depth
        brackets = brackets.replace(b"[]", b"")
    return _DEEPEST + 1


def _text(body: bytes) -> str:
    """The text of a body that is not a kchat message: all of it up to 1 MiB."""
    piece = body[:_LARGE]
    try:
        text = piece.decode()
    except UnicodeDecodeError as error:
        if len(body) > _LARGE and error.end == len(piece) and error.reason == "unexpected end of data":
            text = piece[: error.start].decode()  # the cut went through a character
        else:
            text = piece.decode("utf-8", "backslashreplace")
    text = text.removeprefix(_BOM)
    if len(body) > _LARGE:
        from kchat.message.truncation import truncation_mark  # senders, in a hurry to start, never need it

        text += truncation_mark(len(body))
    return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"not JSON: {name}")


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if number - number != 0:  # infinite
        raise ValueError("a number too large")
    return number


_decoder = json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer, parse_float=_float)

# Writing.

_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _check_strings(*values: object) -> None:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"username, message and id are strings, not {type(value).__name__}")


def _checked_id(id: str) -> str:  # noqa: A002 - the key's name on the wire
    _check_strings(id)
    if not _is_id(id):
        raise ValueError(f"an id has 1 to {_LONGEST_ID} bytes of UTF-8")
    return id


def _is_id(text: str) -> bool:
    if text.isascii():
        return 0 < len(text) <= _LONGEST_ID
    return len(text.encode("utf-8", "surrogatepass")) <= _LONGEST_ID


def _more(extra: Mapping[str, object]) -> str:
    """The extra keys as JSON, from their leading comma on."""
    for key in extra:
        if not isinstance(key, str):
            raise TypeError(f"an extra key is a string, not {type(key).__name__}")
        if key in _KEYS:
            raise ValueError(f"{key} is not a valid extra key")
    return "," + _dumps(dict(extra))[1:-1]


def _without_surrogates(text: str) -> str:
    """Lone surrogates become U+FFFD; two that belong together become the character they stand for."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
