"""Inputs that try to fool, hang, inflate or crash a subscriber: each with a name, for the tests' ids.

``TEXTS`` go wherever text goes: usernames, messages, error texts, status lines, header values, property values.
``BODIES`` are bytes on the wire. ``HEADERS`` and ``PROPERTIES`` are what AMQP can carry beside a body.
``LARGE_BODIES`` are made when asked for: each takes megabytes.
"""

from __future__ import annotations

import gzip
import json
import pickle
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

ESC = "\x1b"

TEXTS: dict[str, str] = {
    "empty": "",
    "only spaces": "   ",
    "only newlines": "\n\n\n",
    "trailing newline": "hello\n",
    "windows newline": "one\r\ntwo\r\n",
    "nul": "a\x00b",
    "bell": "\a" * 100,
    "backspaces over the name": "\b" * 40 + "12:00:00 root: hello",
    "carriage return over the name": "harmless\r12:00:00 root: hello",
    "carriage return and erase": f"harmless\r{ESC}[2K12:00:00 root: hello",
    "vertical tab and form feed": "one\x0btwo\x0cthree",
    "tabs": "\t" * 30 + "12:00:00 root: hello",
    "delete": "a\x7fb",
    "every c0 control": "".join(map(chr, range(0x20))),
    "every c1 control": "".join(map(chr, range(0x80, 0xA0))),
    "sgr": f"{ESC}[31;1mred{ESC}[0m",
    "sgr, conceal": f"{ESC}[8mhidden",
    "c1 csi": "\x9b31mred",
    "c1 csi as utf-8 bytes read as latin-1": "\xc2\x9b31m",
    "cursor up": f"{ESC}[1A{ESC}[2K12:00:00 root: hello",
    "cursor home and clear": f"{ESC}[H{ESC}[2J{ESC}[3J",
    "scroll region": f"{ESC}[1;1r",
    "full reset": f"{ESC}c",
    "alternate screen": f"{ESC}[?1049h",
    "leave the alternate screen": f"{ESC}[?1049l{ESC}[?25h",
    "mouse reports": f"{ESC}[?1000h{ESC}[?1003h",
    "bracketed paste": f"{ESC}[?2004h{ESC}[201~",
    "device status, answered on standard input": f"{ESC}[6n{ESC}[c{ESC}[>c{ESC}Z",
    "window title": f"{ESC}]0;owned\a",
    "window title reported": f"{ESC}[21t",
    "osc 8 hyperlink": f"{ESC}]8;;http://evil.example/{ESC}\\your bank{ESC}]8;;{ESC}\\",
    "osc 52 clipboard": f"{ESC}]52;c;cm0gLXJmIH4K\a",
    "osc 52 by c1": "\x9d52;c;cm0gLXJmIH4K\x9c",
    "osc 1337": f"{ESC}]1337;File=inline=1:AAAA\a",
    "dcs": f"{ESC}P$q m{ESC}\\",
    "apc": f"{ESC}_Gf=24;AAAA{ESC}\\",
    "unfinished escape": f"hello {ESC}",
    "unfinished csi": f"hello {ESC}[",
    "unfinished osc": f"hello {ESC}]0;",
    "character set": "\x0e" + "abc" + f"{ESC}(0",
    "rich markup": "[red]red[/red] [bold]bold",
    "rich markup, unbalanced": "[/] [/red] [/link]",
    "rich link": "[link=http://evil.example/]your bank[/link]",
    "rich action": "[@click=app.quit]quit[/]",
    "rich emoji code": ":skull: :pile_of_poo:",
    "bidi override": "invoice\u202efdp.exe",
    "bidi embedding": "\u202a\u202babc\u202c",
    "bidi isolates": "\u2066\u2067\u2068abc\u2069",
    "bidi marks": "a\u200eb\u200fc\u061cd",
    "zero width": "ad\u200ba\u200b\u2060\ufeff",
    "joiners in latin": "a\u200db\u200cc",
    "zero width flood": "a" + "\u200b" * 5000,
    "joiner flood": "\U0001f469" + "\u200d" * 5000,
    "soft hyphens": "pass\u00adword",
    "invisible operators": "\u2061\u2062\u2063\u2064",
    "interlinear annotation": "\ufff9a\ufffab\ufffb",
    "fillers": "\u3164\uffa0\u115f\u1160\u17b4\u17b5\u034f\u180e",
    "hangul parts": "\u1100" + "\u1161" * 500,
    "braille blanks": "\u2800" * 40,
    "tags": "hi" + "".join(chr(0xE0000 + ord(c)) for c in "ignore all"),
    "variation selectors hide data": "\U0001f600" + "".join(chr(0xE0100 + n) for n in range(200)),
    "variation selector flood": "\u263a" + "\ufe0f" * 1000,
    "combining flood": "".join(c + "\u0335\u0489\u20dd" * 200 for c in "zalgo"),
    "combining without a base": "\u0338\u0338hello \u20dd",
    "combining on a newline": "a\n\u0338\u0338b",
    "line separators": "one\u2028two\u2029three\x85four",
    "lone surrogates": "\ud800 \udfff \udc80",
    "surrogate pair": "\ud83d\ude00",
    "private use": "\ue000\uf8ff\U000f0000\U0010fffd",
    "noncharacters": "\ufffe\uffff\U0001ffff\ufdd0",
    "unassigned": "\u0378\U000e0fff",
    "byte order mark": "\ufeffhello",
    "musical controls": "\U0001d173\U0001d17a",
    "spaces of all kinds": "a\u00a0b\u1680c\u2003d\u202fe\u205ff\u3000g",
    "another row": "hi\n12:00:00 root: send me your password",
    "another received": "hi\nReceived send me your password",
    "another json line": 'hi\n{"username":"root","message":"send me your password"}',
    "another row by wrapping": "x" + " " * 200 + "12:00:00 root: send me your password",
    "another row by filling": "x" * 69 + "12:00:00 root: hello " + "y" * 59 + "12:00:00 root: hello",
    "a status line": "kchat: connection lost: send your password to root",
    "a status line after a newline": "\nkchat: listening on chat",
    "a name that ends early": "root: I quit",
    "a name that ends early, by a wide colon": "root\uff1a I quit",
    "a name that ends early, by a ratio": "root\u2236 I quit",
    "a name with a time": "12:00:00 root",
    "nobody": "?",
    "dashes": "-- status --",
    "star": "* root has joined",
    "a cut mark": "all of it… [cut: 1.0 GiB in all]",
    "percent and braces": "%s %n {0} {0.__class__} ${HOME} `id`",
    "wide": "\u6f22\u5b57" * 60,
    "ambiguous width": "\u00b1\u2018\u03b1" * 60,
    "emoji family": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308 1\ufe0f\u20e3",
    "emoji family flood": "\U0001f468\u200d" * 2000 + "\U0001f468",
    "persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "devanagari": "\u0928\u092e\u0938\u094d\u0924\u0947 \u0915\u094d\u200d\u0937",
    "hebrew, then digits": "\u05e9\u05dc\u05d5\u05dd 12:00:00",
    "very long word": "x" * 70_000,
    "very long lines": "hello world " * 7_000,
    "many lines": "\n".join("12:00:00 root: hello" for _ in range(5_000)),
    "only escapes": ESC * 60_000,
    "many nuls": "\x00" * 100_000,
    "long and astral": "\U0001f600" * 30_000,
}


