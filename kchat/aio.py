"""The room for asyncio: the same names as in :mod:`kchat.client.room`, with ``await``.

>>> async with kchat.aio.connect("amqp://rmq:secret@localhost/", username="ada") as room:
...     receipt = await room.send("Hello world")
...     async for message in room:
...         print(message.username, message.text)

Underneath are the blocking :class:`~kchat.client.sender.Sender` and :class:`~kchat.client.subscriber.Subscriber`, each
in its own thread, so that every transport works, and reconnecting, confirms and history are the same. Nothing polls: a
thread waits for the broker and tells the loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from inspect import signature
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from kchat import errors, events
from kchat.client import room as blocking
from kchat.client.acknowledgements import BATCH, Position
from kchat.client.background import Worker, call_in, settle
from kchat.client.gathering import LARGE
from kchat.message import Message

if TYPE_CHECKING:
    from kchat.client.in_flight import Receipt
    from kchat.config.settings import Settings


_P = ParamSpec("_P")
_R = TypeVar("_R")

_NOTHING = Position(-1.0, None)
"""Acknowledged up to here, nothing more is than what was finished before."""


def _as(other: Callable[_P, object]) -> Callable[[Callable[..., _R]], Callable[_P, _R]]:
    """Give a function the signature of another one."""

    def decorate(function: Callable[..., _R]) -> Callable[_P, _R]:
        function.__signature__ = signature(other)  # type: ignore[attr-defined] # inspect looks there
        return function

    return decorate


class Room:
    """A room that one is in, for one event loop.

    Arguments as of :class:`kchat.client.room.Room`, whose docstring holds here, too.

    Any task may :meth:`send`, at the same time: what waits to be sent goes out together, in the order of the calls. One task
    receives; a second one at the same time is a ``RuntimeError``. :meth:`stop` may be called from any thread, all else in
    that of the event loop.

    Cancelling loses no message: one that arrives after the cancellation is the next one received. A
    :meth:`send` that is cancelled is not sent if that has not begun; else it is.
    """

    @_as(blocking.Room.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[misc] # self is a room of the other kind there
        self._use(blocking.Room(*args, **kwargs))

    def _use(self, room: blocking.Room) -> None:
        self._room = room
        self._on_event, room.on_event = room.on_event, self._tell
        self._loop: asyncio.AbstractEventLoop | None = None
        self._workers: tuple[Worker, Worker] | None = None  # to receive and to send, while it is open
        self._arrived: deque[tuple[Message, Position]] = deque()
        self._failure: BaseException | None = None  # of receiving, for the next receiver
        self._receiving: asyncio.Future[Any] | None = None
        self._finishing: asyncio.Future[None] | None = None
        self._waiting = False
        self._current: Position | None = None  # the message that was handed out last: with the task
        self._done = _NOTHING  # up to here they are done with, which the subscriber does not know
        self._outgoing: deque[tuple[Message, asyncio.Future[Receipt]]] = deque()

    def __repr__(self) -> str:
        return f"<kchat.aio.Room {self}, {'closed' if self._workers is None else 'open'}>"

    def __str__(self) -> str:
        """``chat at amqp://rmq:***@localhost:5672/``; safe to show."""
        return str(self._room)

    @property
    def settings(self) -> Settings:
        """The room and its brokers."""
        return self._room.settings

    @property
    def name(self) -> str:
        """The room's name."""
        return self._room.name

    @property
    def username(self) -> str:
        """The name in what is sent."""
        return self._room.username

    @property
    def stopped(self) -> bool:
        """Whether it was stopped or closed, and not opened since."""
        return self._workers is None or self._room.stopped

    async def __aenter__(self) -> Self:
        if self._workers is not None:
            raise RuntimeError(
                "this room is open already; for a second visit at the same time, connect again"
            )
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def people(self) -> events.People | None:
        """Who is here now, with ``presence=True``: see :meth:`kchat.client.room.Room.people`."""
        return self._room.people()

    async def open(self) -> None:
        """Connect and join, if that is not done; after :meth:`stop`, let it be received again.

        Raises:
            kchat.errors.BrokerError: between here and the room something is wrong. Then nothing stays open.
        """
        if self._workers is None:
            self._loop = asyncio.get_running_loop()
            self._workers = Worker("kchat receive"), Worker("kchat send")
        elif not self.stopped:
            return  # nor wait for the task that is receiving
        try:
            await self._workers[0].submit(self._room.open)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                self._end()
            else:
                await self.close()
            raise

    async def close(self) -> None:
        """Leave; what is being sent is confirmed first. Harmless to repeat. Afterwards no thread of the room is left."""
        if self._workers is not None:
            left, closing = self._end()
            await left
            closing.join()  # it has nothing left to do

    def _end(self) -> tuple[asyncio.Future[None], Worker]:
        """Close in a thread, since that waits for the broker. Continues if the caller is cancelled."""
        workers, room, done = self._workers, self._room, self._take_done()
        assert workers is not None
        self._workers = self._current = self._failure = None
        self._arrived.clear()
        room.stop()

        def leave() -> None:
            try:
                if done is not _NOTHING:
                    room.subscriber.finish(done)  # it is acknowledged when that is closed
            finally:
                room.close()
                for worker in workers:
                    worker.end()
                for worker in workers:
                    worker.join()

        closing = Worker("kchat close")
        left = closing.submit(leave)
        closing.end()
        return left, closing

    async def send(self, message: str | Message) -> Receipt:
        """Send one message, and return when the broker has confirmed it.

        Arguments:
            message: the text, or a whole message.

        Raises:
            kchat.errors.SendError: it was not sent, or that is not known; see :meth:`kchat.client.sender.Sender.send`.
            kchat.errors.BrokerError: anything else between here and the room.
            kchat.errors.Closed: the room is not open, or was closed before this was sent.
        """
        if self._workers is None:
            raise self._closed()
        if not isinstance(message, Message):
            message = Message.compose(self.username, message)
        settled: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._outgoing.append((message, settled))
        self._workers[1].start(self._send_waiting)
        return await settled

    def _closed(self) -> errors.Closed:
        return errors.Closed(f"{self} is not open", hint="use it inside its 'async with' block")

    def _send_waiting(self) -> None:
        """In the thread that sends: everything that waits, and what comes meanwhile."""
        unsettled: dict[int, list[asyncio.Future[Receipt]]] = {}
        try:
            for receipt in self._room.sender.send_many(self._next_outgoing(unsettled)):
                # Of another thread there may be some, which has the blocking room, too.
                for settled in unsettled.get(id(receipt.message), [])[:1]:
                    unsettled[id(receipt.message)].remove(settled)
                    settle(settled, receipt, receipt.error)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            for settled in (each for waiting in unsettled.values() for each in waiting):
                settle(settled, None, error)
        if self._room.closed:
            while self._outgoing:
                settle(self._outgoing.popleft()[1], None, self._closed())

    def _next_outgoing(self, unsettled: dict[int, list[asyncio.Future[Receipt]]]) -> Iterator[Message]:
        while self._outgoing and not self._room.closed:
            message, settled = self._outgoing.popleft()
            if not settled.cancelled():
                unsettled.setdefault(id(message), []).append(settled)
                yield message

    def __aiter__(self) -> Room:
        return self

    async def __anext__(self) -> Message:
        message = await self.receive()
        if message is None:
            raise StopAsyncIteration
        return message

    async def receive(self, timeout: float | None = None) -> Message | None:  # noqa: ASYNC109 - as Room.receive
        """The next message. Asking for it acknowledges the previous one, as in the loop.

        Arguments:
            timeout: seconds to wait for it. Default: for ever.

        Returns:
            It; ``None`` when the time is over, or the room is stopped or closed.

        Raises:
            kchat.errors.BrokerError: see :meth:`kchat.client.subscriber.Subscriber.receive`.
            RuntimeError: another task is receiving.
        """
        if self._waiting:
            raise RuntimeError("another task is receiving from this room")
        self._waiting = True
        try:
            return await self._next(timeout)
        finally:
            self._waiting = False

    async def _next(self, timeout: float | None) -> Message | None:  # noqa: ASYNC109 - likewise
        clock = asyncio.get_running_loop().time
        ends = None if timeout is None else clock() + timeout
        self._finish()
        self._tell_done()
        while not self.stopped:
            if self._arrived:
                message, self._current = self._arrived.popleft()
                return message
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            left = None if ends is None else max(0.0, ends - clock())
            # A task that is cancelled here has taken nothing yet, and what it waits for goes on.
            done, _ = await asyncio.wait([self._fetch()], timeout=left)
            if not done:
                break
        return None

    def _finish(self) -> None:
        """What was handed out is done with."""
        if self._current is not None:
            self._done, self._current = self._current, None

    def _take_done(self) -> Position:
        done, self._done = self._done, _NOTHING
        return done

    async def acknowledge(self) -> None:
        """All messages that were received are done with: none of them comes again."""
        self._finish()
        done = self._take_done()
        if self._workers is not None:
            await self._workers[0].submit(lambda: self._room.subscriber.acknowledge(done))

    def _tell_done(self) -> None:
        """In a burst, the receiving thread is only told from time to time which messages are finished."""
        subscriber = self._room.subscriber
        if self._done is _NOTHING or not self._arrived or not subscriber.acknowledgement_is_due:
            return
        if self._finishing is None or self._finishing.done():
            assert self._workers is not None
            done = self._take_done()
            self._finishing = self._workers[0].submit(lambda: subscriber.finish(done))

    def _fetch(self) -> asyncio.Future[Any]:
        """What has something when messages have arrived: one that is waited for already, or a new one."""
        if self._receiving is None:
            assert self._workers is not None
            done = self._take_done()
            self._receiving = self._workers[0].submit(lambda: self._take(done))
            self._receiving.add_done_callback(self._keep)
        return self._receiving

    def _take(self, done: Position) -> list[tuple[Message, Position]]:
        """In the thread that receives: wait for a message, and take what else is here."""
        subscriber = self._room.subscriber
        subscriber.finish(done)
        taken = [(message, subscriber.position) for message in subscriber.receive(limit=1)]
        size = 0
        while taken and subscriber.has_arrived and len(taken) < BATCH and size < LARGE:
            try:
                taken += [(message, subscriber.position) for message in subscriber.receive(0, limit=1)]
            except errors.KchatError:
                break  # it comes again if more than these are asked for
            size += len(taken[-1][0].body)
        return taken

    def _keep(self, fetched: asyncio.Future[list[tuple[Message, Position]]]) -> None:
        self._receiving = None
        if fetched.cancelled():
            return
        failure = fetched.exception()
        if self._workers is None:
            return  # closed: it must not reach the receiver of the next visit
        if failure is None:
            self._arrived.extend(fetched.result())
        self._failure = failure

    def stop(self) -> None:
        """End the loop or the wait of the task that receives; returns at once. From any thread or a signal handler.

        The room stays open: one can still send, and what arrives is kept until it is opened again.
        """
        self._room.stop()

    def _tell(self, event: events.Event) -> None:
        if self._loop is not None:
            call_in(self._loop, self._on_event, event)


@_as(blocking.connect)
def connect(*args: Any, **kwargs: Any) -> Room:
    """A room on a broker, for ``async with``. Arguments and errors as of :func:`kchat.client.room.connect`.

    ``on_event`` is called in the event loop's thread.
    """
    room = Room.__new__(Room)
    room._use(blocking.connect(*args, **kwargs))  # noqa: SLF001 - a constructor with other arguments
    return room
