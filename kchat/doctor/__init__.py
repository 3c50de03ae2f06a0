"""What stands between here and a room: a walk from the settings to a message's round trip, step by step.

Each transport has a module with a class ``Walk``, which holds what the steps have in common, and ``CHECKS``, the steps
in order. Nothing that a step does is seen in the room, unless :attr:`Options.send_test` asks for it, and nothing is left
behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, Protocol

from kchat.errors import KchatError

if TYPE_CHECKING:
    from kchat.config.settings import Broker, Settings

_WALKS = {
    "local": "kchat.transports.local.checks",
    "amqp": "kchat.transports.amqp.checks",
    "redis": "kchat.transports.redis.checks",
    "pubsub": "kchat.transports.pubsub.checks",
    "memory": "kchat.doctor.memory",
}


class Status(StrEnum):
    """How a step went."""

    OK = "ok"
    NOTE = "note"
    """Works, and there is something that one should know."""
    WRONG = "wrong"
    SKIPPED = "skipped"
    """Not looked at: it does not apply, it cannot be seen from here, or an earlier step is wrong."""


@dataclass(frozen=True)
class Outcome:
    """What a step found.

    Attributes:
        status: how it went.
        text: what was found, one line, without secrets. It may hold text that came from a broker.
        hint: what to do about it; empty for nothing.
    """

    status: Status
    text: str
    hint: str = ""


def ok(text: str) -> Outcome:
    """All is well."""
    return Outcome(Status.OK, text)


def note(text: str, hint: str = "") -> Outcome:
    """Works, but."""
    return Outcome(Status.NOTE, text, hint)


def wrong(text: str, hint: str = "") -> Outcome:
    """Does not work."""
    return Outcome(Status.WRONG, text, hint)


def skipped(text: str) -> Outcome:
    """Not looked at, and why."""
    return Outcome(Status.SKIPPED, text)


@dataclass(frozen=True)
class Finding(Outcome):
    """An outcome, with the step that it is of.

    Attributes:
        check: the step's name, such as ``tcp``.
        broker: the broker, safe to show.
        seconds: how long the step took.
    """

    check: str = ""
    broker: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Options:
    """What to look at.

    Attributes:
        only: what the account is there for; ``send`` or ``subscribe`` leaves the rights for the other out.
        send_test: make the round trip in the room itself, where everybody sees the message.
        management_url: of RabbitMQ's management API. Default: where it usually is, but the account's password is sent there
            only on this machine.
    """

    only: Literal["send", "subscribe"] | None = None
    send_test: bool = False
    management_url: str | None = None


class Walk(Protocol):
    """What the steps of one transport have in common."""

    def __init__(self, settings: Settings, options: Options) -> None:
        """For one broker: the settings name no other."""

    def close(self) -> None:
        """Close what the steps have opened."""


@dataclass(frozen=True)
class Check:
    """One step.

    Attributes:
        name: one word.
        run: does it; a :class:`~kchat.errors.KchatError` is something that is wrong.
        needs: the steps without which this one says nothing.
    """

    name: str
    run: Callable[[Any], Outcome]
    needs: tuple[str, ...] = ()


def diagnose(settings: Settings, options: Options | None = None) -> Iterator[Finding]:
    """Walk to the room, on each of the brokers in turn.

    Arguments:
        settings: the room and its brokers.
        options: what to look at. Default :class:`Options`.

    Yields:
        A finding for each step, as it is made.
    """
    for broker in settings.brokers:
        module = import_module(_WALKS[broker.transport.name])
        walk = module.Walk(replace(settings, brokers=(broker,)), options or Options())
        try:
            yield from _take(walk, module.CHECKS, broker)
        finally:
            walk.close()


def driver(walk: Any) -> Outcome:
    """The first step of all: the settings make sense, and the transport's driver is installed."""
    settings: Settings = walk.settings
    settings.transport.require()
    if settings.broker.encrypted:
        settings.tls.check_files()
    return ok(str(settings))


def _take(walk: Walk, checks: Sequence[Check], broker: Broker) -> Iterator[Finding]:
    where = str(broker)
    unmet: dict[str, str] = {}
    for check in checks:
        started = monotonic()
        missing = next((unmet[need] for need in check.needs if need in unmet), None)
        if missing is not None:
            unmet[check.name] = missing
            outcome = skipped(f"not reached: {missing} comes first")
        else:
            try:
                outcome = check.run(walk)
            except KchatError as error:
                outcome = wrong(str(error).removeprefix(f"{where}: "), error.hint)
            if outcome.status is Status.WRONG:
                unmet[check.name] = check.name
        yield Finding(
            outcome.status, outcome.text, outcome.hint, check.name, where, round(monotonic() - started, 3)
        )
