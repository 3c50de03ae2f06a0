"""What waits for a reader is bounded, and what ends a stream comes next."""

from __future__ import annotations

import asyncio
from typing import Any

from kchat.web.access import NOBODY, Caller
from kchat.web.stream import Stream

CALLER = Caller(NOBODY, "reader", 0.0, by_cookie=False)


def sent_by(stream: Stream) -> bytes:
    """What a stream that has ended sends."""
    sent = bytearray()

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.extend(message["body"])

    asyncio.run(asyncio.wait_for(stream.run(receive, send), 30))
    return bytes(sent)


def test_a_reader_that_leaves_too_much_is_told_and_nothing_else_waits_for_it() -> None:
    stream = Stream(CALLER, "", most=1000)
    for _ in range(100):
        stream.push(b"x" * 100)
    assert stream.ended
    sent = sent_by(stream)
    assert sent.startswith(b"event: slow\n")
    assert b"x" * 100 not in sent


def test_a_stream_that_ends_drops_what_it_was_to_begin_with() -> None:
    stream = Stream(CALLER, "", most=1000)
    stream.begin(iter([b"beginning"] * 1000))
    stream.push(b"message")
    stream.end(b"revoked")
    assert sent_by(stream) == b"revoked"


def test_what_comes_while_the_beginning_is_sent_follows_it() -> None:
    stream = Stream(CALLER, "", most=1000)
    frames = [f"{number};".encode() * 10_000 for number in range(50)]
    stream.begin(iter(frames))
    stream.push(b"live")

    async def until_sent() -> bytes:
        sent = bytearray()
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            assert len(message["body"]) < 64 * 1024 + len(frames[-1])
            sent.extend(message["body"])
            if sent.endswith(b"live"):
                gone.set()

        await asyncio.wait_for(stream.run(receive, send), 30)
        return bytes(sent)

    assert asyncio.run(until_sent()) == b"".join(frames) + b"live"
