r"""Who said it, for people: the one rule by which a display tells what the broker vouches for.

Anybody can claim any username in a body; the account is what the broker has checked.

======================  =====================  ========================================
the broker has checked  the name is            shown
======================  =====================  ========================================
an account              the account's own      ``ada``
the looker's own        another                ``ada`` in lines, which scripts read; it is one account for all
an account              another                ``ada (via guest)``
nothing                 any                    ``ada ?``, or ``ada`` without ``mark_unverified``
nothing                 not there              ``?``
an account whose name   any                    ``ada (via \u0430da)``, ``ada (via ada\x20)``: the account with
looks like another                             escapes (:mod:`kchat.message.lookalikes`)
======================  =====================  ========================================
"""

from __future__ import annotations

from kchat.display.escaping import NAME_WIDTH, cautious_cells, display_name, width
from kchat.message.lookalikes import is_own_name, spelled

UNVERIFIED = " ?"
"""Behind a name that nobody vouches for."""

_LEAST = 4
"""Columns that a shortened name keeps beside the account; with less room there is only the doubt."""


def signature(
    username: str | None, account: str | None, *, mark_unverified: bool, columns: int = 0
) -> tuple[str, str]:
    """The name and what is behind it, both safe for a terminal; the latter is shown dim where there is colour.

    Arguments:
        username: what the sender claims; None for nobody.
        account: what the broker vouches for; None for nothing.
        mark_unverified: whether a name that nobody vouches for gets a mark.
        columns: the most that both may take together; what is behind the name is never cut off. Default: as much as
            two names take.
    """
    behind = unverified_suffix(username, account, mark_unverified=mark_unverified)
    if not columns:
        return display_name(username), behind
    taken = width(behind, cautious_cells)
    if behind and columns - taken < min(_LEAST, width(display_name(username), cautious_cells)):
        behind = UNVERIFIED if columns > len(UNVERIFIED) else ""
        taken = len(behind)
    return display_name(username, max(1, min(NAME_WIDTH, columns - taken))), behind


def unverified_suffix(username: str | None, account: str | None, *, mark_unverified: bool) -> str:
    """What has to be said behind a name; nothing where the name is the account's own, and nobody takes it for another."""
    if account is None:
        return UNVERIFIED if mark_unverified and username is not None else ""
    if username is not None and is_own_name(username, account):
        return ""
    return f" (via {display_name(spelled(account))})"
