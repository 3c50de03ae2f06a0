"""Which messages somebody wants: predicates, from a message to whether it is one of them.

Any function will do, as for :class:`~kchat.client.subscriber.Subscriber`::

    kchat.connect(where=all_of(matching("(?i)deploy"), none_of(sent_by("bot"))))

The commands' options become one by :func:`choose`.

Patterns may come from anybody, and what they are searched in comes from everybody. Python's ``re`` takes years for some
patterns of a dozen characters, so they are RE2's, which takes time in proportion to the text, whatever the pattern
(https://github.com/google/re2/wiki/WhyRE2). A pattern without special characters is a text to look for, and needs no RE2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kchat.errors import MissingExtra, SettingsError

if TYPE_CHECKING:
    from kchat.message import Message

Filter = Callable[["Message"], bool]
"""Whether a message is wanted. It is asked in the thread that receives."""

_SPECIAL = frozenset(r"\.^$*+?{}[]|()")
"""The characters that mean something else than themselves in a pattern."""

_SYNTAX = "https://github.com/google/re2/wiki/Syntax"


def all_of(*filters: Filter) -> Filter:
    """Messages that all of these filters let pass."""
    return lambda message: all(each(message) for each in filters)


def any_of(*filters: Filter) -> Filter:
    """Messages that at least one of these filters lets pass."""
    return lambda message: any(each(message) for each in filters)


def none_of(*filters: Filter) -> Filter:
    """Messages that none of these filters lets pass."""
    return lambda message: not any(each(message) for each in filters)


def sent_by(*usernames: str) -> Filter:
    """Messages under one of these names, exactly as they were sent, whoever used it: see :func:`is_verified`."""
    wanted = frozenset(usernames)
    return lambda message: message.username in wanted


def is_verified(message: Message) -> bool:
    """Messages whose username is the account's that sent it, by the broker's word. It is a filter itself, and makes none."""
    return message.verified


def is_mine(username: str, account: str | None = None) -> Filter:
    """Messages under one's own name, unless the broker says that another account sent them.

    Arguments:
        username: one's name.
        account: one's account. Others may use the same one, under other names. Default: none.
    """

    def mine(message: Message) -> bool:
        return message.username == username and (
            account is None or message.account is None or message.account == account
        )

    return mine


def matching(pattern: str) -> Filter:
    """Messages in whose text a regular expression is found; upper and lower case differ, unless it begins with ``(?i)``.

    Arguments:
        pattern: in RE2's syntax (https://github.com/google/re2/wiki/Syntax): like Python's, without what looks ahead or
            behind, and without backreferences.

    Raises:
        kchat.errors.SettingsError: it is not valid, or takes more memory than RE2 allows.
        kchat.errors.MissingExtra: RE2 is not installed, and the pattern has special characters.
    """
    if not _SPECIAL.intersection(pattern):
        return lambda message: pattern in message.text
    try:
        import re2
    except ImportError:
        raise MissingExtra(
            "patterns with special characters need a library that is not installed",
            hint='install it with: pip install "kombu-chat[filter]"',
        ) from None
    options = re2.Options()
    options.log_errors = False  # to standard error
    options.never_capture = True
    try:
        search = re2.compile(pattern, options).search
    except (re2.error, UnicodeEncodeError) as error:
        why = "not UTF-8" if isinstance(error, UnicodeEncodeError) else _text(error)
        raise SettingsError(
            f"the pattern {pattern!r} is not valid: {why}", hint=f"the syntax is RE2's: {_SYNTAX}"
        ) from None
    return lambda message: search(message.text) is not None


def _text(error: Exception) -> str:
    """What RE2 says, which comes as bytes."""
    what = error.args[0] if error.args else ""
    return what.decode("utf-8", "replace") if isinstance(what, bytes) else str(what)


def choose(
    *,
    usernames: Sequence[str] = (),
    patterns: Sequence[str] = (),
    inverted: bool = False,
    ignored: Filter | None = None,
    only_verified: bool = False,
) -> Filter | None:
    """The filter of the commands' options.

    Arguments:
        usernames: messages under one of these names. Default: under any.
        patterns: ... in which one of these is found. Default: with any text.
        inverted: the messages that these two leave out instead. What follows is not inverted.
        ignored: ... but none of these.
        only_verified: ... and only those whose username the broker has verified.

    Returns:
        The filter; ``None`` where every message is wanted.

    Raises:
        kchat.errors.SettingsError: there is nothing to invert, or a pattern is not valid: see :func:`matching`.
    """
    chosen: list[Filter] = []
    if usernames:
        chosen.append(sent_by(*usernames))
    if patterns:
        chosen.append(any_of(*map(matching, patterns)))
    if inverted:
        if not chosen:
            raise SettingsError(
                "there is nothing to invert", hint="name who or what should be left out, as well"
            )
        chosen = [none_of(all_of(*chosen))]
    if ignored is not None:
        chosen.append(none_of(ignored))
    if only_verified:
        chosen.append(is_verified)
    if not chosen:
        return None
    return chosen[0] if len(chosen) == 1 else all_of(*chosen)
