"""Who is here: :class:`Presence`, and :func:`who` for one look.

A presence is beside the subscriber and never in its way: it has a connection and a thread of its own, and what fails
there ends the presence and nothing else. Its connection is not the subscriber's, since a broker that is short of memory
stops reading from connections that publish (https://www.rabbitmq.com/docs/alarms): a subscriber could acknowledge nothing
then, and the messages that fill the broker's memory would stay there.

What is said, and when: :mod:`kchat.client.announcer`. By what it travels: :mod:`kchat.transports.presence`. Where a broker
knows by itself who is there, nothing is said, and it is asked once a second.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

from kchat import errors, events
from kchat.chance import part
from kchat.client.announcer import LATE_ANSWER, MOST_IN_A_MINUTE, Announcer
from kchat.client.crowd import Crowd
from kchat.client.presence_connection import MOST_HEARD, PresenceConnection
from kchat.client.roster import Roster
from kchat.config.validation import check_name, login_name
from kchat.message.announcement import LONGEST, MOST_PEOPLE, Announcement

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from kchat.config.settings import Settings

logger = logging.getLogger(__name__)

OnPeople = Callable[[events.People], object]

PATIENCE = 60.0
"""Seconds within which everybody who is here has said so: nobody is silent for a minute."""

_SETTLED = LATE_ANSWER + 0.2
"""Seconds after a question by which those who may answer have done so."""

_PROMPT = 2.0
"""Seconds within which an answer comes where somebody may give one."""

_ALONE = 0.3
"""Seconds after which one who was alone is taken to be: somebody may have joined at the same time."""

_ASK_AGAIN = (2.0, 10.0, 30.0)
"""Seconds without an answer after which a question is asked again: who was there may have been asking, too, or has left."""

_LOOK = 1.0
"""Seconds between two looks at what the broker knows."""

_UNWOKEN = 0.05
"""Seconds of a wait where nothing can end it."""

_MOST_APART = 10.0
"""Seconds over which those who were here come back after a broker's restart."""

_BACK_IN_A_SECOND = 50.0
"""Those of them who come back in a second."""

_CLOSE_TIMEOUT = 1.0
"""Seconds to wait for its end. It leaves nothing undone: others notice that it is gone."""

_LOST = (errors.Closed, errors.Unreachable, errors.NotFound)