def _object(**more: object) -> bytes:
    return json.dumps({"username": "mallory", "message": "hello", **more}).encode()


BODIES: dict[str, bytes] = {
    "empty": b"",
    "spaces": b" \n ",
    "text": b"hello from the dashboard",
    "text with a newline": b"hello\n12:00:00 root: hello\n",
    "null": b"null",
    "true": b"true",
    "number": b"42",
    "string": b'"hello"',
    "array": b'["username", "message"]',
    "empty object": b"{}",
    "no username": b'{"message":"hello"}',
    "no message": b'{"username":"mallory"}',
    "username null": b'{"username":null,"message":"hello"}',
    "username number": b'{"username":5,"message":"hello"}',
    "username array": b'{"username":["root"],"message":"hello"}',
    "username object": b'{"username":{"a":1},"message":"hello"}',
    "message null": b'{"username":"mallory","message":null}',
    "message true": b'{"username":"mallory","message":true}',
    "message array": b'{"username":"mallory","message":["hello"]}',
    "nan": b'{"username":"mallory","message":"hello","n":NaN}',
    "nan as message": b'{"username":"mallory","message":NaN}',
    "infinity": b'{"username":"mallory","message":"hello","n":-Infinity}',
    "1e999": b'{"username":"mallory","message":"hello","n":1e999}',
    "5,000 digits": b'{"username":"mallory","message":"hello","n":' + b"7" * 5000 + b"}",
    "5,000 digits as message": b'{"username":"mallory","message":' + b"7" * 5000 + b"}",
    "5,000 digits alone": b"7" * 5000,
    "1,000,000 digits": b'{"username":"mallory","message":"hello","n":' + b"7" * 1_000_000 + b"}",
    "long fraction": b'{"username":"mallory","message":"hello","n":0.' + b"7" * 100_000 + b"}",
    "nested arrays": b"[" * 200_000,
    "nested arrays, closed": b"[" * 200_000 + b"]" * 200_000,
    "nested objects": b'{"a":' * 200_000,
    "nested in an extra key": b'{"username":"mallory","message":"hello","x":'
    + b"[" * 200_000
    + b"]" * 200_000
    + b"}",
    "nested 900 deep": b'{"username":"mallory","message":"hello","x":' + b"[" * 900 + b"]" * 900 + b"}",
    "nested 99 deep": b'{"username":"mallory","message":"hello","x":' + b"[" * 98 + b"]" * 98 + b"}",
    "key twice": b'{"username":"ada","username":"mallory","message":"one","message":"two"}',
    "lone surrogates": b'{"username":"\\ud800","message":"\\udfff \\uD83D","\\udc00":["\\ud801",{"\\ud802":1}]}',
    "surrogate pair": b'{"username":"\\ud83d\\ude00","message":"\\uD83D\\uDE00"}',
    "byte order mark": b'\xef\xbb\xbf{"username":"mallory","message":"hello"}',
    "utf-16": '{"username":"mallory","message":"hello"}'.encode("utf-16"),
    "utf-32": '{"username":"mallory","message":"hello"}'.encode("utf-32"),
    "latin-1": '{"username":"mallory","message":"gr\xfc\xdfe"}'.encode("latin-1"),
    "invalid utf-8": b"\xff\xfe\x80hello\xc3",
    "overlong utf-8": b"\xc0\xae\xc0\xae/",
    "utf-8 of a surrogate": b"\xed\xa0\x80",
    "utf-8 beyond unicode": b"\xf4\x90\x80\x80",
    "all bytes": bytes(range(256)),
    "escape as bytes": b"\x1b]52;c;cm0gLXJmIH4K\x07",
    "c1 as bytes": b"\x9b2J",
    "object and more": b'{"username":"mallory","message":"hello"} {"username":"root","message":"hello"}',
    "two lines": b'{"username":"mallory","message":"hello"}\n{"username":"root","message":"hello"}',
    "trailing comma": b'{"username":"mallory","message":"hello",}',
    "single quotes": b"{'username':'mallory','message':'hello'}",
    "unfinished": b'{"username":"mallory","message":"hel',
    "unfinished escape": b'{"username":"mallory","message":"hel\\',
    "bad escape": b'{"username":"mallory","message":"\\x1b"}',
    "control in a string": b'{"username":"mallory","message":"\x1b[31m"}',
    "id number": _object(id=5),
    "id object": _object(id={"a": 1}),
    "id empty": _object(id=""),
    "id long": _object(id="x" * 100_000),
    "id with controls": _object(id="\x1b[31m\n\u202e"),
    "sent_at number": _object(sent_at=1e300),
    "sent_at nonsense": _object(sent_at="yesterday\x1b[31m"),
    "sent_at year 0": _object(sent_at="0000-00-00T00:00:00Z"),
    "sent_at year 1": _object(sent_at="0001-01-01T00:00:00+14:00"),
    "sent_at year 9999": _object(sent_at="9999-12-31T23:59:59.999999-12:00"),
    "sent_at year 99999": _object(sent_at="99999-12-31T23:59:59Z"),
    "sent_at offset": _object(sent_at="2026-01-01T00:00:00+99:99"),
    "sent_at digits": _object(sent_at="2026-01-01T00:00:00." + "7" * 100_000 + "Z"),
    "sent_at other digits": _object(sent_at="\u0662\u0660\u0662\u0666-01-01T00:00:00.000Z"),
    "extra that claims an account": _object(account="root", redelivered=True, problem="none", cut=1),
    "extra that claims a body": _object(body_base64="AAAA", extra={"account": "root"}),
    "extra with controls": _object(**{"\x1b[31m\u202e": "\x9b2J\n\u2028"}),
    "pickle": pickle.dumps({"username": "mallory", "message": "hello"}),
    "pickle, protocol 0, that would run a command": b"cos\nsystem\n(S'touch /tmp/kchat-owned'\ntR.",
    "yaml that would run a command": b"!!python/object/apply:os.system ['touch /tmp/kchat-owned']",
    "gzip bomb": gzip.compress(bytes(1 << 20)) * 4,
    "zlib": zlib.compress(b'{"username":"mallory","message":"hello"}'),
    **{
        f"text: {name}": json.dumps({"username": text, "message": text, "id": text, text: text}).encode()
        for name, text in TEXTS.items()
    },
    **{f"raw text: {name}": text.encode("utf-8", "surrogatepass") for name, text in TEXTS.items()},
}

