"""Masks passwords in everything that is shown, wherever they were typed: one mechanism for every error and line."""

from __future__ import annotations

import re

_SECRETS = re.compile(
    r"""
    # The user information of a URL, also of one with a colon or a slash too few, its colons and slashes as they are or
    # escaped: to the last @, as a password that was not escaped may have an @, a space or a quote in it.
    (?P<before> (?: :// | %3A%2F%2F | (?: (?<=\w):/ | // )(?=[^\s/@]*:.*@) ) [^\s/:@\[]*? (?: : | %3A ))
    (?! \*\*\* (?: @ | %40 ) )
    (?! [0-9]{1,5} (?: /(?: (?!%40)[^\s@] )* )? [^\w\s@/]* (?: \s | $ ) )  # a host's port, and words behind it
    .+
    (?P<at> @ | %40 )
    # An invitation, which has a password in it; it may be in several lines.
    | (?P<scheme> kchat:// \d+\. ) [\w-]+ (?: \s+ [\w-]{20,} )*
    """,
    re.VERBOSE | re.IGNORECASE,
)


def mask(text: str) -> str:
    """Replace the passwords of URLs, and the contents of invitations, by ``***``, in each line separately.

    Of a mistyped URL, rather too little is left than its password.
    """
    if "//" not in text and ":/" not in text and "%2f%2f" not in text.lower():
        return text
    return _SECRETS.sub(_masked, text)


def holds_password(text: str) -> bool:
    """Whether the text has a password that :func:`mask` hides."""
    return mask(text) != text


def _masked(found: re.Match[str]) -> str:
    if found["scheme"]:
        return f"{found['scheme']}***"
    return f"{found['before']}***{found['at']}"
