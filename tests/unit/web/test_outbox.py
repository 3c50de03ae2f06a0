"""What is remembered of what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from kchat import Message, errors
from kchat.client.in_flight import Receipt
from kchat.web.outbox import KEPT, MOST_OF_GUEST, WAITING, OtherText, Outbox, TooManyWaiting


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that runs in an event loop of its own."""

    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


class Lane:
    """Takes messages, and settles them when a test says so."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.futures: list[asyncio.Future[Receipt]] = []

    def start(self, message: Message) -> asyncio.Future[Receipt]:
        self.messages.append(message)
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    def confirm(self) -> None:
        self.futures[-1].set_result(Receipt(self.messages[-1]))


def message(text: str = "hello", message_id: str = "id-of-a-page") -> Message:
    return Message.compose("ada", text, id=message_id)


def begin(coroutine: Coroutine[Any, Any, Receipt]) -> asyncio.Task[Receipt]:
    return asyncio.get_running_loop().create_task(coroutine)


@in_loop
async def test_a_repeat_waits_for_the_first_and_gets_its_receipt() -> None:
    outbox, lane = Outbox(), Lane()
    both = [begin(outbox.send("ada", "chat", message(), lane.start)) for _ in range(2)]
    await asyncio.sleep(0)
    lane.confirm()
    first, second = await asyncio.gather(*both)
    assert first is second
    assert await outbox.send("ada", "chat", message(), lane.start) is first
    assert len(lane.messages) == 1


@in_loop
async def test_an_id_with_another_text_or_room_is_refused_and_another_guest_may_have_it() -> None:
    outbox, lane = Outbox(), Lane()
    first = begin(outbox.send("ada", "chat", message(), lane.start))
    await asyncio.sleep(0)
    for room, text in ("chat", "bye"), ("other", "hello"):
        with pytest.raises(OtherText):
            await outbox.send("ada", room, message(text), lane.start)
    lane.confirm()
    await first
    other = begin(outbox.send("bob", "other", message("bye"), lane.start))
    await asyncio.sleep(0)
    lane.confirm()
    assert (await other).message.text == "bye"


@in_loop
async def test_what_was_not_confirmed_is_sent_again_as_the_same_message() -> None:
    outbox, lane = Outbox(), Lane()
    first = begin(outbox.send("ada", "chat", message(), lane.start))
    await asyncio.sleep(0)
    lane.futures[-1].set_exception(errors.NotConfirmed("no"))
    with pytest.raises(errors.NotConfirmed):
        await first
    with pytest.raises(OtherText):
        await outbox.send("ada", "chat", message("bye"), lane.start)
    again = begin(outbox.send("ada", "chat", message(), lane.start))
    await asyncio.sleep(0)
    lane.confirm()
    await again
    assert lane.messages[0] is lane.messages[1]


@in_loop
async def test_what_was_certainly_not_sent_is_forgotten() -> None:
    outbox, lane = Outbox(), Lane()
    first = begin(outbox.send("ada", "chat", message(), lane.start))
    await asyncio.sleep(0)
    lane.futures[-1].set_exception(errors.Unreachable("away"))
    with pytest.raises(errors.Unreachable):
        await first
    assert not outbox.knows("ada", "id-of-a-page")


@in_loop
async def test_a_request_that_ends_does_not_end_the_sending() -> None:
    outbox, lane = Outbox(), Lane()
    first = begin(outbox.send("ada", "chat", message(), lane.start))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not lane.futures[0].cancelled()
    lane.confirm()
    assert (await outbox.send("ada", "chat", message(), lane.start)).confirmed
    assert len(lane.messages) == 1


@in_loop
async def test_a_guest_has_few_requests_waiting() -> None:
    outbox, lane = Outbox(), Lane()
    waiting = [
        begin(outbox.send("ada", "chat", message(message_id=f"id-{n:06}"), lane.start))
        for n in range(WAITING)
    ]
    await asyncio.sleep(0)
    with pytest.raises(TooManyWaiting):
        await outbox.send("ada", "chat", message(), lane.start)
    assert not outbox.knows("ada", "id-of-a-page")
    for future, sent in zip(lane.futures, lane.messages, strict=True):
        future.set_result(Receipt(sent))
    await asyncio.gather(*waiting)
    last = begin(outbox.send("ada", "chat", message(), lane.start))
    await asyncio.sleep(0)
    lane.confirm()
    await last


@in_loop
async def test_ids_are_forgotten_by_age_and_by_number() -> None:
    now = 0.0
    outbox, lane = Outbox(lambda: now), Lane()
    for n in range(MOST_OF_GUEST + 5):
        sending = begin(outbox.send("ada", "chat", message(message_id=f"id-{n:06}"), lane.start))
        await asyncio.sleep(0)
        lane.confirm()
        await sending
    assert len(outbox) == MOST_OF_GUEST
    assert not outbox.knows("ada", "id-000000")
    now = KEPT + 1
    assert not outbox.knows("ada", f"id-{MOST_OF_GUEST:06}")
    assert not outbox
