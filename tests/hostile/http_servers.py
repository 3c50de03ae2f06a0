"""What a hostile or broken management API answers, or something else that listens at its port."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.hostile.peer import Act, Peer, Script, then

KEEP = {
    "whoami": {"name": "host", "tags": ["administrator"]},
    "users": [{"name": "host", "tags": ["administrator"]}],
    "permissions": [],
}
"""What an API that behaves answers, by the last part of the path."""


def answer(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def at(word: str, act: Act) -> Script:
    """A script that behaves, but for requests with this word in their path."""

    def script(peer: Peer) -> None:
        path = peer.read_line().split(b" ")[1].decode()
        while peer.read_line():
            pass
        if word in path:
            act(peer)
            return
        last = path.partition("?")[0].rpartition("/")[2]
        peer.send(answer(json.dumps(KEEP.get(last, [])).encode()))

    return script


def say(data: bytes) -> Act:
    """Answer so, and hang up."""
    return lambda peer: peer.send(data)


def _head(*headers: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode()


ANSWERS: dict[str, Act] = {
    "an empty array": say(answer(b"[]")),
    "an empty object": say(answer(b"{}")),
    "nothing": say(answer(b"")),
    "a number": say(answer(b"7")),
    "null": say(answer(b"null")),
    "a string": say(answer(b'"administrator"')),
    "an array of numbers": say(answer(b"[1, 2]")),
    "an array of arrays": say(answer(b"[[]]")),
    "objects without names": say(answer(b'[{"tags": []}]')),
    "names that are numbers": say(answer(b'[{"name": 7, "tags": "kchat", "vhost": 1, "write": []}]')),
    "tags that are a number": say(answer(b'{"name": "host", "tags": 7}')),
    "tags of numbers": say(answer(b'{"name": "host", "tags": [1, null]}')),
    "not JSON": say(answer(b"<html>")),
    "not UTF-8": say(answer(b"\xff\xfe\xfd")),
    "NaN": say(answer(b"NaN")),
    "nested arrays": say(answer(b"[" * 200_000)),
    "a number of 100,000 digits": say(answer(b"9" * 100_000)),
    "32 MB of empty objects": say(answer(b"[" + b"{}," * 11_000_000 + b"{}]")),
    "4 MB of empty objects": say(answer(b"[" + b"{}," * 1_300_000 + b"{}]")),
    "4 MB with an emoji": say(answer(b'["' + "\U0001f600".encode() + b"x" * 4_000_000 + b'"]')),
    "200 MB of one string": then(
        _head("Content-Length: 200000000") + b'"', lambda peer: peer.flood(b"x" * 1000)
    ),
    "an endless body": then(_head("Connection: close"), lambda peer: peer.flood(b"[" * 1000)),
    "endless chunks": then(_head("Transfer-Encoding: chunked"), lambda peer: peer.flood(b"1\r\n[\r\n")),
    "a chunk of 2^60": say(_head("Transfer-Encoding: chunked") + b"%x\r\n[]" % 2**60),
    "a chunk that is not a number": say(_head("Transfer-Encoding: chunked") + b"zz\r\n[]"),
    "less than it says": say(answer(b"[]", length=100)),
    "a length that is not a number": say(_head("Content-Length: ten") + b"[]"),
    "a negative length": say(_head("Content-Length: -5") + b"[]"),
    "endless headers": then(b"HTTP/1.1 200 OK\r\n", lambda peer: peer.flood(b"X-A: b\r\n")),
    "a header without end": then(b"HTTP/1.1 200 OK\r\nX: ", lambda peer: peer.flood(b"x")),
    "100 Continue, again and again": lambda peer: peer.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a status line without end": lambda peer: peer.flood(b"H"),
    "a status that is not a number": say(b"HTTP/1.1 OK\r\n\r\n"),
    "a status of 999": say(answer(b"{}", "999 No")),
    "HTTP/3.0": say(b"HTTP/3.0 200 OK\r\n\r\n[]"),
    "401 and nothing": say(answer(b"", "401 Unauthorized")),
    "401 and an array": say(answer(b"[]", "401 Unauthorized")),
    "403 with a red reason": say(answer(b'{"reason": "\\u001b[31mred"}', "403 Forbidden")),
    "404 for everything": say(answer(b'{"error": "Object Not Found"}', "404 Not Found")),
    "500 with an endless body": then(
        b"HTTP/1.1 500 No\r\nConnection: close\r\n\r\n", lambda peer: peer.flood(b"x" * 1000)
    ),
    "500, a byte now and then": then(
        b"HTTP/1.1 500 No\r\nContent-Length: 500\r\n\r\n", lambda peer: peer.trickle(b"x")
    ),
    "a redirection": say(answer(b"", "302 Found", "Location: http://127.0.0.1:1/")),
    "a redirection to itself": say(answer(b"", "302 Found", "Location: /")),
    "garbage": say(bytes(range(256)) * 20),
    "a TLS alert": say(b"\x15\x03\x01\x00\x02\x02\x28"),
    "a hang-up": lambda _: None,
    "silence": lambda peer: peer.hold(),
    "a byte now and then": lambda peer: peer.trickle(answer(b"[]" + b" " * 500)),
    "a body, a byte now and then": then(_head("Content-Length: 500"), lambda peer: peer.trickle(b" ")),
    "an invalid date": say(answer(b"", "200 OK", "Date: Fri, 99 Foo 99999 99:99:99 GMT")),
    "a date without a zone": say(answer(b"", "200 OK", "Date: Fri, 02 Jan 2026 10:00:00")),
}

_POLICY = {"name": "p", "apply-to": "all", "definition": {}}

POLICIES: dict[str, Act] = {
    "policies of numbers": say(answer(b"[1]")),
    "a policy without a pattern": say(answer(b'[{"name": "p", "apply-to": "all"}]')),
    **{
        f"a policy with a pattern that takes for ever, {pattern[:12]}": say(
            answer(json.dumps([_POLICY | {"pattern": pattern}]).encode())
        )
        for pattern in (
            "^(([a-z.])+.)+[A-Z]$",
            "(.|..)+!$",
            "(.|.)" * 60 + "!",
            ".?" * 60 + "!",
            ".*" * 30 + "!",
        )
    },
    "a policy with other types": say(
        answer(b'[{"name": [], "apply-to": "all", "pattern": "", "priority": "x", "definition": 7}]')
    ),
}


def corpus() -> Iterator[tuple[str, Script]]:
    """All inputs, by name."""
    for word in ("whoami", "/api/users"):
        for name, act in ANSWERS.items():
            yield f"{word}: {name}", at(word, act)
    for name, act in ANSWERS.items():
        yield f"all: {name}", at("", act)
    for name, act in POLICIES.items():
        yield name, at("policies", act)
