"""What a bridge between two brokers adds to a message: where it came from, and whose it was there.

The account that the first broker has checked goes into the body, as its last key::

    {"username":"ada","message":"Hello",...,"bridged":{"account":"ada"}}

Nothing else of the body changes, and nothing changes it again on the way over a second bridge. So whoever bridges a message
makes the same bytes of it, and :func:`without_account` gives those that were sent: by these a repeat is recognised.

The rooms where a message has been travel beside the body, in the header :data:`HEADER`, since any bytes may be a body.
"""

from __future__ import annotations

import json

HEADER = "kchat-bridged"
"""The header with the rooms where a message has been: their tokens, in that order, with spaces in between."""

KEY = "bridged"
"""The key in the body."""

_BEGIN = f',"{KEY}":{{"account":"'.encode()
_END = b'"}}'
_LONGEST = 2048
"""Bytes of the addition at the most: an account has up to 255 (AMQP 0-9-1 section 4.2.5.3), escaped up to six times that."""

_dumps = json.JSONEncoder(ensure_ascii=False).encode


def with_account(body: bytes, account: str) -> bytes:
    """A body with the account that sent it.

    Arguments:
        body: a JSON object with at least one key.
        account: as the broker has checked it.
    """
    return body.rstrip()[:-1] + _BEGIN[:-1] + _dumps(account).encode("utf-8", "replace") + b"}}"


def without_account(body: bytes) -> bytes:
    """The body as it was before :func:`with_account`; any other as it is."""
    if not body.endswith(_END):
        return body
    at = body.rfind(_BEGIN, max(0, len(body) - _LONGEST))
    return body if at < 0 else body[:at] + b"}"
