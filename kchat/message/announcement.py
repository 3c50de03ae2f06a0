"""What people in a room tell each other about who is here: :class:`Announcement`, with its only encoder and decoder.

It is no message: it never travels through the room (:class:`kchat.transports.presence.PresencePolicy` says by what). The
body is a JSON object in UTF-8::

    {"presence":"here","session":"8c1f04d2a9b3","username":"ada","lasts":55.0,"asks":true,
     "count":3,"others":[["bob","5a20c4e177f0",41.2,false]]}

=============  ============================================================================================
key            value
=============  ============================================================================================
``presence``   ``here``; ``gone``, of one who leaves; ``ask`` and ``list``, of one who asks or answers and does not count
``session``    the sender's; a person may have several, such as two windows
``username``   the name, of one who is here
``lasts``      seconds that it holds: without another one by then, the sender is gone
``asks``       others should say that they are here
``count``      how many are here as far as the sender knows, itself included; not there if it does not tell
``others``     up to 20 of them, each with name, session, the seconds that it holds on, and whether the broker says that its
               account is the sender's own: that, the sender could have said in its name
=============  ============================================================================================

No times of a clock: two machines need not agree on it. Anybody may write anything there, so a body is bounded in all that it
holds, and one that breaks a bound is refused as a whole.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

from kchat.message.control import has_control

HERE, GONE, ASK, LIST = "here", "gone", "ask", "list"

LARGEST = 16 * 1024
"""Bytes of a body that is read."""

MOST_OTHERS = 20
"""Names in one announcement, besides the sender's."""

LONGEST = 58.0
"""Seconds that an announcement holds at the most: a person who vanished is gone after that: within a minute, two
seconds for the way included."""

MOST_PEOPLE = 1_000
"""People that are counted one by one."""

_LONGEST_NAME = 255  # bytes, as kchat's own names: kchat.config.validation
_LONGEST_SESSION = 32


class Other(NamedTuple):
    """Somebody else who is here, as the sender has heard; the module's docstring has the meaning of each."""

    username: str
    session: str
    lasts: float
    same_account: bool = False


class Announcement(NamedTuple):
    """What somebody says about who is here; the module's docstring has the meaning of each.

    ``username`` is empty where there is none, ``count`` is below 0 where it does not tell.
    """

    presence: str
    session: str
    username: str = ""
    lasts: float = 0.0
    asks: bool = False
    count: int = -1  # type: ignore[assignment]  # a tuple has a method of that name
    others: tuple[Other, ...] = ()

    def encode(self) -> bytes:
        """The bytes on the wire."""
        said: dict[str, object] = {"presence": self.presence, "session": self.session}
        if self.username:
            said["username"] = self.username
        if self.presence == HERE:
            said["lasts"] = round(self.lasts, 1)
        if self.asks:
            said["asks"] = True
        if self.count >= 0:
            said["count"] = self.count
            said["others"] = [
                [each.username, each.session, round(each.lasts, 1), each.same_account]
                for each in self.others[:MOST_OTHERS]
            ]
        return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, body: bytes) -> Announcement | None:
        """What a body says; ``None`` where it is not an announcement."""
        if len(body) > LARGEST:
            return None
        try:
            said = json.loads(body)
            return _read(said) if isinstance(said, dict) else None
        except (ValueError, OverflowError, RecursionError):
            return None


def _read(said: dict[str, Any]) -> Announcement:
    """Raises ValueError where it is not an announcement."""
    presence = said.get("presence")
    if presence not in (HERE, GONE, ASK, LIST):
        raise ValueError("not an announcement")
    count = said.get("count", -1)
    others = said.get("others", [])
    if type(count) is not int or type(others) is not list or len(others) > MOST_OTHERS:
        raise ValueError("not a list of people")
    here = presence == HERE
    return Announcement(
        presence,
        _session(said.get("session")),
        _name(said.get("username")) if here else "",
        _seconds(said.get("lasts")) if here else 0.0,
        said.get("asks") is True or presence == ASK,
        max(-1, min(count, MOST_PEOPLE + 1)),
        tuple(_other(each) for each in others) if count > 0 else (),
    )


def _other(said: object) -> Other:
    if type(said) is not list or len(said) != 4:
        raise ValueError("not a person")
    return Other(_name(said[0]), _session(said[1]), _seconds(said[2]), said[3] is True)


def _name(said: object) -> str:
    # encode() raises ValueError on a lone surrogate.
    if type(said) is not str or not said.strip() or has_control(said) or len(said.encode()) > _LONGEST_NAME:
        raise ValueError("not a name")
    return said


def _session(said: object) -> str:
    if (
        type(said) is not str
        or not 0 < len(said) <= _LONGEST_SESSION
        or not (said.isascii() and said.isalnum())
    ):
        raise ValueError("not a session")
    return said


def _seconds(said: object) -> float:
    if type(said) not in (int, float) or not math.isfinite(said):  # type: ignore[arg-type]  # it is a number
        raise ValueError("not a number of seconds")
    return max(0.0, min(float(said), LONGEST))  # type: ignore[arg-type]  # likewise
