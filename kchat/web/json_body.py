"""The JSON that is sent to an endpoint, read strictly: what two readers can understand differently is refused.

RFC 8259 leaves open what duplicate names, numbers beyond a double's and lone surrogates mean (sections 4, 6 and 8.2);
RFC 7493 (I-JSON) forbids all three, and so does this.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from kchat.web.answers import Refused

if TYPE_CHECKING:
    from starlette.requests import Request

_DEEPEST = 32
"""Levels of brackets; what the endpoints take has one."""

_LONGEST_NUMBER = 400
"""Digits of a number: more than any double needs, and few enough for Python to read quickly."""


class _NotStrict(ValueError):
    """JSON that readers disagree on."""


async def read_body(request: Request, most: int) -> bytes:
    """The body of a request.

    Arguments:
        request: what was asked.
        most: maximum size, in bytes.

    Raises:
        Refused: 413, it is larger; nothing beyond the limit is read.
    """
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > most:
            raise Refused(413, f"the message is too long: at most {most:,} bytes")
    return bytes(data)


def content_type(request: Request) -> str:
    """The media type of a request's body, in lower case and without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_object(request: Request, most: int) -> dict[str, Any]:
    """The JSON object that was sent.

    Arguments:
        request: what was asked.
        most: maximum size of its body, in bytes.

    Raises:
        Refused: 415, it does not say that it is JSON; 413, it is larger; 400, it is not strict JSON; 422, it is not an
            object.
    """
    if content_type(request) != "application/json":
        raise Refused(415, "send JSON, with Content-Type: application/json")
    try:
        found = parse(await read_body(request, most))
    except _NotStrict as error:
        raise Refused(400, f"that JSON is refused: {error}") from error
    except ValueError as error:
        raise Refused(400, "that is not JSON") from error
    if not isinstance(found, dict):
        raise Refused(422, "send a JSON object")
    return found


def parse(data: bytes) -> Any:
    """The value of some JSON in UTF-8.

    Raises:
        ValueError: it is not JSON, or has a byte order mark, a name twice in an object, half a surrogate pair, a number that
            is not a finite double, or too many levels.
    """
    text = data.decode("utf-8")
    if text.startswith("\ufeff"):
        raise _NotStrict("it begins with a byte order mark")
    if _depth(text) > _DEEPEST:
        raise _NotStrict(f"it is nested deeper than {_DEEPEST} levels")
    found = json.loads(
        text,
        object_pairs_hook=_object,
        parse_constant=_constant,
        parse_float=_float,
        parse_int=_int,
    )
    if "\\u" in text and _has_surrogate(found):
        raise _NotStrict("it has half a surrogate pair")
    return found


def _depth(text: str) -> int:
    """At most how deep the brackets are nested, those in strings included where there are many."""
    if text.count("[") + text.count("{") <= _DEEPEST:
        return 0
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotStrict("it has a name twice in an object")
    return found


def _constant(name: str) -> float:
    raise _NotStrict(f"{name} is not a number in JSON")


def _float(text: str) -> float:
    if len(text) > _LONGEST_NUMBER or not math.isfinite(number := float(text)):
        raise _NotStrict("it has a number that is too large")
    return number


def _int(text: str) -> int:
    _float(text)
    return int(text)


def _has_surrogate(value: Any) -> bool:
    match value:
        case str():
            return any("\ud800" <= character <= "\udfff" for character in value)
        case dict():
            return any(_has_surrogate(each) for pair in value.items() for each in pair)
        case list():
            return any(map(_has_surrogate, value))
        case _:
            return False
