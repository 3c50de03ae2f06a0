"""Answers in JSON, errors included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from kchat.web.frames import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(as_json(value), status, headers, media_type="application/json")


def problem(status: int, error: str, hint: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """An error, in a sentence, with what to do."""
    return answer({"error": error, **({"hint": hint} if hint else {})}, status, headers)
