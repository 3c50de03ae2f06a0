"""Importing messages into an archive from files of JSON lines: :func:`import_file`.

A line may be one of those that kchat writes, of all of them mixed:

- of ``kchat record`` (:mod:`kchat.client.recording`): the message came ``at`` that time, and its body is read again;
- of ``kchat subscribe --mode json`` (:mod:`kchat.display.json`): the message was shown at ``received_at``. Lines about the
  connection are skipped, and so are empty ones. A line whose text was ``cut`` is refused, as it has only a part of it;
- of ``kchat archive export`` (:mod:`kchat.archive.exporting`): the record as it was.

What is there already stays as it is, so that importing a file again changes nothing. A message is recognised by its id. One
without an id is recognised when the same file, or another of the same kind with the same time in it, is imported again;
not if it was also archived as it came.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from kchat.archive.record import Record, body_digest, concealed_key
from kchat.client.json_lines import Damage, JsonLines
from kchat.config.validation import check_room
from kchat.errors import SettingsError
from kchat.message import Message, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.archive.store import Store

BATCH = 10_000
"""Messages that are committed together."""

_LARGE = 16 << 20
"""Bytes of lines after which they are committed, however few."""

_LONGEST_KEY = 600
_LONGEST_ID = 255
_DIGEST = re.compile(r"[0-9a-f]{32}").fullmatch

_SHOWN = frozenset(
    ("username", "message", "id", "sent_at", "received_at", "account", "verified", "redelivered", "problem")
)
"""The keys of every line of ``kchat subscribe --mode json``."""

_MORE_SHOWN = ("room", "body_base64", "cut", "extra")


class Imported(NamedTuple):
    """What became of a file.

    Attributes:
        messages: that were read.
        new: those of them that were not there before.
        skipped: lines that are no messages: what happened to a connection.
        damaged: lines that could not be read.
        cut: whether the file ends within a line, as whoever wrote it was killed, or is not done.
    """

    messages: int = 0
    new: int = 0
    skipped: int = 0
    damaged: int = 0
    cut: bool = False


def _ignore(_: object) -> None:
    pass


def import_file(
    store: Store,
    path: str,
    *,
    room: str | None = None,
    on_damage: Callable[[Damage], object] = _ignore,
    on_progress: Callable[[Imported, float | None], object] = lambda _counts, _share: None,
) -> Imported:
    """Import a file. Batches are committed as it goes: one that is interrupted can be imported again.

    Arguments:
        store: to write to.
        path: the file; ``-`` is standard input. By its end, ``.gz`` or ``.zst``, it is compressed.
        room: of the lines that name none. Default: such a line is damaged.
        on_damage: told of each line that cannot be read.
        on_progress: told after each batch how much there was, and which part of the file that is, from 0 to 1, if known.

    Raises:
        kchat.errors.SettingsError: the file cannot be opened, or the room's name is not valid.
        kchat.errors.KchatError: the file cannot be read to its end.
        kchat.errors.ArchiveError: the archive cannot be written.
    """
    if room is not None:
        check_room(room)
    reader = LineReader(room, store.secret)
    lines = JsonLines(path, reader.read)
    batch: list[Record] = []
    messages = new = skipped = damaged = 0
    cut = False
    for found in lines:
        if found is None:
            skipped += 1
        elif isinstance(found, Damage):
            cut = cut or found.cut
            damaged += not found.cut
            on_damage(found)
        else:
            batch.append(found)
            messages += 1
            if len(batch) >= BATCH or reader.size >= _LARGE:
                new += store.write(batch)
                batch, reader.size = [], 0
                on_progress(Imported(messages, new, skipped, damaged, cut), lines.share_read)
    if batch:
        new += store.write(batch)
    return Imported(messages, new, skipped, damaged, cut)


class LineReader:
    """Makes records of lines.

    Arguments:
        room: of those that name none; it is valid.
        secret: of an archive that keeps no texts (:attr:`kchat.archive.store.Store.secret`).
    """

    def __init__(self, room: str | None, secret: bytes | None) -> None:
        self.size = 0
        """Bytes of the lines that were read; whoever counts them sets it back."""
        self._room = room
        self._secret = secret
        self._rooms: set[str] = set()
        self._time = ""
        self._alike: Counter[tuple[str, str]] = Counter()

    def read(self, line: bytes) -> Record | None:
        """The record of a line; ``None`` of one that is about a connection. ValueError with what is wrong with it."""
        self.size += len(line)
        value = _load(line)
        if type(value) is not dict:
            raise ValueError("it is not a JSON object")
        if value.keys() >= _SHOWN:
            return self._shown(value)
        if type(value.get("key")) is str and "length" in value:
            return self._exported(value)
        if "at" in value and ("body" in value or "body_base64" in value):
            return self._recorded(value)
        if type(value.get("type")) is str and "text" in value:
            return None
        raise ValueError(
            "it is not a line of kchat record, kchat subscribe --mode json or kchat archive export"
        )

    def _recorded(self, value: dict[str, Any]) -> Record:
        at, body = value["at"], value.get("body")
        data = body.encode() if type(body) is str else _base64(value, "body_base64")
        message = Message.from_body(data, account=_text(value, "account"))
        return self._record(message, value, _time(value, "at"), at)

    def _shown(self, value: dict[str, Any]) -> Record:
        if value.get("cut") is not None:
            raise ValueError("it has only a part of the message, which was over 2 MiB")
        text, problem = value["message"], value["problem"]
        if type(text) is not str:
            raise ValueError("its message is not a string")
        ours = _SHOWN | {name for name in _MORE_SHOWN if name in value}
        extra = {key: each for key, each in value.items() if key not in ours}
        if type(hidden := value.get("extra")) is dict:
            extra |= hidden
        username = _text(value, "username")
        # As the plain clients write it, whose messages have no id.
        body = (
            text
            if problem is not None
            else json.dumps({"username": username, "message": text}, ensure_ascii=False)
        )
        data = _base64(value, "body_base64") if "body_base64" in value else body.encode()
        message = Message(
            username,
            text,
            _id(value),
            _moment(value, "sent_at"),
            extra,
            data,
            _text(value, "account"),
        )
        return self._record(message, value, _time(value, "received_at"), value["received_at"])

    def _record(self, message: Message, value: dict[str, Any], received_at: int, stamp: str) -> Record:
        room, place = self._room_of(value), "0"
        if message.id is None:
            place = self._place(room, message.body, stamp)
        return Record.of(message, room, received_at, place=place, secret=self._secret)

    def _place(self, room: str, body: bytes, stamp: str) -> str:
        """What tells it from others with the same body, and stays the same when the file is read again."""
        if stamp != self._time:
            self._time = stamp
            self._alike.clear()
        key = room, body_digest(body)
        number, self._alike[key] = self._alike[key], self._alike[key] + 1
        return f"{stamp}-{number}"

    def _exported(self, value: dict[str, Any]) -> Record:
        key, text, extra = value["key"], _text(value, "text"), value.get("extra")
        if extra is not None and type(extra) is not dict:
            raise ValueError("its extra is not an object")
        id_, position = _id(value), _text(value, "position")
        message = Message(
            _text(value, "username"),
            text or "",
            id_,
            _moment(value, "sent_at"),
            extra or {},
            b"",
            _text(value, "account"),
        )
        room = self._room_of(value)
        # What has no text comes from an archive without texts, and has its digests.
        secret = None if text is None else self._secret
        record = Record.of(message, room, _time(value, "received_at"), position=position, secret=secret)
        if id_ is None and position is None:
            if not key.startswith("b:") or len(key) > _LONGEST_KEY:
                raise ValueError("its key is none of a message without an id and a position")
            record = record._replace(key=key if secret is None else concealed_key(key, secret))
        if text is None:
            length, digest = value["length"], _text(value, "digest")
            if type(length) is not int or not 0 <= length < 1 << 31:
                raise ValueError("its length is not a number of characters")
            if digest is None or not _DIGEST(digest):  # in an archive's columns are its bytes
                raise ValueError("its digest is not 32 hexadecimal digits")
            record = record._replace(text=None, length=length, digest=digest, extra=None, mentions=())
        return record

    def _room_of(self, value: dict[str, Any]) -> str:
        room = value.get("room")
        if room is None:
            if self._room is None:
                raise ValueError("it names no room")
            return self._room
        if type(room) is not str:
            raise ValueError("its room is not a string")
        if room not in self._rooms:
            try:
                check_room(room, predeclared=(room,))
            except SettingsError as error:
                raise ValueError(str(error)) from None
            if len(self._rooms) < BATCH:
                self._rooms.add(room)
        return room


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"it is not JSON: {name}")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):  # it would be written as Infinity, which is not JSON
        raise ValueError("it has a number that is too large")
    return number


_decode = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite).decode


def _load(line: bytes) -> Any:
    try:
        text = line.decode()
        value = _decode(text)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    if "\\u" in text and ("\\ud" in text or "\\uD" in text):
        whole = json.dumps(value, ensure_ascii=False)
        if not whole.isascii() and _has_half(whole):
            # Half a character, which no file can have: as everywhere, it becomes U+FFFD.
            value = json.loads(whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return value


def _has_half(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _text(value: dict[str, Any], key: str) -> str | None:
    found = value.get(key)
    if found is not None and type(found) is not str:
        raise ValueError(f"its {key} is not a string")
    return found


def _id(value: dict[str, Any]) -> str | None:
    found = _text(value, "id")
    if found is not None and not 0 < len(found.encode()) <= _LONGEST_ID:
        raise ValueError(f"its id does not have 1 to {_LONGEST_ID} bytes")
    return found


def _moment(value: dict[str, Any], key: str) -> Any:
    found = _text(value, key)
    if found is None:
        return None
    moment = rfc3339.parse(found)
    if moment is None:
        raise ValueError(f"its {key} is not a time")
    return moment


def _time(value: dict[str, Any], key: str) -> int:
    """In milliseconds since 1970."""
    moment = _moment(value, key)
    if moment is None:
        raise ValueError(f"it has no time ({key})")
    return rfc3339.milliseconds(moment)


def _base64(value: dict[str, Any], key: str) -> bytes:
    found = value.get(key)
    if type(found) is not str:
        raise ValueError("it has no body")
    try:
        return b64decode(found, validate=True)
    except ValueError:
        raise ValueError(f"its {key} is not base 64") from None
