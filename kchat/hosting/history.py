"""The host's side of a room's history: switched on and off, cleared, looked at; and read from its beginning to its end.

What it is on a broker is in :mod:`kchat.transports.history`. For brokers where a room keeps its history by itself, or
cannot keep any, everything here is refused.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from kchat import errors
from kchat.client.connection import broker_errors, connect
from kchat.client.ending import Ending
from kchat.client.subscriber_connection import as_bytes, is_redelivered
from kchat.message import Message
from kchat.transports.history import KEEP, MAX_SIZE, Begin, HistoryStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kchat.config.settings import Broker, Settings
    from kchat.transports import protocols
    from kchat.transports.history import HistoryPolicy

_WAIT = 1.0
"""Seconds of one wait for what is known to be there; a reader says itself when nothing comes any more."""

_PAGE = 250


class Limits(NamedTuple):
    """Of a room's history.

    Attributes:
        keep: seconds that messages are kept.
        max_size: in bytes; ``None`` where there is no such limit.
    """

    keep: float
    max_size: int | None


def switch_on(
    settings: Settings,
    *,
    keep: float | None = None,
    max_size: int | None = None,
    management_url: str | None = None,
) -> Limits:
    """Keep what is sent to the room from now on; where it is kept already, with other limits.

    Arguments:
        settings: the room, by the account of its host.
        keep: seconds, at least one. Default: as it is; a week where the history is not on yet.
        max_size: bytes. Default: as it is; 64 MiB where the history is not on yet.
        management_url: of the broker's management API, where it has one. Default: the broker's own place for it, where
            the password goes there encrypted or stays on this machine.

    Returns:
        The limits that hold from now on.

    Raises:
        kchat.errors.SettingsError: ``keep`` is less than a second; or a room keeps its history by itself there, or cannot
            keep any.
        kchat.errors.NotAuthorised: the account has not all rights that it takes.
        kchat.errors.Refused: the broker cannot, or not with these limits.
        kchat.errors.BrokerError: anything else between here and the room.
    """
    if keep is not None and keep < 1:
        raise errors.SettingsError(
            "a history keeps messages for a second at least", hint="choose a longer time"
        )
    with _host(settings, management_url, "switch a history on") as (policy, connection):
        if keep is None or (max_size is None and policy.by_size):
            found = policy.status(connection) or HistoryStatus(0)
            keep, max_size = keep or found.keep, max_size or found.max_size
        keep, max_size = keep or KEEP, max_size or MAX_SIZE
        policy.switch_on(connection.channel(), keep=keep, max_size=max_size)
        return Limits(keep, max_size if policy.by_size else None)


def check_off(settings: Settings) -> None:
    """Refuse what can be known without asking the broker: errors as of :func:`switch_off`."""
    _policy(settings).check_off()


def check_clear(settings: Settings) -> None:
    """Refuse what can be known without asking the broker: errors as of :func:`clear`."""
    _policy(settings).check_clear()


def switch_off(settings: Settings, *, management_url: str | None = None) -> bool:
    """Keep nothing from now on, and forget what was kept. Arguments and errors as of :func:`switch_on`.

    Returns:
        Whether it was on.
    """
    with _host(settings, management_url, "switch a history off") as (policy, connection):
        if not _is_on(policy, connection):
            return False
        policy.switch_off(connection.channel())
        return True


def clear(settings: Settings, *, management_url: str | None = None) -> bool:
    """Forget what was kept, and go on. Arguments and errors as of :func:`switch_on`.

    Returns:
        Whether it is on.
    """
    with _host(settings, management_url, "clear a history") as (policy, connection):
        if not _is_on(policy, connection):
            return False
        policy.clear(connection.channel())
        return True


def status(settings: Settings, *, management_url: str | None = None) -> HistoryStatus | None:
    """What is kept; ``None`` where it is off. Arguments and errors as of :func:`switch_on`; a member may ask, too."""
    with _host(settings, management_url, "read its history") as (policy, connection):
        return policy.status(connection)


def read(
    settings: Settings,
    *,
    last: int | None = None,
    since: float | None = None,
    until: float | None = None,
    stopping: Callable[[], bool] = bool,
) -> Iterator[Message]:
    """What the room's history holds, in its order, up to now. Whoever may listen may read it.

    Arguments:
        settings: the room and its broker.
        last: number of messages, the newest ones: of those before ``until``, too. Default: all.
        since: only what came to the broker from then on, in UNIX seconds. Default: all.
        until: only what came before that, likewise. Default: all that is there.
        stopping: true ends it. Default: nothing does.

    Yields:
        The messages.

    Raises:
        kchat.errors.SettingsError: the room has no history that can be read like that, or it ends before it begins.
        kchat.errors.NotAuthorised: the account may not read it.
        kchat.errors.BrokerError: anything else between here and the room.
    """
    Ending(until).check(last=last, since=since, durable=None)
    policy = _policy(settings)
    if not policy.beside:
        yield from _listened(settings, last, since, until, stopping)
        return
    with _connected(settings, "read its history") as (connection, broker):
        with _reading(broker):
            end = policy.newest(connection)
        if end is None:
            raise off(settings)
        if until is not None:
            end = policy.position_at(connection, until, end)
        begin = Begin(last=last, since=None if last is not None else since or 0.0)
        first = None
        if last is not None and since is not None:
            first = policy.position_at(connection, since, end)
        reader = policy.reader(connection, begin, end)
        verifies = _verifies(settings, connection)

        events = partial(connection.transport.drain_events, connection.connection)

        def drain(timeout: float | None) -> bool:
            try:
                events(timeout=timeout)
            except TimeoutError:
                return False
            return True

        try:
            while not (reader.done or stopping()):
                for delivery, position in reader.read(drain, _WAIT, _PAGE):
                    if first is None or position > first:
                        yield _message(delivery, settings.room if verifies else None)
        finally:
            with broker_errors(broker, "read its history"):
                reader.close()


def off(settings: Settings) -> errors.SettingsError:
    """The error that says that a room has no history."""
    return errors.SettingsError(
        f"{settings} has no history: its host has not switched it on",
        hint="its host switches it on with: kchat history on",
    )


@contextmanager
def _reading(broker: Broker) -> Iterator[None]:
    try:
        with broker_errors(broker, "read its history"):
            yield
    except errors.NotAuthorised as error:
        error.hint = error.hint or errors.Hint(
            "an account that may only send reads nothing: ask the room's host for one that may listen, too"
        )
        raise


def _message(delivery: Any, room: str | None) -> Message:
    body = delivery.body
    return Message.from_body(
        body if isinstance(body, bytes) else as_bytes(body),
        account=None if room is None else delivery.account(room),
        redelivered=is_redelivered(delivery),
    )


def _verifies(settings: Settings, connection: protocols.Connection) -> bool:
    driver = connection.connection
    if settings.transport.verifies_accounts and hasattr(driver, "verifies_accounts"):
        return cast("protocols.Verifies", driver).verifies_accounts
    return settings.transport.verifies_accounts


def _listened(
    settings: Settings,
    last: int | None,
    since: float | None,
    until: float | None,
    stopping: Callable[[], bool],
) -> Iterator[Message]:
    """What a queue begins with, where that is the history."""
    from kchat.client.subscriber import Subscriber

    if last is None and since is None:
        since = 0.0
    with Subscriber(settings, last=last, since=since, until=until, follow=False) as subscriber:
        while not stopping() and (messages := subscriber.receive()):
            yield from messages
            subscriber.acknowledge()


def _is_on(policy: HistoryPolicy, connection: protocols.Connection) -> bool:
    """Whether it is; where that is not known, it may be."""
    return policy.is_on(connection) is not False


def _policy(settings: Settings) -> HistoryPolicy:
    """What the room's history is, where its host may switch it on."""
    transport = settings.transport
    if not transport.capabilities.history:
        raise errors.SettingsError(
            f"a room on {transport.name} cannot keep a history",
            hint="kchat transports shows which brokers can",
        )
    policy = transport.history(settings.room)
    if not (policy.by_host or policy.limits_by_host):
        raise errors.SettingsError(
            f"a room on {transport.name} keeps its history by itself: nobody has to switch it on",
            hint="begin with it by {last} or {since}",
        )
    return policy


@contextmanager
def _host(
    settings: Settings, management_url: str | None, doing: str
) -> Iterator[tuple[HistoryPolicy, protocols.Connection]]:
    policy = _policy(settings)
    settings = settings.unlocked()
    guests = settings.transport.guests
    if guests.makes_accounts and settings.broker.account is not None:
        management = guests.management(settings, management_url)
        if management_url is not None or not management.in_clear:
            policy.administer(management, settings.broker)
    try:
        with _connected(settings, doing) as (connection, _):
            yield policy, connection
    except errors.NotAuthorised as error:
        error.hint = error.hint or errors.Hint(policy.needs)
        raise


@contextmanager
def _connected(settings: Settings, doing: str) -> Iterator[tuple[protocols.Connection, Broker]]:
    connection, broker = connect(settings, purpose="history")
    try:
        with broker_errors(broker, doing):
            yield connection, broker
    finally:
        broker.transport.close(connection)
