r"""The sender of a message, as displays show it: the one rule for verified and unverified names.

Anybody can write any username into a body; the account is what the broker has checked.

======================  =====================  ========================================
the broker has checked  the name is            shown
======================  =====================  ========================================
an account              the account's own      ``ada``
the viewer's own        another                ``ada`` in lines, which scripts read; all share one account
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
"""Follows a name that is not verified."""

_LEAST = 4
"""Columns that a shortened name keeps beside the account; with less room only the mark is shown."""


def signature(
    username: str | None, account: str | None, *, mark_unverified: bool, columns: int = 0
) -> tuple[str, str]:
    """The name and its mark, both safe for a terminal; the mark is dim on terminals with colour.

    Arguments:
        username: the name that the sender gave; None for no name.
        account: the account that the broker has checked; None for none.
        mark_unverified: whether a name that the broker has not checked gets a mark.
        columns: maximum width of both together; the mark is never truncated. Default: the width of two names.
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
    """The mark of a name; empty if the name is the account's own, and nobody mistakes it for another."""
    if account is None:
        return UNVERIFIED if mark_unverified and username is not None else ""
    if username is not None and is_own_name(username, account):
        return ""
    return f" (via {display_name(spelled(account))})"
