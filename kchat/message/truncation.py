"""Truncates text and bodies that are too long to show, between characters, with a mark that has the whole size."""

from __future__ import annotations

LONGEST = 1 << 16
"""Maximum size of a message's text that is shown, in bytes of UTF-8."""


def truncation_mark(total: int) -> str:
    """The mark at the end of truncated text: ``… [cut: 16.0 MiB in all]``. The total is in bytes."""
    for unit, symbol in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if total >= unit:
            return f"… [cut: {total / unit:.1f} {symbol} in all]"
    return f"… [cut: {total} bytes in all]"


def truncate(text: str, max_bytes: int = LONGEST, *, total: int | None = None) -> str:
    """Truncate text that is too long.

    Arguments:
        text: the text.
        max_bytes: maximum size of the result in bytes of UTF-8, including the mark. Default :data:`LONGEST`.
        total: the size for the mark, in bytes, if the text is a part of something. Default the text's.
    """
    if len(text) * 4 <= max_bytes:
        return text
    whole = utf8_size(text)
    if whole <= max_bytes:
        return text
    ending = truncation_mark(whole if total is None else total)
    data = text[:max_bytes].encode("utf-8", "surrogatepass")
    end = max(0, max_bytes - len(ending.encode()))
    while end and data[end] & 0xC0 == 0x80:  # not through the middle of a character
        end -= 1
    return data[:end].decode("utf-8", "surrogatepass") + ending


def utf8_size(text: str) -> int:
    """Size of text in bytes of UTF-8; counted piece by piece, since encoding all at once could take a lot of memory."""
    if text.isascii():
        return len(text)
    return sum(
        len(text[i : i + LONGEST].encode("utf-8", "surrogatepass")) for i in range(0, len(text), LONGEST)
    )
