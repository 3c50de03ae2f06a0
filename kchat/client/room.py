"""A room for a program: :func:`connect`, and :class:`Room`, which sends and receives.

>>> import kchat
>>> with kchat.connect("amqp://rmq:secret@localhost/", room="chat", username="ada") as room:
...     receipt = room.send("Hello world")
...     for message in room:
...         print(message.username, message.text)

:mod:`kchat.aio` is the same for asyncio. ``docs/library.md`` has more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from threading import RLock
from typing import TYPE_CHECKING, Self

from kchat import errors, events
from kchat.client.sender import Sender
from kchat.client.subscriber import Subscriber
from kchat.config.settings import DEFAULT_URL, Broker, Settings

if TYPE_CHECKING:
    from kchat.client.filters import Filter
    from kchat.client.in_flight import Receipt
    from kchat.client.presence import Presence
    from kchat.message import Message
    from kchat.transports.durable import Durable
    from kchat.transports.tls import TlsOptions


_NEW, _OPEN, _CLOSED = "not open yet", "open", "closed"

_AGAIN = 0.05
"""Seconds after which a thread that is opening a room is told again that it is closed."""


def connect(
    url: str | None = None,
    *,
    room: str | None = None,
    username: str | None = None,
    account: str | None = None,
    password: str | None = None,
    tls: TlsOptions | None = None,
    profile: str | None = None,
    durable: str | Durable | None = None,
    last: int | None = None,
    since: float | None = None,
    where: Filter | None = None,
    connect_timeout: float | None = None,
    confirm_timeout: float = 10.0,
    heartbeat: float | None = None,
    mandatory: bool = False,
    wait: bool = False,
    on_event: events.OnEvent = events.ignore,
    presence: bool = False,
    hidden: bool = False,
) -> Room:
    """A room on a broker. Connects when it is entered: ``with kchat.connect(...) as room``.

    The broker is the one of the URL; else of the profile; else of the environment variable ``KCHAT_URL``; else the embedded
    room. Nothing else of the user's is read: neither the profile in use nor the keyring, nor ``RABBITMQ_DEFAULT_USER``,
    ``RABBITMQ_DEFAULT_PASS``, ``KCHAT_PROFILE`` or any other variable that the commands know.

    Arguments:
        url: connection URL, or several of one cluster joined by ``;``.
        room: the room's name. Default: the profile's, else ``chat``.
        username: the name in what is sent. Default: the profile's, else the login name. It is not the account.
        account: the account on the broker, where the URL names none.
        password: the account's password, where the URL has none.
        tls: the CAs to trust and the client certificate, on ``amqps://`` and ``rediss://``.
        profile: the name of one of the user's profiles (``kchat profile list``), which names broker, room and account. Its
            password is read from the keyring, unless ``password`` is given.
        durable: a durable queue, which keeps messages while nobody listens: its name, or a :class:`Durable` with its limits.
            Default: a queue that goes when the room is left.
        last: begin with this number of messages from the room's history.
        since: begin with the room's history since then, in UNIX seconds.
        where: which messages to receive (:mod:`kchat.client.filters`), of all that come. Default: all.
        connect_timeout: seconds for one attempt to connect. Default: the URL's ``connection_timeout``, else 5.
        confirm_timeout: seconds to wait for the broker's confirmation of a message, default 10.
        heartbeat: seconds between heartbeats, 0 for none. Default: the URL's, else 10.
        mandatory: a message that reached no queue counts as an error (:class:`~kchat.errors.Returned`). As the room itself
            listens, that happens only while it is connecting again. Not in a room with a history, on AMQP.
        wait: retry for ever when no broker can be reached, at the start too. Default: fail at the start.
        on_event: called with what happens to the connections (:mod:`kchat.events`), in the thread that sends or receives.
        presence: count as here while the room is open, and know who is (:meth:`Room.people`). Default: neither.
        hidden: with ``presence``, know who is here without counting as here.

    Raises:
        kchat.errors.SettingsError: it makes no sense, or the transport cannot do what is asked.
        kchat.errors.NotAuthorised: the profile's account has ended.
    """
    if profile is None:
        url = (os.environ.get("KCHAT_URL") or DEFAULT_URL) if url is None else url
        _check_account(url, account, password)
    elif account is not None:
        raise errors.SettingsError(f"the profile {profile!r} names the account", hint="leave account out")
    settings = Settings.resolve(
        url=url,
        profile=profile,
        room=room,
        account=account,
        password=None if profile else password,
        profile_password=password if profile else None,
        tls=None if profile else tls,
        profile_tls=tls if profile else None,
        connect_timeout=connect_timeout,
        confirm_timeout=confirm_timeout,
        heartbeat=heartbeat,
    )
    return Room(
        settings,
        username,
        durable=durable,
        last=last,
        since=since,
        where=where,
        mandatory=mandatory,
        wait=wait,
        on_event=on_event,
        presence=presence,
        hidden=hidden,
    )


def _check_account(url: str, account: str | None, password: str | None) -> None:
    """Raises SettingsError where account or password would be ignored: a program that names one means it."""
    if not url.strip("; "):
        raise errors.SettingsError(
            "the connection URL is empty", hint="leave it out for KCHAT_URL or the embedded room"
        )
    if account is None and password is None:
        return
    for broker in Broker.parse_all(url):
        if broker.transport.default_port is None:
            raise errors.SettingsError(
                f"a room on the {broker.transport.name} transport has no accounts",
                hint="leave account and password out",
            )
        for name, given, found in (
            ("account", account, broker.account),
            ("password", password, broker.password),
        ):
            if None not in (given, found) and given != found:
                why = f"the URL has another {name} than the argument"
                raise errors.SettingsError(why, hint=f"name the {name} once")


class Room:
    """A room that one is in: sends to it, and receives all that is sent there, one's own messages included.

    A context manager. Entering it connects and joins: when that is done, nothing that is sent to the room is missed.
    Without ``with``, :meth:`open` and :meth:`close` do the same, and the first use opens it. It may be entered again after
    it was left, which is another visit: what was sent in between is missed, unless the queue is durable. To enter it while
    it is open is a ``RuntimeError``.

    A program that only sends is better off with :class:`~kchat.client.sender.Sender`: a room that nobody reads has a
    queue at the broker that fills up, and its oldest messages are dropped.

    Threads: any may call :meth:`send`, :meth:`stop` and :meth:`close`. One receives; if several do, each message goes to one
    of them, and asking for the next message acknowledges what all of them got.

    Arguments:
        settings: the room and its brokers.
        username: the name in what is sent. Default: the settings', else the login name.
        durable, last, since, where: as of :class:`~kchat.client.subscriber.Subscriber`.
        mandatory: as of :class:`~kchat.client.sender.Sender`.
        wait, on_event: as of both.
        presence, hidden: as of :func:`connect`.

    Attributes:
        settings: the room and its brokers.
        sender: the half that sends, for its ``send_many``.
        subscriber: the half that receives, for receiving many at once.
        on_event: called with what happens to the connections.

    Raises:
        kchat.errors.SettingsError: the username is not valid, or the transport cannot do what is asked.
    """

    def __init__(
        self,
        settings: Settings,
        username: str | None = None,
        *,
        durable: str | Durable | None = None,
        last: int | None = None,
        since: float | None = None,
        where: Filter | None = None,
        mandatory: bool = False,
        wait: bool = False,
        on_event: events.OnEvent = events.ignore,
        presence: bool = False,
        hidden: bool = False,
    ) -> None:
        if presence:
            settings.require_presence()
        self.settings = settings
        self.on_event = on_event
        self.sender = Sender(settings, username, mandatory=mandatory, wait=wait, on_event=self._tell)
        self.subscriber = Subscriber(
            settings,
            self.sender.username,
            durable=durable,
            last=last,
            since=since,
            where=where,
            wait=wait,
            on_event=self._tell,
        )
        self._wants_presence, self._hidden = presence, hidden
        self._presence: Presence | None = None
        self._state = _NEW
        self._changing = RLock()  # held while it is opened or closed
        self._closes = 0

    def _tell(self, event: events.Event) -> None:
        self.on_event(event)

    def __enter__(self) -> Self:
        if self._state == _OPEN:
            raise RuntimeError(
                "this room is open already; for a second visit at the same time, connect again"
            )
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._close(lambda: self.sender.__exit__(kind))

    def __repr__(self) -> str:
        return f"<kchat.Room {self}, {self._state}>"

    def __str__(self) -> str:
        """``chat at amqp://rmq:***@localhost:5672/``; safe to show."""
        return str(self.settings)

    @property
    def name(self) -> str:
        """The room's name."""
        return self.settings.room

    @property
    def username(self) -> str:
        """The name in what is sent."""
        return self.sender.username

    @property
    def closed(self) -> bool:
        """Whether it was closed, and not opened since."""
        return self._state == _CLOSED

    @property
    def stopped(self) -> bool:
        """Whether it was stopped or closed, and not opened since."""
        return self.closed or self.subscriber.stopped

    def open(self) -> None:
        """Connect and join, if that is not done; after :meth:`stop`, let it be received again.

        Raises:
            kchat.errors.BrokerError: between here and the room something is wrong. Then nothing stays open.
            kchat.errors.Closed: it was stopped or closed before it was connected.
        """
        with self._changing:
            if self._state == _OPEN and not self.subscriber.stopped:
                return  # nor wait for the thread that is receiving
            closes = self._closes
            try:
                self.subscriber.open()
                self._check_not_closed(closes)
                self.sender.open(stopping=lambda: self.subscriber.stopped)
                self._check_not_closed(closes)
                if self._wants_presence and self._presence is None:
                    self._presence = self._open_presence()
            except BaseException:
                self._state = _CLOSED
                self._close_presence()
                self.subscriber.close()
                self.sender.close()
                raise
            self._state = _OPEN

    def _open_presence(self) -> Presence:
        from kchat.client.presence import Presence

        presence = Presence(
            self.subscriber.unlocked_settings, self.username, hidden=self._hidden, on_people=self._tell
        )
        presence.open()
        return presence

    def _close_presence(self) -> None:
        presence, self._presence = self._presence, None
        if presence is not None:
            presence.close()

    def people(self) -> events.People | None:
        """Who is here now, with ``presence=True``; returns at once, from any thread. ``on_event`` is told when it changes.

        Returns:
            ``None`` while that is not known: the room is not open, or not connected; or presence is not available to this
            account, as to one that may only send.
        """
        presence = self._presence
        return None if presence is None else presence.people()

    def _check_not_closed(self, closes: int) -> None:
        if closes != self._closes:
            raise errors.Closed(f"{self} was closed while it was being opened")

    def _open_at_first(self) -> None:
        if self._state == _NEW:
            with self._changing:
                if self._state == _NEW:
                    self.open()

    def send(self, message: str | Message) -> Receipt:
        """Send one message, and return when the broker has confirmed it. From any thread; threads take turns.

        Arguments:
            message: the text, or a whole message.

        Raises:
            kchat.errors.SendError: it was not sent, or that is not known; see :meth:`kchat.client.sender.Sender.send`.
            kchat.errors.BrokerError: anything else between here and the room.
            kchat.errors.Closed: the room is closed.
        """
        self._open_at_first()
        if self._state != _OPEN:
            raise errors.Closed(f"{self} is closed", hint="open it again, or send before it is left")
        try:
            return self.sender.send(message)
        finally:
            if self.closed:  # meanwhile, and a sender connects when it is needed
                self.sender.close()

    def __iter__(self) -> Iterator[Message]:
        """Every message, until it is stopped or closed; at once when it is. Asking for the next acknowledges the previous.

        From a durable queue, the message at which the loop is left comes again.
        """
        if not self.stopped:
            self._open_at_first()
        return iter(self.subscriber)

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message. Asking for it acknowledges the previous one, as in the loop.

        Arguments:
            timeout: seconds to wait for it. Default: for ever.

        Returns:
            It; ``None`` when the time is over, or the room is stopped or closed.

        Raises:
            kchat.errors.BrokerError: see :meth:`kchat.client.subscriber.Subscriber.receive`.
        """
        if not self.stopped:
            self._open_at_first()
        return self.subscriber.receive_one(timeout)

    def acknowledge(self) -> None:
        """All messages that were received are done with: none of them comes again. In the thread that receives."""
        self.subscriber.acknowledge()

    def stop(self) -> None:
        """End the receiving loop or wait; returns at once. From any thread or a signal handler.

        The room stays open: one can still send, and what arrives is kept until it is opened again. Entering it, now
        or for the first time, ends with :class:`~kchat.errors.Closed`.
        """
        self.subscriber.stop()

    def close(self) -> None:
        """Leave: a loop in another thread ends, what is being sent is confirmed first. From any thread, harmless to repeat.

        Where the broker is away, a thread that is sending gets :class:`~kchat.errors.NotConfirmed`.
        """
        self._close(self.sender.close)

    def _close(self, close_sender: Callable[[], object]) -> None:
        # Before waiting for the threads that use it, so that they end.
        self._closes += 1
        self._state = _CLOSED
        self.subscriber.stop()
        if (presence := self._presence) is not None:
            presence.stop()
        try:
            close_sender()
        finally:
            # A thread that is opening it may have missed that.
            while not self._changing.acquire(timeout=_AGAIN):
                self.subscriber.stop()
            try:
                self._state = _CLOSED
                self.sender.close()
                self._close_presence()
                self.subscriber.close()
            finally:
                self._changing.release()
