"""Sending for guests: one connection for each account in use, and what one account sends goes out in its order.

A guest with an account of its own has a lane of its own, over all its pages and rooms; the others share the host's. A lane
takes a thread only while it has something to do (:mod:`kchat.web.pool`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from kchat import errors
from kchat.client.background import settle
from kchat.client.backoff import Backoff
from kchat.client.guest_sender import RECONNECT_FOR, GuestSender
from kchat.web.pool import Pool

if TYPE_CHECKING:
    from kchat.client.in_flight import Receipt
    from kchat.config.settings import Settings
    from kchat.message import Message

IDLE = 300.0
"""Seconds without a message, or anybody of the account who is here, after which its connection is closed."""

WAIT = RECONNECT_FOR
"""Seconds that a message waits for a broker that is away, the messages before it included."""

_FINISH, _GIVE_UP, _CLOSE = 3.0, 1.0, 3.0
"""Seconds at the end of the server: for what is under way, for what gives up then, and for the connections' goodbyes."""


class LoginRefused(errors.NotAuthorised):
    """The broker does not let the account in, not any more: its password is wrong, or it is not there."""


class Lane:
    """What one account sends: its connection, and its jobs, one after the other.

    Arguments:
        settings: one of its rooms, by the account.
        pool: does the jobs.

    Attributes:
        used_at: when it was last used, by the monotonic clock.
        held: for how many guests it announces that they are here: its connection is kept.
    """

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self.used_at = monotonic()
        self.held = 0
        self._sender = GuestSender(settings)
        self._pool = pool
        self._jobs: deque[Callable[[], object]] = deque()
        self._running = False
        self._lock = Lock()  # of the two above

    @property
    def busy(self) -> bool:
        """Whether it has something to do."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many jobs are to be done, the one that is being done included."""
        with self._lock:
            return len(self._jobs) + self._running

    @property
    def connected(self) -> bool:
        """Whether it has a connection."""
        return self._sender.connected

    def send(
        self, room: Settings, message: Message, unwanted: Callable[[], bool] = bool
    ) -> asyncio.Future[Receipt]:
        """Send a message to a room, after what was handed in before.

        Arguments:
            room: where to.
            message: the message.
            unwanted: whether it is not to be sent any more, asked in another thread. Default: never.

        Returns:
            A future of the running loop, which gets the receipt, or one of the errors of
            :meth:`kchat.client.sender.Sender.send`; :class:`LoginRefused` where the account is not let in, and
            :class:`kchat.errors.Unreachable` where no broker can be reached within 10 s: nothing was sent then. That nobody
            waits for it any more changes nothing.
        """
        ends = monotonic() + WAIT
        return self.submit(lambda sender: self._send(sender, room, message, ends, unwanted))

    def submit(self, job: Callable[[GuestSender], Any]) -> asyncio.Future[Any]:
        """Have something else done, after what was handed in before; the future gets what comes of it."""
        self.used_at = monotonic()
        settled = asyncio.get_running_loop().create_future()

        def noted() -> None:
            try:
                result = job(self._sender)
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                settle(settled, None, error)
            else:
                settle(settled, result)

        self._start(noted)
        return settled

    def _start(self, job: Callable[[], object]) -> None:
        with self._lock:
            self._jobs.append(job)
            if self._running:
                return
            self._running = True
        self._pool.start(self._take_turn)

    def _take_turn(self) -> None:
        with self._lock:
            job = self._jobs.popleft()
        job()
        del job
        with self._lock:
            self._running = bool(self._jobs)
            if not self._running:
                return
        self._pool.start(self._take_turn)  # behind the other lanes

    def _send(
        self,
        sender: GuestSender,
        room: Settings,
        message: Message,
        ends: float,
        unwanted: Callable[[], bool],
    ) -> Receipt:
        self._connect(sender, ends)
        if unwanted():
            raise LoginRefused("the guest was revoked while the message waited")
        try:
            return sender.send_to(room, message, unwanted=unwanted)
        except errors.NotAuthorised:
            # By the account or by its rights? A revoked one is refused when it connects again.
            self._connect(sender, ends)
            raise

    def _connect(self, sender: GuestSender, ends: float) -> None:
        backoff = Backoff(most=1.0)
        while True:
            if monotonic() >= ends:
                raise errors.Unreachable(f"no broker could be reached within {WAIT:g} s")
            if sender.ending.is_set():
                raise errors.Unreachable("the server is being restarted")
            try:
                sender.open(stopping=lambda: monotonic() >= ends)
            except errors.NotAuthorised as error:
                raise LoginRefused(str(error), error.hint) from error
            except (errors.Unreachable, errors.Closed) as error:
                if isinstance(error, errors.Untrusted) or monotonic() + backoff.fail() >= ends:
                    raise
                if sender.ending.wait(backoff.remaining()):
                    raise
            else:
                return

    def give_up(self) -> None:
        """Stop waiting for a broker that is away; any thread."""
        self._sender.ending.set()

    def close(self) -> None:
        """Close its connection after what was handed in; returns at once. It may be used again."""
        self._start(self._sender.close)


class Lanes:
    """The lanes in use. For the thread of the event loop."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str | None, str | None], Lane] = {}
        self._pool = Pool()
        self.ended = False
        """Whether nothing is taken any more."""

    def __iter__(self) -> Iterator[Lane]:
        return iter(tuple(self._lanes.values()))

    def __len__(self) -> int:
        """Number of accounts with a connection."""
        return sum(lane.connected for lane in self._lanes.values())

    def of(self, account: str | None, password: str | None, settings: Settings) -> Lane:
        """The lane of an account.

        Arguments:
            account: of the guest; None for the host's.
            password: of it: a guest who is invited again has another one.
            settings: a room, by that account.
        """
        key = account, password
        if key not in self._lanes:
            self._lanes[key] = Lane(settings, self._pool)
        return self._lanes[key]

    def close_idle(self) -> None:
        """Close those that nobody has used for a while."""
        now = monotonic()
        for key, lane in tuple(self._lanes.items()):
            if now - lane.used_at > IDLE and not lane.busy and not lane.held:
                self._lanes.pop(key).close()

    def close_account(self, account: str | None) -> None:
        """Close the one of an account that is of no more use."""
        for key in tuple(self._lanes):
            if key[0] == account:
                self._lanes.pop(key).close()

    async def finish(self) -> None:
        """Take nothing more, and finish what is under way; what a broker does not answer for 3 s is given up."""
        self.ended = True
        lanes = tuple(self._lanes.values())
        if not await _until_idle(lanes, _FINISH):
            self.give_up()
            await _until_idle(lanes, _GIVE_UP)

    def give_up(self) -> None:
        """Give up what waits for a broker."""
        for lane in self:
            lane.give_up()

    async def close(self) -> None:
        """As :meth:`finish`, and close all; within 7 s, whatever the broker does."""
        lanes = tuple(self._lanes.values())
        await self.finish()
        self._lanes.clear()
        for lane in lanes:
            lane.close()
        await asyncio.to_thread(self._pool.end, _CLOSE)


async def _until_idle(lanes: tuple[Lane, ...], seconds: float) -> bool:
    ends = monotonic() + seconds
    while any(lane.busy for lane in lanes):
        if monotonic() >= ends:
            return False
        await asyncio.sleep(0.02)
    return True
