"""What stands between here and a room: a walk from the settings to a message's round trip, one check after the other.

The checks are the transports' (:mod:`kchat.transports.checks`); those that transports share are :data:`STEPS`. Nothing that
a check does is seen in the room, unless :attr:`Options.send_test` asks for it, and nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING

from kchat.doctor import network
from kchat.doctor.walk import Walk
from kchat.errors import Hint, KchatError
from kchat.transports.checks import Check, Options, Outcome, Status, ok, skipped, wrong
from kchat.transports.tls import check_files

if TYPE_CHECKING:
    from kchat.config.settings import Settings

__all__ = ["STEPS", "Finding", "Options", "Outcome", "Status", "diagnose"]


@dataclass(frozen=True)
class Finding(Outcome):
    """An outcome, and the check that it belongs to.

    Attributes:
        check: the check's name, such as ``tcp``.
        broker: the broker, safe to show.
        seconds: how long the check took.
    """

    check: str = ""
    broker: str = ""
    seconds: float = 0.0


def diagnose(settings: Settings, options: Options | None = None) -> Iterator[Finding]:
    """Check the way to the room, on each of its brokers in turn.

    Arguments:
        settings: the room and its brokers.
        options: what to check. Default :class:`Options`.

    Yields:
        A finding for each check, as it is made.

    Raises:
        kchat.errors.SettingsError: the keyring does not give the password.
    """
    settings = settings.unlocked()
    for broker in settings.brokers:
        walk = Walk(replace(settings, brokers=(broker,)), options or Options())
        try:
            yield from _run(walk, broker.transport.checks(walk))
        finally:
            walk.close()


def _run(walk: Walk, checks: Sequence[Check]) -> Iterator[Finding]:
    unmet: dict[str, str] = {}
    for check in checks:
        started = monotonic()
        missing = next((unmet[need] for need in check.needs if need in unmet), None)
        if missing is not None:
            unmet[check.name] = missing
            outcome = skipped(f"not reached: {missing} comes first")
        elif check.only is not None and walk.options.only not in (None, check.only):
            outcome = skipped("not asked for")
        else:
            try:
                with walk.explained("do that"):
                    outcome = STEPS[check.name](walk) if check.run is None else check.run()
            except KchatError as error:
                outcome = wrong(str(error), error.hint)
            if outcome.status is Status.WRONG:
                unmet[check.name] = check.name
        text = outcome.text.replace(f"{walk.broker}: ", "")  # shown once, above the findings
        seconds = round(monotonic() - started, 3)
        yield Finding(outcome.status, text, Hint(outcome.hint), check.name, str(walk.broker), seconds)


def _settings(walk: Walk) -> Outcome:
    """The settings are valid, and the transport's driver is installed."""
    walk.settings.transport.require()
    if walk.broker.encrypted:
        check_files(walk.settings.tls)
    return ok(str(walk.settings))


def _connect(walk: Walk) -> Outcome:
    """The broker can be reached."""
    if walk.failure is not None:
        raise walk.failure
    return ok("connected")


def _round_trip(walk: Walk) -> Outcome:
    """A message sent comes back; an account for one of the two cannot do that."""
    if walk.options.only is not None and not walk.options.send_test:
        return skipped("not asked for")
    return walk.round_trip()


STEPS: Mapping[str, Callable[[Walk], Outcome]] = {
    "settings": _settings,
    "dns": network.dns,
    "tcp": network.tcp,
    "tls": network.tls,
    "connect": _connect,
    "round trip": _round_trip,
}
"""The checks that a transport names without having them."""
