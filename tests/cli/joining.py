"""What guests do with an invitation, and what is in it."""

from __future__ import annotations

from kchat.hosting.invitation import Invitation
from tests.brokers.processes import Commands, Result


def joined(guests: Commands, line: str, *arguments: str) -> Result:
    result = guests.run_kchat("join", "--yes", *arguments, "-", stdin=line + "\n")
    assert result.code == 0, result.stderr
    return result


def password_of(line: str) -> str:
    password = Invitation.decode(line).password
    assert password
    return password
