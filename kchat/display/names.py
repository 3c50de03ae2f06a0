r"""The sender of a message, as displays show it: the one rule for verified and unverified names.

Anybody can write any username into a body; the account is what the broker has checked.

======================  =====================  ========================================
the broker has checked  the name is            shown
======================  =====================  ========================================
an account              the account's own      ``ada``
an account              another                ``ada (via guest)``
the viewer's own        another                ``ada``, as long as no other account writes: :class:`Names`
nothing                 any                    ``ada ?``, or ``ada`` where the broker checks nobody
nothing                 not there              ``?``
an account whose name   any                    ``ada (via \u0430da)``, ``ada (via ada\x20)``: the account with
looks like another                             escapes (:mod:`kchat.message.lookalikes`)
======================  =====================  ========================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kchat.display.escaping import NAME_WIDTH, cautious_cells, display_name, width
from kchat.message.lookalikes import is_own_name, spelled

if TYPE_CHECKING:
    from collections.abc import Callable

UNVERIFIED = " ?"
"""Follows a name that is not verified."""

NOT_CHECKED = "names are not checked here"
"""What is said once, instead of a mark after each name, where the broker checks nobody."""

REMARK_NOT_CHECKED = "names are not checked"
"""The same beside the title of a screen."""

_LEAST = 4
"""Columns that a shortened name keeps beside the account; with less room only the mark is shown."""


class Names:
    """The marks of a room's names, for one viewer.

    Where all share an account, a mark after each name says nothing. So the viewer's own account is left out, and that
    is said once: until the first message of any other account. From then on it is a mark like the others, since a name
    without a mark is taken for a verified one. Another's account is always shown, whoever uses it: whose it is, and
    who shares it, the viewer cannot know.

    Arguments:
        own: the viewer's account. Default none.
        mark_unverified: whether a name that the broker has not checked gets a mark. Default no.
        tell: called with a line that the viewer should read, safe for a terminal. Default: nobody is told.

    Attributes:
        left_out: whether marks are left out because all share the viewer's account; names are not checked then.
    """

    def __init__(
        self,
        own: str | None = None,
        *,
        mark_unverified: bool = False,
        tell: Callable[[str], object] = lambda text: None,  # noqa: ARG005 - nobody is told
    ) -> None:
        self.left_out = False
        self._own = own
        self._mark_unverified = mark_unverified
        self._tell = tell
        self._alone = True

    def is_shared(self, account: str | None) -> bool:
        """Whether it is the viewer's own, and nobody has used another one."""
        return self._alone and account is not None and account == self._own

    def meet(self, account: str | None) -> bool:
        """Note that an account writes here; True if names that were shown before have other marks from now on."""
        if not self._alone or account is None or account == self._own:
            return False
        self._alone = False
        if not self.left_out:
            return False
        self.left_out = False
        self._tell(f"not all share the account {_safe(self._own)}: from here on, names have marks")
        return True

    def mark(self, username: str | None, account: str | None) -> str:
        """What follows a name: empty if it is verified, or if nothing about it can be checked.

        Arguments:
            username: the name that the sender gave; None for no name.
            account: the account that the broker has checked; None for none.
        """
        behind = unverified_suffix(username, account, mark_unverified=self._mark_unverified)
        if not behind or not self.is_shared(account):
            return behind
        if not self.left_out:
            self.left_out = True
            self._tell(f"all share the account {_safe(account)}: names are not checked")
        return ""

    def sign(self, username: str | None, account: str | None, columns: int = 0) -> tuple[str, str]:
        """The name and its mark, both safe for a terminal; the mark is dim on terminals with colour.

        Arguments:
            username: see :meth:`mark`, as for ``account``.
            account: see there.
            columns: maximum width of both together; the mark is never truncated. Default: the width of two names.
        """
        return _fitted(username, self.mark(username, account), columns)


def signature(
    username: str | None, account: str | None, *, mark_unverified: bool, columns: int = 0
) -> tuple[str, str]:
    """As :meth:`Names.sign`, for a viewer without an account."""
    return _fitted(username, unverified_suffix(username, account, mark_unverified=mark_unverified), columns)


def unverified_suffix(username: str | None, account: str | None, *, mark_unverified: bool) -> str:
    """The mark of a name; empty if the name is the account's own, and nobody mistakes it for another."""
    if account is None:
        return UNVERIFIED if mark_unverified and username is not None else ""
    if username is not None and is_own_name(username, account):
        return ""
    return f" (via {display_name(spelled(account))})"


def _fitted(username: str | None, behind: str, columns: int) -> tuple[str, str]:
    if not columns:
        return display_name(username), behind
    taken = width(behind, cautious_cells)
    if behind and columns - taken < min(_LEAST, width(display_name(username), cautious_cells)):
        behind = UNVERIFIED if columns > len(UNVERIFIED) else ""
        taken = len(behind)
    return display_name(username, max(1, min(NAME_WIDTH, columns - taken))), behind


def _safe(account: str | None) -> str:
    return display_name(spelled(account or ""))
