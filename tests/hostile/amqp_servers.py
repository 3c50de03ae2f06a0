"""What a hostile or broken AMQP broker does: every reply of one that behaves, tampered with, and some things beyond that."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from amqp import spec
from amqp.serialization import dumps

from tests.hostile.peer import Peer, Script

Method = tuple[int, int]

HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
_PROPERTIES = {"product": "RabbitMQ", "version": "3.13.7", "capabilities": {"publisher_confirms": True}}


def frame(
    payload: bytes, kind: int = 1, channel: int = 0, *, end: int = 0xCE, size: int | None = None
) -> bytes:
    """A frame, with another size in it than it has if that is given."""
    return (
        struct.pack(">BHI", kind, channel, len(payload) if size is None else size) + payload + bytes((end,))
    )


def method(which: Method, kinds: str = "", *values: Any, channel: int = 0) -> bytes:
    """A method's frame; the kinds of its arguments by py-amqp's letters."""
    arguments = dumps(kinds, values) if kinds else b""
    return frame(struct.pack(">HH", *which) + arguments, channel=channel)


def start(properties: Any = None, mechanisms: bytes = b"PLAIN AMQPLAIN", locales: bytes = b"en_US") -> bytes:
    """``connection.start``."""
    known = _PROPERTIES if properties is None else properties
    return method(spec.Connection.Start, "ooFSS", 0, 9, known, mechanisms, locales)


def tune(channels: int = 2047, size: int = 131072, heartbeat: int = 60) -> bytes:
    """``connection.tune``."""
    return method(spec.Connection.Tune, "BlB", channels, size, heartbeat)


def closed(code: int, text: str, channel: int = 0) -> bytes:
    """``connection.close``, or on a channel ``channel.close``."""
    which = spec.Channel.Close if channel else spec.Connection.Close
    return method(which, "BsBB", code, text, 0, 0, channel=channel)


def delivery(body: bytes, size: int | None = None, *, channel: int = 1, tag: bytes = b"") -> bytes:
    """``basic.deliver`` and its content, the body in frames of 100,000 bytes."""
    total = len(body) if size is None else size
    deliver = (
        struct.pack(">HHB", 60, 60, len(tag)) + tag + struct.pack(">QBBB", 1, 0, 4, ord("c")) + b"hat\x00"
    )
    header = struct.pack(">HHQH", 60, 0, total, 0)
    parts = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
    return b"".join(
        (frame(deliver, 1, channel), frame(header, 2, channel), *(frame(part, 3, channel) for part in parts))
    )


ANSWERS: dict[Method, Callable[[int], bytes]] = {
    spec.Connection.StartOk: lambda _: tune(),
    spec.Connection.Open: lambda _: method(spec.Connection.OpenOk, "s", ""),
    spec.Connection.Close: lambda _: method(spec.Connection.CloseOk),
    spec.Channel.Open: lambda channel: method(spec.Channel.OpenOk, "S", "", channel=channel),
    spec.Channel.Close: lambda channel: method(spec.Channel.CloseOk, channel=channel),
    spec.Exchange.Declare: lambda channel: method(spec.Exchange.DeclareOk, channel=channel),
    spec.Exchange.Bind: lambda channel: method(spec.Exchange.BindOk, channel=channel),
    spec.Queue.Declare: lambda channel: method(spec.Queue.DeclareOk, "sll", "q", 0, 0, channel=channel),
    spec.Queue.Bind: lambda channel: method(spec.Queue.BindOk, channel=channel),
    spec.Basic.Qos: lambda channel: method(spec.Basic.QosOk, channel=channel),
    spec.Basic.Consume: lambda channel: method(spec.Basic.ConsumeOk, "s", "t", channel=channel),
    spec.Confirm.Select: lambda channel: method(spec.Confirm.SelectOk, channel=channel),
    spec.Basic.Publish: lambda channel: method(spec.Basic.Ack, "Lb", 1, False, channel=channel),
}
"""What a broker that behaves answers to a method."""

STAGES: dict[str, Method | None] = {
    "start": None,
    "tune": spec.Connection.StartOk,
    "open-ok": spec.Connection.Open,
    "channel.open-ok": spec.Channel.Open,
    "declare-ok": spec.Exchange.Declare,
    "queue.declare-ok": spec.Queue.Declare,
    "consume-ok": spec.Basic.Consume,
    "select-ok": spec.Confirm.Select,
    "ack": spec.Basic.Publish,
}
"""A reply by its name, and what it is the reply to."""


def converse(peer: Peer, odd: Method | None, act: Callable[[Peer, bytes], None], first: bytes) -> None:
    """Behave like a broker, but for one reply: that is acted on in another way."""
    peer.read(8)  # the protocol header
    if odd is None:
        act(peer, first)
    else:
        peer.send(first)
    while True:
        kind, channel, size = struct.unpack(">BHI", peer.read(7))
        payload = peer.read(size + 1)
        if kind != 1:
            continue
        which = struct.unpack(">HH", payload[:4])
        answer = ANSWERS.get(which)
        if answer is None:
            continue
        if which == odd:
            act(peer, answer(channel))
        else:
            peer.send(answer(channel))


def at(stage: str, act: Callable[[Peer, bytes], None], first: bytes | None = None) -> Script:
    """A script that behaves up to a reply, and then acts."""
    return lambda peer: converse(peer, STAGES[stage], act, start() if first is None else first)


def instead(data: bytes, *, close: bool = True) -> Callable[[Peer, bytes], None]:
    """Send this instead of a reply, and hang up."""

    def act(peer: Peer, _reply: bytes) -> None:
        peer.send(data)
        peer.sock.shutdown(1) if close else None

    return act


def _then_hold(change: Callable[[bytes], bytes]) -> Callable[[Peer, bytes], None]:
    def act(peer: Peer, reply: bytes) -> None:
        peer.send(change(reply))
        peer.hold()

    return act


def _cut(reply: bytes) -> bytes:
    """The payload ends early, the frame is whole."""
    payload = reply[7:-1]
    return frame(payload[: 4 + (len(payload) - 4) // 2], reply[0], struct.unpack(">H", reply[1:3])[0])


def _hang_up(peer: Peer, reply: bytes) -> None:
    peer.send(reply[: len(reply) // 2])
    peer.sock.shutdown(2)


TAMPERED: dict[str, Callable[[Peer, bytes], None]] = {
    "size 0xFFFFFFFF": _then_hold(lambda reply: reply[:3] + b"\xff\xff\xff\xff" + reply[7:]),
    "size 200,000": _then_hold(lambda reply: reply[:3] + struct.pack(">I", 200_000) + reply[7:]),
    "payload cut": _then_hold(_cut),
    "payload empty": _then_hold(lambda reply: frame(b"", channel=reply[2])),
    "payload of two bytes": _then_hold(lambda reply: frame(b"\x00\x0a", channel=reply[2])),
    "wrong end": _then_hold(lambda reply: reply[:-1] + b"\x00"),
    "wrong channel": _then_hold(lambda reply: reply[:1] + b"\x00\x63" + reply[3:]),
    "header frame": _then_hold(lambda reply: b"\x02" + reply[1:]),
    "frame of type 77": _then_hold(lambda reply: b"\x4d" + reply[1:]),
    "unknown method": _then_hold(lambda reply: reply[:7] + b"\x00\x3c\x00\xff" + reply[11:]),
    "garbage": _then_hold(lambda _: random.Random(1).randbytes(4000)),
    "half, and closed": _hang_up,
    "silence": lambda peer, _: peer.hold(),
    "heartbeats": lambda peer, _: peer.repeat(HEARTBEAT),
    "a byte now and then": lambda peer, reply: peer.trickle(reply),
    "a flood of heartbeats": lambda peer, _: peer.flood(HEARTBEAT),
    "a flood of zeros": lambda peer, _: peer.flood(bytes(1000)),
}
"""What can be done to any reply."""


def _endless(body: bytes, size: int, piece: int) -> Callable[[Peer, bytes], None]:
    """A message whose body does not end."""

    def act(peer: Peer, reply: bytes) -> None:
        peer.send(reply)
        peer.send(delivery(body, size))
        peer.flood(frame(bytes(piece), 3, 1))

    return act


def _after(data: bytes, *, flood: bool = False) -> Callable[[Peer, bytes], None]:
    def act(peer: Peer, reply: bytes) -> None:
        peer.send(reply)
        if flood:
            peer.flood(data)
        peer.send(data)
        peer.hold()

    return act


def _on_all_channels(peer: Peer, reply: bytes) -> None:
    peer.send(reply)
    for channel in range(1, 65536):
        peer.send(delivery(bytes(50_000), 100_000, channel=channel))


_NESTED = b"A" + struct.pack(">I", 40_000)

_TABLES: dict[str, bytes] = {
    "a table of unknown types": b"\x01aZ\x00",
    "a table longer than the frame": b"\x01aS\xff\xff\xff\xff",
    "an invalid time": b"\x01aT" + b"\xff" * 8,
    "a decimal by 10^255": b"\x01aD\xff\x00\x00\x00\x01",
    "nested arrays": b"\x01a" + _NESTED * 20_000,
    "capabilities that are a number": b"\x0ccapabilitiesI\x00\x00\x00\x01",
    "a product that is a number": b"\x07productI\x00\x00\x00\x01",
    "120 kB of empty tables": (b"\x01aF\x00\x00\x00\x00") * 17_000,
}


def _raw_start(table: bytes, mechanisms: bytes = b"\x00\x00\x00\x05PLAIN") -> bytes:
    payload = struct.pack(">HHBBI", 10, 10, 0, 9, len(table)) + table + mechanisms + b"\x00\x00\x00\x05en_US"
    return frame(payload)


ALONE: dict[str, Script] = {
    "closes at once": lambda _: None,
    "another AMQP": lambda peer: peer.send(b"AMQP\x00\x01\x00\x00"),
    "a TLS alert": lambda peer: peer.send(b"\x15\x03\x01\x00\x02\x02\x28"),
    "a web server": lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "an SSH server": lambda peer: peer.send(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a Redis server": lambda peer: peer.send(b"-ERR unknown command\r\n"),
    **{f"start: {name}": at("start", instead(_raw_start(table))) for name, table in _TABLES.items()},
    "start: no mechanism of ours": at("start", _then_hold(lambda _: start(mechanisms=b"GSSAPI X"))),
    "start: mechanisms that are not text": at("start", _then_hold(lambda _: start(mechanisms=b"\xff\xfe"))),
    "start: locales that are not text": at("start", _then_hold(lambda _: start(locales=b"\xff\xfe"))),
    "start: again and again": at("start", lambda peer, reply: peer.repeat(reply)),
    "start: a flood of it": at("start", lambda peer, reply: peer.flood(reply)),
    "tune: frames of 0xFFFFFFFF": at("tune", instead(tune(size=0xFFFFFFFF), close=False)),
    "tune: frames without limit": at("tune", instead(tune(0, 0, 0), close=False)),
    "tune: frames of 1": at("tune", instead(tune(size=1), close=False)),
    "tune: frames of 8": at("tune", instead(tune(size=8), close=False)),
    "tune: a channel": at("tune", instead(tune(channels=1), close=False)),
    "tune: heartbeats of a second": at("tune", instead(tune(heartbeat=1), close=False)),
    "tune: a challenge": at("tune", _then_hold(lambda _: method(spec.Connection.Secure, "S", "x"))),
    "open-ok: refused": at("open-ok", instead(closed(403, "ACCESS_REFUSED - login was refused"))),
    "open-ok: a limit": at("open-ok", instead(closed(530, "NOT_ALLOWED - connection limit (1) is reached"))),
    "open-ok: an unknown code": at("open-ok", instead(closed(999, "\x1b[31mred\x00"))),
    "open-ok: a channel's close": at("open-ok", instead(closed(404, "NOT_FOUND", 1), close=False)),
    "open-ok: before it, a delivery": at("open-ok", instead(delivery(b"x"), close=False)),
    "open-ok: blocked for ever": at(
        "open-ok", lambda peer, _: peer.repeat(method((10, 60), "s", "low on memory"))
    ),
    "consume-ok: a body of 2^63": at("consume-ok", _endless(b"x", 2**63, 100_000)),
    "consume-ok: a body of 2^29": at("consume-ok", _endless(b"x", 2**29, 100_000)),
    "consume-ok: a body of 2^29, a byte a frame": at("consume-ok", _endless(b"x", 2**29, 1)),
    "consume-ok: a body of 2^29 of empty frames": at("consume-ok", _endless(b"x", 2**29, 0)),
    "consume-ok: a body longer than it says": at("consume-ok", _after(delivery(bytes(300_000), 150_000))),
    "consume-ok: messages on all channels": at("consume-ok", _on_all_channels),
    "consume-ok: a flood of messages": at("consume-ok", _after(delivery(bytes(1000), tag=b"t"), flood=True)),
    "consume-ok: a flood of cancellations": at(
        "consume-ok", _after(method(spec.Basic.Cancel, "sb", "t", False, channel=1), flood=True)
    ),
    "consume-ok: a delivery that ends early": at("consume-ok", _after(frame(b"\x00\x3c\x00\x3c\xff", 1, 1))),
    "consume-ok: a header of two bytes": at(
        "consume-ok", _after(delivery(b"")[: -(15 + 7)] + frame(b"\x00\x3c", 2, 1))
    ),
    "consume-ok: the channel closed": at("consume-ok", _after(closed(406, "PRECONDITION_FAILED - no", 1))),
    "consume-ok: the connection closed": at("consume-ok", _after(closed(320, "CONNECTION_FORCED - bye"))),
    "ack: an unknown tag, again and again": at(
        "ack", lambda peer, _: peer.repeat(method(spec.Basic.Ack, "Lb", 99, False, channel=1))
    ),
    "ack: a flood of stray ones": at(
        "ack", lambda peer, _: peer.flood(method(spec.Basic.Ack, "Lb", 99, False, channel=1))
    ),
    "ack: returns without end": at(
        "ack",
        lambda peer, _: peer.flood(
            method(spec.Basic.Return, "Bsss", 312, "NO_ROUTE", "chat", "", channel=1)
            + delivery(b"")[-22:-1]
            + b"\xce"
        ),
    ),
    "ack: blocked and unblocked, again and again": at(
        "ack", lambda peer, _: peer.repeat(method((10, 60), "s", "low on memory") + method((10, 61)))
    ),
    "ack: blocked, again and again": at(
        "ack", lambda peer, _: peer.repeat(method((10, 60), "s", "low on memory"))
    ),
}
"""Inputs that are more than one reply tampered with."""


def corpus() -> Iterator[tuple[str, Script]]:
    """All inputs, by name."""
    for stage in STAGES:
        for name, act in TAMPERED.items():
            yield f"{stage}: {name}", at(stage, act)
    yield from ALONE.items()


def fuzzed(count: int) -> Iterator[tuple[str, Script]]:
    """Brokers that behave, but for a few bytes of one reply that are other than they should be; the same ones each time."""
    for number in range(count):
        yield f"fuzzed {number}", partial(_fuzz, number)


def _fuzz(seed: int, peer: Peer) -> None:
    dice = random.Random(seed)
    stage = dice.choice(list(STAGES.values()))

    def act(peer: Peer, reply: bytes) -> None:
        changed = bytearray(reply)
        for _ in range(dice.choice((1, 1, 2, 5))):
            changed[dice.randrange(len(changed))] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
        if dice.random() < 0.2:
            del changed[dice.randrange(len(changed)) :]
        peer.send(bytes(changed))
        if dice.random() < 0.5:
            peer.sock.shutdown(1)

    converse(peer, stage, act, start())
