"""What only RabbitMQ's management tells: policies, and the broker's clock. Where it cannot be reached, it is not missed."""

from __future__ import annotations

import http.client
import re
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kchat import errors
from kchat.doctor import Outcome, note, ok, skipped, wrong
from kchat.transports.amqp.management import PORT_OFFSET
from kchat.transports.amqp.timed_http import TimedConnection

if TYPE_CHECKING:
    from kchat.doctor.amqp import Walk

_CLOCK_TIMEOUT = 1.0
"""Seconds: the management is seldom reachable from elsewhere, and nobody wants to wait for that."""

_ODD, _WRONG = 5.0, 60.0
"""Seconds of difference: from where on times look odd, and from where on something is wrong with a clock."""

_LONGEST_PATTERN = 1000
_MOST_STEPS = 50_000_000
"""Of Python's search for a pattern, which tries every way to match: about a second."""

_NO_CHOICE = re.compile(r"\\.|\(\?")
_REPEATED_GROUP = re.compile(r"\)[*+{]").search

_LIMITS = {"message-ttl": 60_000, "max-length": 1_000, "max-length-bytes": 1 << 20, "expires": 60_000}
"""Below these (milliseconds, messages, bytes) a policy takes messages away from subscribers that are only a little slow."""


def policy(walk: Walk) -> Outcome:
    """No policy takes messages from a subscriber's queue.

    The policies are asked for and not the queue: what RabbitMQ tells of a queue is seconds old.
    """
    if walk.options.management_url is None and not walk.loopback:
        return skipped("the account's password goes to the management API only if --management-url names it")
    try:
        api = walk.settings.transport.guests.management(walk.settings, walk.options.management_url)
        policies = [api.get_objects(kind, walk.broker.vhost) for kind in ("policies", "operator-policies")]
    except errors.KchatError as error:
        return skipped(f"policies cannot be seen: {str(error).removeprefix(f'{walk.broker}: ')}")
    applied = [found for each in policies if (found := _applied(each, walk.queue)) is not None]
    unknown = [
        repr(each.get("name")) for kind in policies for each in kind if _fits(each, walk.queue) is None
    ]
    text = f"{' and '.join(repr(each.get('name')) for each in applied) or 'none'} on subscribers' queues"
    tight = [rule for each in applied for rule in _tight(each.get("definition"))]
    if tight:
        return note(
            f"{text}: {', '.join(tight)}", "a subscriber that is slow or away for a moment misses messages"
        )
    if unknown:
        return note(
            f"{text}; not known of {' and '.join(unknown)}, whose pattern was not tried",
            "give the policy a simpler pattern",
        )
    return ok(text)


def _applied(policies: list[dict[str, Any]], queue: str) -> dict[str, Any] | None:
    """The one of these policies that holds for a queue: the first by priority whose pattern fits."""
    return max((each for each in policies if _fits(each, queue)), key=_priority, default=None)


def _priority(policy: dict[str, Any]) -> int:
    number = policy.get("priority")
    return number if isinstance(number, int) else 0


def _fits(policy: dict[str, Any], queue: str) -> bool | None:
    """Whether a policy is for a queue of that name; ``None`` where its pattern is not tried, as that may take for ever."""
    pattern = policy.get("pattern")
    if policy.get("apply-to") not in ("all", "queues", "classic_queues") or not isinstance(pattern, str):
        return False
    if len(pattern) > _LONGEST_PATTERN or _takes_long(pattern, queue):
        return None
    try:
        return re.search(pattern, queue) is not None
    except (re.error, RecursionError, OverflowError):  # Erlang's and Python's differ in the rare
        return None


def _takes_long(pattern: str, queue: str) -> bool:
    """Whether looking for a pattern may take for ever; few do, and those are hardly ever meant."""
    choices = _NO_CHOICE.sub("", pattern)
    repeats = sum(map(choices.count, "*+{"))
    either = sum(map(choices.count, "?|"))
    steps = len(queue) ** (1 + repeats) * 2**either
    return steps > _MOST_STEPS or _REPEATED_GROUP(choices) is not None


def _tight(rules: object) -> list[str]:
    if not isinstance(rules, dict):
        return []
    found = [f"{key} {rules[key]}" for key, least in _LIMITS.items() if _below(rules.get(key), least)]
    if rules.get("overflow", "drop-head") != "drop-head":
        found.append(f"overflow {rules['overflow']}")
    return found


def _below(value: object, least: int) -> bool:
    return isinstance(value, int) and value < least


def clock(walk: Walk) -> Outcome:
    """The broker's clock and this one agree. The answer's date is asked for without an account."""
    url = urlsplit(walk.options.management_url or _default_url(walk))
    tls = walk.settings.tls if url.scheme == "https" else None
    try:
        with closing(
            TimedConnection(url.hostname or "", url.port, tls=tls, timeout=_CLOCK_TIMEOUT)
        ) as connection:
            connection.request("HEAD", "/")
            date = connection.getresponse().getheader("Date")
            theirs = parsedate_to_datetime(date or "")
            apart = (datetime.now(UTC) - theirs).total_seconds()
    except (OSError, http.client.HTTPException, ValueError, TypeError, ArithmeticError):
        return skipped(f"no date from {url.scheme}://{url.netloc}")
    text = f"this clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} the broker's"
    if abs(apart) < _ODD:
        return ok("the same as the broker's")
    if abs(apart) < _WRONG:
        return note(text, "the times of messages look odd")
    return wrong(
        text, "set the clock that is wrong: messages bear their sender's time, certificates have dates"
    )


def _default_url(walk: Walk) -> str:
    host = f"[{walk.host}]" if ":" in walk.host else walk.host
    # Also beside TLS the management is mostly without it, and nothing secret is said.
    port = 15672 if walk.broker.encrypted else walk.port + PORT_OFFSET
    return f"http://{host}:{min(port, 65535)}"