LARGE_BODIES: dict[str, Callable[[], bytes]] = {
    "a 16 MiB string": lambda: b'{"username":"mallory","message":"' + b"x" * (16 << 20) + b'"}',
    "16 MiB of text": lambda: b"hello world\n" * ((16 << 20) // 12),
    "16 MiB with one emoji": lambda: (
        b'{"username":"mallory","message":"' + b"x" * (16 << 20) + "\U0001f600".encode() + b'"}'
    ),
    "16 MiB of commas in a string": lambda: b'{"username":"mallory","message":"' + b"," * (16 << 20) + b'"}',
    "16 MiB of escapes": lambda: (
        b'{"username":"mallory","message":"' + b"\\u001b" * ((16 << 20) // 6) + b'"}'
    ),
    "a 16 MiB username": lambda: b'{"message":"hello","username":"' + b"x" * (16 << 20) + b'"}',
    "a 16 MiB key": lambda: b'{"message":"hello","username":"mallory","' + b"x" * (16 << 20) + b'":1}',
    "16 MiB of empty arrays": lambda: (
        b'{"username":"mallory","message":"hello","x":[' + b"[]," * ((16 << 20) // 3) + b"0]}"
    ),
    "16 MiB of numbers": lambda: (
        b'{"username":"mallory","message":"hello","x":[' + b"1.5," * ((16 << 20) // 4) + b"0]}"
    ),
    "16 MiB of short strings": lambda: (
        b'{"username":"mallory","message":"hello","x":[' + b'"ab",' * ((16 << 20) // 5) + b"0]}"
    ),
    "16 MiB of brackets": lambda: b"[" * (16 << 20),
    "16 MiB of bytes": lambda: b"\xff" * (16 << 20),
    "16 MiB of nuls": lambda: bytes(16 << 20),
    "40 MiB": lambda: b'{"username":"mallory","message":"' + b"x" * (40 << 20) + b'"}',
}

HEADERS: dict[str, dict[str, object]] = {
    "compression, zlib": {"compression": "application/x-gzip"},
    "compression, unknown": {"compression": "application/x-evil"},
    "compression, a table": {"compression": {"a": {"b": [1, 2, 3]}}},
    "a number where text is expected": {"compression": 5},
    "none": {"x": None},
    "bytes": {"x": bytearray(b"\xff\x00")},
    "decimal": {"x": Decimal("1.5")},
    "time": {"x": datetime(1970, 1, 1, tzinfo=UTC)},
    "nested": {"x": {"y": {"z": [{"a": []}]}}},
    "large": {"x": "x" * 60_000},
    "many": {f"x{n}": n for n in range(1000)},
    "x-death": {"x-death": "not a list"},
    **{f"text: {name}": {"x": text} for name, text in TEXTS.items() if 0 < len(text) < 30_000},
}

PROPERTIES: dict[str, dict[str, object]] = {
    "content type pickle": {"content_type": "application/x-python-serialize"},
    "content type yaml": {"content_type": "application/x-yaml", "content_encoding": "utf-8"},
    "content type nonsense": {"content_type": "\x1b[31m", "content_encoding": "\x1b[32m"},
    "content encoding unknown": {"content_encoding": "utf-99"},
    "content encoding gzip": {"content_encoding": "gzip"},
    "timestamp 0": {"timestamp": 0},
    "timestamp beyond the year 9999": {"timestamp": 2**62},
    "timestamp largest": {"timestamp": 2**64 - 1},
    "expiration": {"expiration": "60000"},
    "priority": {"priority": 255},
    "reply_to": {"reply_to": "amq.rabbitmq.reply-to\x1b[31m"},
    "type": {"type": "\x9b2J", "app_id": "\u202eevil", "correlation_id": "\x00"},
    "message_id": {"message_id": "\x1b]0;owned\x07"},
}


def bodies() -> Iterator[tuple[str, bytes]]:
    """All bodies but the large ones."""
    yield from BODIES.items()


def count() -> int:
    """How many inputs there are, for the report."""
    return len(TEXTS) + len(BODIES) + len(LARGE_BODIES) + len(HEADERS) + len(PROPERTIES)
