"""Reading a recording (:mod:`kchat.client.recording`), and sending it again with its distances in time.

What is damaged costs nothing else: see :mod:`kchat.client.json_lines`.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from time import monotonic, sleep
from typing import Any, NamedTuple

from kchat.client.compression import Cut, Damaged
from kchat.client.json_lines import Damage, JsonLines
from kchat.message import Message
from kchat.message.uuid7 import uuid7

_TICK = 0.1
"""Seconds of one wait for the time of a message: the broker's confirmations are looked at in between."""

_LONGEST_PROPERTY = 255
"""Bytes of AMQP's short strings (0-9-1, section 4.2.5.3)."""

_AT = re.compile(rb'\s*\{\s*"at"\s*:\s*"([^"\\]{1,64})"').match
"""As a recorder writes it: then the rest, which may be long, need not be read to know the time."""


class Recorded(NamedTuple):
    """One message of a recording; the attributes are the keys of its line. ``at`` is in UNIX seconds."""

    at: float
    body: bytes
    room: str | None = None
    username: str | None = None
    id: str | None = None
    account: str | None = None
    content_type: str | None = None


class Recording(JsonLines[Recorded]):
    """A recording, to be read from its beginning by iterating over it.

    Arguments:
        path: as of any :class:`~kchat.client.json_lines.JsonLines`.

    Raises:
        kchat.errors.SettingsError: it cannot be opened, or there is no module to decompress it.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, _parse)

    def duration(self, longest_pause: float | None = None) -> float:
        """The time from the first to the last message, in seconds; reads all of the file.

        Arguments:
            longest_pause: see :class:`Replay`.
        """
        whole, before = 0.0, None
        try:
            for line, _ in self.lines(count=False):
                at = None if line is None else _time_of(line)
                if at is not None:
                    whole += _pause(before, at, longest_pause)
                    before = at
        except (Cut, Damaged):
            pass  # it is told when it is sent
        return whole


class Replay:
    """The messages of a recording, each when it is due: for :meth:`kchat.client.sender.Sender.send_many`.

    Each message gets a new id, or else whoever remembers the old one would take it for a repeat; nothing else of it changes.
    One without an id stays as it is.

    Arguments:
        records: of a :class:`Recording`.
        speed: 2 is twice as fast as it was recorded; ``None`` is without delay. Default 1.
        longest_pause: seconds of the recording that pass at most between two messages. Default: as many as passed.
        keep_ids: whether the old ids stay. A subscriber that has seen them a short time ago does not show them again.
        on_damage: called with what could not be read. Default: nobody is told.
        wait: waits for a number of seconds, or less. Default :func:`time.sleep`.
    """

    def __init__(
        self,
        records: Iterable[Recorded | Damage],
        *,
        speed: float | None = 1.0,
        longest_pause: float | None = None,
        keep_ids: bool = False,
        on_damage: Callable[[Damage], object] = lambda _: None,
        wait: Callable[[float], object] = sleep,
    ) -> None:
        self._place = 0.0
        self._began: float | None = None
        self._records = records
        self._speed = speed
        self._longest_pause = longest_pause
        self._keep_ids = keep_ids
        self._on_damage = on_damage
        self._wait = wait

    @property
    def passed(self) -> float:
        """Seconds of the recording that have passed since its first message."""
        if self._speed is None or self._began is None:
            return self._place
        return min(self._place, (monotonic() - self._began) * self._speed)

    def __iter__(self) -> Iterator[Message | None]:
        """The messages, and ``None`` from time to time while none is due."""
        before = self._began = None
        self._place = 0.0
        for record in self._records:
            if isinstance(record, Damage):
                self._on_damage(record)
                continue
            self._place += _pause(before, record.at, self._longest_pause)
            before = record.at
            if self._speed is not None:
                if self._began is None:
                    self._began = monotonic()
                due = self._began + self._place / self._speed
                while (left := due - monotonic()) > 0:
                    self._wait(min(left, _TICK))
                    yield None
            yield to_send(record, keep_id=self._keep_ids)


def to_send(record: Recorded, *, keep_id: bool = False) -> Message:
    """The message to send for one of a recording; see :class:`Replay`. Its texts are not read out of the body again."""
    body, new = record.body, record.id
    if record.id is not None and not keep_id:
        body, new = _with_new_id(body, record.id)
    return Message(record.username, "", new, body=body, content_type=record.content_type)


def _with_new_id(body: bytes, old: str) -> tuple[bytes, str | None]:
    new = uuid7()
    written = b'"id":"%b"' % old.encode()
    # Within a string its quotes would be escaped; where the key is there twice, one may be of an object within this one.
    if body.count(b'"id"') == 1 and written in body and '"' not in old and "\\" not in old:
        return body.replace(written, b'"id":"%b"' % new.encode()), new
    if Message.from_body(body).id is None:
        return body, None  # the line says so, and the body does not
    value = {**json.loads(body.removeprefix(b"\xef\xbb\xbf")), "id": new}
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), new
    except UnicodeEncodeError:  # half a character, which only an escape can be
        return json.dumps(value, separators=(",", ":")).encode(), new


def _pause(before: float | None, at: float, longest: float | None) -> float:
    """Seconds between two messages; none where times go backwards."""
    pause = 0.0 if before is None else max(0.0, at - before)
    return pause if longest is None else min(pause, longest)


def _parse(line: bytes) -> Recorded:
    """Read a line; ValueError with the reason where it is not one of a recording."""
    try:
        value = json.loads(line.decode())
    except ValueError:
        raise ValueError("it is not JSON") from None
    if type(value) is not dict:
        raise ValueError("it is not a JSON object")
    at, body = value.get("at"), value.get("body")
    if type(at) is not str:
        raise ValueError("it has no time (at)")
    if type(body) is str:
        data = body.encode()
    elif type(coded := value.get("body_base64")) is str:
        data = b64decode(coded, validate=True)
    else:
        raise ValueError("it has no body")
    content_type = _text(value, "content_type")
    if content_type is not None and not 0 < len(content_type.encode()) <= _LONGEST_PROPERTY:
        content_type = None
    return Recorded(
        _time(at),
        data,
        _text(value, "room"),
        _text(value, "username"),
        _text(value, "id") if "id" in value else Message.from_body(data).id,
        _text(value, "account"),
        content_type,
    )


def _time_of(line: bytes) -> float | None:
    """The time of a line, whoever has written it, in any order of its keys; ``None`` of one that is not of a recording."""
    try:
        found = _AT(line)
        return _parse(line).at if found is None else _time(found[1].decode("latin-1"))
    except (ValueError, RecursionError):
        return None


def _text(value: dict[str, Any], key: str) -> str | None:
    text = value.get(key)
    if type(text) is not str:
        return None
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _time(text: str) -> float:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("its time has no offset from UTC")
    return moment.timestamp()