class Presence:
    """Who is here, kept up to date, and that this subscriber is. A context manager; it ends by :meth:`close`.

    Threads: any may call anything. ``on_people`` is called in a thread of its own.

    Arguments:
        settings: the room and its brokers.
        username: the name that counts. Default: the settings', else the login name.
        hidden: know who is here without counting as here. Default: count.
        asks: ask when it joins, so that :meth:`people` are known within a second. Default: if not, within a minute.
        wait: retry for ever when no broker can be reached at the start. Default: it has ended then, see :attr:`problem`.
        on_people: called with who is here whenever that has changed.
        answers: of a hidden one, answers in a minute. Default: two. With more it is a server's, which hears everybody in a
            crowd, too, and answers for those who hear nobody themselves.

    Raises:
        kchat.errors.SettingsError: the transport has no presence, or the username is not valid.
    """

    def __init__(
        self,
        settings: Settings,
        username: str | None = None,
        *,
        hidden: bool = False,
        asks: bool = True,
        wait: bool = True,
        on_people: OnPeople = lambda _: None,
        answers: int = MOST_IN_A_MINUTE,
    ) -> None:
        settings.require_presence()
        self.settings = settings
        self.username = (settings.username or login_name()) if username is None else username
        check_name(self.username)
        self.problem: errors.KchatError | None = None
        """Why it has ended without being closed: why presence is not available."""
        self._on_people = on_people
        self._stop = Event()
        self._known = Event()
        self._people: events.People | None = None
        session = os.urandom(6).hex()
        self._roster = Roster(None, session)
        self._announcer = Announcer(
            self._roster, session, "" if hidden else self.username, asks=asks, most=answers
        )
        self._crowd = Crowd(self._roster, self._announcer, keeps=not hidden, stays=answers > MOST_IN_A_MINUTE)
        self._connection = PresenceConnection(
            settings,
            self.username,
            lambda: self._announcer.hello(monotonic()),
            self._note,
            counts=not hidden,
            hears=lambda: self._crowd.hears,
            wait=wait,
        )
        self._connection.stopping = self._stop.is_set
        self._announces = self._connection.policy.announces
        self._has_lists = self._connection.policy.has_lists
        self._counts = self._announces and not hidden
        self._list_heard = False
        self._questions: tuple[float, ...] = _ASK_AGAIN
        self._joined_at = 0.0  # of the connection, for the announcements that are heard since
        self._heard_from = 0.0  # the second in which announcements are counted
        self._heard = 0
        self._expires = math.inf
        self._version = self._considered = -1  # of the roster
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Begin, if it has not, in a thread of its own; returns at once."""
        if self._thread is None and not self._stop.is_set():
            self._thread = Thread(target=self.run, name="kchat presence", daemon=True)
            self._thread.start()

    def run(self) -> None:
        """Begin in this thread, instead of :meth:`open`; returns when it has ended. It raises nothing."""
        with self._connection.in_use:
            try:
                while not self._stop.is_set():
                    self._step()
            except errors.KchatError as error:
                logger.debug("presence not available: %s", error)
                # Before it was let in, it is about the account or the broker, and not about presence.
                self.problem = _not_available(error) if self._connection.let_in else error
            except Exception as error:  # whatever it is, the subscriber goes on
                logger.debug("presence has failed", exc_info=True)
                self.problem = errors.Closed(f"presence not available: {error!r}")
            self._set(None)
            self._known.set()
            try:
                self._connection.leave(self._announcer.goodbye())
            except Exception:  # likewise
                logger.debug("presence could not be closed", exc_info=True)

    def people(self) -> events.People | None:
        """Who is here; ``None`` while that is not known: it is not connected (yet), or presence is not available."""
        return self._people

    @property
    def known(self) -> bool:
        """Whether :meth:`wait` would return at once."""
        return self._known.is_set()

    def wait(self, timeout: float = PATIENCE) -> events.People | None:
        """Who is here, as soon as that is known. Usually within a second; in a room where everybody has just spoken, later.

        Arguments:
            timeout: seconds. Default: 60, within which everybody has been heard.

        Returns:
            Those who were heard, at the end of that time; ``None`` if it has never been connected.

        Raises:
            kchat.errors.BrokerError: presence is not available.
        """
        self._known.wait(timeout)
        if self.problem is not None:
            raise self.problem
        return self._people

    def stop(self) -> None:
        """Ask it to end; returns at once. From any thread or a signal handler."""
        self._stop.set()
        self._connection.wake()

    def close(self, timeout: float = _CLOSE_TIMEOUT) -> None:
        """End it, and say goodbye; others know at once. Harmless to repeat.

        Arguments:
            timeout: seconds to wait for that. Default: one.
        """
        self.stop()
        if self._thread is not None:
            self._thread.join(timeout)

    # ---- in its thread

    def _step(self) -> None:
        connection = self._connection
        if not connection.connected:
            if not connection.open(again=True):
                return
            self._joined()
        try:
            with connection.errors:
                if self._announces:
                    self._exchange_announcements()
                else:
                    self._ask()
        except _LOST as error:
            connection.fail(error)

    def _note(self, event: events.Event) -> None:
        logger.debug("presence: %s", event)
        if isinstance(event, events.Disconnected):
            people, self._people = self._people, None
            self._announcer.pause()
            # All those who were here come back at the same time, and each is heard by all.
            if people is not None and people.count > 1:
                self._stop.wait(min(_MOST_APART, people.count / _BACK_IN_A_SECOND) * part())

    def _joined(self) -> None:
        now = self._joined_at = monotonic()
        self._list_heard = False
        self._roster.own = (
            events.Person(self.username, self._connection.own_account) if self._counts else None
        )
        self._roster.learn(now)
        self._expires = self._roster.expire(now)
        if self._connection.alone and self._counts:
            self._announcer.unheard()
        if self._announces:
            self._tell(now)

    def _ask(self) -> None:
        present = self._connection.policy.present(self._connection.channel)
        here = sorted(set(present), key=lambda name: (name.casefold(), name))
        more = len(present) > MOST_PEOPLE
        self._set(events.People(tuple(map(events.Person, here)), min(len(here), MOST_PEOPLE), more))
        self._known.set()
        self._stop.wait(_LOOK)

    def _exchange_announcements(self) -> None:
        connection, announcer = self._connection, self._announcer
        now = monotonic()
        if now >= announcer.due and not connection.blocked:
            connection.announce(announcer.announcement(now))
        if now - self._heard_from >= 1.0:
            self._heard_from, self._heard = now, 0
        if self._heard >= MOST_HEARD:
            self._stop.wait(self._heard_from + 1.0 - now)
            return
        # While the broker takes nothing, nobody can be heard either, and that nobody is says nothing.
        due = [] if connection.blocked else [announcer.due, self._expires, self._crowd.due]
        if not self._known.is_set():
            due += [self._joined_at + each for each in (_ALONE, _SETTLED) if self._joined_at + each > now]
            due.append(self._ask_again_if_due(now))
            if not connection.connected:
                return
        wait = max(0.0, min(due, default=math.inf) - now)
        connection.drain(min(wait, _UNWOKEN if connection.waker is None else math.inf))
        now = monotonic()
        for body, account in connection.take():
            self._heard += 1
            self._hear(body, account, now)
        connection.acknowledge()
        if now >= self._expires and not connection.blocked:
            self._expires = self._roster.expire(now)
        self._tell(now)
        if self._has_lists:
            self._consider(now)

    def _ask_again_if_due(self, now: float) -> float:
        """Join again where nobody has answered a hidden one; returns when that is to be done next."""
        if self._counts or not self._questions:
            return math.inf
        due = self._joined_at + self._questions[0]
        if now >= due:
            self._questions = self._questions[1:]
            self._connection.close()
        return due

    def _hear(self, body: bytes, account: str | None, now: float) -> None:
        said = Announcement.decode(body)
        if said is None:
            return
        self._roster.hear(said, account, now)
        self._announcer.hear(said, now)
        self._crowd.hear(said, now)
        # Of a list, each has an end of its own.
        self._expires = min(self._expires, now if said.count >= 0 else now + said.lasts)
        self._list_heard = self._list_heard or said.count >= 0

    def _tell(self, now: float) -> None:
        if self._roster.version != self._version or self._people is None:
            self._version = self._roster.version
            self._set(self._roster.people(now))
        # One who was not alone waits for a list: those who know everybody could not answer yet.
        alone, since = self._connection.alone, now - self._joined_at
        if self._list_heard or (alone and since >= _ALONE) or (alone is None and since >= _SETTLED):
            if self._crowd.hears:
                self._announcer.told()
            self._known.set()
        elif since >= LONGEST:
            self._known.set()

    def _consider(self, now: float) -> None:
        """Whether it has to hear everybody, when the number of those who are here has changed."""
        if self._considered != self._version or now >= self._crowd.due:
            self._considered = self._version
            if self._people is not None and self._crowd.consider(now, self._people.count):
                self._connection.hear_everybody_or_lists()

    def _set(self, people: events.People | None) -> None:
        before, self._people = self._people, people
        if people is not None and people != before:
            try:
                self._on_people(people)
            except Exception:  # the program's fault, which must not end it for good
                logger.exception("on_people has failed")


def who(
    settings: Settings,
    *,
    timeout: float = PATIENCE,
    on_wait: Callable[[], object] = lambda: None,
    on_timeout: Callable[[], object] = lambda: None,
) -> events.People:
    """Who is in a room now. The caller does not count.

    Arguments:
        settings: the room and its brokers.
        timeout: seconds to wait for an answer, default 60. Usually it takes less than one; longer only where everybody who
            is here has spoken twice in the last minute.
        on_wait: called when they have been asked and it takes longer.
        on_timeout: called when they have been asked, the time is over, and others may be here who have not answered.

    Raises:
        kchat.errors.SettingsError: the transport has no presence.
        kchat.errors.BrokerError: the room cannot be reached, or presence is not available to this account.
    """
    ends = monotonic() + timeout
    with Presence(settings, hidden=True, wait=False) as presence:
        people = presence.wait(min(timeout, _PROMPT))
        told = False
        while not presence.known and (left := ends - monotonic()) > 0:
            if people is not None and not told:  # else nobody is asked yet: the broker has not answered
                told = True
                on_wait()
            people = presence.wait(left if told else min(left, _PROMPT))
        if people is not None and not presence.known:
            on_timeout()
    if people is None:
        raise errors.Unreachable(f"{settings}: nobody could be asked within {timeout:g} s")
    return people


def _not_available(error: errors.KchatError) -> errors.KchatError:
    """What to tell somebody who asks; the account that may not take part is no error of theirs."""
    if not isinstance(error, errors.NotAuthorised) or error.hint:  # a refused login says by itself what to do
        return error
    return errors.NotAuthorised(
        f"presence not available: {error}",
        hint="an account that may only send never sees who is here; a member that was invited before kchat had "
        "presence can be invited again",
    )
