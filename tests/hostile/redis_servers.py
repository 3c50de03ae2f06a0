"""What a hostile or broken Redis does: to each command something else than the answer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tests.hostile.peer import Act, Peer, Script, then

ANSWERS = {
    b"AUTH": b"+OK\r\n",
    b"CLIENT": b"+OK\r\n",
    b"SELECT": b"+OK\r\n",
    b"PING": b"+PONG\r\n",
    b"PUBLISH": b":1\r\n",
    b"MULTI": b"+OK\r\n",
    b"DISCARD": b"+OK\r\n",
    b"ROLE": b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n",
    b"TIME": b"*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n",
}
STAGES = (b"CLIENT", b"PING", b"SUBSCRIBE", b"PUBLISH")


def text(data: bytes) -> bytes:
    """A bulk string."""
    return b"$%d\r\n%s\r\n" % (len(data), data)


def array(*values: bytes) -> bytes:
    """An array of what is RESP already."""
    return b"*%d\r\n" % len(values) + b"".join(values)


def message(data: bytes, channel: bytes = b"/0.chat") -> bytes:
    """What a subscriber gets."""
    return array(text(b"message"), text(channel), text(data))


def read_command(peer: Peer) -> list[bytes]:
    """The words of the next command."""
    words = []
    for _ in range(int(peer.read_line()[1:])):
        size = int(peer.read_line()[1:])
        words.append(peer.read(size + 2)[:-2])
    return words


def at(stage: bytes, act: Act, more: Mapping[bytes, bytes] = MappingProxyType({})) -> Script:
    """A script that behaves up to a command, and then acts; ``more``: what it answers besides."""
    answers = ANSWERS | dict(more)

    def script(peer: Peer) -> None:
        while True:
            command = read_command(peer)
            name = command[0].upper()
            if name == stage:
                act(peer)
            elif name == b"SUBSCRIBE":
                peer.send(array(text(b"subscribe"), text(command[1]), b":1\r\n"))
            else:
                peer.send(answers.get(name, b"-ERR unknown command\r\n"))

    return script


def say(data: bytes) -> Act:
    """Answer so, and no more."""
    return lambda peer: peer.send(data)


def subscribed(act: Act) -> Script:
    """A script that confirms the subscription, and then acts."""

    def confirm(peer: Peer) -> None:
        peer.send(array(text(b"subscribe"), text(b"/0.chat"), b":1\r\n"))
        act(peer)
        peer.hold()

    return at(b"SUBSCRIBE", confirm)


def _long(size: int) -> Act:
    def act(peer: Peer) -> None:
        peer.send(b"$%d\r\n" % size)
        peer.flood(bytes(1000))

    return act


def _hang_up(peer: Peer) -> None:
    peer.sock.shutdown(2)


REPLIES: dict[str, Act] = {
    "a text of 9,999,999,999": _long(9_999_999_999),
    "a text of 500,000,000": _long(500_000_000),
    "a text of -2": say(b"$-2\r\n"),
    "an array of 2,000,000,000": say(b"*2000000000\r\n"),
    "an array of 20,000 errors": lambda peer: peer.send(b"*20000\r\n" + b"-E\r\n" * 20_000),
    "an array of empty arrays without end": then(b"*10000\r\n", lambda peer: peer.flood(b"*0\r\n")),
    "nested arrays": say(b"*1\r\n" * 50_000),
    "arrays of arrays": say(b"*9\r\n" * 50_000),
    "a size that is not a number": say(b"$ten\r\n"),
    "a size of 5,000 digits": say(b"*" + b"9" * 5000 + b"\r\n"),
    "an invalid number": say(b":one\r\n"),
    "an unknown kind": say(b"!5\r\nhello\r\n"),
    "RESP3": say(b"%1\r\n+a\r\n+b\r\n"),
    "an empty line": say(b"\r\n"),
    "a line without end": lambda peer: peer.flood(b"+" + b"x" * 999),
    "an error without end": lambda peer: peer.flood(b"-" + b"x" * 999),
    "nil": say(b"$-1\r\n"),
    "an empty array": say(b"*0\r\n"),
    "a nil array": say(b"*-1\r\n"),
    "a number": say(b":7\r\n"),
    "OK": say(b"+OK\r\n"),
    "an array of numbers": say(b"*3\r\n:1\r\n:2\r\n:3\r\n"),
    "an error": say(b"-ERR \x1b[31mno\r\n"),
    "an error without words": say(b"-\r\n"),
    "an error that is not text": say(b"-\xff\xfe\r\n"),
    "garbage": lambda peer: peer.send(random.Random(2).randbytes(4000)),
    "half an answer": then(b"$10\r\nabc", _hang_up),
    "a hang-up": _hang_up,
    "silence": lambda peer: peer.hold(),
    "a byte now and then": lambda peer: peer.trickle(b"+OK" * 50),
    "a text, a byte now and then": then(b"$1000\r\n", lambda peer: peer.trickle(b"x")),
    "a flood of OK": lambda peer: peer.flood(b"+OK\r\n"),
    "a flood of messages": lambda peer: peer.flood(message(b"x" * 500)),
    "a flood of large messages": lambda peer: peer.flood(message(b"x" * 1_000_000)),
    "messages now and then": lambda peer: peer.repeat(message(b"x")),
}
"""What can be said to any command."""

STATES = (
    b"-ERR max number of clients reached\r\n",
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
    b"-READONLY You can't write against a read only replica.\r\n",
    b"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.\r\n",
    b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    b"-CLUSTERDOWN The cluster is down\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b"-NOPERM this user has no permissions\r\n",
    b"-DENIED Redis is running in protected mode\r\n",
    b"-WRONGPASS invalid username-password pair\r\n",
    b"-MOVED 3999 127.0.0.1:6381\r\n",
)

_DEEP = b'{"a":' + b"[" * 200_000
_WIDE = b'{"a":[' + b"{}," * 5_000_000

MESSAGES: dict[str, Act] = {
    "of one word": say(array(text(b"message"))),
    "of numbers": say(array(text(b"message"), b":1\r\n", b":2\r\n")),
    "of arrays": say(array(text(b"message"), array(b":1\r\n"), array(b":2\r\n"))),
    "of nil": say(array(text(b"message"), text(b"/0.chat"), b"$-1\r\n")),
    "of five words": say(array(text(b"message"), *(text(b"/0.chat"),) * 4)),
    "for another channel": say(message(b"x", b"/0.other")),
    "of a pattern": say(array(text(b"pmessage"), text(b"*"), text(b"/0.chat"), text(b"x"))),
    "of nothing": say(b"*0\r\n"),
    "that is a number": say(b":5\r\n"),
    "that is an error": say(b"-ERR no\r\n"),
    "of nested JSON": say(message(_DEEP)),
    "of 15 MB of JSON values": say(message(_WIDE)),
    "of 15 MB with an emoji": say(message(b'{"a":"' + "\U0001f600".encode() + b"x" * 15_000_000 + b'"}')),
    "of 60 MB": say(message(bytes(60_000_000))),
    "an unsubscription": say(array(text(b"unsubscribe"), text(b"/0.chat"), b":0\r\n")),
}


HISTORY = {
    b"HMGET": array(text(b"3600"), text(b"1000000")),
    b"XINFO": array(
        text(b"length"),
        b":1\r\n",
        text(b"last-generated-id"),
        text(b"5-1"),
        text(b"entries-added"),
        b":9\r\n",
    ),
    b"XADD": b"+QUEUED\r\n",
    b"ZINCRBY": b"+QUEUED\r\n",
    b"XRANGE": array(array(text(b"5-1"), array(text(b"message"), text(b"hello")))),
    b"XREVRANGE": array(array(text(b"5-1"), array(text(b"message"), text(b"hello")))),
}
"""What a server says that has a history of one message. What it says to EXEC is none of it."""


def entry(identifier: bytes, *fields: bytes) -> bytes:
    """An entry of a stream."""
    return array(text(identifier), array(*map(text, fields)))


HISTORY_REPLIES: dict[str, Act] = REPLIES | {
    "an entry of two million fields": then(
        b"*1\r\n*2\r\n" + text(b"5-1") + b"*2000000\r\n", lambda peer: peer.send(text(b"x") * 2_000_000)
    ),
    "an entry of 60 MB": say(array(entry(b"5-1", b"message", bytes(60_000_000)))),
    "250 entries of 1 MB": lambda peer: peer.send(
        b"*250\r\n" + entry(b"5-1", b"message", bytes(1_000_000)) * 250
    ),
    "the same entries over and over": say(array(*[entry(b"1-1", b"message", b"x")] * 200)),
    "entries that were deleted": say(array(array(text(b"5-1"), b"*-1\r\n"), array(text(b"5-2"), b"$-1\r\n"))),
    "ids that are none": say(array(entry(b"five", b"message", b"x"))),
    "ids of 1,000 digits": say(array(entry(b"9" * 1000 + b"-0", b"message", b"x"))),
    "limits that are none": say(array(text(b"x"), array(b":1\r\n"))),
    "an answer to EXEC of errors": say(array(b"-ERR no\r\n", b"-OOM no\r\n", b":1\r\n")),
    "an answer to EXEC of numbers": say(array(b":1\r\n", b":2\r\n", b":3\r\n")),
    "a count that is infinite": say(array(text(b"5-1"), text(b"inf"), b":1\r\n")),
}


def history_corpus() -> Iterator[tuple[str, Script]]:
    """What can be said to the commands of a history, by name."""
    for stage in (b"HMGET", b"XINFO", b"XRANGE", b"XREVRANGE", b"EXEC"):
        for name, act in HISTORY_REPLIES.items():
            yield f"{stage.decode()}: {name}", at(stage, act, HISTORY)
        for state in STATES:
            yield f"{stage.decode()}: {state[1:].split()[0].decode()}", at(stage, say(state), HISTORY)


def corpus() -> Iterator[tuple[str, Script]]:
    """All inputs, by name."""
    yield "closes at once", lambda _: None
    yield "speaks first: max number of clients", lambda peer: peer.send(STATES[0])
    yield "speaks first: a web server", lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    yield "speaks first: AMQP", lambda peer: peer.send(b"AMQP\x00\x00\x09\x01")
    yield "speaks first: a TLS alert", lambda peer: peer.send(b"\x15\x03\x01\x00\x02\x02\x28")
    for stage in STAGES:
        for name, act in REPLIES.items():
            yield f"{stage.decode()}: {name}", at(stage, act)
    for stage in (b"PING", b"SUBSCRIBE", b"PUBLISH", b"ROLE", b"TIME"):
        for state in STATES:
            yield f"{stage.decode()}: {state[1:].split()[0].decode()}", at(stage, say(state))
    for name, act in MESSAGES.items():
        yield f"a message {name}", subscribed(act)
