"""What ``kchat subscribe`` says when it listens: a line that fits a terminal, and what the viewer has to know."""

from __future__ import annotations

COLUMNS = 80
"""Maximum width of a line on a terminal."""

_ENDS = "Ctrl+C ends"


def listening(where: str, notes: list[str], *, cut: bool) -> list[str]:
    """The line ``listening on chat at local:///home/ada/room.db (Ctrl+C ends)``, and what does not fit it, each on its own.

    Arguments:
        where: the room and the broker, without secrets.
        notes: what else the viewer has to know.
        cut: whether a line that is too long all the same ends in ``…``: on a terminal, and not in a log.

    Returns:
        The lines; they may hold text from others, as ``where`` does.
    """
    line = f"listening on {where}"
    for behind, left in ([*notes, _ENDS], []), ([_ENDS], notes), ([], notes):
        whole = f"{line} ({'; '.join(behind)})" if behind else line
        if _width(whole) <= COLUMNS:
            return [whole, *left]
    return [_cut(line) if cut else line, *notes]


def _width(line: str) -> int:
    if line.isascii():
        return len(line)
    from kchat.display.escaping import cautious_cells, width

    return width(line, cautious_cells)


def _cut(line: str) -> str:
    from kchat.display.escaping import cautious_cells, take_columns
    from kchat.message.unprintable import escape_unprintable

    return take_columns(escape_unprintable(line, keep_newlines=False), COLUMNS - 1, cautious_cells) + "…"
