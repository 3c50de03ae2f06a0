"""Which of RabbitMQ's policies hold for a queue, and which of them take messages from a subscriber."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kchat.transports.checks import Outcome, note, ok

if TYPE_CHECKING:
    from .management import Management

_LONGEST_PATTERN = 1000
_MOST_STEPS = 50_000_000
"""Of Python's search for a pattern, which tries every way to match: about a second."""

_NO_CHOICE = re.compile(r"\\.|\(\?")
_REPEATED_GROUP = re.compile(r"\)[*+{]").search

_LIMITS = {"message-ttl": 60_000, "max-length": 1_000, "max-length-bytes": 1 << 20, "expires": 60_000}
"""Below these (milliseconds, messages, bytes) a policy takes messages from subscribers that are only a little slow."""


def check(api: Management, vhost: str, queue: str) -> Outcome:
    """What policies do to a queue. They are asked for and not the queue: what RabbitMQ says of a queue is seconds old.

    Raises:
        kchat.errors.KchatError: they cannot be read.
    """
    applied, untried = applying(api, vhost, queue, "classic_queues")
    text = f"{' and '.join(repr(each.get('name')) for each in applied) or 'none'} on subscribers' queues"
    tight = [rule for each in applied for rule in _tight(each.get("definition"))]
    if tight:
        return note(
            f"{text}: {', '.join(tight)}", "a subscriber that is slow or away for a moment misses messages"
        )
    if untried:
        return note(
            f"{text}; not known of {' and '.join(untried)}, whose pattern was not tried",
            "give the policy a simpler pattern",
        )
    return ok(text)


def applying(api: Management, vhost: str, queue: str, kind: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The policies that hold for a queue, the operator's last; and the names of those that may or may not hold for it.

    Arguments:
        api: of the broker.
        vhost: the queue's.
        queue: its name.
        kind: ``classic_queues`` or ``streams``, as newer releases of RabbitMQ tell them apart.

    Raises:
        kchat.errors.KchatError: they cannot be read.
    """
    applied: list[dict[str, Any]] = []
    untried: list[str] = []
    for path in ("policies", "operator-policies"):  # of each kind one at most holds for a queue
        fitting = [(each, _fits(each, queue, kind)) for each in api.get_objects(path, vhost)]
        untried += [repr(each.get("name")) for each, fits in fitting if fits is None]
        applied += sorted((each for each, fits in fitting if fits), key=_priority, reverse=True)[:1]
    return applied, untried


def _priority(policy: dict[str, Any]) -> int:
    number = policy.get("priority")
    return number if isinstance(number, int) else 0


def _fits(policy: dict[str, Any], queue: str, kind: str) -> bool | None:
    """Whether a policy is for a queue of that name; ``None`` where its pattern is not tried, as that may take for ever."""
    pattern = policy.get("pattern")
    if policy.get("apply-to") not in ("all", "queues", kind) or not isinstance(pattern, str):
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
    found = [
        f"{key} {rules[key]}"
        for key, least in _LIMITS.items()
        if isinstance(rules.get(key), int) and rules[key] < least
    ]
    if rules.get("overflow", "drop-head") != "drop-head":
        found.append(f"overflow {rules['overflow']}")
    return found
