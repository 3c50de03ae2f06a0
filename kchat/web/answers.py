"""Answers in JSON, errors included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from kchat.web.frames import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(as_json(value), status, headers, media_type="application/json")


def problem(status: int, error: str, hint: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """An error, in a sentence, with what to do."""
    return answer({"error": error, **({"hint": hint} if hint else {})}, status, headers)


class Refused(Exception):
    """A request that is answered by an error.

    Attributes:
        status: the HTTP status.
        error: the sentence.
        hint: what to do; empty if nothing is to be said.
        headers: of the answer.
    """

    def __init__(
        self, status: int, error: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.hint = hint
        self.headers = dict(headers or {})

    @property
    def answer(self) -> Response:
        """The error in JSON."""
        return problem(self.status, self.error, self.hint, self.headers)


async def refused(_: Request, error: Exception) -> Response:
    """The answer to what is refused."""
    assert isinstance(error, Refused)
    return error.answer
