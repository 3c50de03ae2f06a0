"""Characters that no name, URL or option may hold, because they do something, or hide something, when they are shown."""

from __future__ import annotations

import re

_CONTROL = (
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def has_control(text: str) -> bool:
    """Whether there are characters in it that do something, or hide something, when they are shown."""
    # None of them is printable, and a look at that needs no expression compiled.
    return not text.isprintable() and re.search(_CONTROL, text) is not None
